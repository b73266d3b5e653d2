package snibpg_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/kv/remote"
	"github.com/snibdb/snib/snibpg"
)

// claimer makes sessions, and commits.
type claimer struct {
	*testing.T
	b    remote.Backend
	mark int64
}

func (c *claimer) begin() remote.Session {
	c.Helper()
	in, err := c.b.Begin(ctx, remote.Write)
	must(c, err)
	return in
}

// read reads a key, which it claims first.
func (c *claimer) read(in remote.Session, key string, claim bool) error {
	refs := []kv.Ref{{Key: []byte(key)}}
	if claim {
		in.(remote.Claimer).Claim(refs)
	}
	v, err := in.Get(ctx, refs)
	if err == nil && v[0].OK {
		c.Errorf("%s is there: %q", key, v[0].Bytes)
	}
	return err
}

func (c *claimer) commit(in remote.Session, changes ...remote.Change) error {
	defer in.Rollback()
	c.mark++
	return in.Commit(ctx, changes, remote.Mark{ID: fmt.Sprintf("%032x", c.mark), N: 1})
}

func change(key string) remote.Change { return remote.Change{Key: []byte(key), Value: []byte("v")} }

func claims(t *testing.T) *claimer {
	s := store(t, schema(t), false, []kv.SpaceSpec{{Name: "a"}, {Name: "b"}})
	return &claimer{T: t, b: snibpg.BackendOf(s)}
}

// TestClaimsOfDifferentKeys: three that claim different keys of one page are not in
// each other's way, in any order of their commits. Those that only read them are,
// or the test would show nothing.
func TestClaimsOfDifferentKeys(t *testing.T) {
	for _, claim := range []bool{true, false} {
		c := claims(t)
		keys := []string{"1", "2", "3"}
		var list []remote.Session
		for _, key := range keys {
			in := c.begin()
			must(t, c.read(in, key, claim))
			list = append(list, in)
		}
		lost := 0
		for i := len(list) - 1; i >= 0; i-- {
			switch err := c.commit(list[i], change(keys[i])); {
			case errors.Is(err, remote.ErrConflict):
				lost++
			case err != nil:
				t.Error(err)
			}
		}
		if claim != (lost == 0) {
			t.Errorf("claim %v: %d have lost", claim, lost)
		}
	}
}

// TestClaimsOfOneKey: the second waits. It is refused if the first has put the key,
// and has it otherwise.
func TestClaimsOfOneKey(t *testing.T) {
	for _, put := range []bool{true, false} {
		c := claims(t)
		one, two := c.begin(), c.begin()
		must(t, c.read(one, "k", true))
		got := make(chan error, 1)
		go func() { got <- c.read(two, "k", true) }()
		select {
		case err := <-got:
			t.Errorf("put %v: the second has not waited: %v", put, err)
		case <-time.After(100 * time.Millisecond):
		}
		if put {
			must(t, c.commit(one, change("k")))
		} else {
			one.Rollback()
		}
		err := <-got
		if put && !errors.Is(err, remote.ErrConflict) || !put && err != nil {
			t.Errorf("put %v: %v", put, err)
		}
		if err == nil {
			must(t, c.commit(two, change("k")))
		} else {
			two.Rollback()
		}
	}
}

// TestAClaimIsSerialisable: a key that was put and removed by others, since the
// snapshot, is free; but what else they have changed was read too early.
func TestAClaimIsSerialisable(t *testing.T) {
	c := claims(t)
	late := c.begin()
	must(t, c.read(late, "x", false))

	put := c.begin()
	must(t, c.read(put, "k", true))
	must(t, c.commit(put, change("k")))
	remove := c.begin()
	must(t, c.commit(remove, remote.Change{Key: []byte("k"), Delete: true}, change("x")))

	err := c.read(late, "k", true)
	if err == nil {
		err = c.commit(late, change("k"))
	} else {
		late.Rollback()
	}
	if !errors.Is(err, remote.ErrConflict) {
		t.Errorf("got %v, want a conflict", err)
	}
}

// TestAClaimThatWasNotPut was a read: it does not let another put the key
// unnoticed.
func TestAClaimThatWasNotPut(t *testing.T) {
	c := claims(t)
	one, two := c.begin(), c.begin()
	must(t, c.read(two, "y", false))
	must(t, c.read(one, "k", true))
	must(t, c.commit(one, change("y")))
	after := c.begin()
	must(t, c.read(after, "k", false)) // no row was left
	after.Rollback()
	if err := c.commit(two, change("k")); !errors.Is(err, remote.ErrConflict) {
		t.Errorf("got %v, want a conflict", err)
	}
}
