package peers

import (
	"errors"
	"sync"
	"testing"
)

// TestGroupJoinsWhoWaits: everybody gets their own answer, no run is larger
// than allowed, and those who come while one runs share the next.
func TestGroupJoinsWhoWaits(t *testing.T) {
	const calls, most = 100, 30
	odd := errors.New("odd")
	release, entered := make(chan struct{}), make(chan struct{}, calls)
	runs := 0
	g := &group[int]{most: most, run: func(batch []*call[int]) {
		runs++
		if len(batch) > most {
			t.Errorf("a run of %d", len(batch))
		}
		entered <- struct{}{}
		<-release
		for _, c := range batch {
			if c.err = nil; c.arg%2 == 1 {
				c.err = odd
			}
		}
	}}
	var wg sync.WaitGroup
	do := func(i int) {
		wg.Go(func() {
			if err := g.do(i); (i%2 == 1) != errors.Is(err, odd) {
				t.Errorf("call %d got %v", i, err)
			}
		})
	}
	do(0)
	<-entered // the first one runs alone; the others come meanwhile
	for i := 1; i < calls; i++ {
		do(i)
	}
	for {
		g.mu.Lock()
		waiting := len(g.waiting)
		g.mu.Unlock()
		if waiting == calls-1 {
			break
		}
	}
	close(release)
	wg.Wait()
	if runs != 5 {
		t.Errorf("%d runs, want 1 and 4 of at most %d", runs, most)
	}
}
