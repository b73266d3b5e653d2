package phc

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// An arrival is a caller of enter in a goroutine of its own.
type arrival struct {
	leave  func()
	err    error
	done   bool // enter has returned
	cancel context.CancelFunc
}

// arrive calls enter in a goroutine and returns when it is through or waits.
// It is for use in a synctest bubble.
func arrive(g *gate, weight uint64) *arrival {
	ctx, cancel := context.WithCancel(context.Background())
	a := &arrival{cancel: cancel}
	go func() {
		a.leave, a.err = g.enter(ctx, weight)
		a.done = true
	}()
	synctest.Wait()
	return a
}

// expect fails unless exactly those of list are through whose index is given.
func expect(t *testing.T, what string, list []*arrival, through ...int) {
	t.Helper()
	synctest.Wait()
	want := make(map[int]bool)
	for _, i := range through {
		want[i] = true
	}
	for i, a := range list {
		if a.done != want[i] {
			t.Errorf("%s: arrival %d through = %v, want %v", what, i, a.done, want[i])
		}
	}
}

func expectStats(t *testing.T, g *gate, running, waiting int, busy uint64) {
	t.Helper()
	if r, w, b := g.stats(); r != running || w != waiting || b != busy {
		t.Errorf("stats = %d, %d, %d, want %d, %d, %d", r, w, b, running, waiting, busy)
	}
}

func TestGateIsWeighted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(10, 10)
		list := []*arrival{arrive(g, 4), arrive(g, 6), arrive(g, 1)}
		expect(t, "full", list, 0, 1)
		expectStats(t, g, 2, 1, 0)
		list[0].leave()
		expect(t, "after one left", list, 0, 1, 2)
		expectStats(t, g, 2, 0, 0)
		list[1].leave()
		list[2].leave()
		expectStats(t, g, 0, 0, 0)
		if g.used != 0 {
			t.Errorf("used = %d, want 0", g.used)
		}
	})
}

func TestGateKeepsTheOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(10, 10)
		list := []*arrival{arrive(g, 6), arrive(g, 10), arrive(g, 1), arrive(g, 9), arrive(g, 1)}
		expect(t, "the light do not pass the heavy", list, 0)
		list[0].leave()
		expect(t, "the heavy one alone", list, 0, 1)
		list[1].leave()
		expect(t, "as many as fit", list, 0, 1, 2, 3)
		list[2].leave()
		expect(t, "the last", list, 0, 1, 2, 3, 4)
		list[3].leave()
		list[4].leave()
		expectStats(t, g, 0, 0, 0)
	})
}

// TestGateAdmitsTheOversizedAlone: a weight above the total must neither wait
// for ever nor run beside another.
func TestGateAdmitsTheOversizedAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(10, 10)
		list := []*arrival{arrive(g, 1), arrive(g, 1<<40), arrive(g, 1)}
		expect(t, "one runs", list, 0)
		list[0].leave()
		expect(t, "the oversized one alone", list, 0, 1)
		list[1].leave()
		expect(t, "the next", list, 0, 1, 2)
		list[2].leave()
		if g.used != 0 {
			t.Errorf("used = %d, want 0", g.used)
		}
	})
}

func TestGateTurnsAwayBeyondTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(1, 2)
		list := []*arrival{arrive(g, 1), arrive(g, 1), arrive(g, 1), arrive(g, 1)}
		expect(t, "the last at once", list, 0, 3)
		if list[3].err != ErrBusy || list[3].leave != nil {
			t.Errorf("enter = %v, want %v", list[3].err, ErrBusy)
		}
		expectStats(t, g, 1, 2, 1)
		for _, a := range list[:3] {
			a.leave()
			synctest.Wait()
		}
		expectStats(t, g, 0, 0, 1)
	})
}

func TestGateWithoutQueue(t *testing.T) {
	g := newGate(1, 0)
	leave, err := g.enter(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.enter(t.Context(), 1); err != ErrBusy {
		t.Errorf("enter = %v, want %v", err, ErrBusy)
	}
	leave()
	if leave, err = g.enter(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	leave()
}

func TestGateHonoursTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(10, 10)
		list := []*arrival{arrive(g, 5), arrive(g, 10), arrive(g, 5)}
		expect(t, "the heavy one holds back the light", list, 0)
		list[1].cancel()
		expect(t, "which passes when the heavy one gives up", list, 0, 1, 2)
		if !errors.Is(list[1].err, context.Canceled) {
			t.Errorf("enter = %v, want %v", list[1].err, context.Canceled)
		}
		expectStats(t, g, 2, 0, 0)
		list[0].leave()
		list[2].leave()
		if g.used != 0 {
			t.Errorf("used = %d, want 0", g.used)
		}

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		last := arrive(g, 10)
		if _, err := g.enter(ctx, 1); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("enter = %v, want %v", err, context.DeadlineExceeded)
		}
		if _, err := g.enter(ctx, 0); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("enter with a context that is over = %v, want %v", err, context.DeadlineExceeded)
		}
		last.leave()
	})
}

// TestGateAbandonsAfterAdmission is the race of a context that ends between
// admission and its notice: the weight must not be lost.
func TestGateAbandonsAfterAdmission(t *testing.T) {
	g := newGate(1, 2)
	leave, err := g.enter(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	first := &ticket{weight: 1, admitted: make(chan struct{})}
	second := &ticket{weight: 1, admitted: make(chan struct{})}
	place := g.waiting.PushBack(first)
	g.waiting.PushBack(second)
	leave()
	<-first.admitted
	g.abandon(place)
	<-second.admitted
	expectStats(t, g, 1, 0, 0)
	g.leave(1)
	expectStats(t, g, 0, 0, 0)
	if g.used != 0 {
		t.Errorf("used = %d, want 0", g.used)
	}
}

// TestGateUnderLoad lets many goroutines come and go, some giving up, and
// counts by itself what runs.
func TestGateUnderLoad(t *testing.T) {
	const total, callers, rounds = 16, 32, 200
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	g := newGate(total, callers)
	var inside atomic.Int64
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(seed, uint64(i)))
			for range rounds {
				weight := 1 + r.Uint64N(2*total)
				ctx, cancel := context.WithCancel(context.Background())
				if r.IntN(4) == 0 {
					go cancel()
				}
				leave, err := g.enter(ctx, weight)
				if err == nil {
					held := int64(min(weight, total))
					if inside.Add(held) > total {
						t.Error("more inside than the total")
					}
					inside.Add(-held)
					leave()
				} else if !errors.Is(err, context.Canceled) {
					t.Errorf("enter: %v", err)
				}
				cancel()
			}
		})
	}
	wg.Wait()
	expectStats(t, g, 0, 0, 0)
	if g.used != 0 {
		t.Errorf("used = %d, want 0", g.used)
	}
}
