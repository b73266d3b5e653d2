// Package clock is the one clock of a database: ids, deadlines, grace and
// sweep all read it.
package clock

import (
	"sync/atomic"
	"time"

	"github.com/snibdb/snib/codec"
)

// A Clock gives the time of a transaction.
//
//	now = max(wall, floor + elapsed)
//
// The floor is the latest time that any call has seen, here or in an earlier
// process (it is stored); elapsed is how much the wall clock's reading,
// monotonic where it has that, has advanced since. So time never goes back: an
// expired credential stays expired when the wall clock is set back, and time
// goes on at the speed of the monotonic clock until the wall clock has caught
// up.
//
// Only a new file epoch may begin earlier (ResetClock), as it ends all that
// could revive. The clock is therefore read as of the state that a
// transaction sees: one that still sees the old epoch still sees its time.
type Clock struct {
	wall   func() time.Time
	anchor atomic.Pointer[anchor]
	kind   kind
}

// kind is where a Clock gets its time from.
type kind uint8

const (
	own      kind = iota // the wall of one process on one file
	store                // the clock of a store: see Follow
	machines             // the walls of several machines: see Join
)

// An anchor pairs a floor with the reading at which it was set. Immutable.
type anchor struct {
	epoch  uint32
	floor  int64 // Unix nanoseconds
	at     time.Time
	before *anchor // of the epoch before, for callers that still see that
}

// running returns floor + elapsed in Unix nanoseconds.
func (a *anchor) running(reading time.Time) int64 {
	if Believable(reading) != Believable(a.at) && !a.steady(reading) {
		return a.floor // the clock was set, which tells nothing of the time elapsed
	}
	return max(a.floor, a.floor+reading.Sub(a.at).Nanoseconds()) // the sum may overflow
}

// steady reports whether the time from a to reading is measured by the
// monotonic clock. It is not where one of the two was read from a test's
// clock, or in a year that leaves time.Time no room for a monotonic part.
func (a *anchor) steady(reading time.Time) bool {
	return a.at != a.at.Round(0) && reading != reading.Round(0)
}

// outrun reports whether a must be replaced by an anchor at reading: where
// readings are not steady, the next ones may be lower, and the elapsed time
// would be forgotten. A step back is noticed from a second on, as concurrent
// callers may come here in another order than they have read.
func (a *anchor) outrun(reading time.Time, running int64) bool {
	return !a.steady(reading) && (running/1e6 > a.floor/1e6 ||
		a.at.Sub(reading) > time.Second || Believable(reading) != Believable(a.at))
}

// Min and Max: walls outside these are a dead or unset clock and are not believed.
var (
	Min = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	Max = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)
)

// New returns a clock that reads wall; nil is time.Now.
func New(wall func() time.Time) *Clock {
	if wall == nil {
		wall = time.Now
	}
	c := &Clock{wall: wall}
	c.anchor.Store(&anchor{floor: Min.UnixNano(), at: wall()})
	return c
}

// Now returns the time in Unix milliseconds for a transaction that sees the
// given epoch and stored floor. It raises the floor in memory when the wall
// clock is ahead, so that a later step back cannot be seen.
func (c *Clock) Now(epoch uint32, floor int64) int64 {
	if c.kind == store {
		return c.ofStore().UnixMilli()
	}
	reading := c.wall()
	for {
		a := c.anchor.Load()
		switch {
		case epoch > a.epoch:
			last := &anchor{epoch: a.epoch, floor: a.floor, at: a.at}
			c.anchor.CompareAndSwap(a, &anchor{epoch: epoch, floor: floor * 1e6, at: reading, before: last})
			continue
		case epoch < a.epoch && a.before != nil:
			return a.before.running(reading) / 1e6
		}
		running := a.running(reading)
		seen := max(running, floor*1e6)
		if Believable(reading) {
			seen = max(seen, reading.UnixNano())
		}
		// Whole milliseconds are compared: the wall and the monotonic clock
		// are read one after the other and differ by nanoseconds each time.
		if seen/1e6 == running/1e6 && !a.outrun(reading, running) {
			return running / 1e6
		}
		c.anchor.CompareAndSwap(a, &anchor{epoch: a.epoch, floor: seen, at: reading, before: a.before})
	}
}

// Latest returns the time in Unix milliseconds of the newest epoch seen.
func (c *Clock) Latest() int64 {
	switch c.kind {
	case store:
		return c.ofStore().UnixMilli()
	case machines:
		return c.anchor.Load().running(c.wall()) / 1e6
	}
	return c.Now(c.anchor.Load().epoch, 0)
}

// Believable reports whether a reading of the wall clock can be true.
func Believable(reading time.Time) bool {
	return reading.After(Min) && reading.Before(Max)
}

// Wall returns the reading of the wall clock, or of the store's that it follows.
func (c *Clock) Wall() time.Time {
	if c.kind == store {
		return c.ofStore()
	}
	return c.wall()
}

// Behind returns how far the wall clock is behind this one, after a step back
// or because of a dead clock.
func (c *Clock) Behind() time.Duration {
	if c.kind == store {
		return 0
	}
	wall := c.wall().UnixMilli()
	return time.Duration(max(0, c.Latest()-wall)) * time.Millisecond
}

// Never is the deadline that does not come.
const Never = codec.Never

// Time turns stored milliseconds into a time; 0 and Never are the zero time.
func Time(ms int64) time.Time {
	if ms == 0 || ms == Never {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// After returns the deadline d after ms; for a negative d, Never.
func After(ms int64, d time.Duration) int64 {
	if d < 0 {
		return Never
	}
	return ms + d.Milliseconds()
}

// Tolerance is how much clocks may differ before it is an event. A time that is given
// and no further ahead is taken for now.
const Tolerance = 5 * time.Minute
