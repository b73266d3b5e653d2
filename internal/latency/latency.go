// Package latency counts durations, for figures that an operator watches.
package latency

import (
	"sync/atomic"
	"time"
)

// Bounds are the upper bounds of the classes of durations. One more class has
// those above the last.
var Bounds = [...]time.Duration{
	500 * time.Microsecond, time.Millisecond, 2 * time.Millisecond, 5 * time.Millisecond,
	10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond,
	250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second,
}

// A Histogram counts durations by class. The zero value is ready and safe for
// concurrent use.
type Histogram struct {
	classes [len(Bounds) + 1]atomic.Int64
	sum     atomic.Int64
}

// A Watch measures a duration by the monotonic clock. It tells no time.
type Watch struct{ began time.Time }

// Start returns a running Watch.
func Start() Watch { return Watch{time.Now()} }

// Elapsed is how long it has been running.
func (w Watch) Elapsed() time.Duration { return time.Since(w.began) }

// Observe counts a duration.
func (h *Histogram) Observe(d time.Duration) {
	i := 0
	for i < len(Bounds) && d > Bounds[i] {
		i++
	}
	h.classes[i].Add(1)
	h.sum.Add(int64(d))
}

// Read returns how many durations there were up to each bound, how many in all,
// and their sum.
func (h *Histogram) Read() (upTo [len(Bounds)]int64, count int64, sum time.Duration) {
	sum = time.Duration(h.sum.Load())
	for i := range h.classes {
		count += h.classes[i].Load()
		if i < len(Bounds) {
			upTo[i] = count
		}
	}
	return upTo, count, sum
}
