package boltkv

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/kv/faultkv"
	"github.com/snibdb/snib/internal/kv/kvtest"
	bolt "go.etcd.io/bbolt"
)

var ctx = context.Background()

// options are those of the tests' own stores: two spaces.
func options() Options {
	return Options{
		Bucket: "snib",
		Spaces: []kv.SpaceSpec{{Name: "plain"}, {Name: "ascending", Ascending: true}},
		// A machine that is busy beyond measure makes no member give up.
		BusyTimeout: 2 * atMost,
	}
}

// atMost is how long a test waits before it calls something hung.
const atMost = 2 * time.Minute

const (
	plain     kv.Space = 0
	ascending kv.Space = 1
)

// checked closes s, if it is open, and has bbolt check the file when the test
// has ended.
func checked(tb testing.TB, s *Store, path string) *Store {
	tb.Helper()
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Errorf("close: %v", err)
		}
		check(tb, path)
	})
	return s
}

func check(tb testing.TB, path string) {
	tb.Helper()
	db, err := bolt.Open(path, 0o600, nil)
	if err != nil {
		tb.Fatalf("open to check: %v", err)
	}
	defer db.Close()
	must(tb, db.View(func(btx *bolt.Tx) error {
		for err := range btx.Check() {
			tb.Errorf("check: %v", err)
		}
		return nil
	}))
}

// openAt opens a store that is checked in the end.
func openAt(tb testing.TB, path string, o Options) *Store {
	tb.Helper()
	s, err := Open(path, o)
	if err != nil {
		tb.Fatal(err)
	}
	return checked(tb, s, path)
}

func newStoreIn(tb testing.TB, o Options) *Store {
	tb.Helper()
	return openAt(tb, filepath.Join(tb.TempDir(), "db"), o)
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func want(tb testing.TB, what string, got, want error) {
	tb.Helper()
	if !errors.Is(got, want) {
		tb.Errorf("%s: got error %v, want %v", what, got, want)
	}
}

func put(tb testing.TB, s *Store, k, v string) {
	tb.Helper()
	must(tb, s.Apply(ctx, putting(k, v)))
}

func putting(k, v string) func(kv.Tx) error {
	return func(tx kv.Tx) error { return tx.Put(plain, []byte(k), []byte(v)) }
}

// read returns a value as text, or the error.
func read(s *Store, k string) (text string) {
	err := s.View(ctx, func(r kv.Reader) error {
		v, ok, err := r.Get(plain, []byte(k))
		if text = string(v); !ok {
			text = "absent"
		}
		return err
	})
	if err != nil {
		return err.Error()
	}
	return text
}

func same(tb testing.TB, what string, got, want any) {
	tb.Helper()
	if g, w := fmt.Sprint(got), fmt.Sprint(want); g != w {
		tb.Errorf("%s: got %s, want %s", what, g, w)
	}
}

// queued waits until n members wait for the writer.
func queued(tb testing.TB, s *Store, n int) {
	tb.Helper()
	for end := time.Now().Add(atMost); s.waiting() != n; runtime.Gosched() {
		if time.Now().After(end) {
			tb.Errorf("%d members wait, want %d", s.waiting(), n)
			return
		}
	}
}

// hold has an application keep bbolt's writer lock, until it rolls back or the
// test ends.
func hold(tb testing.TB, s *Store) *bolt.Tx {
	tb.Helper()
	s.lent.Store(true) // as it is when an application can do this
	btx, err := s.db.Begin(true)
	must(tb, err)
	tb.Cleanup(func() { btx.Rollback() }) // Close would wait for it
	return btx
}

func TestContract(t *testing.T) {
	open := func(twice, sync bool) kvtest.Open {
		return func(tb testing.TB, dir string, spaces []kv.SpaceSpec, ask bool) kv.Store {
			return openAt(tb, filepath.Join(dir, "db"), Options{Bucket: "snib", Spaces: spaces, Twice: twice || ask, InsecureNoSync: !sync, BusyTimeout: atMost})
		}
	}
	attach := func(tb testing.TB, dir string, spaces []kv.SpaceSpec, twice bool) kv.Store {
		path := filepath.Join(dir, "db")
		// With a small map a writer waits for open readers.
		db, err := bolt.Open(path, 0o600, &bolt.Options{InitialMmapSize: affordable(mapSize(0), 0), NoSync: true})
		must(tb, err)
		s, err := Attach(db, Options{Bucket: "snib", Spaces: spaces, Twice: twice, InsecureNoSync: true, BusyTimeout: atMost})
		must(tb, err)
		tb.Cleanup(func() { check(tb, path) })
		tb.Cleanup(func() { must(tb, errors.Join(s.Close(), db.Close())) })
		return attached{s, db}
	}
	faulty := func(tb testing.TB, dir string, spaces []kv.SpaceSpec, twice bool) kv.Store {
		return faultkv.Wrap(open(false, false)(tb, dir, spaces, twice), faultkv.Faults{Fail: faultkv.Never, Overwrite: true})
	}
	t.Run("Plain", func(t *testing.T) { kvtest.Run(t, open(false, true)) })
	t.Run("Twice", func(t *testing.T) { kvtest.Run(t, open(true, false)) })
	t.Run("Attach", func(t *testing.T) { kvtest.Run(t, attach) })
	t.Run("Faulty", func(t *testing.T) { kvtest.Run(t, faulty) })
}

// attached also closes the handle, as the application would, so that a test
// can open the file again.
type attached struct {
	*Store
	db *bolt.DB
}

func (a attached) Close() error {
	err := a.Store.Close()
	if err == nil {
		err = a.db.Close()
	}
	return err
}

// onSnapshot runs look on a snapshot.
func onSnapshot(s *Store, look func(kv.Reader) error) error {
	p, err := s.Pin(ctx)
	if err != nil {
		return err
	}
	return errors.Join(look(p), p.Release(nil))
}
