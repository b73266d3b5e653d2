package kvtest

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"

	"github.com/snibdb/snib/internal/kv"
)

// One closure must not affect the others that share its commit. The tests
// gather many behind a held writer; whether an engine then commits them
// together is its own affair.

const crowd = 40

// gather runs member(i) for all i behind a held writer and returns the data
// stored then.
func gather(t *testing.T, s kv.Store, member func(i int)) {
	t.Helper()
	letGo := hold(t, s)
	var started, group sync.WaitGroup
	started.Add(crowd)
	for i := range crowd {
		group.Go(func() {
			started.Done()
			member(i)
		})
	}
	started.Wait()
	runtime.Gosched()
	letGo()
	group.Wait()
	put(t, s, other, "still", "served")
}

// expect checks that exactly the keys for which stored holds are there.
func expect(t *testing.T, s kv.Store, stored func(i int) bool) {
	t.Helper()
	text := ""
	for i := range crowd {
		if stored(i) {
			text += fmt.Sprintf("%q=%q ", key(i), "")
		}
	}
	same(t, "stored", dump(t, s, plain), text)
}

func failingMembers(t *testing.T, open Open) {
	s := fresh(t, open)
	own := make([]error, crowd)
	gather(t, s, func(i int) {
		own[i] = fmt.Errorf("verdict %d", i)
		write := s.Apply
		if i%2 == 0 {
			write = s.Update
		}
		err := write(ctx, func(tx kv.Tx) error {
			if i%5 == 0 {
				return own[i] // before writing
			}
			if err := tx.Put(plain, key(i), nil); err != nil {
				return err
			}
			if i%5 == 1 {
				return own[i] // after writing
			}
			return nil
		})
		if i%5 < 2 && err != own[i] || i%5 >= 2 && err != nil {
			t.Errorf("%d: %v", i, err)
		}
	})
	expect(t, s, func(i int) bool { return i%5 >= 2 })
}

func goexit(t *testing.T, open Open) {
	s := fresh(t, open)
	gather(t, s, func(i int) {
		err := s.Update(ctx, func(tx kv.Tx) error {
			if i%4 == 1 {
				runtime.Goexit() // as t.Fatal does
			}
			if err := tx.Put(plain, key(i), nil); err != nil {
				return err
			}
			if i%4 == 2 {
				runtime.Goexit()
			}
			return nil
		})
		if err != nil {
			t.Errorf("%d: %v", i, err)
		}
	})
	expect(t, s, func(i int) bool { return i%4 != 1 && i%4 != 2 })
	view := make(chan bool)
	go func() {
		defer close(view)
		s.View(ctx, func(kv.Reader) error { runtime.Goexit(); return nil })
	}()
	<-view
	put(t, s, other, "and", "still")
}

func panics(t *testing.T, open Open) {
	s := fresh(t, open)
	gather(t, s, func(i int) {
		var own any = fmt.Sprintf("panic %d", i)
		defer func() {
			if p := recover(); p != nil && p != own || p == nil && i%4 < 2 {
				t.Errorf("%d: recovered %v", i, p)
			}
		}()
		err := s.Update(ctx, func(tx kv.Tx) error {
			if i%4 == 0 {
				panic(own)
			}
			if err := tx.Put(plain, key(i), nil); err != nil {
				return err
			}
			if i%4 == 1 {
				panic(own)
			}
			return nil
		})
		if err != nil {
			t.Errorf("%d: %v", i, err)
		}
	})
	expect(t, s, func(i int) bool { return i%4 >= 2 })
	caught := func() (p any) {
		defer func() { p = recover() }()
		s.View(ctx, func(r kv.Reader) error {
			return r.Scan(plain, nil, nil, 0, func(_, _ []byte) error { panic("in a visit") })
		})
		return nil
	}()
	if caught != "in a visit" {
		t.Errorf("recovered %v from a visit", caught)
	}
}

// panicOfApply: an operation of the library that panics is a bug, but not a
// reason to end the program, or to hang it.
func panicOfApply(t *testing.T, open Open) {
	s := fresh(t, open)
	own := errors.New("a bug")
	gather(t, s, func(i int) {
		defer func() {
			p := recover()
			if (p != nil) != (i%4 == 0) {
				t.Errorf("%d: recovered %v", i, p)
			}
			if err, ok := p.(error); p != nil && (!ok || !errors.Is(err, own)) {
				t.Errorf("%d: recovered %v", i, p)
			}
		}()
		err := s.Apply(ctx, func(tx kv.Tx) error {
			if err := tx.Put(plain, key(i), nil); err != nil {
				return err
			}
			if i%4 == 0 {
				panic(own)
			}
			return nil
		})
		if err != nil {
			t.Errorf("%d: %v", i, err)
		}
	})
	expect(t, s, func(i int) bool { return i%4 != 0 })
}

func goexitOfApply(t *testing.T, open Open) {
	s := fresh(t, open)
	gather(t, s, func(i int) {
		err := s.Apply(ctx, func(tx kv.Tx) error {
			if err := tx.Put(plain, key(i), nil); err != nil {
				return err
			}
			if i%8 == 3 {
				runtime.Goexit()
			}
			return nil
		})
		// An engine that runs op on the caller's goroutine never comes here.
		if (err != nil) != (i%8 == 3) {
			t.Errorf("%d: %v", i, err)
		}
	})
	expect(t, s, func(i int) bool { return i%8 != 3 })
}
