package boltkv

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/snibdb/snib/internal/kv"
)

// shadowedOptions are options with a shadow of each space.
func shadowedOptions() Options {
	o := options()
	o.Spaces = append(o.Spaces, kv.SpaceSpec{Name: "plain", Shadow: true}, kv.SpaceSpec{Name: "ascending", Ascending: true, Shadow: true})
	return o
}

const (
	plainShadow     kv.Space = 2
	ascendingShadow kv.Space = 3
)

// load puts n keys in a space.
func load(tb testing.TB, s *Store, space kv.Space, n int, value string) {
	tb.Helper()
	must(tb, s.Exclusive(ctx, func(tx kv.Tx) error {
		for i := range n {
			if err := tx.Put(space, fmt.Appendf(nil, "%06d", i), []byte(value)); err != nil {
				return err
			}
		}
		return nil
	}))
}

// held counts the values in a space.
func held(tb testing.TB, s *Store, space kv.Space) map[string]int {
	tb.Helper()
	out := map[string]int{}
	must(tb, s.View(ctx, func(r kv.Reader) error {
		return r.Scan(space, nil, nil, 0, func(_, v []byte) error { out[string(v)]++; return nil })
	}))
	return out
}

func wantHeld(tb testing.TB, s *Store, space kv.Space, want map[string]int) {
	tb.Helper()
	if got := held(tb, s, space); !maps.Equal(got, want) {
		tb.Errorf("space %d holds %v, want %v", space, got, want)
	}
}

// Sizes are those of a bucket in the page above, of one page, and of a tree.
// bbolt checks in the end that no page is lost.
func TestSwap(t *testing.T) {
	for _, twice := range []bool{false, true} {
		for _, before := range []int{0, 1, 100, 5000} {
			for _, after := range []int{0, 1, 100, 5000} {
				o := shadowedOptions()
				o.Twice = twice
				s := newStoreIn(t, o)
				load(t, s, plain, before, "before")
				load(t, s, ascending, before, "other")
				load(t, s, plainShadow, after, "after")
				load(t, s, ascendingShadow, 300, "other shadow")
				wantHeld(t, s, plain, counts{"before": before}.without(0))
				must(t, s.Exclusive(ctx, func(w kv.Tx) error {
					if _, _, err := w.Get(plain, []byte("000000")); err != nil { // the old tree is known
						return err
					}
					if err := Swap(w, "plain"); err != nil {
						return err
					}
					if err := w.Delete(plain, []byte("000000")); err != nil {
						return err
					}
					return w.Put(plain, []byte("a new one"), []byte("new"))
				}))
				wantHeld(t, s, plain, counts{"after": max(after-1, 0), "new": 1}.without(0))
				wantHeld(t, s, ascending, counts{"other": before}.without(0))
				wantHeld(t, s, plainShadow, counts{})
				wantHeld(t, s, ascendingShadow, counts{}) // dropped: it was not named
			}
		}
	}
}

func TestDropShadows(t *testing.T) {
	s := newStoreIn(t, shadowedOptions())
	load(t, s, plain, 500, "kept")
	must(t, s.Exclusive(ctx, DropShadows)) // of which there are none
	load(t, s, plainShadow, 5000, "dropped")
	load(t, s, ascendingShadow, 5000, "dropped")
	shadowedIs := func(want bool) {
		t.Helper()
		got, err := s.Shadowed(ctx)
		if must(t, err); got != want {
			t.Errorf("shadowed: %t, want %t", got, want)
		}
	}
	shadowedIs(true)
	want(t, "a failure", s.Exclusive(ctx, func(w kv.Tx) error { must(t, DropShadows(w)); return kv.ErrTooLarge }), kv.ErrTooLarge)
	shadowedIs(true)
	must(t, s.Exclusive(ctx, DropShadows))
	shadowedIs(false)
	wantHeld(t, s, plain, counts{"kept": 500})
	wantHeld(t, s, plainShadow, counts{})
	load(t, s, plainShadow, 10, "again")
	wantHeld(t, s, plainShadow, counts{"again": 10})
	must(t, s.Exclusive(ctx, DropShadows))
}

