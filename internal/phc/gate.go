package phc

import (
	"context"
	"sync"
	"time"

	"github.com/snibdb/snib/internal/latency"
)

// A gate admits computations as long as their weights together stay within a
// total. Hashing in parallel without one multiplies the memory by the number of
// concurrent log-ins, and is slower besides.
//
// Callers wait in lines, one for each key, and turns go from line to line: the
// line that has had the least time is next, and between proven callers and
// strangers the one side and the other. Within a line the first comes first.
// Heavy computations have lines of their own and share half of the total, so
// that a light one never waits for a heavy one to end.
type gate struct {
	total uint64        // bounds the sum of the admitted weights
	queue int           // bounds how many wait
	wait  time.Duration // bounds how long one waits; 0 does not
	lanes int           // how many computations run at once, for estimates

	mu      sync.Mutex
	used    uint64
	heavies uint64 // of used, the part of heavy ones
	running int
	waiting int
	busy    uint64 // how many were turned away
	lines   map[lineKey]*line
	proven  bool          // whether a proven caller was admitted last
	served  time.Duration // how much time the line admitted last had had

	arrivals uint64 // of lines

	waits, works latency.Histogram // of the admitted: before, and after
}

// newGate makes a gate through which lanes computations of equal weight fit.
func newGate(total uint64, queue, lanes int, wait time.Duration) *gate {
	return &gate{total: total, queue: queue, lanes: lanes, wait: wait, lines: make(map[lineKey]*line)}
}

// enter waits until j fits and it is its turn, and returns the function that
// gives its weight back, to be called once. A weight above the total, or above
// half of it for a heavy job, is taken for that. The error is ErrBusy, at once
// where the wait would be too long and after the wait where it was, or ctx's;
// in both cases nothing is held.
func (g *gate) enter(ctx context.Context, j job) (leave func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	j.weight = min(j.weight, g.total)
	if j.heavy {
		j.weight = min(j.weight, g.half())
	}
	turn := turnOf(ctx)
	t := &ticket{job: j, admitted: make(chan struct{}), refused: make(chan struct{})}
	came := latency.Start()

	g.mu.Lock()
	if err := g.queueLocked(t, lineKey{turn.Key, turn.Proven, j.heavy}); err != nil {
		g.busy++
		g.mu.Unlock()
		return nil, err
	}
	g.admitLocked()
	g.mu.Unlock()

	if err := g.await(ctx, t); err != nil {
		return nil, err
	}
	turn.began.Store(true)
	g.waits.Observe(came.Elapsed())
	began := latency.Start()
	return func() {
		g.works.Observe(began.Elapsed())
		g.leave(j)
	}, nil
}

// await waits for the verdict on a ticket.
func (g *gate) await(ctx context.Context, t *ticket) error {
	select {
	case <-t.admitted:
		return nil
	default:
	}
	late, stop := after(g.wait)
	defer stop()
	select {
	case <-t.admitted:
		return nil
	case <-t.refused:
		return ErrBusy
	case <-late:
		return g.abandon(t, ErrBusy)
	case <-ctx.Done():
		return g.abandon(t, ctx.Err())
	}
}

// abandon takes out a caller that no longer waits, and returns why. It may have
// been admitted in the meantime; then it gives its weight back.
func (g *gate) abandon(t *ticket, why error) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if why == ErrBusy {
		g.busy++
	}
	select {
	case <-t.admitted:
		g.giveBackLocked(t.job)
	case <-t.refused:
	default:
		g.removeLocked(t)
	}
	g.admitLocked() // the next may fit where this one did not
	return why
}

func (g *gate) leave(j job) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.giveBackLocked(j)
	g.admitLocked()
}

// half is what heavy jobs may take together: as much as one of ours at least,
// or none could run where there is one processor.
func (g *gate) half() uint64 { return max(g.total/2, g.total/uint64(max(g.lanes, 1))) }

// admitLocked admits callers in their turn as long as they fit. A heavy one that
// waits for other heavy ones is passed over; any other one holds back those
// behind it, or it might wait for ever. The caller holds mu.
func (g *gate) admitLocked() {
	for {
		l := g.nextLocked()
		if l == nil || l.tickets[0].job.weight > g.total-g.used {
			return
		}
		t := l.tickets[0]
		g.removeLocked(t)
		g.used += t.job.weight
		if t.job.heavy {
			g.heavies += t.job.weight
		}
		g.running++
		g.proven, g.served = l.key.proven, l.had
		l.had += t.job.cost
		close(t.admitted)
	}
}

// giveBackLocked counts one out. The caller holds mu.
func (g *gate) giveBackLocked(j job) {
	g.used -= j.weight
	if j.heavy {
		g.heavies -= j.weight
	}
	g.running--
}

// stats returns how many compute and wait now, and how many were turned away.
func (g *gate) stats() (running, waiting int, busy uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.running, g.waiting, g.busy
}
