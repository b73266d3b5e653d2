package boltkv

import (
	"container/list"
	"time"
)

// Two queues wait for one writer: operations of the library, and closures of
// the application. A group holds members of one queue. Operations decide
// before they write and do not block, so their groups end soon and are rarely
// rolled back; a closure may fail after writing, which costs its group a
// rollback, or take as long as it likes. Apart, neither costs a log-in its
// share of a commit, nor holds it beyond its context.
//
// The queues take turns, fair by time: a side that had the writer for some
// time waits until the other has had it as long, or has nothing to do.
type side int

const (
	library side = iota
	closures
)

// Bounds of a turn of closures, after which it takes no more of them.
const (
	turnTime     = 5 * time.Millisecond
	turnFailures = 2
)

// turns are the two queues, and which of them is due. Store.mu guards it.
type turns struct {
	queues [2]list.List // of *member

	// ahead is how much longer the closures had the writer than the library,
	// less the time that the other side had no use for. Its magnitude stays
	// below most: a closure that took minutes must not make those behind it
	// wait minutes.
	ahead, most time.Duration

	limit time.Duration // turnTime, but for tests
}

// init bounds the debt of a side by half of the time that a member may wait, so
// that it alone makes no write kv.ErrBusy.
func (t *turns) init(busyTimeout time.Duration) {
	if t.most = busyTimeout / 2; t.most <= 0 {
		t.most = time.Hour
	}
	t.limit = turnTime
}

func (t *turns) waiting() int { return t.queues[library].Len() + t.queues[closures].Len() }

// next returns the side whose turn it is, and forgives its debt to a side where
// no member waits.
func (t *turns) next() side {
	switch {
	case t.queues[closures].Len() == 0:
		t.ahead = max(t.ahead, 0)
		return library
	case t.queues[library].Len() == 0:
		t.ahead = min(t.ahead, 0)
		return closures
	case t.ahead < 0:
		return closures
	}
	return library
}

// took notes that a side had the writer for so long, and whether members failed
// after writing. Closures are charged a quarter more, because people wait for a
// log-in, and twice for a turn with failures, which wrote nothing for some of
// its time and cost more than the writer's. A turn too short for the clock
// counts, or one side could go on for ever.
func (t *turns) took(s side, d time.Duration, failed bool) {
	d = max(d, time.Microsecond)
	switch {
	case s == library:
		t.ahead -= d
	case failed:
		t.ahead += 2 * d
	default:
		t.ahead += d + d/4
	}
	t.ahead = min(max(t.ahead, -t.most), t.most)
}

// push puts m last in its queue.
func (t *turns) push(m *member) { m.elem = t.queues[m.side()].PushBack(m) }

// remove removes m from its queue and reports whether it was there.
func (t *turns) remove(m *member) bool {
	if m.elem == nil {
		return false
	}
	t.queues[m.side()].Remove(m.elem)
	m.elem = nil
	return true
}

// take removes the first member of a side; nil if the side is empty, or if the
// member must be alone and is not.
func (t *turns) take(s side, alone bool) *member {
	e := t.queues[s].Front()
	if e == nil || !alone && e.Value.(*member).kind == exclusive {
		return nil
	}
	m := e.Value.(*member)
	t.remove(m)
	return m
}
