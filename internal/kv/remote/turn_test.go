package remote_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/kv/remote"
)

// modes records with which mode each session begins.
func modes(f *fake, fail func(step string, mode remote.Mode) error) func() []remote.Mode {
	var mu sync.Mutex
	var list []remote.Mode
	f.fault = func(step string, mode remote.Mode) error {
		mu.Lock()
		defer mu.Unlock()
		if step == "begin" {
			list = append(list, mode)
		}
		return fail(step, mode)
	}
	return func() []remote.Mode { mu.Lock(); defer mu.Unlock(); return list }
}

func put(tx kv.Tx) error { return tx.Put(0, []byte("k"), nil) }

// TestALoserRunsAlone: a writer that has lost four times is let alone; one that
// could not reach the server is not, as that would stop the others.
func TestALoserRunsAlone(t *testing.T) {
	f := &fake{server: newServer()}
	begun := modes(f, func(step string, mode remote.Mode) error {
		if step == "commit" && mode == remote.Write {
			return remote.ErrConflict
		}
		return nil
	})
	s := open(t, f, remote.Options{})
	must(t, s.Apply(ctx, put))
	want := []remote.Mode{remote.Write, remote.Write, remote.Write, remote.Write, remote.Alone}
	if got := begun(); !slices.Equal(got, want) {
		t.Errorf("sessions of modes %v, want %v", got, want)
	}
	if n := s.Figures().Replays; n != 4 {
		t.Errorf("%d replays, want 4", n)
	}

	left := 9
	begun = modes(f, func(step string, _ remote.Mode) error {
		if left > 0 && step == "commit" {
			left--
			return remote.ErrUnreachable
		}
		return nil
	})
	must(t, s.Apply(ctx, put))
	if got := begun(); len(got) != 10 || slices.Contains(got, remote.Alone) {
		t.Errorf("sessions of modes %v, want ten and none alone", got)
	}
}

// TestARevocationUnderLoad: writers that change one key without a pause do not
// keep another from its commit.
func TestARevocationUnderLoad(t *testing.T) {
	f := &fake{server: newServer()}
	s := open(t, f, remote.Options{})
	stop := make(chan bool)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := s.Apply(ctx, func(tx kv.Tx) error { return add(tx, "hot") }); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 50 {
		runs := 0
		must(t, s.Apply(ctx, func(tx kv.Tx) error {
			runs++
			return add(tx, "hot")
		}))
		if runs > 5 {
			t.Errorf("%d runs, want 5 at most", runs)
		}
	}
	close(stop)
	group.Wait()
}

// TestWritersTakeTurns: no more run at once than the server was given, and one
// that waits for its turn gives up with its context and its timeout.
func TestWritersTakeTurns(t *testing.T) {
	for name, timeout := range map[string]time.Duration{"by its timeout": 20 * time.Millisecond, "with its context": 5 * time.Minute} {
		t.Run(name, func(t *testing.T) { writersTakeTurns(t, timeout) })
	}
}

// admitted repeats a call with a short BusyTimeout until that is long enough.
func admitted(call func() error) error {
	for {
		if err := call(); !errors.Is(err, kv.ErrBusy) {
			return err
		}
	}
}

func writersTakeTurns(t *testing.T, timeout time.Duration) {
	f := &fake{server: newServer()}
	s := open(t, f, remote.Options{Writers: 2, BusyTimeout: timeout})
	letGo := make(chan bool)
	var began, group sync.WaitGroup
	began.Add(2)
	for range 2 {
		group.Go(func() {
			if err := admitted(func() error {
				return s.Update(ctx, func(kv.Tx) error { began.Done(); <-letGo; return nil })
			}); err != nil {
				t.Error(err)
			}
		})
	}
	began.Wait()
	// A wait that heeds neither would end with the two, after which the third runs.
	safety := time.AfterFunc(time.Minute, func() { close(letGo) })
	never := func(kv.Tx) error { t.Error("a third ran"); return nil }
	waiting, want := ctx, kv.ErrBusy
	if timeout > time.Second {
		ended, cancel := context.WithCancel(ctx)
		time.AfterFunc(time.Millisecond, cancel)
		waiting, want = ended, context.Canceled
	}
	for side, write := range map[string]func(context.Context, func(kv.Tx) error) error{"Apply": s.Apply, "Update": s.Update} {
		if err := write(waiting, never); !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", side, err, want)
		}
	}
	read := false // readers do not wait
	must(t, admitted(func() error { return s.View(ctx, func(kv.Reader) error { read = true; return nil }) }))
	if !read {
		t.Error("nothing was read")
	}
	if safety.Stop() {
		close(letGo)
	}
	group.Wait()
	must(t, admitted(func() error { return s.Apply(ctx, put) }))
}

// TestAWriteThatHasBegunIsNotAbandoned: its context may end while it runs.
func TestAWriteThatHasBegunIsNotAbandoned(t *testing.T) {
	f := &fake{server: newServer()}
	s := open(t, f, remote.Options{})
	ended, cancel := context.WithCancel(ctx)
	must(t, s.Apply(ended, func(tx kv.Tx) error { cancel(); return add(tx, "k") }))
	if f.data[place{0, "k"}] != "1" {
		t.Error("it was acknowledged and is not there")
	}
}

