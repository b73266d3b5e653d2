package phc

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/snibdb/snib/internal/testseed"
)

// An arrival is a caller of enter in a goroutine of its own.
type arrival struct {
	leave  func()
	err    error
	done   atomic.Bool // enter has returned
	cancel context.CancelFunc
}

// arrive calls enter in a goroutine and returns when it is through or waits.
// It is for use in a synctest bubble.
func arrive(g *gate, weight uint64) *arrival { return arriveAs(g, &Turn{}, job{weight: weight}) }

func arriveAs(g *gate, turn *Turn, j job) *arrival {
	ctx, cancel := context.WithCancel(WithTurn(context.Background(), turn))
	a := &arrival{cancel: cancel}
	go func() {
		a.leave, a.err = g.enter(ctx, j)
		a.done.Store(true)
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
		if a.done.Load() != want[i] {
			t.Errorf("%s: arrival %d through = %v, want %v", what, i, a.done.Load(), want[i])
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
		g := newGate(10, 10, 2, 0)
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
		g := newGate(10, 10, 2, 0)
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
		g := newGate(10, 10, 2, 0)
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
		g := newGate(1, 2, 1, 0)
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
	g := newGate(1, 0, 1, 0)
	leave, err := g.enter(t.Context(), job{weight: 1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.enter(t.Context(), job{weight: 1}); err != ErrBusy {
		t.Errorf("enter = %v, want %v", err, ErrBusy)
	}
	leave()
	if leave, err = g.enter(t.Context(), job{weight: 1}); err != nil {
		t.Fatal(err)
	}
	leave()
}

func TestGateHonoursTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(10, 10, 2, 0)
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
		if _, err := g.enter(ctx, job{weight: 1}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("enter = %v, want %v", err, context.DeadlineExceeded)
		}
		if _, err := g.enter(ctx, job{weight: 0}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("enter with a context that is over = %v, want %v", err, context.DeadlineExceeded)
		}
		last.leave()
	})
}

// TestGateAbandonsAfterAdmission is the race of a context that ends between
// admission and its notice: the weight must not be lost.
func TestGateAbandonsAfterAdmission(t *testing.T) {
	g := newGate(1, 2, 1, 0)
	leave, err := g.enter(t.Context(), job{weight: 1})
	if err != nil {
		t.Fatal(err)
	}
	first := &ticket{job: job{weight: 1}, admitted: make(chan struct{})}
	second := &ticket{job: job{weight: 1}, admitted: make(chan struct{})}
	g.mu.Lock()
	for _, t := range []*ticket{first, second} {
		if g.queueLocked(t, lineKey{}) != nil {
			panic("no place")
		}
	}
	g.mu.Unlock()
	leave()
	<-first.admitted
	_ = g.abandon(first, context.Canceled)
	<-second.admitted
	expectStats(t, g, 1, 0, 0)
	g.leave(job{weight: 1})
	expectStats(t, g, 0, 0, 0)
	if g.used != 0 {
		t.Errorf("used = %d, want 0", g.used)
	}
}

// TestGateUnderLoad lets many goroutines come and go, some giving up, and
// counts by itself what runs.
func TestGateUnderLoad(t *testing.T) {
	const total, callers, rounds = 16, 32, 200
	seed := testseed.Of(t)
	g := newGate(total, callers, 4, 0)
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
				leave, err := g.enter(ctx, job{weight: weight})
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

// as is a caller of a key, a proven one if the key begins with a star.
func as(key string) *Turn { return &Turn{Key: key, Proven: key != "" && key[0] == '*'} }

// served lets the callers in one after the other and returns their order.
func served(list []*arrival) (order []int) {
	for range list {
		synctest.Wait()
		for i, a := range list {
			if a.done.Load() && a.err == nil && a.leave != nil {
				order = append(order, i)
				leave := a.leave
				a.leave = nil
				leave()
				break
			}
		}
	}
	return order
}

// TestGateTakesTurns: a network with many callers holds up itself, and proven
// callers go one for one with strangers.
func TestGateTakesTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(1, 20, 1, 0)
		one := job{weight: 1, cost: 1}
		var list []*arrival
		for _, key := range []string{"a", "a", "a", "a", "b", "b", "c", "*u", "*u"} {
			list = append(list, arriveAs(g, as(key), one))
		}
		if got, want := fmt.Sprint(served(list)), "[0 7 1 8 4 6 2 5 3]"; got != want {
			t.Errorf("served in the order %s, want %s", got, want)
		}
	})
}

