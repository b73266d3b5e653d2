package phc

import (
	"slices"
	"time"
)

// A lineKey says which callers wait in one line.
type lineKey struct {
	key           string
	proven, heavy bool
}

// A line is the callers of one key, the oldest first. It exists while somebody
// waits in it.
type line struct {
	key     lineKey
	tickets []*ticket
	had     time.Duration // time it has had, counted from that of the gate
	came    uint64        // its place among lines that have had the same
}

// A ticket is the place of one caller in a line. admitted is closed, under the
// gate's lock, when its weight has been added to used; refused when it has lost
// its place to a line that has fewer.
type ticket struct {
	job      job
	line     *line
	admitted chan struct{}
	refused  chan struct{}
}

// queueLocked puts a ticket into its line. ErrBusy if it would wait for longer
// than g.wait, or all places are taken and none can be taken from another. The
// caller holds mu.
func (g *gate) queueLocked(t *ticket, key lineKey) error {
	l := g.lines[key]
	mine := 1
	if l != nil {
		mine += len(l.tickets)
	}
	if g.wait > 0 && g.estimateLocked(key, t, mine) > g.wait {
		return ErrBusy
	}
	free := g.nextLocked() == nil && t.job.weight <= g.total-g.used && (!key.heavy || t.job.weight <= g.half()-g.heavies)
	if g.waiting >= g.queue && !free && !g.makeRoomLocked(mine, key.proven) {
		return ErrBusy
	}
	if l == nil {
		g.arrivals++
		l = &line{key: key, had: g.served, came: g.arrivals}
		g.lines[key] = l
	}
	t.line = l
	l.tickets = append(l.tickets, t)
	g.waiting++
	return nil
}

// estimateLocked returns how long the mine-th caller of a line will wait: for
// those who run, and for as many of each other line as there are before it in
// its own. Heavy jobs run beside the others, on half of the processors. The
// caller holds mu.
func (g *gate) estimateLocked(key lineKey, t *ticket, mine int) time.Duration {
	sum := t.job.cost * time.Duration(mine-1)
	for _, l := range g.lines {
		if l.key == key || l.key.heavy != key.heavy || key.proven && !l.key.proven {
			continue
		}
		for _, other := range l.tickets[:min(len(l.tickets), mine)] {
			sum += other.job.cost
		}
	}
	if key.proven {
		sum *= 2 // one of a stranger's for each
	}
	lanes := max(g.lanes, 1)
	if key.heavy {
		lanes = max(lanes/2, 1)
	}
	return sum / time.Duration(lanes)
}

// makeRoomLocked refuses the last of the longest line of the caller's side, if
// that line has more than mine; for a proven caller the last of the longest line
// of strangers, however long. The caller holds mu.
func (g *gate) makeRoomLocked(mine int, proven bool) bool {
	var longest *line
	for _, l := range g.lines {
		usable := l.key.proven == proven && len(l.tickets) > mine || proven && !l.key.proven
		if usable && (longest == nil || !l.key.proven && longest.key.proven ||
			l.key.proven == longest.key.proven && len(l.tickets) > len(longest.tickets)) {
			longest = l
		}
	}
	if longest == nil {
		return false
	}
	last := longest.tickets[len(longest.tickets)-1]
	g.removeLocked(last)
	g.busy++
	close(last.refused)
	return true
}

// removeLocked takes a ticket out of its line. The caller holds mu.
func (g *gate) removeLocked(t *ticket) {
	l := t.line
	if i := slices.Index(l.tickets, t); i >= 0 {
		l.tickets = slices.Delete(l.tickets, i, i+1)
		g.waiting--
	}
	if len(l.tickets) == 0 {
		delete(g.lines, l.key)
	}
}

// nextLocked returns the line whose turn it is, or nil: of those whose first
// does not wait for other heavy ones, one of the side that was not served last,
// and of these the one that has had the least. The caller holds mu.
func (g *gate) nextLocked() (next *line) {
	for _, l := range g.lines {
		if l.key.heavy && l.tickets[0].job.weight > g.half()-g.heavies {
			continue
		}
		if next == nil || g.before(l, next) {
			next = l
		}
	}
	return next
}

func (g *gate) before(a, b *line) bool {
	if a.key.proven != b.key.proven {
		return a.key.proven != g.proven
	}
	if a.had != b.had {
		return a.had < b.had
	}
	return a.came < b.came
}
