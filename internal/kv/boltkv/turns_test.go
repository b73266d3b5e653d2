package boltkv

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/snibdb/snib/internal/kv"
)

// TestTurnsAreFairByTime: both sides wait always. With turns of very different
// length, each gets its share of the time: of nine parts the library has five,
// beside closures that fail six.
func TestTurnsAreFairByTime(t *testing.T) {
	for _, c := range []struct {
		library, closures time.Duration
		failed            bool
		share             float64 // closures' time by the library's
	}{
		{10 * time.Millisecond, 50 * time.Microsecond, true, 0.5},
		{10 * time.Millisecond, 50 * time.Microsecond, false, 0.8},
		{10 * time.Millisecond, time.Second, false, 0.8}, // one that sleeps
		{time.Millisecond, time.Millisecond, false, 0.8},
		{0, 0, false, 0.8}, // too short for the clock
	} {
		var turns turns
		turns.init(-1)
		turns.push(newMember(apply, nil))
		turns.push(newMember(update, nil))
		var had [2]time.Duration
		for range 100_000 {
			s, d := turns.next(), c.library
			if s == closures {
				d = c.closures
			}
			had[s] += max(d, time.Microsecond)
			turns.took(s, d, c.failed)
		}
		if share := float64(had[closures]) / float64(had[library]); share < 0.95*c.share || share > 1.05*c.share {
			t.Errorf("%+v: the library had %v, closures %v", c, had[library], had[closures])
		}
	}
}

// TestTurnsForgive: a side that nobody waits for is owed nothing, and no debt
// is larger than half of the time after which a write gives up.
func TestTurnsForgive(t *testing.T) {
	var turns turns
	turns.init(10 * time.Second)
	op, closure := newMember(apply, nil), newMember(update, nil)
	next := func(when string, want side) {
		t.Helper()
		if got := turns.next(); got != want {
			t.Errorf("%s: side %d", when, got)
		}
	}
	turns.push(op)
	turns.push(closure)
	turns.took(closures, time.Second, false)
	next("closures owe a second", library)
	turns.took(library, 900*time.Millisecond, false)
	next("and still some of it", library)
	turns.took(library, 400*time.Millisecond, false)
	next("it is paid, and more", closures)

	turns.took(closures, time.Second, false)
	turns.remove(op)
	next("the library has nobody", closures)
	turns.took(closures, 0, false)
	turns.push(op)
	next("the debt of before is forgotten, that of now is not", library)
	turns.took(library, time.Millisecond, false)
	next("which was small", closures)

	turns.remove(closure)
	turns.took(library, time.Second, false)
	next("closures have nobody", library)
	turns.push(closure)
	turns.took(library, time.Millisecond, false)
	turns.took(closures, 2*time.Millisecond, false)
	next("the library does not owe what nobody wanted", library)

	turns.took(closures, time.Hour, false)
	turns.took(library, 6*time.Second, false)
	next("a debt is bounded", closures)
}

// TestFailingClosuresCostOperationsNothing: operations run once, and share a
// commit, whatever the closures do that wait with them.
func TestFailingClosuresCostOperationsNothing(t *testing.T) {
	s := newStoreIn(t, options())
	own := errors.New("spent")
	runs := make([]int, 40)
	var writes []func() error
	for i := range runs {
		op := func(tx kv.Tx) error {
			runs[i]++
			if err := tx.Put(plain, fmt.Append(nil, i), nil); err != nil || i%2 == 0 {
				return err
			}
			return own
		}
		writes = append(writes, func() error { return sides(s)[side(i%2)](ctx, op) })
	}
	for i, err := range queueUp(t, s, writes...) {
		if i%2 == 0 && (err != nil || runs[i] != 1) || i%2 == 1 && (err != own || runs[i] != 1) {
			t.Errorf("%d: %d runs, %v", i, runs[i], err)
		}
	}
	same(t, "commits", s.Stats().Commits, 1)
}

// TestAnOperationDoesNotWaitForAClosure: one that came before it is answered
// while the closure runs, one that came after it leaves when its context ends,
// and so does a closure that has not begun.
func TestAnOperationDoesNotWaitForAClosure(t *testing.T) {
	s := newStoreIn(t, options())
	btx := hold(t, s)
	before, entered, slow := make(chan error, 1), make(chan bool), make(chan error, 1)
	leave := make(chan bool)
	release := sync.OnceFunc(func() { close(leave) })
	t.Cleanup(release)
	go func() { before <- s.Apply(ctx, putting("before", "stored")) }()
	queued(t, s, 1)
	go func() {
		slow <- s.Update(ctx, func(tx kv.Tx) error {
			close(entered)
			<-leave
			return tx.Put(plain, []byte("slow"), []byte("stored"))
		})
	}()
	queued(t, s, 2)
	must(t, btx.Rollback())
	<-entered
	must(t, <-before)
	same(t, "before", read(s, "before"), "stored")
	for name, write := range map[string]func(context.Context, func(kv.Tx) error) error{"Apply": s.Apply, "Update": s.Update, "Exclusive": s.Exclusive} {
		short, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
		want(t, name, write(short, putting("after", "stored")), context.DeadlineExceeded)
		cancel()
	}
	release()
	must(t, <-slow)
	same(t, "slow and after", read(s, "slow")+read(s, "after"), "storedabsent")
}

