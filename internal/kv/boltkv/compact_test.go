package boltkv

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/snibdb/snib/internal/durable"
	"github.com/snibdb/snib/internal/kv"
	bolt "go.etcd.io/bbolt"
)

// dump lists all keys and values of a file, with the sequences of buckets.
func dump(tb testing.TB, db *bolt.DB) string {
	tb.Helper()
	var out strings.Builder
	var list func(path string, b *bolt.Bucket) error
	list = func(path string, b *bolt.Bucket) error {
		fmt.Fprintf(&out, "%s: %d\n", path, b.Sequence())
		return b.ForEach(func(k, v []byte) error {
			if v == nil {
				return list(fmt.Sprintf("%s/%s", path, k), b.Bucket(k))
			}
			fmt.Fprintf(&out, "%s/%s=%x\n", path, k, v)
			return nil
		})
	}
	must(tb, db.View(func(btx *bolt.Tx) error {
		return btx.ForEach(func(name []byte, b *bolt.Bucket) error { return list(string(name), b) })
	}))
	return out.String()
}

// marker is what a test deletes and looks for.
const marker = "something that was deleted long ago"

// worn makes a store look used: much was deleted, and an application has
// buckets of its own, nested.
func worn(tb testing.TB, s *Store) {
	tb.Helper()
	for i := range 60 {
		must(tb, s.Apply(ctx, func(tx kv.Tx) (err error) {
			for j := range 300 {
				n := 300*i + j
				err = errors.Join(err,
					tx.Put(ascending, fmt.Appendf(nil, "%06d", n), bytes.Repeat([]byte{byte(n)}, 300)),
					tx.Put(plain, fmt.Appendf(nil, "%x", n*7919), []byte(fmt.Sprint(marker, n))))
			}
			return err
		}))
	}
	must(tb, s.Exclusive(ctx, func(tx kv.Tx) error {
		_, err := tx.DeleteRange(plain, nil, nil)
		return err
	}))
	put(tb, s, "empty", "")
	must(tb, s.db.Update(func(btx *bolt.Tx) error {
		b, err := btx.CreateBucket([]byte("app"))
		must(tb, err)
		must(tb, b.SetSequence(7))
		must(tb, b.Put([]byte("a"), []byte("1")))
		inner, err := b.CreateBucket([]byte("inner"))
		must(tb, err)
		must(tb, inner.SetSequence(8))
		must(tb, inner.Put([]byte("b"), bytes.Repeat([]byte("2"), 100)))
		_, err = inner.CreateBucket([]byte("innermost, empty"))
		must(tb, err)
		must(tb, b.Put([]byte("z"), nil))
		_, err = btx.CreateBucket([]byte("zz"))
		return err
	}))
}

func TestCompactCopyHasAllAndNothingElse(t *testing.T) {
	both(t, func(t *testing.T, s *Store) {
		worn(t, s)
		was := dump(t, s.db.at().DB)
		path := filepath.Join(t.TempDir(), "compact")
		last, total := int64(0), int64(0)
		must(t, s.CompactTo(ctx, path, false, func(done, all int64) { last, total = done, all }))
		same(t, "told in the end", last, total)
		if last == 0 {
			t.Error("nobody was told")
		}
		content, err := os.ReadFile(path)
		must(t, err)
		old, err := os.ReadFile(s.db.Path())
		must(t, err)
		if !bytes.Contains(old, []byte(marker)) || bytes.Contains(content, []byte(marker)) {
			t.Errorf("deleted values: %t in the file, %t in the copy", bytes.Contains(old, []byte(marker)), bytes.Contains(content, []byte(marker)))
		}
		check(t, path)
		must(t, verify(bytes.NewReader(content), int64(len(content))))
		db, err := bolt.Open(path, 0o600, nil)
		must(t, err)
		defer db.Close()
		if got := dump(t, db); got != was {
			t.Errorf("the copy is another: %d bytes of text, was %d", len(got), len(was))
		}
		must(t, db.View(func(btx *bolt.Tx) error {
			st := btx.Bucket([]byte("snib")).Bucket([]byte("ascending")).Stats()
			if used := float64(st.LeafInuse) / float64(st.LeafAlloc); used < 0.9 {
				t.Errorf("the pages of an ascending space are used to %.2f", used)
			}
			if free := db.Stats().FreePageN + db.Stats().PendingPageN; free > 40 || int64(free)*10*int64(s.pageSize) > btx.Size() {
				t.Errorf("%d free pages in %d bytes", free, btx.Size())
			}
			return nil
		}))
		put(t, s, "k", "it goes on")
		want(t, "again", s.CompactTo(ctx, path, false, nil), fs.ErrExist)
	})
}

