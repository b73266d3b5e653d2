package clock

import "time"

// Apart is how far the clocks of machines on one store may differ, if the store
// has none of its own.
const Apart = time.Minute

const apart = int64(Apart / time.Millisecond)

// Join makes c one of the clocks of several machines, which agree by the floor
// that they store. Call it before the first use.
func (c *Clock) Join() { c.kind = machines }

// Agree is Now for one of several machines. ok is false if the wall or the floor
// is more than Apart from the time that c has come to: a transaction must not
// write then, and its time is the one that has passed since they agreed.
//
// A machine that was asleep agrees again as soon as the wall and the floor of the
// others do.
func (c *Clock) Agree(epoch uint32, floor int64) (now int64, ok bool) {
	reading := c.wall()
	a := c.anchor.Load()
	if a.epoch != epoch {
		return c.Now(epoch, floor), true // the floor of a new epoch is to be believed
	}
	running, wall := a.running(reading)/1e6, reading.UnixMilli()
	if near(wall, running) && floor-running <= apart || near(wall, floor) && wall > running {
		return c.Now(epoch, floor), true
	}
	return running, false
}

// Ahead reports whether the wall is ahead of the time that c has come to, by more
// than Apart.
func (c *Clock) Ahead() bool {
	reading := c.wall()
	return Believable(reading) && reading.UnixMilli()-c.anchor.Load().running(reading)/1e6 > apart
}

// Trust makes the wall the time again, for the only machine on a store.
func (c *Clock) Trust() { c.Now(c.anchor.Load().epoch, 0) }

// Near reports whether the wall is within Apart of a time, in Unix milliseconds.
func (c *Clock) Near(ms int64) bool { return near(c.wall().UnixMilli(), ms) }

func near(a, b int64) bool { return max(a-b, b-a) <= apart }
