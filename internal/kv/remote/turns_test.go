package remote_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/kv/remote"
)

// TestFewerWritersWhileTheyLose: writers that change one key run one after the
// other, or nearly so, and all at once again when they change their own.
func TestFewerWritersWhileTheyLose(t *testing.T) {
	const writers = 16
	f := &fake{server: newServer()}
	s := open(t, f, remote.Options{Writers: writers, BusyTimeout: time.Minute})
	var inside, most atomic.Int64
	all := func(each int, op func(g int, tx kv.Tx) error) {
		var group sync.WaitGroup
		for g := range writers {
			group.Go(func() {
				for range each {
					if err := s.Apply(ctx, func(tx kv.Tx) error {
						n := inside.Add(1)
						defer inside.Add(-1)
						for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
						}
						return op(g, tx)
					}); err != nil {
						t.Error(err)
					}
				}
			})
		}
		group.Wait()
	}
	hot := func(_ int, tx kv.Tx) error {
		err := add(tx, "hot")
		time.Sleep(200 * time.Microsecond) // the others read it meanwhile
		return err
	}
	all(10, hot)
	most.Store(0)
	all(10, hot)
	if n := most.Load(); n > writers/2 {
		t.Errorf("%d writers of one key at once", n)
	}
	own := func(g int, tx kv.Tx) error { return add(tx, fmt.Sprint("own", g)) }
	all(10, own)
	full := make(chan bool)
	safety := time.AfterFunc(time.Minute, func() { t.Error("never all at once"); close(full) })
	defer safety.Stop()
	all(1, func(g int, tx kv.Tx) error {
		if inside.Load() == writers {
			safety.Stop()
			close(full)
		}
		<-full
		return own(g, tx)
	})
}

// TestMarksDoNotConflict: a transaction has a mark that no other has used since
// its snapshot.
func TestMarksDoNotConflict(t *testing.T) {
	s := open(t, &fake{server: newServer()}, remote.Options{})
	var group sync.WaitGroup
	for g := range 16 {
		group.Go(func() {
			for range 20 {
				if err := s.Apply(ctx, func(tx kv.Tx) error {
					err := add(tx, fmt.Sprint("own", g))
					time.Sleep(time.Duration(g) * 20 * time.Microsecond)
					return err
				}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	if n := s.Figures().Replays; n > 0 {
		t.Errorf("%d writers of keys of their own have lost", n)
	}
}