func TestCompactThatIsStoppedLeavesNothing(t *testing.T) {
	o := options()
	o.InsecureNoSync = true
	s := newStoreIn(t, o)
	worn(t, s)
	for _, in := range []string{s.db.Path() + ".compact", s.db.Path()} {
		for n := range 4 {
			ended, cancel := context.WithCancel(ctx)
			calls := 0
			err := s.CompactTo(ended, in, true, func(_, _ int64) {
				if calls++; calls > n {
					cancel()
				}
			})
			cancel()
			want(t, fmt.Sprint("ctx ends after ", n), err, context.Canceled)
			beside(t, s)
			put(t, s, "k", fmt.Sprint(n)) // it goes on
		}
	}
	err := s.CompactTo(ctx, s.db.Path(), false, nil)
	want(t, "in place, not asked to", err, fs.ErrExist)
	put(t, s, "k", "v")
}

func TestCompactMeetsDamage(t *testing.T) {
	o := options()
	o.InsecureNoSync = true
	path := filepath.Join(t.TempDir(), "db")
	s, err := Open(path, o)
	must(t, err)
	worn(t, s)
	must(t, s.db.View(func(btx *bolt.Tx) error {
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		must(t, err)
		defer f.Close()
		spoilt := 0
		for id := int(btx.Size())/s.pageSize - 1; id > 3 && spoilt < 300; id-- { // what was written last
			if info, err := btx.Page(id); err == nil && info != nil && info.Type == "leaf" {
				_, err := f.WriteAt([]byte{0x10, 0}, int64(id*s.pageSize+8))
				must(t, err)
				spoilt++
			}
		}
		return nil
	}))
	for _, to := range []string{path + ".compact", path} {
		want(t, "compact", s.CompactTo(ctx, to, true, nil), kv.ErrCorrupt)
	}
	beside(t, s)
	must(t, s.Close())
}

func TestPlaceWaitsForTheLockOfWhatItReplaces(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	s := openAt(t, path, options())
	f, err := durable.Create(path, true)
	must(t, err)
	defer f.Discard()
	_, err = f.WriteString("new")
	must(t, err)
	if lockedFirst {
		want(t, "while it is open", Place(f, path, true, 20*time.Millisecond), ErrLocked)
		put(t, s, "k", "v")
	}
	must(t, s.Close())
	must(t, Place(f, path, true, time.Second))
	content, err := os.ReadFile(path)
	must(t, err)
	same(t, "content", string(content), "new")
	alone(t, path)
	must(t, os.Remove(path))
	s, err = Open(path, options()) // for the check in the end
	must(t, err)
	must(t, s.Close())
}

// A file of two names is not replaced under the one that is not the store's:
// that would go on to be of the old file.
func TestCompactUnderAnotherNameOfTheFile(t *testing.T) {
	s := newStoreIn(t, options())
	put(t, s, "k", "v")
	path := s.db.Path()
	twin := filepath.Join(filepath.Dir(path), "twin")
	if err := os.Link(path, twin); err != nil {
		t.Skip(err)
	}
	want(t, "the other name", s.CompactTo(ctx, twin, true, nil), ErrOwnFile)
	put(t, s, "k", "later")
	around := filepath.Join(filepath.Dir(path), "..", filepath.Base(filepath.Dir(path)), filepath.Base(path))
	must(t, s.CompactTo(ctx, around, true, nil))
	same(t, "in the compacted file", read(s, "k"), "later")
	put(t, s, "k", "latest")
	must(t, s.Close())
	s = openAt(t, path, options())
	same(t, "reopened", read(s, "k"), "latest")
}
