package peers

import (
	"errors"
	"runtime"
	"sync"
)

// errNotRun answers a call whose batch ended before it, in a panic.
var errNotRun = errors.New("not run")

// group joins calls that wait at the same time into one run: the first one leads
// and runs all waiting calls, later arrivals too, until the queue is empty. It is
// how an application would do group commit itself.
type group[T any] struct {
	run  func([]*call[T]) // sets err of each
	most int              // calls in one run

	mu      sync.Mutex
	waiting []*call[T]
	leading bool
}

type call[T any] struct {
	arg  T
	err  error
	done chan struct{}
}

func (g *group[T]) do(arg T) error {
	c := &call[T]{arg: arg, err: errNotRun, done: make(chan struct{})}
	g.mu.Lock()
	g.waiting = append(g.waiting, c)
	lead := !g.leading
	g.leading = true
	g.mu.Unlock()
	if lead {
		runtime.Gosched() // let calls that are about to come join
		g.lead()
	}
	<-c.done
	return c.err
}

func (g *group[T]) lead() {
	for {
		g.mu.Lock()
		n := min(len(g.waiting), g.most)
		batch := g.waiting[:n:n]
		g.waiting = g.waiting[n:]
		g.leading = n > 0
		g.mu.Unlock()
		if n == 0 {
			return
		}
		g.run(batch)
		for _, c := range batch {
			close(c.done)
		}
	}
}
