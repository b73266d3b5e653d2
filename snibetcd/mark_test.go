package snibetcd

import (
	"errors"
	"testing"

	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/kv/remote"
)

// TestResolve: a commit that has happened stays so, and one that has not never
// will, also if it was on its way and other commits follow.
func TestResolve(t *testing.T) {
	e, err := Open(connect(t), &Options{Prefix: "/resolve/"})
	if err != nil {
		t.Fatal(err)
	}
	s, err := e.Open(t.Context(), kv.Setup{Spaces: []kv.SpaceSpec{{Name: "a"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	b := s.(*store).b
	commit := func(m remote.Mark) error {
		in, err := b.Begin(t.Context(), remote.Write)
		if err != nil {
			t.Fatal(err)
		}
		defer in.Rollback()
		return in.Commit(t.Context(), []remote.Change{{Key: []byte("k"), Value: []byte{byte(m.N)}}}, m)
	}
	resolve := func(m remote.Mark, want bool) {
		t.Helper()
		for range 2 {
			if got, err := b.Resolve(t.Context(), m); err != nil || got != want {
				t.Errorf("mark %d: %v, %v; want %v", m.N, got, err, want)
			}
		}
	}
	mark := func(n int64) remote.Mark { return remote.Mark{ID: "0123456789abcdef0123456789abcdef", N: n} }
	if err := commit(mark(1)); err != nil {
		t.Fatal(err)
	}
	resolve(mark(1), true)
	resolve(mark(2), false)
	if err := commit(mark(2)); !errors.Is(err, remote.ErrConflict) {
		t.Errorf("a commit behind its fence: %v", err)
	}
	if err := commit(mark(3)); err != nil {
		t.Fatal(err)
	}
	if err := commit(mark(2)); !errors.Is(err, remote.ErrConflict) {
		t.Errorf("a commit behind a later one: %v", err)
	}
	resolve(mark(3), true)
}

// TestResolveWithoutTheLease: the mark of a commit goes with its lease, as of a
// program that was stopped for long. Without it the commit is not said to have failed.
func TestResolveWithoutTheLease(t *testing.T) {
	e, err := Open(connect(t), &Options{Prefix: "/expired/"})
	if err != nil {
		t.Fatal(err)
	}
	s, err := e.Open(t.Context(), kv.Setup{Spaces: []kv.SpaceSpec{{Name: "a"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	b := s.(*store).b
	m := remote.Mark{ID: "0123456789abcdef0123456789abcdef", N: 1}
	in, err := b.Begin(t.Context(), remote.Write)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Rollback()
	if err := in.Commit(t.Context(), []remote.Change{{Key: []byte("k")}}, m); err != nil {
		t.Fatal(err)
	}
	lease, err := b.markLease(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.c.Revoke(t.Context(), lease); err != nil {
		t.Fatal(err)
	}
	if happened, err := b.Resolve(t.Context(), m); err == nil {
		t.Errorf("happened: %v", happened)
	}
}
