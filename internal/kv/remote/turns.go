package remote

import (
	"context"
	"sync"
)

// Steps of the bound on writers. They balance where one attempt in five loses:
// more would work in vain, fewer would leave the server idle.
const (
	bySuccess = 0.125
	byLoss    = 0.5
)

// turns bounds the writers that run at once, by as many as the server was given,
// and by fewer while they lose to each other. Writers that conflict anyway are
// faster one after the other: each lost attempt costs its trips, and makes
// others lose.
type turns struct {
	mu      sync.Mutex
	most    float64
	bound   float64 // 1 to most
	running int
	waiting []chan struct{} // closed for the one whose turn it is
}

func newTurns(most int) *turns { return &turns{most: float64(most), bound: float64(most)} }

// take waits for a turn, and reports false if ctx has ended before. A writer that
// has lost is first in the queue.
func (t *turns) take(ctx context.Context, first bool) bool {
	t.mu.Lock()
	if len(t.waiting) == 0 && t.room() {
		t.running++
		t.mu.Unlock()
		return true
	}
	mine := make(chan struct{})
	if first {
		t.waiting = append([]chan struct{}{mine}, t.waiting...)
	} else {
		t.waiting = append(t.waiting, mine)
	}
	t.mu.Unlock()
	select {
	case <-mine:
		return true
	case <-ctx.Done():
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, c := range t.waiting {
		if c == mine {
			t.waiting = append(t.waiting[:i:i], t.waiting[i+1:]...)
			return false
		}
	}
	return true // the turn has come in the meantime
}

func (t *turns) room() bool { return t.running < int(t.bound) }

// give ends a turn, in which the writer may have lost to another.
func (t *turns) give(lost bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.running--
	if lost {
		t.bound = max(1, t.bound-byLoss)
	} else {
		t.bound = min(t.most, t.bound+bySuccess)
	}
	t.admit()
}

func (t *turns) admit() {
	for len(t.waiting) > 0 && t.room() {
		t.running++
		close(t.waiting[0])
		t.waiting = t.waiting[1:]
	}
}
