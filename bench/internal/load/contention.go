package load

import (
	"sync"
	"sync/atomic"
)

// Names of works that the document of the goals looks for.
const (
	WorkIdle       = "validate, idle, p99"
	WorkContention = "validate while 64 create, p99"
	WorkSweepIdle  = "validate before a sweep, p99"
	WorkSweep      = "validate during a sweep, p99"
)

const (
	creators     = 64
	readsPerRate = 5 // validations a second, as a multiple of the rate
)

// Contention is validation at a fixed rate, first alone and then while others
// create durable sessions.
func Contention() []Case {
	return []Case{
		{Suite: "contention", Work: WorkIdle, Workers: 1, Reads: true, P99: true, Run: idle},
		{Suite: "contention", Work: WorkContention, Workers: 1, Reads: true, P99: true, Run: contended},
	}
}

func idle(s *Subject, p Plan) (Sample, error) {
	p.For *= 2
	p.Rate *= readsPerRate
	return openLoop(p, s.validation())
}

func contended(s *Subject, p Plan) (Sample, error) {
	var stop atomic.Bool
	var failed error
	var wg sync.WaitGroup
	wg.Go(func() {
		failed = parallel(creators, func(w int) error {
			k := p.picker(1000+w, s.creation())
			for !stop.Load() {
				if err := k.do(w, k.rng, k.next()); err != nil {
					return err
				}
			}
			return nil
		})
	})
	sample, err := idle(s, p)
	stop.Store(true)
	wg.Wait()
	if err == nil {
		err = failed
	}
	return sample, err
}
