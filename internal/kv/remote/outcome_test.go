package remote_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/kv/remote"
	"github.com/snibdb/snib/internal/testseed"
)

var ctx = context.Background()

// open returns a store on f, closed after the test.
func open(t *testing.T, f *fake, o remote.Options) *remote.Store {
	t.Helper()
	s := remote.New(f, o)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// add adds one to the number at a key.
func add(tx kv.Tx, key string) error {
	v, _, err := tx.Get(0, []byte(key))
	if err != nil {
		return err
	}
	n, _ := strconv.Atoi(string(v))
	return tx.Put(0, []byte(key), []byte(strconv.Itoa(n+1)))
}

// TestLostAnswersAreSettled: a commit whose answer was lost is neither forgotten
// nor repeated, whenever it happens.
func TestLostAnswersAreSettled(t *testing.T) {
	seed := testseed.Of(t)
	f := &fake{server: newServer(), fault: hostile(seed, 3, "begin", "get", "commit", "resolve")}
	s := open(t, f, remote.Options{BusyTimeout: time.Minute})
	const goroutines, each = 8, 60
	var group sync.WaitGroup
	for range goroutines {
		group.Go(func() {
			for range each {
				if err := s.Apply(ctx, func(tx kv.Tx) error { return add(tx, "n") }); err != nil {
					t.Error(err)
				}
				f.deliver()
			}
		})
	}
	group.Wait()
	f.deliver()
	if got := f.data[place{0, "n"}]; got != strconv.Itoa(goroutines*each) {
		t.Errorf("counted %s, want %d", got, goroutines*each)
	}
	if len(f.marks) > goroutines {
		t.Errorf("%d marks of %d writers", len(f.marks), goroutines)
	}
}

// TestALateCommitIsFencedOff: what was reported as not written is not written
// later.
func TestALateCommitIsFencedOff(t *testing.T) {
	once := []error{errLate}
	f := &fake{server: newServer()}
	f.fault = func(step string, _ remote.Mode) error {
		if step != "commit" || len(once) == 0 {
			return nil
		}
		err := once[0]
		once = nil
		return err
	}
	s := open(t, f, remote.Options{})
	runs := 0
	verdict := errors.New("not now")
	err := s.Apply(ctx, func(tx kv.Tx) error {
		if runs++; runs == 2 {
			return verdict
		}
		return tx.Put(0, []byte("k"), nil)
	})
	if f.deliver(); err != verdict || len(f.data) != 0 {
		t.Errorf("got %v, and %d keys, want the verdict of the second run and none", err, len(f.data))
	}
}

// TestUnknown: only an outcome that could not be learned is ErrUnknown, and the
// store goes on, with other marks.
func TestUnknown(t *testing.T) {
	away := true
	f := &fake{server: newServer()}
	f.fault = func(step string, _ remote.Mode) error {
		switch {
		case away && step == "commit":
			return errLate
		case away && step == "resolve":
			return errors.New("not reached")
		}
		return nil
	}
	s := open(t, f, remote.Options{SettleTimeout: 20 * time.Millisecond})
	write := func() error {
		return s.Apply(ctx, func(tx kv.Tx) error { return tx.Put(0, []byte("k"), nil) })
	}
	if err := write(); !errors.Is(err, kv.ErrUnknown) || errors.Is(err, kv.ErrAgain) {
		t.Errorf("got %v, want ErrUnknown", err)
	}
	away = false
	f.deliver()
	must(t, write())
	if len(f.marks) != 2 {
		t.Errorf("%d marks, want one of the unknown commit and one of its successor", len(f.marks))
	}
	must(t, s.Close())
	if len(f.forgot) != 1 {
		t.Errorf("%d marks forgotten, want all but the unknown one", len(f.forgot))
	}
}

// TestErrorsHideTheirCauses: what a caller gets is one of package kv's errors and
// not also what it was before.
func TestErrorsHideTheirCauses(t *testing.T) {
	f := &fake{server: newServer(), fault: func(step string, _ remote.Mode) error {
		if step == "begin" {
			return remote.ErrUnreachable
		}
		return nil
	}}
	s := open(t, f, remote.Options{BusyTimeout: 10 * time.Millisecond})
	writes := int64(0)
	for name, call := range map[string]func() error{
		"Apply": func() error { writes++; return s.Apply(ctx, func(kv.Tx) error { return nil }) },
		"View":  func() error { return s.View(ctx, func(kv.Reader) error { return nil }) },
		"Pin":   func() error { _, err := s.Pin(ctx); return err },
	} {
		err := call()
		for range 100 { // on a busy machine the time may be over before the first attempt
			if strings.Contains(err.Error(), "no connection") {
				break
			}
			err = call()
		}
		if !errors.Is(err, kv.ErrBusy) || errors.Is(err, kv.ErrAgain) || !strings.Contains(err.Error(), "no connection") {
			t.Errorf("%s: %v, want ErrBusy alone, with the cause in words", name, err)
		}
	}
	if n := s.Figures().Busy; n != writes {
		t.Errorf("%d busy, want %d: reads do not count", n, writes)
	}
}
