package boltkv

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/snibdb/snib/internal/kv"
)

// bulk puts values of n bytes together.
func bulk(tx kv.Tx, name string, n int) error {
	for i := 0; n > 0; i++ {
		size := min(n, 50<<10)
		if err := tx.Put(plain, fmt.Appendf(nil, "%s %d", name, i), make([]byte, size)); err != nil {
			return err
		}
		n -= size
	}
	return nil
}

// fillUp puts values until the file is full and returns how many it holds.
func fillUp(t *testing.T, s *Store) int {
	t.Helper()
	for i := 0; ; i++ {
		err := s.Apply(ctx, func(tx kv.Tx) error { return tx.Put(plain, fmt.Appendf(nil, "filler %d", i), make([]byte, 3000)) })
		if errors.Is(err, kv.ErrFull) {
			return i
		}
		must(t, err)
	}
}

func TestRoomForRemoving(t *testing.T) {
	o := options()
	o.MaxSize = 6 << 20
	o.InsecureNoSync = true
	path := filepath.Join(t.TempDir(), "db")
	s := openAt(t, path, o)
	n := fillUp(t, s)
	if n < 1000 {
		t.Errorf("full with %d values of 3,000 bytes", n)
	}
	for range 3 { // refusing costs nothing
		want(t, "full", s.Apply(ctx, func(tx kv.Tx) error { return bulk(tx, "more", 200<<10) }), kv.ErrFull)
	}
	// Replacing by as much, and removing, go on; a pinned snapshot keeps what
	// is removed from being used again.
	p, err := s.Pin(ctx)
	must(t, err)
	defer p.Release(nil)
	done := make(chan bool)
	go func() {
		defer close(done)
		for i := range 40 {
			k := fmt.Appendf(nil, "filler %d", i)
			if err := s.Apply(ctx, func(tx kv.Tx) error { return tx.Put(plain, k, make([]byte, 3000)) }); err != nil {
				t.Errorf("replace %d: %v", i, err)
			}
			if err := s.Apply(ctx, func(tx kv.Tx) error { return tx.Delete(plain, k) }); err != nil {
				t.Errorf("delete %d: %v", i, err)
			}
		}
	}()
	<-done
	// In one group, who removes succeeds and who adds does not.
	p.Release(nil)
	errs := together(t, s,
		func(tx kv.Tx) error { return bulk(tx, "more", 900<<10) },
		func(tx kv.Tx) error { return tx.Delete(plain, []byte("filler 40")) })
	want(t, "adds", errs[0], kv.ErrFull)
	want(t, "removes", errs[1], nil)
	same(t, "removed", read(s, "filler 40"), "absent")
	info, err := os.Stat(path)
	must(t, err)
	if info.Size() > o.MaxSize {
		t.Errorf("the file has %d bytes, more than %d", info.Size(), o.MaxSize)
	}
	// What was removed makes room for more, once no kept transaction of the read sees
	// it: within some milliseconds, or now.
	s.pool.retire()
	must(t, s.Exclusive(ctx, func(tx kv.Tx) error { _, err := tx.DeleteRange(plain, nil, nil); return err }))
	must(t, s.Apply(ctx, func(tx kv.Tx) error { return bulk(tx, "more", 900<<10) }))
}

func TestRoomBalance(t *testing.T) {
	for _, test := range []struct {
		name  string
		apply func(*room)
		freed bool
	}{
		{"nothing", func(r *room) {}, true},
		{"remove", func(r *room) { r.remove([]byte("k"), make([]byte, 100)) }, true},
		{"add", func(r *room) { r.put([]byte("k"), nil, false, nil) }, false},
		{"replace", func(r *room) { r.put([]byte("k"), make([]byte, 100), true, make([]byte, 100)) }, true},
		{"note a reason", func(r *room) { r.put([]byte("k"), make([]byte, 1100), true, make([]byte, 100)) }, true},
		{"grow", func(r *room) { r.put([]byte("k"), make([]byte, 1200), true, make([]byte, 100)) }, false},
		{"move", func(r *room) { r.remove([]byte("a"), make([]byte, 9)); r.put([]byte("b"), make([]byte, 9), false, nil) }, true},
	} {
		var r room
		test.apply(&r)
		same(t, test.name, r.freed(), test.freed)
	}
}
