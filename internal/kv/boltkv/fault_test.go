package boltkv

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/snibdb/snib/internal/kv"
	bolt "go.etcd.io/bbolt"
)

func init() {
	jobs["truncate all"] = func(path string) error { return truncateOpened(path, 0) }
	jobs["truncate to two pages"] = func(path string) error { return truncateOpened(path, 2*int64(os.Getpagesize())) }
	jobs["truncate attached"] = truncateAttached
}

// The tests that cut a file under a live map run in a child process: if a
// fault is not caught, the process dies.
func TestTruncatedUnderTheMap(t *testing.T) {
	for _, job := range []string{"truncate all", "truncate to two pages", "truncate attached"} {
		out := succeed(t, job, filepath.Join(t.TempDir(), "db"))
		if !strings.Contains(out, "alive") {
			t.Errorf("%s printed %q", job, out)
		}
	}
}

// expect collects what is not as it should be.
type expect struct{ errs []error }

func (e *expect) is(what string, got, want error) {
	if !errors.Is(got, want) {
		e.errs = append(e.errs, fmt.Errorf("%s: got %v, want %v", what, got, want))
	}
}

func (e *expect) alive() error {
	if len(e.errs) == 0 {
		fmt.Println("alive")
	}
	return errors.Join(e.errs...)
}

func filled(s *Store) error {
	return s.Exclusive(ctx, func(tx kv.Tx) error { return bulk(tx, "filler", 4<<20) })
}

// firstByte reads a value in place, as a caller's codec would.
func firstByte(v []byte) (b byte) {
	if len(v) > 0 {
		b = v[0]
	}
	return b
}

func truncateOpened(path string, size int64) error {
	s, err := Open(path, options())
	if err != nil {
		return err
	}
	if err := filled(s); err != nil {
		return err
	}
	var e expect
	k := []byte("filler 5")
	e.is("a value in hand", s.View(ctx, func(r kv.Reader) error {
		v, _, err := r.Get(plain, k)
		if err != nil {
			return err
		}
		return errors.Join(os.Truncate(path, size), fmt.Errorf("read %d", firstByte(v)))
	}), kv.ErrCorrupt)
	e.is("View", s.View(ctx, func(kv.Reader) error { return nil }), kv.ErrCorrupt)
	e.is("Apply", s.Apply(ctx, putting("k", "v")), kv.ErrCorrupt)
	_, err = s.Pin(ctx)
	e.is("Pin", err, kv.ErrCorrupt)
	e.is("and it is closed", s.Update(ctx, putting("k", "v")), kv.ErrClosed)
	e.is("Close", s.Close(), nil)
	if info, err := os.Stat(path); err != nil || info.Size() != size {
		e.is("the file was written", err, errors.New("nothing"))
	}
	return e.alive()
}

// truncateAttached keeps the meta pages, and the store does not look at the
// file: everything goes as far as the map.
func truncateAttached(path string) error {
	db, err := bolt.Open(path, 0o600, nil)
	if err != nil {
		return err
	}
	s, err := Attach(db, options())
	if err != nil {
		return err
	}
	if err := filled(s); err != nil {
		return err
	}
	k := []byte("filler 5")
	get := func(r kv.Reader) error { _, _, err := r.Get(plain, k); return err }
	scan := func(r kv.Reader) error {
		return r.Scan(plain, nil, nil, 0, func(_, _ []byte) error { return nil })
	}
	var e expect
	e.is("a pinned value", func() (err error) {
		p, err := s.Pin(ctx)
		if err != nil {
			return err
		}
		defer func() {
			if fault := p.Release(recover()); fault != nil {
				err = fault
			}
		}()
		v, _, err := p.Get(plain, k)
		if err != nil {
			return err
		}
		return errors.Join(os.Truncate(path, 2*int64(os.Getpagesize())), fmt.Errorf("read %d", firstByte(v)))
	}(), kv.ErrCorrupt)
	for range 3 {
		e.is("Get", s.View(ctx, get), kv.ErrCorrupt)
		e.is("Scan", s.View(ctx, scan), kv.ErrCorrupt)
		e.is("Get in Apply", s.Apply(ctx, func(tx kv.Tx) error { get(tx); return nil }), kv.ErrCorrupt)
		e.is("Put in Update", s.Update(ctx, func(tx kv.Tx) error { tx.Put(plain, k, k); return nil }), kv.ErrCorrupt)
		e.is("Delete", s.Exclusive(ctx, func(tx kv.Tx) error { return tx.Delete(plain, k) }), kv.ErrCorrupt)
		p, err := s.Pin(ctx)
		e.is("Pin", err, nil)
		e.is("Get pinned", get(p), kv.ErrCorrupt)
		p.Release(nil)
	}
	btx, err := db.Begin(true)
	e.is("Begin", err, nil)
	tx, err := s.Join(btx)
	e.is("Join", err, nil)
	e.is("Get joined", get(tx), kv.ErrCorrupt)
	e.is("doomed", tx.Put(ascending, k, k), kv.ErrCorrupt)
	e.is("Rollback", btx.Rollback(), nil)
	e.is("Close", s.Close(), nil)
	return e.alive()
}

