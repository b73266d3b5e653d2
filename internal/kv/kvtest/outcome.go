package kvtest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"

	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/kv/faultkv"
)

func closureError(t *testing.T, open Open) {
	s := fresh(t, open)
	own := fmt.Errorf("verdict %d", 1)
	for name, write := range writers(s) {
		for _, when := range []string{"before", "after"} {
			got := write(ctx, func(tx kv.Tx) error {
				if when == "after" {
					if err := tx.Put(plain, []byte(name), nil); err != nil {
						return err
					}
				}
				return own
			})
			if got != own {
				t.Errorf("%s: got %v, want the very error", name, got)
			}
		}
	}
	if got := s.View(ctx, func(kv.Reader) error { return own }); got != own {
		t.Errorf("View: got %v, want the very error", got)
	}
	same(t, "content", dump(t, s, plain), "")
}

func visitError(t *testing.T, open Open) {
	s := fresh(t, open)
	for i := range 5 {
		put(t, s, plain, string(key(i)), "")
	}
	own := errors.New("enough")
	scan := func(r kv.Reader) error {
		n := 0
		err := r.Scan(plain, nil, nil, 0, func(_, _ []byte) error {
			if n++; n == 3 {
				return own
			}
			return nil
		})
		if err != own || n != 3 {
			t.Errorf("scan: %d visits, got %v, want the very error", n, err)
		}
		return nil
	}
	must(t, s.View(ctx, scan))
	must(t, s.Update(ctx, func(tx kv.Tx) error {
		must(t, scan(tx))
		return tx.Put(plain, []byte("after"), nil) // it dooms nothing
	}))
	must(t, s.View(ctx, func(r kv.Reader) error {
		same(t, "written after", get(t, r, plain, "after"), "")
		return nil
	}))
}

