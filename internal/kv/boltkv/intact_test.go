package boltkv

import (
	"fmt"
	"sync"
	"testing"

	"github.com/snibdb/snib/internal/kv"
)

// A file that grows while a reader looks at its length was not cut.
func TestGrowthIsNotTakenForACut(t *testing.T) {
	o := options()
	o.InsecureNoSync = true
	s := newStoreIn(t, o)
	stop := make(chan bool)
	var readers sync.WaitGroup
	for range 32 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				p, err := s.Pin(ctx)
				if err != nil {
					t.Error(err)
					return
				}
				p.Release(nil)
			}
		})
	}
	value := make([]byte, 100<<10)
	for i := range 150 { // 1 MiB each: the file grows with every commit
		if err := s.Apply(ctx, func(tx kv.Tx) error {
			for j := range 9 {
				if err := tx.Put(plain, fmt.Appendf(nil, "%d %d", i, j), value); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			t.Error(err)
			break
		}
	}
	close(stop)
	readers.Wait()
}
