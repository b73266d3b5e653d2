package boltkv

import (
	"errors"
	"runtime"
	"testing"

	"github.com/snibdb/snib/internal/kv"
	bolt "go.etcd.io/bbolt"
)

func nothing(kv.Reader) error { return nil }

// begunBy returns how many transactions bbolt began during n calls.
func begunBy(t *testing.T, s *Store, n int, call func() error) int {
	t.Helper()
	before := s.db.Stats().TxN
	for range n {
		must(t, call())
	}
	return s.db.Stats().TxN - before
}

// TestViewTakesTheTransactionOfThePool, which a View before it or a Pin has left.
func TestViewTakesTheTransactionOfThePool(t *testing.T) {
	s := keeping(t)
	put(t, s, "k", "v")
	for name, call := range map[string]func() error{
		"Views":          func() error { return s.View(ctx, nothing) },
		"Views and Pins": func() error { return errors.Join(s.View(ctx, nothing), onSnapshot(s, nothing)) },
	} {
		n := 100
		for round := 0; n > 60 && round < 100; round++ { // the timer comes between, more often on a busy machine
			n = begunBy(t, s, 100, call)
		}
		if n > 60 {
			t.Errorf("%s: %d transactions for 100 calls", name, n)
		}
	}
}

// TestTransactionOfAViewIsNotKept where it could be stale, wrong or in another's
// hands: it ends with the View.
func TestTransactionOfAViewIsNotKept(t *testing.T) {
	for name, fn := range map[string]func(s *Store, r kv.Reader) error{
		"its time is over": func(s *Store, _ kv.Reader) error { s.pool.retire(); return nil },
		"the store ends":   func(s *Store, _ kv.Reader) error { s.poison(kv.ErrUnknown); return nil },
		"Bolt gave it away": func(_ *Store, r kv.Reader) error {
			Bolt(r)
			return nil
		},
		"the closure ended it": func(_ *Store, r kv.Reader) error {
			btx, _ := Bolt(r)
			return btx.Rollback()
		},
		"a panic":  func(*Store, kv.Reader) error { panic("own") },
		"a Goexit": func(*Store, kv.Reader) error { runtime.Goexit(); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			s := keeping(t)
			put(t, s, "k", "v")
			var btx *bolt.Tx
			ended := make(chan any)
			go func() {
				defer func() { ended <- recover() }()
				s.View(ctx, func(r kv.Reader) error {
					btx = r.(*viewReader).btx
					return fn(s, r)
				})
			}()
			if p := <-ended; (p == "own") != (name == "a panic") {
				t.Errorf("recovered %v", p)
			}
			if btx.DB() != nil {
				t.Error("the transaction is open")
			}
			same(t, "transactions of the pool", s.pool.open.Load(), 0)
			same(t, "readers", s.Stats().OpenReaders, 0)
			same(t, "in a closure", s.nest.Empty(), true)
		})
	}
}

// TestTransactionOfAViewFindsItsPlaceTaken: by a Pin that came meanwhile. One of
// the two ends.
func TestTransactionOfAViewFindsItsPlaceTaken(t *testing.T) {
	s := keeping(t)
	put(t, s, "k", "v")
	var mine *bolt.Tx
	must(t, s.View(ctx, func(r kv.Reader) error {
		mine = r.(*viewReader).btx
		for i := range s.pool.slots {
			p := &s.pool.slots[i]
			p.mu.Lock()
			must(t, p.refill())
			p.mu.Unlock()
		}
		return nil
	}))
	if mine.DB() != nil {
		t.Error("the transaction is open")
	}
}

// TestViewDoesNotWaitForItsPlace: its holder may wait until the View has ended.
func TestViewDoesNotWaitForItsPlace(t *testing.T) {
	s := keeping(t)
	put(t, s, "k", "v")
	for i := range s.pool.slots {
		p := &s.pool.slots[i]
		defer func() { p.unlock() }()
	}
	must(t, s.View(ctx, func(kv.Reader) error {
		for i := range s.pool.slots {
			s.pool.slots[i].mu.Lock()
		}
		return nil
	}))
	same(t, "transactions of the pool", s.pool.open.Load(), 0)
}

// TestClosureEndsTheTransactionOfItsView: it learns of it at its next read, and the
// caller of View too.
func TestClosureEndsTheTransactionOfItsView(t *testing.T) {
	both(t, func(t *testing.T, s *Store) {
		put(t, s, "k", "v")
		verdict := errors.New("verdict")
		for _, returned := range []error{nil, verdict} {
			err := s.View(ctx, func(r kv.Reader) error {
				btx, _ := Bolt(r)
				must(t, btx.Rollback())
				_, _, err := r.Get(plain, []byte("k"))
				want(t, "Get", err, kv.ErrTxClosed)
				err = r.Scan(plain, nil, nil, 0, func(_, _ []byte) error { t.Error("visited"); return nil })
				want(t, "Scan", err, kv.ErrTxClosed)
				if btx, ok := Bolt(r); ok || btx != nil {
					t.Error("Bolt gives it again")
				}
				return returned
			})
			if returned == nil {
				returned = kv.ErrTxClosed
			}
			want(t, "View", err, returned)
		}
		same(t, "k", read(s, "k"), "v")
	})
}

// TestExtendAfterAView: the spaces are those of the new list at once.
func TestExtendAfterAView(t *testing.T) {
	s := keeping(t)
	must(t, s.View(ctx, nothing))
	s.Extend(append(options().Spaces, kv.SpaceSpec{Name: "more"}))
	must(t, s.View(ctx, func(r kv.Reader) error {
		_, ok, err := r.Get(2, []byte("k"))
		same(t, "found", ok, false)
		return err
	}))
}

// TestViewAllocations: one, of the Reader, which must say ErrTxClosed for ever.
func TestViewAllocations(t *testing.T) {
	s := keeping(t)
	put(t, s, "k", "v")
	key := []byte("k")
	n := testing.AllocsPerRun(2000, func() {
		if err := s.View(ctx, func(r kv.Reader) error { _, _, err := r.Get(plain, key); return err }); err != nil {
			t.Fatal(err)
		}
	})
	if n != 1 {
		t.Errorf("%v allocations, want 1", n)
	}
}