func runTwice(t *testing.T, open Open) {
	s := open(t, t.TempDir(), specs, true)
	for name, write := range writers(s) {
		runs := 0
		var ids []string
		must(t, write(ctx, func(tx kv.Tx) error {
			runs++
			ids = nil // outputs begin afresh
			id := fmt.Sprintf("%s-%d", name, runs)
			ids = append(ids, id)
			n := 0
			if v, ok, err := tx.Get(plain, []byte("n")); err != nil {
				return err
			} else if ok {
				fmt.Sscan(string(v), &n)
			}
			if err := tx.Put(plain, []byte("n"), fmt.Append(nil, n+1)); err != nil {
				return err
			}
			return tx.Put(other, []byte(id), nil)
		}))
		text := dump(t, s, other)
		same(t, name, text, fmt.Sprintf("%q=%q ", ids[0], ""))
		must(t, s.Update(ctx, func(tx kv.Tx) error { return tx.Delete(other, []byte(ids[0])) }))
		t.Logf("%s: %d runs", name, runs)
	}
	same(t, "three operations", dump(t, s, plain), `"n"="3" `)

	// The result of the first run is void as well, if there is a second.
	runs := 0
	own := errors.New("last run")
	err := s.Update(ctx, func(tx kv.Tx) error { runs++; return fmt.Errorf("%w %d", own, runs) })
	if want := fmt.Sprintf("last run %d", runs); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// doomed makes each operation of a transaction fail in turn: five, and the
// commit. If closures are run twice, a failure in the first run is void.
func doomed(t *testing.T, open Open) {
	for name := range writers(fresh(t, open)) {
		errs := 0
		for n, failed := int64(0), true; failed; n++ {
			inner := fresh(t, open)
			put(t, inner, plain, "b", "old")
			s := faultkv.Wrap(inner, faultkv.Faults{Fail: n, Overwrite: true})
			err := writers(s)[name](ctx, func(tx kv.Tx) error { stubborn(tx); return nil })
			content := `"a"="1" `
			if failed = s.Failed(); failed && err != nil {
				want(t, name, err, faultkv.ErrInjected)
				errs++
				content = `"b"="old" `
			} else {
				must(t, err)
			}
			same(t, fmt.Sprintf("%s, operation %d", name, n), dump(t, inner, plain), content)
		}
		if errs < 6 { // more where the last run was not the first
			t.Errorf("%s met %d failures, want 6 at least", name, errs)
		}
	}
}

// stubborn ignores every error.
func stubborn(tx kv.Tx) {
	tx.Get(plain, []byte("a"))
	tx.Put(plain, []byte("a"), []byte("1"))
	tx.Scan(plain, nil, nil, 0, func(_, _ []byte) error { return nil })
	tx.Delete(plain, []byte("b"))
	tx.DeleteRange(plain, []byte("c"), nil)
}

func durable(t *testing.T, open Open) {
	dir := t.TempDir()
	s := open(t, dir, specs, false)
	for i := range 100 {
		put(t, s, ascending, string(key(i)), "v")
	}
	before := dump(t, s, ascending)
	must(t, s.Close())
	s = open(t, dir, specs, false)
	same(t, "after reopening", dump(t, s, ascending), before)
	put(t, s, ascending, "more", "v")
}

func contextBefore(t *testing.T, open Open) {
	s := fresh(t, open)
	ended, cancel := context.WithCancel(ctx)
	cancel()
	for name, write := range writers(s) {
		want(t, name, write(ended, func(kv.Tx) error { t.Errorf("%s ran", name); return nil }), context.Canceled)
	}
	want(t, "View", s.View(ended, func(kv.Reader) error { t.Error("View ran"); return nil }), context.Canceled)
	_, err := s.Pin(ended)
	want(t, "Pin", err, context.Canceled)
	put(t, s, plain, "still", "served")
}

func contextWhileWaiting(t *testing.T, open Open) {
	s := fresh(t, open)
	for name, write := range writers(s) {
		letGo := hold(t, s)
		waiting, cancel := context.WithCancel(ctx)
		ended := make(chan error)
		go func() {
			ended <- write(waiting, func(tx kv.Tx) error {
				t.Errorf("%s ran", name)
				return tx.Put(plain, []byte("withdrawn"), nil)
			})
		}()
		cancel()
		want(t, name, <-ended, context.Canceled) // while the writer is held
		letGo()
	}
	put(t, s, other, "k", "")
	same(t, "content", dump(t, s, plain), "")
}

// contextWhileWriting ends the context of a write at any moment: it has happened
// or not, and its caller knows.
func contextWhileWriting(t *testing.T, open Open) {
	s := fresh(t, open)
	for name, write := range writers(s) {
		for i := range 20 {
			letGo := hold(t, s)
			ending, cancel := context.WithCancel(ctx)
			ended := make(chan error)
			go func() {
				ended <- write(ending, func(tx kv.Tx) error { return tx.Put(plain, []byte("k"), nil) })
			}()
			for range i {
				runtime.Gosched()
			}
			cancel()
			letGo()
			err := <-ended
			content := `"k"="" `
			if err != nil {
				want(t, name, err, context.Canceled)
				content = ""
			}
			same(t, name, dump(t, s, plain), content)
			must(t, s.Apply(ctx, func(tx kv.Tx) error { return tx.Delete(plain, []byte("k")) }))
		}
	}
}

func nested(t *testing.T, open Open) {
	s := fresh(t, open)
	nothing := func(kv.Tx) error { t.Error("inner closure ran"); return nil }
	inner := map[string]func() error{
		"Update":    func() error { return s.Update(ctx, nothing) },
		"Apply":     func() error { return s.Apply(ctx, nothing) },
		"Exclusive": func() error { return s.Exclusive(ctx, nothing) },
		"View":      func() error { return s.View(ctx, func(kv.Reader) error { return nothing(nil) }) },
		"Pin": func() error {
			p, err := s.Pin(ctx)
			if err == nil {
				p.Release(nil)
			}
			return err
		},
		"Close": s.Close,
	}
	outer := map[string]func(func()) error{
		"View":      func(fn func()) error { return s.View(ctx, func(kv.Reader) error { fn(); return nil }) },
		"Update":    func(fn func()) error { return s.Update(ctx, func(kv.Tx) error { fn(); return nil }) },
		"Exclusive": func(fn func()) error { return s.Exclusive(ctx, func(kv.Tx) error { fn(); return nil }) },
	}
	for o, begin := range outer {
		for i, call := range inner {
			must(t, begin(func() { want(t, i+" in "+o, call(), kv.ErrNested) }))
		}
	}
	put(t, s, plain, "still", "served")
	for _, begin := range outer { // one after the other is not nested
		must(t, begin(func() {}))
	}
}

func otherGoroutine(t *testing.T, open Open) {
	s := fresh(t, open)
	put(t, s, plain, "k", "old")
	done := make(chan string, 2) // the closure may run more than once
	must(t, s.Update(ctx, func(tx kv.Tx) error {
		go func() { // of another goroutine, that is no nesting
			var v string
			err := s.View(ctx, func(r kv.Reader) error { v = get(t, r, plain, "k"); return nil })
			done <- fmt.Sprint(v, err)
		}()
		same(t, "read meanwhile", <-done, "old<nil>")
		return tx.Put(plain, []byte("k"), []byte("new"))
	}))
	waited := make(chan error, 1)
	must(t, s.View(ctx, func(r kv.Reader) error {
		same(t, "a first read", get(t, r, plain, "k"), "new")
		go func() {
			waited <- s.Apply(ctx, func(tx kv.Tx) error { return tx.Put(plain, []byte("k"), []byte("newer")) })
		}()
		same(t, "a snapshot", get(t, r, plain, "k"), "new")
		return nil
	}))
	must(t, <-waited)
	same(t, "at last", dump(t, s, plain), `"k"="newer" `)
}
