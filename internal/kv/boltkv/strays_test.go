package boltkv

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/snibdb/snib/internal/kv"
	bolt "go.etcd.io/bbolt"
)

// besides is tall with two buckets of the application, one with branches and one in
// another.
func besides(t *testing.T, path string) []byte {
	t.Helper()
	tall(t, path)
	db, err := bolt.Open(path, 0o600, nil)
	must(t, err)
	must(t, db.Update(func(btx *bolt.Tx) error {
		rows, err := btx.CreateBucket([]byte("a program's"))
		must(t, err)
		inner, err := rows.CreateBucket([]byte("inside"))
		must(t, err)
		for i := range 1000 {
			must(t, rows.Put(fmt.Appendf(nil, "%0100d", i), make([]byte, 100)))
			must(t, inner.Put(fmt.Appendf(nil, "%0100d", i), bytes.Repeat([]byte{1}, i%50*200)))
		}
		return nil
	}))
	must(t, db.Close())
	b, err := os.ReadFile(path)
	must(t, err)
	return b
}

// examine is what Open and Check look at.
func examine(b []byte) error {
	f := &file{r: bytes.NewReader(b), size: int64(len(b))}
	if err := f.check("snib", false); err != nil {
		return err
	}
	return f.strays("snib", ctx.Err)
}

// TestBucketThatLeadsElsewhere: the root of a bucket of ours is each page of the file
// in turn. All but the right one are found, and but the root of a bucket inside one of
// the application's: no branch is above it, and what is there are no records.
func TestBucketThatLeadsElsewhere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	content := besides(t, path)
	must(t, examine(content))
	m, _, err := metaOf(t, path)
	must(t, err)
	top := pageAt(content, m, m.root)
	inside := pageAt(content, m, native.Uint64(rootOf(t, top, m, "snib")))
	nested := native.Uint64(rootOf(t, lastLeaf(t, content, m, "a program's"), m, "inside"))
	for name, root := range map[string][]byte{
		"all": rootOf(t, top, m, "snib"), "plain": rootOf(t, inside, m, "plain"),
	} {
		right := native.Uint64(root)
		for id := range m.high {
			if id == right || id == nested {
				continue
			}
			native.PutUint64(root, id)
			if err := examine(content); err == nil {
				t.Errorf("%s: page %d in the place of page %d", name, id, right)
			}
		}
		native.PutUint64(root, right)
	}
	must(t, examine(content))
}

// lastLeaf returns the last leaf of a bucket at the top.
func lastLeaf(t *testing.T, b []byte, m meta, bucket string) []byte {
	p := pageAt(b, m, native.Uint64(rootOf(t, pageAt(b, m, m.root), m, bucket)))
	for pageKind(p) == innerPage {
		e, err := entryAt(p[:m.pageSize], pageCount(p)-1)
		must(t, err)
		p = pageAt(b, m, e.page)
	}
	return p
}

func pageAt(b []byte, m meta, id uint64) []byte { return b[int64(id)*m.pageSize:] }

// TestStrays: a store finds a subtree that is out of reach while it is open, and
// other writers commit.
func TestStrays(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	content := besides(t, path)
	m, _, err := metaOf(t, path)
	must(t, err)
	branch, _, leaves := inUse(t, content, m)
	s, err := Open(path, options())
	must(t, err)
	must(t, s.Strays(ctx))
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				put(t, s, fmt.Sprint(i%100), "v")
			}
		}
	}()
	for range 100 {
		if err := s.Strays(ctx); err != nil {
			t.Fatalf("beside a writer: %v", err)
		}
	}
	close(stop)
	<-done
	ended, cancel := context.WithCancel(ctx)
	cancel()
	want(t, "a context that has ended", s.Strays(ended), context.Canceled)
	want(t, "inside a View", s.View(ctx, func(kv.Reader) error { return s.Strays(ctx) }), kv.ErrNested)
	must(t, s.Close())
	want(t, "after Close", s.Strays(ctx), kv.ErrClosed)

	for what, page := range map[string]uint64{"a branch": uint64(branch / m.pageSize), "a leaf": leaves[len(leaves)-1].id} {
		bad := bytes.Clone(content)
		inside := pageAt(bad, m, native.Uint64(rootOf(t, pageAt(bad, m, m.root), m, "snib")))
		native.PutUint64(rootOf(t, inside, m, "plain"), page)
		must(t, os.WriteFile(path, bad, 0o600))
		s, err := Open(path, options())
		must(t, err)
		want(t, what, s.Strays(ctx), kv.ErrCorrupt)
		if lockedFirst {
			want(t, what+", compacted", s.Compact(ctx, nil), kv.ErrCorrupt)
		}
		must(t, s.Close())
		if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, bad) {
			t.Errorf("%s: the file has changed: %v", what, err)
		}
	}
}

// TestStraysInValues: a long value that looks like a branch page, where Open has not
// read how long its leaf is, is no page.
func TestStraysInValues(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	s, err := Open(path, options())
	must(t, err)
	must(t, s.Exclusive(ctx, func(tx kv.Tx) error {
		for i := range 3*maxLeaves + 30 { // two in a leaf
			if err := tx.Put(plain, fmt.Appendf(nil, "%04d", i), make([]byte, 3<<10)); err != nil {
				return err
			}
		}
		return nil
	}))
	must(t, s.Close())
	content, err := os.ReadFile(path)
	must(t, err)
	m, _, err := metaOf(t, path)
	must(t, err)
	w, err := (&file{r: bytes.NewReader(content), size: int64(len(content)), meta: m}).bones("snib", false, 0)
	must(t, err)
	if len(w.unread) == 0 {
		t.Fatal("all leaves were read")
	}
	forged := 0
	for id := uint64(2); id < m.high; id++ {
		if !w.unread.has(id) {
			continue
		}
		b := pageAt(content, m, id+1)
		native.PutUint64(b, id+1)
		native.PutUint16(b[8:], innerPage)
		native.PutUint16(b[10:], 1)
		native.PutUint32(b[12:], 0)
		native.PutUint32(b[pageHeader:], 16)
		native.PutUint32(b[pageHeader+4:], 1)
		native.PutUint64(b[pageHeader+8:], m.root)
		forged++
	}
	if forged < 5 {
		t.Fatalf("%d values", forged)
	}
	must(t, examine(content))
}

// TestStraysOfAHandleOfTheProgram: the file is looked at where the handle has it, also
// when it has another path; and a list of free pages that Open would refuse is an error.
func TestStraysOfAHandleOfTheProgram(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	content := besides(t, path)
	db, err := bolt.Open(path, 0o600, nil)
	must(t, err)
	defer db.Close()
	s, err := Attach(db, options())
	must(t, err)
	must(t, os.Rename(path, path+"2"))
	must(t, s.Strays(ctx))
	must(t, os.WriteFile(path, content[:8*minPage], 0o600))
	must(t, s.Strays(ctx))
	must(t, s.Close())

	f := &file{r: bytes.NewReader(content), size: int64(len(content))}
	must(t, f.findMeta())
	native.PutUint16(pageAt(content, f.meta, f.meta.free)[10:], 0xFFFE)
	want(t, "free list", f.strays("snib", ctx.Err), kv.ErrCorrupt)
}
