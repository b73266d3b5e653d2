package load

// Names of works that the document of the goals looks for.
const (
	WorkIdle       = "validate, idle, p99"
	WorkContention = "validate while 64 create, p99"
)

const (
	creators     = 64
	readsPerRate = 5 // validations a second, as a multiple of the rate
)

// Contention is validation at a fixed rate, first alone and then while others
// create durable sessions.
func Contention() []Case {
	return []Case{
		{Suite: "contention", Work: WorkIdle, Workers: 1, Reads: true, Quantile: 99, Run: idle},
		{Suite: "contention", Work: WorkContention, Workers: 1, Reads: true, Quantile: 99, Run: beside(creators, creating, idle)},
	}
}

func idle(s *Subject, p Plan) (Sample, error) {
	p.For *= 2
	p.Rate *= readsPerRate
	return openLoop(p, s.validation())
}
