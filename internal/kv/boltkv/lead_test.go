package boltkv

import (
	"context"
	"io"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/snibdb/snib/internal/kv"
)

// TestAnOperationThatMayWaitDoesNotLead: where the application may hold the writer's
// lock, an operation is left to the writer, and its context is honoured.
func TestAnOperationThatMayWaitDoesNotLead(t *testing.T) {
	attached, err := Attach(openBolt(t), options())
	must(t, err)
	defer attached.Close()
	viewed, updated := newStoreIn(t, options()), newStoreIn(t, options())
	must(t, viewed.View(ctx, func(r kv.Reader) error { Bolt(r); return nil }))
	must(t, updated.Update(ctx, func(tx kv.Tx) error { Bolt(tx); return nil }))
	for name, s := range map[string]*Store{"attached": attached, "viewed": viewed, "updated": updated} {
		btx, err := s.db.Begin(true)
		must(t, err)
		short, cancel := context.WithTimeout(ctx, time.Millisecond)
		want(t, name, s.Apply(short, putting("k", "v")), context.DeadlineExceeded)
		cancel()
		must(t, btx.Rollback())
	}
}

// TestLeaderEndsItsGoroutine: nothing of its operation is written, and who has
// come meanwhile is served.
func TestLeaderEndsItsGoroutine(t *testing.T) {
	s := newStoreIn(t, options())
	second := make(chan error, 1)
	var group sync.WaitGroup
	group.Go(func() {
		err := s.Apply(ctx, func(tx kv.Tx) error {
			go func() { second <- s.Apply(ctx, putting("b", "2")) }()
			queued(t, s, 1)
			must(t, tx.Put(plain, []byte("a"), []byte("1")))
			runtime.Goexit()
			return nil
		})
		t.Errorf("Apply returned %v", err)
	})
	group.Wait()
	must(t, <-second)
	must(t, s.Apply(ctx, putting("c", "3")))
	same(t, "stored", read(s, "a")+read(s, "b")+read(s, "c"), "absent23")
}

// TestLendingWaitsForWhoLeads: who was let lead never meets a lock of the
// application's, which gets the handle only when bbolt's lock is taken; and not
// later, as the commit may have to wait for the end of its closure.
func TestLendingWaitsForWhoLeads(t *testing.T) {
	s := newStoreIn(t, options())
	lent := make(chan bool)
	m := newMember(apply, func(tx kv.Tx) error {
		select {
		case <-lent:
		case <-time.After(atMost):
			t.Error("the handle is not lent before the commit")
		}
		return tx.Put(plain, []byte("k"), []byte("v"))
	})
	rested(s)
	lead, err := s.enqueue(m)
	must(t, err)
	if !lead {
		t.Fatal("a lone operation does not lead")
	}
	var led atomic.Bool
	go func() {
		defer close(lent)
		err := s.View(ctx, func(r kv.Reader) error {
			Bolt(r)
			if !led.Load() {
				t.Error("the handle is lent while somebody is about to take bbolt's lock")
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}()
	time.Sleep(20 * time.Millisecond) // for Bolt to be wrong in
	led.Store(true)
	s.lead(m)
	must(t, (<-m.answer).give())
	same(t, "stored", read(s, "k"), "v")
}

// TestLendingAfterWhoCouldNotBegin does not wait.
func TestLendingAfterWhoCouldNotBegin(t *testing.T) {
	s := newStoreIn(t, options())
	lent, failed := make(chan bool), make(chan error, 1)
	go s.View(ctx, func(r kv.Reader) error {
		s.db.at().high.Store(1 << 40) // so that the file looks cut
		go func() { failed <- s.Apply(ctx, putting("k", "v")) }()
		want(t, "Apply", <-failed, kv.ErrCorrupt)
		Bolt(r)
		close(lent)
		return nil
	})
	select {
	case <-lent:
	case <-time.After(atMost):
		t.Fatal("Bolt does not return")
	}
}

// TestCopiesLendNothing: after a backup, a lone operation still leads.
func TestCopiesLendNothing(t *testing.T) {
	s := newStoreIn(t, options())
	must(t, s.Backup(ctx, io.Discard, nil))
	must(t, s.CompactTo(ctx, filepath.Join(t.TempDir(), "copy"), false, nil))
	if s.lent.Load() {
		t.Error("a copy counts as having given the handle away")
	}
}

// TestGoexitBeforeAFailingRollback: an operation that ended its goroutine has
// its answer, and another one would block that goroutine for ever.
func TestGoexitBeforeAFailingRollback(t *testing.T) {
	s, path := damagedStore(t)
	m, _, err := metaOf(t, path)
	must(t, err)
	overwrite(t, path, int64(m.free)*m.pageSize+8, 0x77)
	ended := make(chan bool)
	go func() {
		defer close(ended)
		s.Apply(ctx, func(tx kv.Tx) error {
			must(t, tx.Put(plain, []byte("k"), nil))
			runtime.Goexit()
			return nil
		})
	}()
	select {
	case <-ended:
	case <-time.After(atMost):
		t.Fatal("the goroutine does not end")
	}
	want(t, "after it", s.Apply(ctx, putting("k", "v")), kv.ErrClosed)
}