// TestATurnOfClosuresEnds after its time, and after its second failure.
func TestATurnOfClosuresEnds(t *testing.T) {
	own := errors.New("spent")
	ok := func(tx kv.Tx) error { return tx.Put(plain, []byte("ok"), nil) }
	fail := func(tx kv.Tx) error { return errors.Join(ok(tx), own) }
	slow := func(tx kv.Tx) error { time.Sleep(2 * turnTime); return ok(tx) }
	for name, c := range map[string]struct {
		closures []func(kv.Tx) error
		limit    time.Duration
		commits  int
	}{
		"all in one":          {[]func(kv.Tx) error{ok, ok, ok}, time.Minute, 1},
		"time":                {[]func(kv.Tx) error{slow, ok}, turnTime, 2},
		"one failure":         {[]func(kv.Tx) error{ok, fail, ok, ok}, time.Minute, 1},
		"two failures":        {[]func(kv.Tx) error{ok, fail, fail, ok}, time.Minute, 2},
		"failed before, once": {[]func(kv.Tx) error{ok, func(kv.Tx) error { return own }, func(kv.Tx) error { return own }, ok}, time.Minute, 1},
	} {
		s := newStoreIn(t, options())
		s.turns.limit = c.limit
		writes := make([]func() error, len(c.closures))
		for i, fn := range c.closures {
			writes[i] = func() error { return s.Update(ctx, fn) }
		}
		queueUp(t, s, writes...)
		same(t, name+": commits", s.Stats().Commits, c.commits)
	}
}

// TestAFailedClosureRunsAgainAtOnce: alone, before those with which it shared
// the transaction.
func TestAFailedClosureRunsAgainAtOnce(t *testing.T) {
	s := newStoreIn(t, options())
	s.turns.limit = time.Minute
	order := ""
	op := func(name string, fail func(run int) bool) func() error {
		run := 0
		return func() error {
			return s.Update(ctx, func(tx kv.Tx) error {
				order += name
				run++
				if err := tx.Put(plain, []byte(name), nil); err != nil || !fail(run) {
					return err
				}
				return errors.New(name)
			})
		}
	}
	never := func(int) bool { return false }
	errs := queueUp(t, s,
		op("a", never),
		op("b", func(run int) bool { return true }),
		op("c", func(run int) bool { return run == 1 }), // what it saw was not committed
		op("d", never))
	same(t, "order", order, "abbaccad")
	if errs[0] != nil || errs[1] == nil || errs[2] != nil || errs[3] != nil {
		t.Errorf("%v", errs)
	}
	same(t, "stored", read(s, "a")+read(s, "b")+read(s, "c")+read(s, "d"), "absent")
	same(t, "commits", s.Stats().Commits, 2)
}

// TestNeitherSideStarves, whatever the other does without a pause.
func TestNeitherSideStarves(t *testing.T) {
	s := newStoreIn(t, insecure())
	own := errors.New("spent")
	var done [2]atomic.Int64
	var group sync.WaitGroup
	over := make(chan bool)
	for i := range 32 {
		from := side(i % 2)
		write := sides(s)[from]
		group.Go(func() {
			for {
				select {
				case <-over:
					return
				default:
				}
				err := write(ctx, func(tx kv.Tx) error {
					if err := tx.Put(plain, fmt.Append(nil, i), nil); err != nil || from == library {
						return err
					}
					return own
				})
				if (from == library) != (err == nil) {
					t.Error(err)
					return
				}
				done[from].Add(1)
			}
		})
	}
	starved := func(a, b int64) bool { return min(a, b) < 1000 && max(a, b) > 100_000 }
	for {
		a, b := done[library].Load(), done[closures].Load()
		if starved(a, b) {
			t.Errorf("%d operations and %d closures", a, b)
		} else if min(a, b) < 1000 {
			time.Sleep(time.Millisecond)
			continue
		}
		t.Logf("%d operations and %d closures", a, b)
		break
	}
	close(over)
	group.Wait()
}
