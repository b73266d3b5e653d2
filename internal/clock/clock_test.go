package clock

import (
	"sync"
	"testing"
	"time"
	"unsafe"
)

// A handClock is a wall clock and a monotonic one that are moved apart, as
// only the system can do it with readings of time.Now.
type handClock struct {
	mu   sync.Mutex
	wall time.Time
	mono time.Duration
}

// reading is what time.Now returns on the machine of this clock. The layout of
// time.Time is looked at again by TestHandClockReadsLikeTimeNow.
func (h *handClock) reading() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.wall.Year() > 2156 || h.wall.Year() < 1886 {
		return h.wall // no room for a monotonic part
	}
	t := time.Now()
	raw := (*struct {
		wall uint64
		ext  int64
	})(unsafe.Pointer(&t))
	const hasMonotonic, since1885 = 1 << 63, 2682288000
	raw.wall = hasMonotonic | uint64(h.wall.Unix()+since1885)<<30 | uint64(h.wall.Nanosecond())
	raw.ext = int64(h.mono)
	return t
}

func (h *handClock) step(wall, mono time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.wall, h.mono = h.wall.Add(wall), h.mono+mono
}

func newHandClock() *handClock {
	return &handClock{wall: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC), mono: time.Hour}
}

func TestHandClockReadsLikeTimeNow(t *testing.T) {
	h := newHandClock()
	a := h.reading()
	h.step(-time.Hour, time.Minute)
	b := h.reading()
	if !a.Equal(h.wall.Add(time.Hour)) || b.UnixNano() != h.wall.UnixNano() || b.Sub(a) != time.Minute {
		t.Fatalf("readings %v and %v, %v apart: time.Time is laid out in another way", a, b, b.Sub(a))
	}
	at := anchor{at: a}
	plain := anchor{at: a.Round(0)}
	if !at.steady(b) || at.steady(b.Round(0)) || plain.steady(b) || !at.steady(time.Now()) {
		t.Error("steady does not tell readings with a monotonic part")
	}
}

// What a clock says after steps of wall and monotonic time, in minutes.
func TestClockFollowsTheMonotonicTimeWhenTheWallIsSet(t *testing.T) {
	type step struct{ wall, mono, want time.Duration } // minutes; want since the start
	for name, steps := range map[string][]step{
		"in step":          {{1, 1, 1}, {59, 59, 60}, {600, 600, 660}},
		"set back an hour": {{10, 10, 10}, {-60, 0, 10}, {5, 5, 15}, {40, 40, 55}, {20, 20, 75}},
		"set back years":   {{10, 10, 10}, {-5e6, 0, 10}, {30, 30, 40}, {5e6, 0, 40}, {1, 1, 41}},
		"set ahead, back":  {{600, 0, 600}, {-600, 0, 600}, {30, 30, 630}},
		"a dead clock":     {{-40e6, 0, 0}, {7, 7, 7}, {40e6, 0, 7}, {1, 1, 8}},
		"far ahead":        {{100e6, 0, 0}, {7, 7, 7}, {-100e6, 0, 7}, {10, 10, 17}},
		"ahead, far back":  {{100e6, 0, 0}, {-105e6, 0, 0}, {10, 10, 10}, {10, 10, 20}},
		"frozen":           {{0, 0, 0}, {0, 5, 5}, {0, 5, 10}},
		"asleep":           {{480, 0, 480}, {1, 1, 481}},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHandClock()
			start := h.wall
			c := New(h.reading)
			c.Now(1, 0)
			for i, s := range steps {
				h.step(s.wall*time.Minute, s.mono*time.Minute)
				got := time.UnixMilli(c.Now(1, 0)).Sub(start)
				if got != s.want*time.Minute {
					t.Errorf("step %d: %v after the start, want %v", i, got, s.want*time.Minute)
				}
				wall := h.wall.Sub(start)
				if behind := c.Behind(); behind != max(0, got-wall) {
					t.Errorf("step %d: behind by %v, want %v", i, behind, got-wall)
				}
			}
		})
	}
}

