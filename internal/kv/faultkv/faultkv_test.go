package faultkv

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"testing"

	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/kv/boltkv"
)

var ctx = context.Background()

func open(t *testing.T) kv.Store {
	t.Helper()
	s, err := boltkv.Open(filepath.Join(t.TempDir(), "db"), boltkv.Options{
		Bucket: "b", Spaces: []kv.SpaceSpec{{Name: "s"}}, InsecureNoSync: true,
	})
	must(t, err)
	t.Cleanup(func() { must(t, s.Close()) })
	must(t, s.Apply(ctx, func(tx kv.Tx) error { return tx.Put(0, []byte("key"), []byte("value")) }))
	return s
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// one names the key that is there.
var one = []kv.Ref{{Space: 0, Key: []byte("key")}}

var (
	intact = []byte("value")
	spoilt = []byte{garbage, garbage, garbage, garbage, garbage}
)

func TestOverwrite(t *testing.T) {
	s := Wrap(open(t), Faults{Fail: Never, Overwrite: true})
	var kept [][]byte
	keep := func(r kv.Reader) error {
		v, _, err := r.Get(0, []byte("key"))
		if err != nil || !bytes.Equal(v, intact) {
			t.Errorf("got %q, %v", v, err)
		}
		kept = append(kept, v)
		if err := r.GetMany(one, func(_ int, v []byte, _ bool) error { kept = append(kept, v); return nil }); err != nil {
			return err
		}
		return r.Scan(0, nil, nil, 0, func(k, v []byte) error {
			if string(k) != "key" || !bytes.Equal(v, intact) {
				t.Errorf("visited %q, %q", k, v)
			}
			kept = append(kept, v)
			return nil
		})
	}
	gone := func(when string, n int) {
		t.Helper()
		if len(kept) != n {
			t.Errorf("%s: kept %d slices, want %d", when, len(kept), n)
		}
		for _, v := range kept {
			if !bytes.Equal(v, spoilt) {
				t.Errorf("%s: %q is still readable", when, v)
			}
		}
		kept = nil
	}
	must(t, s.View(ctx, keep))
	gone("View", 3)
	for _, write := range []func(context.Context, func(kv.Tx) error) error{s.Update, s.Apply, s.Exclusive} {
		must(t, write(ctx, func(tx kv.Tx) error { return keep(tx) }))
		gone("end of a transaction", 3)
		must(t, write(ctx, func(tx kv.Tx) error {
			must := func(err error) {
				if err != nil {
					t.Error(err)
				}
			}
			must(keep(tx))
			must(tx.Put(0, []byte("key"), kept[0])) // an argument is safe
			gone("Put", 3)
			must(keep(tx))
			must(tx.Delete(0, []byte("absent")))
			gone("Delete", 3)
			must(keep(tx))
			_, err := tx.DeleteRange(0, []byte("x"), nil)
			must(err)
			gone("DeleteRange", 3)
			return nil
		}))
	}
	p, err := s.Pin(ctx)
	must(t, err)
	must(t, keep(p))
	p.Release(nil)
	gone("Release", 3)
	must(t, s.View(ctx, keep)) // what is stored was not touched
	gone("View", 3)
}

func TestFailEach(t *testing.T) {
	run := func(s *Store) error {
		err := s.View(ctx, func(r kv.Reader) error {
			_, _, err := r.Get(0, []byte("key"))
			many := r.GetMany(one, func(int, []byte, bool) error { return nil })
			return errors.Join(err, many, r.Scan(0, nil, nil, 0, func(_, _ []byte) error { return nil }))
		})
		if err != nil {
			return err
		}
		return s.Update(ctx, func(tx kv.Tx) error { return tx.Put(0, []byte("k"), nil) })
	}
	n := int64(0)
	for ; ; n++ {
		s := Wrap(open(t), Faults{Fail: n})
		err := run(s)
		if !s.Failed() {
			must(t, err)
			break
		}
		if !errors.Is(err, ErrInjected) {
			t.Errorf("operation %d: got %v", n, err)
		}
	}
	if n != 5 { // Get, GetMany, Scan, Put, commit
		t.Errorf("%d operations, want 5", n)
	}
	s := Wrap(open(t), Faults{Fail: Never})
	must(t, run(s))
	if s.Ops() != 5 || s.Failed() {
		t.Errorf("%d operations, failed %v", s.Ops(), s.Failed())
	}
}

// TestReaderGoesOn: only a transaction that writes is doomed.
func TestReaderGoesOn(t *testing.T) {
	s := Wrap(open(t), Faults{Fail: 0})
	p, err := s.Pin(ctx)
	must(t, err)
	defer p.Release(nil)
	if _, _, err := p.Get(0, []byte("key")); err != ErrInjected {
		t.Errorf("got %v", err)
	}
	_, ok, err := p.Get(0, []byte("key"))
	if !ok || err != nil {
		t.Errorf("afterwards: %v, %v", ok, err)
	}
}

// TestAgain: each closure is run until nothing says again, and whatever the run
// that was told so has written or returned is void. A snapshot stays doomed.
func TestAgain(t *testing.T) {
	for n := range int64(4) { // Get, GetMany, Put, commit
		for name, write := range map[string]func(*Store) func(context.Context, func(kv.Tx) error) error{
			"Update":    func(s *Store) func(context.Context, func(kv.Tx) error) error { return s.Update },
			"Apply":     func(s *Store) func(context.Context, func(kv.Tx) error) error { return s.Apply },
			"Exclusive": func(s *Store) func(context.Context, func(kv.Tx) error) error { return s.Exclusive },
		} {
			s := Wrap(open(t), Faults{Fail: n, Again: true})
			runs := 0
			must(t, write(s)(ctx, func(tx kv.Tx) error {
				runs++
				tx.Get(0, []byte("key")) // it ignores every error
				tx.GetMany(one, func(int, []byte, bool) error { return nil })
				tx.Put(0, []byte{byte('0' + runs)}, nil)
				return nil
			}))
			text := ""
			must(t, s.View(ctx, func(r kv.Reader) error {
				return r.Scan(0, nil, []byte("k"), 0, func(k, _ []byte) error { text += string(k); return nil })
			}))
			if runs != 2 || text != "2" {
				t.Errorf("%s, operation %d: %d runs, stored %q", name, n, runs, text)
			}
		}
	}
	s := Wrap(open(t), Faults{Fail: 0, Again: true})
	runs := 0
	must(t, s.View(ctx, func(r kv.Reader) error {
		runs++
		if _, _, err := r.Get(0, []byte("key")); runs == 1 && err != kv.ErrAgain {
			t.Errorf("got %v", err)
		}
		return nil
	}))
	if runs != 2 {
		t.Errorf("View ran %d times", runs)
	}
	s = Wrap(open(t), Faults{Fail: 0, Again: true})
	p, err := s.Pin(ctx)
	must(t, err)
	defer p.Release(nil)
	for range 2 {
		if _, _, err := p.Get(0, []byte("key")); err != kv.ErrAgain {
			t.Errorf("got %v", err)
		}
	}
}

func TestUnwrap(t *testing.T) {
	s := Wrap(open(t), Faults{Fail: Never})
	must(t, s.View(ctx, func(r kv.Reader) error {
		if _, ok := boltkv.Bolt(r); !ok {
			t.Error("the bolt transaction cannot be reached")
		}
		return nil
	}))
}

func TestReleasePanics(t *testing.T) {
	s := Wrap(open(t), Faults{Fail: Never})
	own := errors.New("a bug")
	defer func() {
		if p := recover(); p != own {
			t.Errorf("recovered %v", p)
		}
	}()
	p, err := s.Pin(ctx)
	must(t, err)
	defer func() { p.Release(recover()) }()
	panic(own)
}
