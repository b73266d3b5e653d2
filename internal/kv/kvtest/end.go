package kvtest

import (
	"errors"
	"sync"
	"testing"

	"github.com/snibdb/snib/internal/kv"
)

// release checks the effect of a deferred Release on panics.
func release(t *testing.T, open Open) {
	s := fresh(t, open)
	put(t, s, plain, "k", "v")
	read := func(fail any) (caught any, err error) {
		defer func() { caught = recover() }()
		p, err := s.Pin(ctx)
		if err != nil {
			return nil, err
		}
		defer func() { err = p.Release(recover()) }()
		same(t, "pinned", get(t, p, plain, "k"), "v")
		if fail != nil {
			panic(fail)
		}
		return nil, nil
	}
	if caught, err := read(nil); err != nil || caught != nil {
		t.Errorf("got %v, recovered %v", err, caught)
	}
	bug := errors.New("a bug")
	if caught, err := read(bug); err != nil || caught != bug {
		t.Errorf("got %v, recovered %v, want the panic to go on", err, caught)
	}
	p, err := s.Pin(ctx)
	must(t, err)
	p.Release(nil)
	p.Release(nil) // does nothing
	put(t, s, plain, "k", "w")
	must(t, s.Close()) // nothing is open
}

func useAfterEnd(t *testing.T, open Open) {
	s := fresh(t, open)
	put(t, s, plain, "k", "v")
	var reader kv.Reader
	var txs []kv.Tx
	must(t, s.View(ctx, func(r kv.Reader) error { reader = r; return nil }))
	for _, write := range writers(s) {
		must(t, write(ctx, func(tx kv.Tx) error { txs = append(txs, tx); return tx.Put(plain, []byte("k"), nil) }))
		write(ctx, func(tx kv.Tx) error { txs = append(txs, tx); return errors.New("undo") })
	}
	pinned, err := s.Pin(ctx)
	must(t, err)
	pinned.Release(nil)
	readers := []kv.Reader{reader, pinned}
	for _, tx := range txs {
		readers = append(readers, tx)
		want(t, "Put", tx.Put(plain, []byte("late"), nil), kv.ErrTxClosed)
		want(t, "Delete", tx.Delete(plain, []byte("k")), kv.ErrTxClosed)
		_, err := tx.DeleteRange(plain, nil, nil)
		want(t, "DeleteRange", err, kv.ErrTxClosed)
	}
	for _, r := range readers {
		_, _, err := r.Get(plain, []byte("k"))
		want(t, "Get", err, kv.ErrTxClosed)
		err = r.Scan(plain, nil, nil, 0, func(_, _ []byte) error { t.Error("visited"); return nil })
		want(t, "Scan", err, kv.ErrTxClosed)
		never := func(int, []byte, bool) error { t.Error("visited"); return nil }
		want(t, "GetMany", r.GetMany([]kv.Ref{{Space: plain, Key: []byte("k")}}, never), kv.ErrTxClosed)
		want(t, "GetMany of nothing", r.GetMany(nil, never), kv.ErrTxClosed)
	}
	same(t, "content", dump(t, s, plain), `"k"="" `)
}

// refusesAll checks that every call but Close says why the store is closed.
func refusesAll(t *testing.T, s kv.Store) {
	t.Helper()
	for name, write := range writers(s) {
		want(t, name, write(ctx, func(kv.Tx) error { t.Errorf("%s ran", name); return nil }), kv.ErrClosed)
	}
	want(t, "View", s.View(ctx, func(kv.Reader) error { t.Error("View ran"); return nil }), kv.ErrClosed)
	_, err := s.Pin(ctx)
	want(t, "Pin", err, kv.ErrClosed)
	must(t, s.Close())
}

func closeStore(t *testing.T, open Open) {
	s := fresh(t, open)
	put(t, s, plain, "k", "v")
	parallel(8, func(int) {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	refusesAll(t, s)
}

// closeWaits closes while a View, an Update and a Pin are open.
func closeWaits(t *testing.T, open Open) {
	s := fresh(t, open)
	put(t, s, plain, "k", "v")
	began, shut := make(chan bool, 4), make(chan bool)
	var group sync.WaitGroup
	check := func(err error) {
		if err != nil {
			t.Error(err)
		}
	}
	group.Go(func() {
		check(s.View(ctx, func(r kv.Reader) error {
			began <- true
			<-shut
			same(t, "view", get(t, r, plain, "k"), "v")
			return nil
		}))
	})
	group.Go(func() {
		p, err := s.Pin(ctx)
		check(err)
		began <- true
		<-shut
		same(t, "pin", get(t, p, plain, "k"), "v")
		p.Release(nil)
	})
	group.Go(func() {
		check(s.Update(ctx, func(tx kv.Tx) error {
			began <- true
			<-shut
			return tx.Put(plain, []byte("last"), nil)
		}))
	})
	for range 3 {
		<-began
	}
	closed := make(chan error, 1)
	go func() { closed <- s.Close() }()
	for { // until Close has begun
		p, err := s.Pin(ctx)
		if err != nil {
			want(t, "Pin while closing", err, kv.ErrClosed)
			break
		}
		p.Release(nil)
	}
	select {
	case err := <-closed:
		t.Errorf("Close did not wait: %v", err)
	default:
	}
	close(shut)
	group.Wait()
	must(t, <-closed)
	refusesAll(t, s)
}

// closeWhileWriting: each write is either refused or there.
func closeWhileWriting(t *testing.T, open Open) {
	dir := t.TempDir()
	s := open(t, dir, specs, false)
	stored := make([]bool, 200)
	var group sync.WaitGroup
	for i := range stored {
		group.Go(func() {
			write := s.Apply
			if i%2 == 0 {
				write = s.Update
			}
			err := write(ctx, func(tx kv.Tx) error { return tx.Put(plain, key(i), nil) })
			if stored[i] = err == nil; !stored[i] {
				want(t, "write", err, kv.ErrClosed)
			}
		})
	}
	must(t, s.Close())
	group.Wait()
	s = open(t, dir, specs, false)
	must(t, s.View(ctx, func(r kv.Reader) error {
		for i, ok := range stored {
			if got := get(t, r, plain, string(key(i))); (got == "") != ok {
				t.Errorf("%d: stored %q, acknowledged %v", i, got, ok)
			}
		}
		return nil
	}))
}
