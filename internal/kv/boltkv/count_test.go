package boltkv

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/snibdb/snib/internal/kv"
)

// TestCount: the counts of a scan, of a space in its parent's page, in one leaf,
// in some, and by a sample in many, where it may be wrong by a twentieth.
func TestCount(t *testing.T) {
	o := options()
	o.InsecureNoSync = true
	s := newStoreIn(t, o)
	rng := rand.New(rand.NewPCG(1, 2))
	total := 0
	for _, n := range []int{0, 1, 10, 500, 20_000, 150_000} {
		for total < n {
			if err := s.Exclusive(context.Background(), func(w kv.Tx) error {
				for ; total < n; total++ {
					value := make([]byte, 20+total*160/150_000) // leaves of unlike numbers of keys
					if err := w.Put(0, fmt.Appendf(nil, "%08x-%d", rng.Uint32(), total), value); err != nil {
						return err
					}
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
		}
		var got int64
		if err := s.View(context.Background(), func(r kv.Reader) (err error) {
			counter, ok := kv.As[kv.Counter](r)
			if !ok {
				t.Fatal("no kv.Counter")
			}
			got, err = counter.Count(0)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		t.Log(n, got)
		switch {
		case n <= 20_000 && got != int64(n):
			t.Errorf("counted %d of %d", got, n)
		case got < int64(n)*19/20 || got > int64(n)*21/20:
			t.Errorf("estimated %d of %d", got, n)
		}
	}
}