// TestReadsBeginAnew: a snapshot whose first read fails begins anew by itself,
// one that had been read tells its caller, and a View runs again.
func TestReadsBeginAnew(t *testing.T) {
	f := &fake{server: newServer()}
	f.data[place{0, "k"}] = "v"
	fails := map[int]bool{}
	n := 0
	f.fault = func(step string, _ remote.Mode) error {
		if step != "get" {
			return nil
		}
		if n++; fails[n] {
			return remote.ErrUnreachable
		}
		return nil
	}
	s := open(t, f, remote.Options{})
	read := func(r kv.Reader, key string) error { _, _, err := r.Get(0, []byte(key)); return err }

	fails[1], fails[2] = true, true
	p, err := s.Pin(ctx)
	must(t, err)
	must(t, read(p, "k"))
	fails[4] = true
	for range 2 {
		if err := read(p, "other"); !errors.Is(err, kv.ErrAgain) {
			t.Errorf("second read: %v, want ErrAgain, and again", err)
		}
	}
	must(t, p.Release(nil))
	fails[6] = true
	runs := 0
	must(t, s.View(ctx, func(r kv.Reader) error {
		runs++
		if err := read(r, "k"); err != nil {
			return err
		}
		read(r, "other") // its error is not forgotten
		return nil
	}))
	if runs != 2 {
		t.Errorf("%d runs of the View, want 2", runs)
	}
}

// TestTrips pins what travels.
func TestTrips(t *testing.T) {
	f := &fake{server: newServer()}
	s := open(t, f, remote.Options{})
	ref := func(key string) kv.Ref { return kv.Ref{Key: []byte(key)} }
	ignore := func(_, _ []byte) error { return nil }
	none := func(int, []byte, bool) error { return nil }
	for _, test := range []struct {
		name string
		want int64
		op   func(tx kv.Tx) error
	}{
		{"nothing", 0, func(kv.Tx) error { return nil }},
		{"two reads", 2, func(tx kv.Tx) error {
			tx.Get(0, []byte("a"))
			tx.Get(0, []byte("a"))
			_, _, err := tx.Get(0, []byte("b"))
			return err
		}},
		{"many", 1, func(tx kv.Tx) error { return tx.GetMany([]kv.Ref{ref("a"), ref("b"), ref("a")}, none) }},
		{"none of many", 0, func(tx kv.Tx) error { return tx.GetMany([]kv.Ref{ref("")}, none) }},
		{"wanted", 1, func(tx kv.Tx) error {
			tx.(kv.Wanter).Want([]kv.Ref{ref("a"), ref("b")})
			tx.Get(0, []byte("c"))
			return tx.GetMany([]kv.Ref{ref("a"), ref("b")}, none)
		}},
		{"only wanted", 0, func(tx kv.Tx) error { tx.(kv.Wanter).Want([]kv.Ref{ref("a")}); return nil }},
		{"wanted range", 1, func(tx kv.Tx) error {
			tx.(kv.Wanter).Want([]kv.Ref{ref("c")})
			tx.(kv.ScanWanter).WantScan(0, []byte("a"), []byte("b"), 0)
			tx.(kv.ScanWanter).WantScan(1, nil, nil, 0)
			tx.Get(0, []byte("x"))
			tx.Get(0, []byte("c"))
			tx.Get(0, []byte("a1"))
			tx.Scan(1, []byte("m"), nil, 3, ignore)
			return tx.Scan(0, []byte("a"), []byte("b"), 0, ignore)
		}},
		{"wanted range first", 1, func(tx kv.Tx) error {
			tx.(kv.Wanter).Want([]kv.Ref{ref("c")})
			tx.(kv.ScanWanter).WantScan(1, nil, nil, 0)
			tx.Scan(0, []byte("a"), []byte("b"), 0, ignore)
			tx.Get(0, []byte("c"))
			return tx.Scan(1, nil, nil, 0, ignore)
		}},
		{"scan", 1, func(tx kv.Tx) error { return tx.Scan(0, nil, nil, 0, ignore) }},
		{"empty range", 0, func(tx kv.Tx) error { return tx.Scan(0, []byte("b"), []byte("b"), 0, ignore) }},
		{"blind write", 1, put},
		{"own write", 1, func(tx kv.Tx) error { put(tx); _, _, err := tx.Get(0, []byte("k")); return err }},
		{"read and write", 2, func(tx kv.Tx) error { return add(tx, "n") }},
		{"range and write", 2, func(tx kv.Tx) error { _, err := tx.DeleteRange(0, nil, nil); return err }},
	} {
		before := f.Trips()
		must(t, s.Apply(ctx, test.op))
		if got := f.Trips() - before; got != test.want {
			t.Errorf("%s: %d trips, want %d", test.name, got, test.want)
		}
	}
}

// TestPages: a scan of many pages, under own writes, sees each key once.
func TestPages(t *testing.T) {
	f := &fake{server: newServer()}
	s := open(t, f, remote.Options{Page: 10})
	name := func(i int) []byte { return fmt.Appendf(nil, "%04d", i) }
	for i := range 100 {
		f.data[place{0, string(name(i * 2))}] = "stored"
	}
	undo := errors.New("undo")
	for _, limit := range []int{0, 1, 9, 10, 11, 55, 150, 151} {
		if err := s.Exclusive(ctx, func(tx kv.Tx) error {
			want := []string{}
			for i := range 200 {
				switch there := i%2 == 0; {
				case i%4 == 0:
					must(t, tx.Delete(0, name(i)))
				case i%4 == 1:
					must(t, tx.Put(0, name(i), nil))
					want = append(want, string(name(i)))
				case there:
					want = append(want, string(name(i)))
				}
			}
			if limit > 0 {
				want = want[:min(limit, len(want))]
			}
			got := []string{}
			must(t, tx.Scan(0, nil, nil, limit, func(k, _ []byte) error { got = append(got, string(k)); return nil }))
			if !slices.Equal(got, want) {
				t.Errorf("limit %d: %v, want %v", limit, got, want)
			}
			return undo
		}); err != undo {
			t.Error(err)
		}
	}
}