func TestClockTakesTheStoredFloor(t *testing.T) {
	h := newHandClock()
	c := New(h.reading)
	c.Now(1, 0) // another process or DB has been ahead since
	floor := h.wall.Add(time.Hour).UnixMilli()
	if got := c.Now(1, floor); got != floor {
		t.Errorf("%d, want the floor %d", got, floor)
	}
	h.step(0, time.Second)
	if got := c.Now(1, 0); got != floor+1000 {
		t.Errorf("%d, want a second after the floor %d", got, floor)
	}
	if got := c.Now(1, floor+500); got != floor+1000 {
		t.Errorf("%d: a lower stored floor has moved the clock", got)
	}
	if got := c.Latest(); got != floor+1000 {
		t.Errorf("the latest is %d", got)
	}
}

// A transaction that still sees the old epoch still sees its time, so that
// nothing made in it gets a deadline of the new one, and the reverse.
func TestClockOfTheEpochThatATransactionSees(t *testing.T) {
	h := newHandClock()
	right := h.wall.UnixMilli()
	c := New(h.reading)
	h.step(1000*time.Hour, 0)
	old := c.Now(1, 0)
	h.step(-1000*time.Hour, 0)
	if got := c.Now(1, right); got != old {
		t.Errorf("before the reset: %d, want %d", got, old)
	}
	if got := c.Now(2, right); got != right {
		t.Errorf("after the reset: %d, want the wall %d", got, right)
	}
	if got := c.Now(1, right); got != old {
		t.Errorf("one who sees the old epoch: %d, want %d", got, old)
	}
	h.step(time.Minute, time.Minute)
	if got := c.Now(1, right); got != old+60_000 {
		t.Errorf("old epoch, a minute later: %d, want %d", got, old+60_000)
	}
	if got := c.Now(2, right); got != right+60_000 {
		t.Errorf("new epoch, a minute later: %d, want %d", got, right+60_000)
	}
	if got := c.Latest(); got != right+60_000 {
		t.Errorf("the latest is %d, want that of the new epoch", got)
	}
}

// Callers in parallel never see time go back, each for itself, whatever
// happens to the wall clock, and together they do not drive it forward.
func TestClockIsMonotonicInParallel(t *testing.T) {
	for name, plain := range map[string]bool{"monotonic readings": false, "plain readings": true} {
		t.Run(name, func(t *testing.T) {
			h := newHandClock()
			start := h.wall.UnixMilli()
			read := h.reading
			if plain {
				read = func() time.Time { return h.reading().Round(0) }
			}
			c := New(read)
			var wg sync.WaitGroup
			for range 4 {
				wg.Go(func() {
					last := int64(0)
					for range 5000 {
						now := c.Now(1, 0)
						if now < last {
							t.Errorf("%d after %d", now, last)
							return
						}
						last = now
					}
				})
			}
			for i := range 2000 {
				h.step(time.Millisecond, time.Millisecond)
				switch i % 500 {
				case 100:
					h.step(-time.Hour, 0)
				case 200:
					h.step(time.Hour, 0)
				}
			}
			wg.Wait()
			// 2 s, and with plain readings an hour that cannot be told from
			// time that has passed.
			if got := c.Now(1, 0) - start; got < 2000 || got > 2100 && !plain || got > 4*3_600_000+2100 {
				t.Errorf("%d ms have passed, want 2000", got)
			}
		})
	}
}

func TestDeadlineArithmetic(t *testing.T) {
	if After(100, 2*time.Second) != 2100 || After(100, -1) != Never || After(100, 0) != 100 {
		t.Error("After")
	}
	if !Time(0).IsZero() || !Time(Never).IsZero() || Time(1500).UnixMilli() != 1500 || Time(1).Location() != time.UTC {
		t.Error("Time")
	}
}