// leaf is the page that holds key k, by its offset, found in the raw file.
func leaf(t *testing.T, s *Store, path, k string) int64 {
	t.Helper()
	b, err := os.ReadFile(path)
	must(t, err)
	m, _, err := metaOf(t, path)
	must(t, err)
	for at := int64(s.pageSize) * int64(m.high-1); at > 0; at -= int64(s.pageSize) {
		page := b[at : at+int64(s.pageSize)]
		if pageKind(page) == leafPage && int64(native.Uint64(page)) == at/int64(s.pageSize) && strings.Contains(string(page), k) && !freed(s, at) {
			return at
		}
	}
	t.Fatalf("no page with %q", k)
	return 0
}

// freed reports whether the page at offset at is free.
func freed(s *Store, at int64) (free bool) {
	s.db.View(func(btx *bolt.Tx) error {
		info, err := btx.Page(int(at) / s.pageSize)
		free = err != nil || info == nil || info.Type == "free"
		return nil
	})
	return free
}

// damagedStore has keys row 0000 to row 0499 in pages of about 35, committed
// twice so that the pages have settled. It is not checked in the end.
func damagedStore(t *testing.T) (*Store, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "db")
	s, err := Open(path, options())
	must(t, err)
	t.Cleanup(func() { s.Close() })
	must(t, s.Update(ctx, func(tx kv.Tx) error {
		for i := range 500 {
			if err := tx.Put(plain, row(i), make([]byte, 100)); err != nil {
				return err
			}
		}
		return nil
	}))
	put(t, s, "a", "settled")
	return s, path
}

func row(i int) []byte { return fmt.Appendf(nil, "row %04d", i) }

func overwrite(t *testing.T, path string, at int64, b ...byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	must(t, err)
	_, err = f.WriteAt(b, at)
	must(t, errors.Join(err, f.Close()))
}

// TestDamagedPage: who meets it is told, the others are served.
func TestDamagedPage(t *testing.T) {
	s, path := damagedStore(t)
	at := leaf(t, s, path, "row 0250")
	overwrite(t, path, at+8, 0x77) // no kind of page
	get := func(r kv.Reader) error { _, _, err := r.Get(plain, row(250)); return err }
	want(t, "Get", s.View(ctx, get), kv.ErrCorrupt)
	want(t, "Get elsewhere", s.View(ctx, func(r kv.Reader) error { _, _, err := r.Get(plain, row(0)); return err }), nil)
	errs := together(t, s,
		putting("b", "before"),
		func(tx kv.Tx) error {
			want(t, "Get in Apply", get(tx), kv.ErrCorrupt)
			want(t, "doomed", tx.Put(plain, []byte("doomed"), nil), kv.ErrCorrupt)
			return nil // whatever the closure returns
		},
		putting("c", "after"))
	want(t, "before", errs[0], nil)
	want(t, "met it", errs[1], kv.ErrCorrupt)
	want(t, "after", errs[2], nil)
	same(t, "stored", read(s, "b")+read(s, "c")+read(s, "doomed"), "beforeafterabsent")
	if strings.Contains(errs[1].Error(), "row") {
		t.Errorf("the error has a key: %v", errs[1])
	}
}

// TestDamagedNeighbour: bbolt meets it in the commit, when it merges pages.
func TestDamagedNeighbour(t *testing.T) {
	s, path := damagedStore(t)
	at := leaf(t, s, path, "row 0250")
	next := s.afterPage(t, at)
	overwrite(t, path, at+8, 0x77)
	// The page after it loses all but its first and last keys and is merged
	// with it; no operation looks at it.
	thin := func(tx kv.Tx) error {
		for i := range 14 {
			if err := tx.Delete(plain, row(next+1+i)); err != nil {
				t.Errorf("delete: %v", err)
			}
		}
		return nil
	}
	errs := together(t, s, putting("b", "before"), thin, putting("c", "after"))
	want(t, "before", errs[0], nil)
	want(t, "merges", errs[1], kv.ErrCorrupt)
	want(t, "after", errs[2], nil)
	same(t, "stored", read(s, "b")+read(s, "c"), "beforeafter")
	same(t, "not removed", read(s, string(row(next+1))), string(make([]byte, 100)))

	// With the list of free pages damaged, too, bbolt cannot even roll back.
	m, _, err := metaOf(t, path)
	must(t, err)
	overwrite(t, path, int64(m.free)*m.pageSize+8, 0x77)
	want(t, "no way back", s.Apply(ctx, thin), kv.ErrCorrupt)
	want(t, "service ends", s.Apply(ctx, putting("d", "never")), kv.ErrClosed)
	want(t, "and says why", s.View(ctx, func(kv.Reader) error { return nil }), kv.ErrCorrupt)
	must(t, s.Close())
}

