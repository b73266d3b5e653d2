// Package bell wakes goroutines that wait for something to happen again.
package bell

import "sync"

// A Bell wakes all that wait for events. The zero value is ready.
type Bell struct {
	mu sync.Mutex
	c  chan struct{}
}

// Heard returns a channel that is closed when the bell rings next.
func (b *Bell) Heard() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.c == nil {
		b.c = make(chan struct{})
	}
	return b.c
}

// Ring wakes all that have Heard.
func (b *Bell) Ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.c != nil {
		close(b.c)
		b.c = nil
	}
}