// TestGateTurnsCountTime: a line whose computations take longer has fewer.
func TestGateTurnsCountTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(1, 20, 1, 0)
		hold := arriveAs(g, as("x"), job{weight: 1, cost: 1})
		var list []*arrival
		for range 3 {
			list = append(list, arriveAs(g, as("slow"), job{weight: 1, cost: 30}))
		}
		for range 5 {
			list = append(list, arriveAs(g, as("fast"), job{weight: 1, cost: 10}))
		}
		hold.leave()
		if got, want := fmt.Sprint(served(list)), "[0 3 4 5 1 6 7 2]"; got != want {
			t.Errorf("served in the order %s, want %s", got, want)
		}
	})
}

// TestGateHeavyOnesShareHalf: light callers pass the heavy ones that wait, and
// heavy ones are served all the same.
func TestGateHeavyOnesShareHalf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(2, 20, 2, 0)
		heavy := job{weight: 5, cost: 100, heavy: true}
		list := []*arrival{
			arriveAs(g, as("a"), heavy), arriveAs(g, as("b"), heavy), arriveAs(g, as("c"), heavy),
			arriveAs(g, as("a"), job{weight: 1, cost: 1}), arriveAs(g, as("d"), job{weight: 1, cost: 1}),
		}
		expect(t, "one heavy and one light", list, 0, 3)
		list[3].leave()
		expect(t, "the next light one passes the heavy ones", list, 0, 3, 4)
		list[4].leave()
		expect(t, "and a place stays free", list, 0, 3, 4)
		expectStats(t, g, 1, 2, 0)
		list[0].leave()
		expect(t, "the next heavy one", list, 0, 1, 3, 4)
		list[1].leave()
		expect(t, "and the last", list, 0, 1, 2, 3, 4)
		list[2].leave()
		expectStats(t, g, 0, 0, 0)
		if g.used != 0 || g.heavies != 0 {
			t.Errorf("used %d, %d of them heavy", g.used, g.heavies)
		}
	})
}

// TestGateBoundsTheWait: by an estimate at once, and by the time that passes.
func TestGateBoundsTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(1, 100, 1, 2*time.Second)
		second := job{weight: 1, cost: time.Second}
		list := []*arrival{arriveAs(g, as("a"), second)}
		for range 3 {
			list = append(list, arriveAs(g, as("a"), second))
		}
		if last := arriveAs(g, as("a"), second); last.err != ErrBusy {
			t.Errorf("the fourth in a line of seconds: %v", last.err)
		}
		if other := arriveAs(g, as("b"), second); other.done.Load() {
			t.Errorf("another network is refused for that: %v", other.err)
		}
		time.Sleep(2*time.Second - 1)
		expect(t, "they wait", list, 0)
		time.Sleep(time.Nanosecond)
		expect(t, "for two seconds", list, 0, 1, 2, 3)
		if list[3].err != ErrBusy {
			t.Errorf("after the wait: %v", list[3].err)
		}
		list[0].leave()
		expectStats(t, g, 0, 0, 5)
	})
}

// TestGateFullMakesRoomForOthers: the last place of the longest line goes to a
// caller with fewer.
func TestGateFullMakesRoomForOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(1, 3, 1, 0)
		one := job{weight: 1}
		list := []*arrival{arriveAs(g, as("a"), one), arriveAs(g, as("a"), one), arriveAs(g, as("a"), one), arriveAs(g, as("a"), one)}
		list = append(list, arriveAs(g, as("b"), one))
		expect(t, "the last of the longest is refused", list, 0, 3)
		if list[3].err != ErrBusy {
			t.Errorf("it got %v", list[3].err)
		}
		list = append(list, arriveAs(g, as("b"), one))
		expect(t, "a caller with as many is refused itself", list, 0, 3, 5)
		list = append(list, arriveAs(g, as("*u"), one))
		expect(t, "a proven caller takes the place of a stranger", list, 0, 2, 3, 5)
		list = append(list, arriveAs(g, as("c"), one))
		expect(t, "and loses it to none", list, 0, 2, 3, 5, 7)
		for _, i := range []int{0, 6, 4, 1} {
			synctest.Wait()
			if list[i].leave != nil {
				list[i].leave()
			}
		}
	})
}
