package remote_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/kv/remote"
)

// joined is a session in a transaction of a program, and what was done with it.
type joined struct {
	remote.Session
	did []string
	bad string // the step that fails
}

func (j *joined) note(step string) error {
	j.did = append(j.did, step)
	if step == j.bad {
		return remote.ErrConflict
	}
	return nil
}

func (j *joined) Keep(_ context.Context, changes []remote.Change) error {
	return j.note(fmt.Sprint("keep ", len(changes)))
}

func (j *joined) Rollback() { j.note("rollback") }
func (j *joined) Commit(context.Context, []remote.Change, remote.Mark) error {
	return j.note("commit")
}

// begin returns j as it is.
func (j *joined) begin(mode remote.Mode) func(context.Context) (remote.Joined, remote.Mode, error) {
	return func(context.Context) (remote.Joined, remote.Mode, error) { return j, mode, nil }
}

// TestInside: the writes of a closure in the program's transaction are sent and kept
// if it returns nil, and undone otherwise. They are never committed here, and it never
// runs again.
func TestInside(t *testing.T) {
	s := open(t, &fake{server: newServer()}, remote.Options{})
	own := errors.New("changed my mind")
	for _, test := range []struct {
		fn   func(kv.Tx) error
		bad  string
		want error
		did  []string
	}{
		{put, "", remote.ErrJoined, []string{"keep 1", "rollback"}},
		{func(kv.Tx) error { return nil }, "", remote.ErrJoined, []string{"keep 0", "rollback"}},
		{func(w kv.Tx) error { return errors.Join(put(w), own) }, "", own, []string{"rollback"}},
		{put, "keep 1", remote.ErrConflict, []string{"keep 1", "rollback"}},
		{func(kv.Tx) error { return s.Apply(ctx, put) }, "", kv.ErrNested, []string{"rollback"}},
	} {
		in := &joined{bad: test.bad}
		runs := 0
		err := s.Inside(ctx, in.begin(remote.Write), func(w kv.Tx) error { runs++; return test.fn(w) })
		if !errors.Is(err, test.want) || runs != 1 || !slices.Equal(in.did, test.did) {
			t.Errorf("%v in %d runs, %v; want %v, %v", err, runs, in.did, test.want, test.did)
		}
	}
	never := func(kv.Tx) error { t.Error("ran"); return nil }
	in := &joined{}
	if err := s.Inside(ctx, in.begin(remote.Read), put); !errors.Is(err, kv.ErrReadOnly) {
		t.Errorf("a write in a transaction that reads: %v", err)
	}
	must(t, s.Close())
	if err := s.Inside(ctx, in.begin(remote.Write), never); !errors.Is(err, kv.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// TestHold: a goroutine in a transaction of the program joins it, and does nothing
// else with the store. Others do.
func TestHold(t *testing.T) {
	s := open(t, &fake{server: newServer()}, remote.Options{})
	leave, err := s.Hold()
	must(t, err)
	if err := s.Apply(ctx, put); !errors.Is(err, kv.ErrNested) {
		t.Errorf("a write: %v", err)
	}
	if _, err := s.Hold(); !errors.Is(err, kv.ErrNested) {
		t.Errorf("another: %v", err)
	}
	for range 2 { // the second: the first has not ended the hold
		if err := s.Inside(ctx, new(joined).begin(remote.Write), put); !errors.Is(err, remote.ErrJoined) {
			t.Errorf("joining: %v", err)
		}
	}
	if err := s.Apply(ctx, put); !errors.Is(err, kv.ErrNested) {
		t.Errorf("a write after joining: %v", err)
	}
	other := make(chan error)
	go func() { other <- s.Apply(ctx, put) }()
	must(t, <-other)
	leave()
	must(t, s.Apply(ctx, put))
	must(t, s.Update(ctx, func(w kv.Tx) error {
		err := s.Inside(ctx, new(joined).begin(remote.Write), put)
		if !errors.Is(err, kv.ErrNested) {
			t.Errorf("joining in a closure: %v", err)
		}
		return nil
	}))
}
