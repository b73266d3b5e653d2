package load

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/snibdb/snib/bench/internal/peer"
)

// Names of works that the document of the goals looks for.
const (
	WorkView         = "view"
	WorkSleeping     = "create beside a closure that sleeps 20 ms"
	WorkPatience     = "create within 100 ms beside a closure of 1 s, longest"
	WorkClosures     = "closure"
	WorkClosuresBusy = "closure beside 64 creators"
)

// Beside returns the cases of work beside closures of the program's own, and of
// closures beside work: the cost of one caller's slow or failing code to others.
func Beside() []Case {
	list := reading()
	closures := can[peer.Closures]
	for _, n := range []int{0, 1, 8, 64} {
		list = append(list, Case{Suite: "closures", Work: fmt.Sprintf("create beside %d closures that fail", n), Workers: creators, Can: closures,
			Run: beside(n, failing, create)})
	}
	return append(list,
		Case{Suite: "closures", Work: WorkSleeping, Workers: creators, Can: closures, Run: beside(1, sleeping(20*time.Millisecond), create)},
		Case{Suite: "closures", Work: WorkPatience, Workers: 16, Can: both[peer.Closures, peer.Patient], Quantile: 100, Run: patient},
		Case{Suite: "closures", Work: WorkClosures, Workers: 8, Can: closures, Run: closure},
		Case{Suite: "closures", Work: WorkClosuresBusy, Workers: 8, Can: closures, Run: beside(creators, creating, closure)})
}

func both[A, B any](s peer.Store) bool { return can[A](s) && can[B](s) }

// background is one operation, which each of the other callers repeats.
type background func(s *Subject, rng *rand.Rand) error

// beside is a work while n others do something else.
func beside(n int, other background, work func(*Subject, Plan) (Sample, error)) func(*Subject, Plan) (Sample, error) {
	return func(s *Subject, p Plan) (Sample, error) {
		var stop atomic.Bool
		var failed error
		var wg sync.WaitGroup
		wg.Go(func() {
			failed = parallel(n, func(w int) error {
				for rng := p.rng(1000 + w); !stop.Load(); {
					if err := other(s, rng); err != nil {
						return err
					}
				}
				return nil
			})
		})
		sample, err := work(s, p)
		stop.Store(true)
		wg.Wait()
		return sample, errors.Join(err, failed)
	}
}

func creating(s *Subject, rng *rand.Rand) error {
	_, err := s.Store.CreateSession(s.Users[rng.IntN(len(s.Users))])
	return err
}

var errOnPurpose = errors.New("load: failed on purpose")

// failing writes and then finds that it must not have.
func failing(s *Subject, _ *rand.Rand) error {
	err := s.Store.(peer.Closures).Update(func(write func() error) error { return errors.Join(write(), errOnPurpose) })
	if errors.Is(err, errOnPurpose) {
		return nil
	}
	return fmt.Errorf("a closure that fails: %w", err)
}

// sleeping writes and then holds the transaction for a time.
func sleeping(d time.Duration) background {
	return func(s *Subject, _ *rand.Rand) error {
		return s.Store.(peer.Closures).Update(func(write func() error) error {
			err := write()
			<-time.After(d)
			return err
		})
	}
}

// closure is an update of the program's own that writes a row.
func closure(s *Subject, p Plan) (Sample, error) {
	store := s.Store.(peer.Closures)
	return timedLoop(p, operation{do: func(int, *rand.Rand, string) error {
		return store.Update(func(write func() error) error { return write() })
	}})
}

// patient creates sessions with 100 ms of patience while one closure after the
// other holds the writer for a second. Giving up in time is a success.
func patient(s *Subject, p Plan) (Sample, error) {
	store := s.Store.(peer.Patient)
	p.For = max(p.For, 1500*time.Millisecond)
	return beside(1, sleeping(time.Second), func(s *Subject, p Plan) (Sample, error) {
		sample, err := timedLoop(p, operation{s.pickUsers, func(_ int, _ *rand.Rand, user string) error {
			err := store.CreateWithin(100*time.Millisecond, user)
			if errors.Is(err, context.DeadlineExceeded) {
				return nil
			}
			return err
		}})
		sample.Response = sample.Service
		return sample, err
	})(s, p)
}
