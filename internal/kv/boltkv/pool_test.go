package boltkv

import (
	"encoding/binary"
	"fmt"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/snibdb/snib/internal/kv"
	bolt "go.etcd.io/bbolt"
)

// kept reports whether a Pin has left its transaction in the pool.
func kept(t *testing.T, s *Store) bool {
	t.Helper()
	p, err := s.Pin(ctx)
	must(t, err)
	p.Release(nil)
	return s.pool.open.Load() > 0
}

// pinned reads a number through the pool; 0 if it is not there.
func pinned(s *Store, key string) (n uint64, err error) {
	p, err := s.Pin(ctx)
	if err != nil {
		return 0, err
	}
	defer func() { err = p.Release(recover()) }()
	v, ok, err := p.Get(plain, []byte(key))
	if ok {
		n = binary.BigEndian.Uint64(v)
	}
	return n, err
}

// viewed is pinned for a View.
func viewed(s *Store, key string) (n uint64, err error) {
	err = s.View(ctx, func(r kv.Reader) error {
		v, ok, err := r.Get(plain, []byte(key))
		if ok {
			n = binary.BigEndian.Uint64(v)
		}
		return err
	})
	return n, err
}

func number(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

// smallMap is a handle whose map must move as soon as the file grows.
func smallMap(t *testing.T) *bolt.DB {
	t.Helper()
	path := filepath.Join(t.TempDir(), "app")
	db, err := bolt.Open(path, 0o600, &bolt.Options{NoSync: true})
	must(t, err)
	t.Cleanup(func() { check(t, path) })
	t.Cleanup(func() { db.Close() })
	return db
}

func insecure() Options {
	o := options()
	o.InsecureNoSync = true
	return o
}

// commits are the ways in which something may be committed to a handle.
func commits(t *testing.T, db *bolt.DB, s, second *Store) map[string]func(n uint64) error {
	t.Helper()
	write := func(btx *bolt.Tx, n uint64) error {
		filler := btx.Bucket([]byte("snib")).Bucket([]byte("ascending"))
		if err := filler.Put(number(n), make([]byte, 2000)); err != nil { // it grows
			return err
		}
		return btx.Bucket([]byte("snib")).Bucket([]byte("plain")).Put([]byte("n"), number(n))
	}
	put := func(n uint64) func(kv.Tx) error {
		return func(tx kv.Tx) error { return tx.Put(plain, []byte("n"), number(n)) }
	}
	return map[string]func(n uint64) error{
		"the writer":       func(n uint64) error { return s.Apply(ctx, put(n)) },
		"a closure":        func(n uint64) error { return s.Update(ctx, put(n)) },
		"a second store":   func(n uint64) error { return second.Apply(ctx, put(n)) },
		"the application":  func(n uint64) error { return db.Update(func(btx *bolt.Tx) error { return write(btx, n) }) },
		"a joined closure": func(n uint64) error { return inJoined(db, s, put(n)) },
	}
}

func inJoined(db *bolt.DB, s *Store, fn func(kv.Tx) error) error {
	return db.Update(func(btx *bolt.Tx) error {
		tx, err := s.Join(btx)
		if err != nil {
			return err
		}
		return fn(tx)
	})
}

// TestPinSeesEveryCommit: whoever commits, a Pin and a View that begin after it was
// acknowledged see it, in every goroutine, while the file grows and the map
// moves.
func TestPinSeesEveryCommit(t *testing.T) {
	db := smallMap(t)
	s, second := attach(t, db, insecure()), attach(t, db, insecure())
	must(t, s.Update(ctx, func(tx kv.Tx) error { return tx.Put(ascending, []byte("x"), nil) }))
	must(t, s.Update(ctx, func(tx kv.Tx) error { return tx.Put(plain, []byte("n"), number(0)) }))
	var acked, reads atomic.Uint64
	var readers sync.WaitGroup
	stop := make(chan struct{})
	for range 6 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				least := acked.Load()
				if n, err := pinned(s, "n"); err != nil || n < least {
					t.Errorf("got %d after %d was acknowledged, error %v", n, least, err)
					return
				}
				if n, err := viewed(s, "n"); err != nil || n < least {
					t.Errorf("View: got %d after %d was acknowledged, error %v", n, least, err)
					return
				}
				reads.Add(1)
				runtime.Gosched() // let writers have a turn
			}
		})
	}
	ways := commits(t, db, s, second)
	n := uint64(0)
	for round := range 25 {
		for name, commit := range ways {
			n++
			if err := commit(n); err != nil {
				t.Fatalf("round %d, %s: %v", round, name, err)
			}
			acked.Store(n)
			if got, err := pinned(s, "n"); err != nil || got != n {
				t.Fatalf("round %d: %s committed %d, a Pin sees %d, %v", round, name, n, got, err)
			}
			if got, err := viewed(s, "n"); err != nil || got != n {
				t.Fatalf("round %d: %s committed %d, a View sees %d, %v", round, name, n, got, err)
			}
		}
	}
	close(stop)
	readers.Wait()
	t.Logf("%d commits, %d concurrent reads", n, reads.Load())
}

// keeping returns a store whose pool keeps transactions, where the system allows
// it.
func keeping(t *testing.T) *Store {
	t.Helper()
	s := newStoreIn(t, options())
	if !s.pool.keep {
		t.Skip("this system keeps none")
	}
	return s
}