// afterPage is the number of the first row after the leaf at offset at.
func (s *Store) afterPage(t *testing.T, at int64) (n int) {
	t.Helper()
	b := make([]byte, s.pageSize)
	_, err := s.db.at().file.ReadAt(b, at)
	must(t, err)
	e := b[pageHeader:]
	key := e[native.Uint32(e[4:]):]
	_, err = fmt.Sscanf(string(key[:native.Uint32(e[8:])]), "row %d", &n)
	must(t, err)
	return n + pageCount(b)
}

// TestMetaPagesLost: bbolt panics in Begin with its locks held. Nothing may
// hang afterwards, Close least of all.
func TestMetaPagesLost(t *testing.T) {
	for name, begin := range map[string]func(*Store) error{
		"View":  func(s *Store) error { return s.View(ctx, func(kv.Reader) error { return nil }) },
		"Pin":   func(s *Store) error { _, err := s.Pin(ctx); return err },
		"Apply": func(s *Store) error { return s.Apply(ctx, putting("k", "v")) },
	} {
		s, path := damagedStore(t)
		p, err := s.Pin(ctx)
		must(t, err)
		overwrite(t, path, pageHeader, make([]byte, metaSize)...)
		overwrite(t, path, int64(s.pageSize)+pageHeader, make([]byte, metaSize)...)
		_ = p // never released: its Rollback would wait for ever
		done := make(chan error)
		go func() { done <- begin(s) }()
		want(t, name, <-done, kv.ErrCorrupt)
		for range 2 {
			want(t, name+" again", s.View(ctx, func(kv.Reader) error { return nil }), kv.ErrClosed)
			want(t, name+", then Apply", s.Apply(ctx, putting("k", "v")), kv.ErrCorrupt)
		}
		must(t, s.Close())
		o := options()
		o.LockTimeout = 1
		_, err = Open(path, o) // the lock was given back
		want(t, "reopen", err, ErrForeign)
	}
}

// TestDeleteRangeEndsOnPagesOutOfOrder: a page begins with the last key of the
// page before, and its keys are in no order, so that bbolt comes to that key
// again by going on from the page before and does not find it to remove. What
// is bounded is counted first; this is not.
func TestDeleteRangeEndsOnPagesOutOfOrder(t *testing.T) {
	s, path := damagedStore(t)
	at := leaf(t, s, path, "row 0250")
	file, err := os.ReadFile(path)
	must(t, err)
	page := file[at:][:s.pageSize]
	for i := range pageCount(page) {
		e, err := entryAt(page, i)
		must(t, err)
		if i == 0 {
			n, err := strconv.Atoi(strings.TrimPrefix(string(e.key), "row "))
			must(t, err)
			copy(e.key, row(n-1))
		} else {
			e.key[0] = 'a'
		}
	}
	overwrite(t, path, at, page...)
	done := make(chan error, 1)
	go func() {
		done <- s.Exclusive(ctx, func(tx kv.Tx) error { _, err := tx.DeleteRange(plain, row(0), row(499)); return err })
	}()
	select {
	case err := <-done:
		want(t, "DeleteRange", err, kv.ErrCorrupt)
	case <-time.After(atMost):
		t.Fatal("it has no end")
	}
}

func TestBucketGone(t *testing.T) {
	db := openBolt(t)
	s := attach(t, db, options())
	put(t, s, "k", "v")
	must(t, db.Update(func(btx *bolt.Tx) error { return btx.DeleteBucket([]byte("snib")) }))
	want(t, "Get", s.View(ctx, func(r kv.Reader) error { return second(r.Get(plain, nil)) }), kv.ErrCorrupt)
	want(t, "Put", s.Apply(ctx, putting("k", "v")), kv.ErrCorrupt)
}

func TestNoSuchSpace(t *testing.T) {
	s := newStoreIn(t, options())
	for _, space := range []kv.Space{-1, 2} {
		if s.View(ctx, func(r kv.Reader) error { return second(r.Get(space, nil)) }) == nil {
			t.Errorf("Get in space %d", space)
		}
		if s.Apply(ctx, func(tx kv.Tx) error { tx.Put(space, []byte("k"), nil); return nil }) == nil {
			t.Errorf("Put in space %d", space)
		}
	}
}

func TestWriteInsideScan(t *testing.T) {
	s := newStoreIn(t, options())
	put(t, s, "a", "")
	err := s.Update(ctx, func(tx kv.Tx) error {
		return tx.Scan(plain, nil, nil, 0, func(k, _ []byte) error {
			tx.Put(plain, []byte("b"), nil)
			return nil
		})
	})
	want(t, "Update", err, errScanning)
	same(t, "b", read(s, "b"), "absent")
}

func TestCorruptNamesNoKey(t *testing.T) {
	err := corrupt(fmt.Sprintf("misplaced bucket header: %x -> %x", "secret", "other"))
	same(t, "text", err, "database is damaged: misplaced bucket")
}
