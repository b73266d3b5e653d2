package load

import (
	"math/rand/v2"
	"runtime"

	"github.com/snibdb/snib/bench/internal/peer"
)

// Reads are the cases of validation: by one goroutine, and by as many as run
// at once.
func Reads() []Case {
	users := func(s peer.Store) bool { _, ok := s.(peer.UserStore); return ok }
	var list []Case
	for _, workers := range uniq(1, runtime.GOMAXPROCS(0)) {
		list = append(list,
			Case{Suite: "read", Work: "validate", Workers: workers, Reads: true, Run: validate},
			Case{Suite: "read", Work: "validate+user", Workers: workers, Reads: true, Can: users, Run: validateUser})
	}
	return list
}

func uniq(a, b int) []int {
	if a == b {
		return []int{a}
	}
	return []int{a, b}
}

func validate(s *Subject, p Plan) (Sample, error) {
	return twice(p, func(_ int, rng *rand.Rand) error {
		_, err := s.Store.Validate(s.Tokens.At(rng.IntN(s.Tokens.Len())))
		return err
	})
}

func validateUser(s *Subject, p Plan) (Sample, error) {
	store := s.Store.(peer.UserStore)
	return twice(p, func(_ int, rng *rand.Rand) error {
		_, err := store.ValidateUser(s.Tokens.At(rng.IntN(s.Tokens.Len())))
		return err
	})
}

// twice measures the time of a short operation without a clock around each,
// and then, for a third of the time, the distribution with one.
func twice(p Plan, op operation) (Sample, error) {
	sample, err := hotLoop(p, op)
	if err != nil {
		return sample, err
	}
	p.For /= 3
	timed, err := timedLoop(p, op)
	sample.Service = timed.Service
	return sample, err
}

// Creates are the creation of sessions by a number of writers each.
func Creates(writers []int) []Case {
	var list []Case
	for _, n := range writers {
		list = append(list, Case{Suite: "write", Work: "create", Workers: n, Run: create})
	}
	return list
}

func create(s *Subject, p Plan) (Sample, error) {
	return timedLoop(p, func(_ int, rng *rand.Rand) error {
		_, err := s.Store.CreateSession(s.Users[rng.IntN(len(s.Users))])
		return err
	})
}