// TestPinKeepsItsTransaction, and not for long: an idle program has none open,
// no timer and no goroutine.
func TestPinKeepsItsTransaction(t *testing.T) {
	s := keeping(t)
	put(t, s, "k", "v")
	for end := time.Now().Add(atMost); !kept(t, s); { // once in a while the timer comes between
		if time.Now().After(end) {
			t.Fatal("nothing was kept")
		}
	}
	n := 100
	for round := 0; n > 60 && round < 100; round++ { // some fall to the timer, and more where the machine has other work
		begun := s.db.Stats().TxN
		for range 100 {
			p, err := s.Pin(ctx)
			must(t, err)
			p.Release(nil)
		}
		n = s.db.Stats().TxN - begun
	}
	if n > 60 {
		t.Errorf("%d transactions for 100 reads", n)
	}
	for late := time.Now().Add(atMost); s.db.Stats().OpenTxN > 0 || s.pool.open.Load() > 0 || s.pool.armed.Load(); runtime.Gosched() {
		if time.Now().After(late) {
			t.Fatalf("%d transactions still open, timer runs: %v", s.db.Stats().OpenTxN, s.pool.armed.Load())
		}
	}
}

// TestTimerRunsWhileReadersBegin: no reader has to arm it but the first.
func TestTimerRunsWhileReadersBegin(t *testing.T) {
	s := keeping(t)
	put(t, s, "k", "v")
	pin := func() {
		p, err := s.Pin(ctx)
		must(t, err)
		must(t, p.Release(nil))
	}
	for late := time.Now().Add(atMost); s.pool.armed.Load() && time.Now().Before(late); runtime.Gosched() {
	}
	s.pool.timer = time.AfterFunc(time.Hour, func() {}) // from now on the test is the timer
	defer s.pool.timer.Stop()
	tick := s.pool.tick
	pin()
	for range 3 {
		if tick(); !s.pool.armed.Load() {
			t.Fatal("it rests although a reader has begun")
		}
		for s.pool.open.Load() > 0 { // the transaction ends all the same
			runtime.Gosched()
		}
		pin()
	}
	tick()
	if tick(); s.pool.armed.Load() {
		t.Error("it runs although nobody has begun")
	}
}

// TestIdlePoolHoldsNobodyUp: a commit that must move the map, and the closing
// of the application's handle, wait for the pool only as long as it keeps.
func TestIdlePoolHoldsNobodyUp(t *testing.T) {
	for name, act := range map[string]func(db *bolt.DB) error{
		"growth": func(db *bolt.DB) error {
			return db.Update(func(btx *bolt.Tx) error {
				b, err := btx.CreateBucketIfNotExists([]byte("app"))
				if err != nil {
					return err
				}
				return b.Put([]byte("k"), make([]byte, 1<<20))
			})
		},
		"close": (*bolt.DB).Close,
	} {
		t.Run(name, func(t *testing.T) {
			db := smallMap(t)
			s, err := Attach(db, insecure())
			must(t, err)
			put(t, s, "k", "v")
			kept(t, s)
			done := make(chan error, 1)
			go func() { done <- act(db) }()
			select {
			case err := <-done:
				must(t, err)
			case <-time.After(atMost):
				t.Fatal("it hangs")
			}
			must(t, s.Close())
		})
	}
}

// TestPinWithoutPool: where none may be kept, a transaction ends when it is
// released.
func TestPinWithoutPool(t *testing.T) {
	s := newStoreIn(t, options())
	s.pool.keep = false
	put(t, s, "k", "v")
	if kept(t, s) {
		t.Error("one was kept")
	}
	if got, err := pinned(s, "none"); got != 0 || err != nil {
		t.Error(got, err)
	}
}

// TestPoisonEmptiesThePool, and refuses what comes.
func TestPoisonEmptiesThePool(t *testing.T) {
	s := newStoreIn(t, options())
	put(t, s, "k", "v")
	kept(t, s)
	s.poison(kv.ErrUnknown)
	_, err := s.Pin(ctx)
	want(t, "Pin", err, kv.ErrClosed)
	must(t, s.Close()) // it waits for the pool
	same(t, "open", s.pool.open.Load(), 0)
}

// TestPinAfterAFault begins anew: what the snapshot found may be wrong.
func TestPinAfterAFault(t *testing.T) {
	s := newStoreIn(t, options())
	put(t, s, "k", "v")
	p, err := s.Pin(ctx)
	must(t, err)
	before := p.(*slot)
	func() {
		defer func() { recover() }()
		defer func() { p.Release(recover()) }()
		panic("own")
	}()
	if before.held != nil {
		t.Error("the transaction was kept")
	}
	same(t, "k", read(s, "k"), "v")
}

// TestPinAllocatesNothing while the transaction is kept.
func TestPinAllocations(t *testing.T) {
	s := keeping(t)
	for i := range 100 { // more than fits into the page above
		put(t, s, fmt.Sprint("key ", i), "a value of some length")
	}
	key := []byte("key 50")
	n := testing.AllocsPerRun(2000, func() {
		p, err := s.Pin(ctx)
		must(t, err)
		if _, ok, err := p.Get(plain, key); !ok || err != nil {
			t.Fatal(ok, err)
		}
		p.Release(nil)
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// After a fault inside bbolt, what ends a kept transaction may wait for ever,
// with its slot locked. Who comes later is told why nothing can be read.
func TestPinIsRefusedWhenNoSlotComesBack(t *testing.T) {
	s, err := Attach(smallMap(t), insecure())
	must(t, err)
	for i := range s.pool.slots {
		s.pool.slots[i].mu.Lock()
	}
	s.gate.Shut(kv.ErrClosed)
	done := make(chan error, 1)
	go func() {
		_, err := s.Pin(ctx)
		done <- err
	}()
	select {
	case err := <-done:
		want(t, "pin", err, kv.ErrClosed)
	case <-time.After(atMost):
		t.Error("it waits for a slot")
	}
	for i := range s.pool.slots {
		s.pool.slots[i].mu.Unlock()
	}
	must(t, s.Close())
}
