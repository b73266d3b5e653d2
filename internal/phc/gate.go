package phc

import (
	"container/list"
	"context"
	"sync"
)

// A gate admits computations as long as their weights together stay within a
// total, in the order they came. Hashing in parallel without one multiplies the
// memory by the number of concurrent logins, and is slower besides.
//
// Callers wait in the order they came, regardless of weight: a heavy one in
// front holds light ones back, or it would wait forever.
type gate struct {
	total uint64 // bounds the sum of the admitted weights
	queue int    // bounds how many wait

	mu      sync.Mutex
	used    uint64
	running int
	busy    uint64     // how many were turned away
	waiting *list.List // of *ticket, the oldest in front
}

// A ticket is the place of one caller in the queue. admitted is closed, under
// the gate's lock, when its weight has been added to used.
type ticket struct {
	weight   uint64
	admitted chan struct{}
}

func newGate(total uint64, queue int) *gate {
	return &gate{total: total, queue: queue, waiting: list.New()}
}

// enter waits until weight fits and returns the function that gives it back,
// to be called once. A weight above the total is taken for the total: it is
// admitted when nothing else runs. The error is ErrBusy, at once, or ctx's, in
// which case nothing is held.
func (g *gate) enter(ctx context.Context, weight uint64) (leave func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	weight = min(weight, g.total)
	leave = func() { g.leave(weight) }

	g.mu.Lock()
	if g.waiting.Len() == 0 && weight <= g.total-g.used {
		g.takeLocked(weight)
		g.mu.Unlock()
		return leave, nil
	}
	if g.waiting.Len() >= g.queue {
		g.busy++
		g.mu.Unlock()
		return nil, ErrBusy
	}
	t := &ticket{weight: weight, admitted: make(chan struct{})}
	place := g.waiting.PushBack(t)
	g.mu.Unlock()

	select {
	case <-t.admitted:
		return leave, nil
	case <-ctx.Done():
		g.abandon(place)
		return nil, ctx.Err()
	}
}

// abandon takes out a caller that no longer wants to wait. It may have been
// admitted in the meantime; then it gives its weight back.
func (g *gate) abandon(place *list.Element) {
	g.mu.Lock()
	defer g.mu.Unlock()
	t := place.Value.(*ticket)
	select {
	case <-t.admitted:
		g.giveBackLocked(t.weight)
	default:
		g.waiting.Remove(place)
	}
	g.admitLocked() // the next may fit where this one did not
}

func (g *gate) leave(weight uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.giveBackLocked(weight)
	g.admitLocked()
}

// admitLocked admits callers from the front as long as they fit. The caller
// holds mu.
func (g *gate) admitLocked() {
	for front := g.waiting.Front(); front != nil; front = g.waiting.Front() {
		t := front.Value.(*ticket)
		if t.weight > g.total-g.used {
			return
		}
		g.waiting.Remove(front)
		g.takeLocked(t.weight)
		close(t.admitted)
	}
}

// takeLocked counts one in whose weight fits. The caller holds mu.
func (g *gate) takeLocked(weight uint64) {
	g.used += weight
	g.running++
}

// giveBackLocked counts one out. The caller holds mu.
func (g *gate) giveBackLocked(weight uint64) {
	g.used -= weight
	g.running--
}

// stats returns how many compute and wait now, and how many were turned away.
func (g *gate) stats() (running, waiting int, busy uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.running, g.waiting.Len(), g.busy
}
