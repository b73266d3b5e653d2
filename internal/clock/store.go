package clock

import "time"

// Follow makes c follow the clock of a store, which [Clock.Saw] tells. The clock of
// the machine bridges the time between two of them, which nothing but its
// monotonic part measures. Call it before the first use.
func (c *Clock) Follow() { c.kind, c.wall = store, New(nil).wall }

// Saw notes a time of the store, in Unix milliseconds.
func (c *Clock) Saw(ms int64) {
	reading := c.wall()
	a := c.anchor.Load()
	if off := a.running(reading)/1e6 - ms; a.epoch != 0 && a.steady(reading) && -followed < off && off < followed {
		return
	}
	c.anchor.CompareAndSwap(a, &anchor{epoch: 1, floor: ms * 1e6, at: reading})
}

// followed is how far, in milliseconds, the time between two readings of the
// store's clock may be off before it is set again.
const followed = 100

// ofStore returns the time of the store, as of its last reading.
func (c *Clock) ofStore() time.Time {
	reading := c.wall()
	a := c.anchor.Load()
	if a.epoch == 0 { // none yet
		return reading
	}
	return time.Unix(0, a.running(reading)).UTC()
}
