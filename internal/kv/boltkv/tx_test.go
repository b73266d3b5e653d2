package boltkv

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/snibdb/snib/internal/kv"
	bolt "go.etcd.io/bbolt"
)

// TestAscendingFill: keys that arrive in order fill their pages, over many
// commits, though bbolt forgets the setting with each.
func TestAscendingFill(t *testing.T) {
	o := options()
	o.InsecureNoSync = true
	s := newStoreIn(t, o)
	for i := range 40 {
		must(t, s.Apply(ctx, func(tx kv.Tx) error {
			for j := range 100 {
				for _, space := range []kv.Space{plain, ascending} {
					if err := tx.Put(space, fmt.Appendf(nil, "%06d", 100*i+j), make([]byte, 100)); err != nil {
						return err
					}
				}
			}
			return nil
		}))
	}
	must(t, s.View(ctx, func(r kv.Reader) error {
		btx, _ := Bolt(r)
		pages := func(name string) int {
			st := btx.Bucket([]byte("snib")).Bucket([]byte(name)).Stats()
			return st.LeafPageN
		}
		if full, half := pages("ascending"), pages("plain"); full > half*6/10 {
			t.Errorf("%d pages in order, %d otherwise", full, half)
		}
		return nil
	}))
}

// TestSpaceIsMadeAtFirstPut: until then it is empty and costs nothing.
func TestSpaceIsMadeAtFirstPut(t *testing.T) {
	s := newStoreIn(t, options())
	exists := func() (ok bool) {
		must(t, s.View(ctx, func(r kv.Reader) error {
			btx, _ := Bolt(r)
			ok = btx.Bucket([]byte("snib")).Bucket([]byte("ascending")) != nil
			return nil
		}))
		return ok
	}
	must(t, s.Update(ctx, func(tx kv.Tx) error { _, err := tx.DeleteRange(ascending, nil, nil); return err }))
	same(t, "before", exists(), false)
	must(t, s.Update(ctx, func(tx kv.Tx) error { return tx.Put(ascending, []byte("k"), nil) }))
	same(t, "after", exists(), true)
}

func TestStats(t *testing.T) {
	s := newStoreIn(t, options())
	put(t, s, "k", "v")
	var st Stats
	must(t, s.View(ctx, func(kv.Reader) error { st = s.Stats(); return nil }))
	if st.Commits != 1 || st.Members != 1 || st.LargestGroup != 1 || st.OpenReaders != 1 || st.FileBytes < 1<<15 || st.FreeBytes <= 0 {
		t.Errorf("%+v", st)
	}
	same(t, "open readers", s.Stats().OpenReaders, 0)
	must(t, s.Close())
	if st := s.Stats(); st.Commits != 1 || st.FileBytes != 0 {
		t.Errorf("after Close: %+v", st)
	}

	db := openBolt(t)
	a := attach(t, db, options())
	if st := a.Stats(); st.FileBytes < 1<<15 {
		t.Errorf("attached: %+v", st)
	}
}

// BenchmarkWrite compares small operations of Apply with one bolt.Update each,
// on the same keys in order, in pages filled alike.
func BenchmarkWrite(b *testing.B) {
	value := make([]byte, 120)
	ways := map[string]func(s *Store, key []byte) error{
		"apply": func(s *Store, key []byte) error {
			return s.Apply(ctx, func(tx kv.Tx) error { return tx.Put(ascending, key, value) })
		},
		"update": func(s *Store, key []byte) error {
			return s.db.Update(func(btx *bolt.Tx) error {
				b := btx.Bucket([]byte("snib")).Bucket([]byte("ascending"))
				b.FillPercent = fill
				return b.Put(key, value)
			})
		},
	}
	for _, n := range []int{1, 64, 512} {
		for way, write := range ways {
			b.Run(fmt.Sprintf("way=%s/goroutines=%d", way, n), func(b *testing.B) {
				s := newStoreIn(b, options())
				must(b, ways["apply"](s, []byte("0")))
				var next atomic.Int64
				var group sync.WaitGroup
				b.ResetTimer()
				for range n {
					group.Go(func() {
						for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
							if err := write(s, fmt.Appendf(nil, "%09d", i)); err != nil {
								b.Error(err)
							}
						}
					})
				}
				group.Wait()
			})
		}
	}
}

// TestWriteInsideAVisit: the node under a cursor must not change, and one rule
// holds for both kinds of visit.
func TestWriteInsideAVisit(t *testing.T) {
	s := newStoreIn(t, options())
	put(t, s, "k", "v")
	for name, visit := range map[string]func(tx kv.Tx, write func() error) error{
		"Scan": func(tx kv.Tx, write func() error) error {
			return tx.Scan(plain, nil, nil, 0, func(_, _ []byte) error { return write() })
		},
		"GetMany": func(tx kv.Tx, write func() error) error {
			refs := []kv.Ref{{Space: plain, Key: []byte("k")}}
			return tx.GetMany(refs, func(int, []byte, bool) error { return write() })
		},
	} {
		err := s.Update(ctx, func(tx kv.Tx) error {
			return visit(tx, func() error { return tx.Put(plain, []byte("x"), nil) })
		})
		want(t, name, err, errScanning)
	}
	same(t, "stored", read(s, "x"), "absent")
}

// TestScanInsideAScan: each has a cursor of its own, also after one that stopped
// early and after writes that moved the pages.
func TestScanInsideAScan(t *testing.T) {
	s := newStoreIn(t, options())
	key := func(i int) []byte { return fmt.Appendf(nil, "%04d", i) }
	must(t, s.Apply(ctx, func(tx kv.Tx) error {
		for i := range 600 {
			if err := tx.Put(plain, key(i), make([]byte, 40)); err != nil {
				return err
			}
		}
		return nil
	}))
	scans := func(r kv.Reader, n int) {
		t.Helper()
		outer, inner := 0, 0
		must(t, r.Scan(plain, nil, nil, 0, func(k, _ []byte) error {
			same(t, "key of the outer scan", string(k), string(key(outer)))
			outer++
			at := 0
			return r.Scan(plain, nil, nil, 3, func(k, _ []byte) error {
				same(t, "key of the inner scan", string(k), string(key(at)))
				at, inner = at+1, inner+1
				return nil
			})
		}))
		same(t, "keys", [2]int{outer, inner}, [2]int{n, 3 * n})
	}
	must(t, s.View(ctx, func(r kv.Reader) error { scans(r, 600); return nil }))
	must(t, s.Update(ctx, func(tx kv.Tx) error {
		scans(tx, 600)
		for i := 600; i < 1200; i++ {
			if err := tx.Put(plain, key(i), make([]byte, 40)); err != nil {
				return err
			}
		}
		scans(tx, 1200)
		n, err := tx.DeleteRange(plain, key(100), nil)
		same(t, "removed", n, 1100)
		scans(tx, 100)
		return err
	}))
}