// A file in which a crash has left shadows opens, and only if they are sound.
func TestOpenWalksShadows(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	s, err := Open(path, shadowedOptions())
	must(t, err)
	load(t, s, plain, 5000, "kept")
	load(t, s, plainShadow, 5000, "left")
	must(t, s.Close())
	content, err := os.ReadFile(path)
	must(t, err)

	s = openAt(t, path, shadowedOptions())
	wantHeld(t, s, plainShadow, counts{"left": 5000})
	must(t, s.Exclusive(ctx, DropShadows))
	must(t, s.Close())

	f := &file{r: bytes.NewReader(content), size: int64(len(content))}
	must(t, f.findMeta())
	w := newBones(f)
	id := f.meta.root
	for _, name := range []string{"snib", "shadow", "plain"} {
		found, err := w.buckets(id, 0)
		must(t, err)
		for _, e := range found {
			if string(e.key) == name {
				id = native.Uint64(e.value)
			}
		}
	}
	damaged := bytes.Clone(content)
	at := int64(id) * f.meta.pageSize
	native.PutUint64(damaged[at+pageHeader+8:], id) // a branch that leads to itself
	bad := filepath.Join(t.TempDir(), "bad")
	must(t, os.WriteFile(bad, damaged, 0o600))
	_, err = Open(bad, shadowedOptions())
	want(t, "a shadow that leads to itself", err, kv.ErrCorrupt)
}

func TestNoSpaceIsNamedLikeTheBucketOfShadows(t *testing.T) {
	for _, spaces := range [][]kv.SpaceSpec{
		{{Name: "shadow"}}, {{Name: "a", Shadow: true}, {Name: "a", Shadow: true, Ascending: true}},
	} {
		if _, err := Open(filepath.Join(t.TempDir(), "db"), Options{Bucket: "snib", Spaces: spaces}); err == nil {
			t.Errorf("%v is accepted", spaces)
		}
	}
}

func TestTryBuildIsOnePerHandle(t *testing.T) {
	s, other := newStoreIn(t, options()), newStoreIn(t, options())
	same, err := Attach(s.db.at().DB, options())
	must(t, err)
	done, _ := s.TryBuild()
	if elsewhere, _ := other.TryBuild(); elsewhere == nil {
		t.Error("another file is busy too")
	} else {
		elsewhere()
	}
	none, busy := same.TryBuild()
	if none != nil {
		t.Fatal("two build on one handle")
	}
	select {
	case <-busy:
		t.Error("not busy any more")
	default:
	}
	done()
	<-busy
	if done, _ = same.TryBuild(); done == nil {
		t.Fatal("busy for ever")
	}
	done()
	if len(builders.handles) != 0 {
		t.Errorf("%d handles are kept", len(builders.handles))
	}
}

type counts map[string]int

// without drops what is there so often.
func (c counts) without(n int) counts {
	maps.DeleteFunc(c, func(_ string, m int) bool { return m == n })
	return c
}

// A compact copy has no shadows, in which a record may be that was deleted
// since.
func TestCompactToLeavesOutShadows(t *testing.T) {
	s := newStoreIn(t, shadowedOptions())
	load(t, s, plain, 50, "kept")
	load(t, s, plainShadow, 50, "shadow")
	path := filepath.Join(t.TempDir(), "copy")
	must(t, s.CompactTo(ctx, path, false, nil))
	c, err := Open(path, shadowedOptions())
	must(t, err)
	defer c.Close()
	wantHeld(t, c, plain, counts{"kept": 50})
	if got, err := c.Shadowed(ctx); got || err != nil {
		t.Errorf("shadowed: %t, %v", got, err)
	}
}
