package snibpg_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibpg"
)

// TestFrozenPrimary stops all processes of the primary, promotes the standby, and
// lets the old primary go on beside it, while two programs write. They go over to
// the new primary and never back: no acknowledged write is lost, no read is late.
//
// A third program names the old primary alone, and is not fenced off from it. With
// a synchronous standby it gets no write acknowledged, but its reads are late.
// Without one its writes are acknowledged, and lost: the test must see that.
func TestFrozenPrimary(t *testing.T) {
	for _, synchronous := range []bool{true, false} {
		t.Run(map[bool]string{true: "Synchronous", false: "Asynchronous"}[synchronous], func(t *testing.T) {
			t.Parallel()
			freeze(t, synchronous)
		})
	}
}

func freeze(t *testing.T, synchronous bool) {
	primary, standby := pair(t, synchronous)
	hurry := func(e *snibpg.Engine) { snibpg.Hurry(e, 2*time.Second, patience) }
	w := &workload{T: t, stop: make(chan struct{})}
	both := anyOf(primary, standby)
	silent := strings.TrimSuffix(both, "&connect_timeout=2") // does not say how long to try
	var engines [len(w.dbs)]*snibpg.Watched
	w.dbs[0], engines[0] = program(t, both, hurry)
	w.dbs[1], engines[1] = program(t, silent, hurry)
	cutOff, _ := program(t, primary.DSN(), func(e *snibpg.Engine) { snibpg.Hurry(e, time.Second, 3*time.Second) })
	token := tokens(t, cutOff, 1)[0]
	if _, err := cutOff.ValidateSession(ctx, token); err != nil { // and has a connection
		t.Fatal(err)
	}
	caughtUp(t, primary)

	var rounds counts
	for n := range rounds {
		w.group.Go(func() { w.count(n, &rounds[n]) })
	}
	further := func(what string) { rounds.further(t, what) }
	further("rounds before")
	if !synchronous {
		stopWorkload(w) // the writes of the third program alone are about losses here
		caughtUp(t, primary)
	}
	for _, db := range w.dbs {
		busy(t, db, token)
	}
	primary.Freeze()
	must(t, standby.Promote(ctx))
	if synchronous {
		further("rounds at the new primary")
	}
	for i, db := range w.dbs { // both meet the new primary
		before, _ := engines[i].Figures()
		if _, err := db.ValidateSession(ctx, token); err != nil {
			t.Error(err)
		}
		// Where no others make trips: one connection is tried in vain, and not each.
		if after, _ := engines[i].Figures(); !synchronous && after.Trips-before.Trips >= idle {
			t.Errorf("%d trips to find the new primary, with %d connections to the old one", after.Trips-before.Trips, idle)
		}
	}
	must(t, w.dbs[0].RevokeToken(ctx, token))
	primary.Thaw()
	reach(t, "the old primary answers", func() bool { return on(t, primary, "select pg_is_in_recovery()") == "f" })
	for _, e := range engines {
		e.Reconnect() // the old primary is the first of the dsn
	}
	if synchronous {
		further("rounds beside the old primary")
		stopWorkload(w)
	}
	for _, db := range w.dbs {
		if _, err := db.ValidateSession(ctx, token); !errors.Is(err, snib.ErrInvalidSession) {
			t.Errorf("revoked at the new primary: %v", err)
		}
	}

	notFencedOff(t, cutOff, w.dbs[0], token, synchronous)
	users, sessions, revocations, deletes := w.losses(w.dbs[1])
	t.Logf("%d acknowledged, %d unknown, %d stale reads; lost: %d users, %d sessions, %d revocations, %d deletes", w.acked.Load(), w.unknown.Load(), w.stale.Load(), users, sessions, revocations, deletes)
	if users+sessions+revocations+deletes > 0 || w.stale.Load() > 0 {
		t.Error("acknowledged writes were lost, or not seen")
	}
	check(t, w.dbs[1])
	primary.Kill()
	cutOff.Close() // as far as it can
	for _, db := range w.dbs {
		must(t, db.Close())
	}
}

// counts are the rounds of each worker.
type counts [4]atomic.Int64

// further waits until each worker has begun and ended a round.
func (c *counts) further(t *testing.T, what string) {
	t.Helper()
	var from [len(c)]int64
	for n := range c {
		from[n] = c[n].Load()
	}
	reach(t, what, func() bool {
		for n := range c {
			if c[n].Load() < from[n]+2 {
				return false
			}
		}
		return true
	})
}

// notFencedOff reads and writes by a program that knows the old primary alone. db is of
// the new one.
func notFencedOff(t *testing.T, cutOff, db *snib.DB, token string, synchronous bool) {
	t.Helper()
	_, late := cutOff.ValidateSession(ctx, token)
	_, write := cutOff.CreateUser(ctx, snib.NewUser{Provider: "email", Identifier: "late@example.com"})
	_, there := db.GetUserByProviderID(ctx, "email", "late@example.com")
	t.Logf("not fenced off: a read %v, a write %v; at the new primary %v", late, write, there)
	if late != nil {
		t.Errorf("the old primary refuses what the new one has revoked: %v: fencing would not be owed", late)
	}
	switch {
	case synchronous && write == nil:
		t.Error("the old primary has acknowledged a write")
	case !synchronous && (write != nil || !errors.Is(there, snib.ErrUserNotFound)):
		t.Errorf("without a synchronous standby: %v, %v: this test could not tell", write, there)
	}
}

// idle is how many connections a program has that does nothing.
const idle = 8

// busy makes a program have so many connections.
func busy(t *testing.T, db *snib.DB, token string) {
	var at, group sync.WaitGroup
	at.Add(idle)
	for range idle {
		group.Go(func() {
			once := sync.OnceFunc(at.Done)
			defer once()
			err := db.View(ctx, func(tx *snib.Tx) error {
				once()
				at.Wait()
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
}

// count does rounds and counts those that came to their end.
func (w *workload) count(n int, rounds *atomic.Int64) {
	for i := 0; ; i++ {
		select {
		case <-w.stop:
			return
		default:
		}
		if err := w.round(w.dbs[(n+i)%2], w.dbs[(n+i+1)%2], fmt.Sprintf("f%d-%d@example.com", n, i), i); err != nil {
			w.unknown.Add(1)
			w.Errorf("worker %d: %v", n, err)
		}
		rounds.Add(1)
	}
}

func stopWorkload(w *workload) {
	close(w.stop)
	w.group.Wait()
}
