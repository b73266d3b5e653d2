package users

import (
	"errors"
	"slices"
	"testing"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/fold"
	"github.com/snibdb/snib/internal/records"
	"github.com/snibdb/snib/internal/testrecords"
)

type store func(fn func(tx *records.Tx) error) error

// add makes a user with an address, whose name is the id.
func (s store) add(t *testing.T, name string, verified bool, roles ...string) {
	t.Helper()
	if err := s(func(tx *records.Tx) error {
		x := named(t, tx, name, verified)
		return Add(tx, &codec.User{ID: name, CreatedAt: tx.Now, Identities: []codec.Identity{x}, Roles: roles})
	}); err != nil {
		t.Fatal(err)
	}
}

func named(t *testing.T, tx *records.Tx, name string, verified bool) codec.Identity {
	t.Helper()
	x, err := Identity(tx.File, tx.Declared, "email", name+"@example.com", tx.Now)
	if err != nil {
		t.Fatal(err)
	}
	if verified {
		x.VerifiedAt = tx.Now
	}
	return x
}

// change runs a change of a user, and returns the record of the user look.
func (s store) change(t *testing.T, id, look string, change func(tx *records.Tx, u *codec.User, c *records.Cascade) error) (u codec.User, err error) {
	t.Helper()
	err = s(func(tx *records.Tx) error {
		_, err := Update(tx, id, func(u *codec.User, c *records.Cascade) error { return change(tx, u, c) })
		if err == nil {
			u, err = tx.User(look)
		}
		return err
	})
	return u, err
}

// TestClaimTakesUnprovenIdentities: proof of an address takes it from a user without
// proof, and disables that user if it was the only one. A proven one stays.
func TestClaimTakesUnprovenIdentities(t *testing.T) {
	s := store(testrecords.Open(t))
	s.add(t, "ada", false)
	s.add(t, "eve", true)
	s.add(t, "bob", true)
	link := func(name string, verified bool) func(*records.Tx, *codec.User, *records.Cascade) error {
		return func(tx *records.Tx, u *codec.User, c *records.Cascade) error {
			return Link(tx, u, c, named(t, tx, name, verified))
		}
	}
	for _, c := range []struct {
		of       string
		verified bool
		want     error
	}{{"ada", false, records.ErrIdentityTaken}, {"eve", true, records.ErrIdentityTaken}, {"ada", true, nil}} {
		if _, err := s.change(t, "bob", "bob", link(c.of, c.verified)); !errors.Is(err, c.want) {
			t.Errorf("bob links that of %s, proven %t: %v, want %v", c.of, c.verified, err, c.want)
		}
	}
	ada, err := s.change(t, "bob", "ada", func(*records.Tx, *codec.User, *records.Cascade) error { return nil })
	if err != nil || len(ada.Identities) != 0 || ada.DisabledReason != claimed {
		t.Errorf("%+v, %v", ada, err)
	}
}

// TestClaimLeavesTheLastHolderEnabled: a claim cannot shut out the last administrator.
func TestClaimLeavesTheLastHolderEnabled(t *testing.T) {
	s := store(testrecords.Open(t))
	s.add(t, "ada", false, "admin")
	s.add(t, "bob", true)
	ada, err := s.change(t, "bob", "ada", func(tx *records.Tx, u *codec.User, c *records.Cascade) error {
		return Link(tx, u, c, named(t, tx, "ada", true))
	})
	if err != nil || len(ada.Identities) != 0 || ada.DisabledAt != 0 {
		t.Errorf("%+v, %v", ada, err)
	}
}

func TestMoveReplacesTheOneOfTheProvider(t *testing.T) {
	s := store(testrecords.Open(t))
	s.add(t, "ada", true)
	before := uint64(0)
	var old codec.Identity
	ada, err := s.change(t, "ada", "ada", func(tx *records.Tx, u *codec.User, c *records.Cascade) (err error) {
		before = u.CredentialVersion
		old, err = Move(tx, u, c, named(t, tx, "countess", false))
		return err
	})
	if err != nil || old.Key != "ada@example.com" || len(ada.Identities) != 1 || ada.Identities[0].Key != "countess@example.com" || ada.CredentialVersion != before+1 {
		t.Errorf("%+v, old %+v, %v", ada, old, err)
	}
	two := codec.User{Identities: []codec.Identity{{Provider: "email"}, {Provider: "email"}, {Provider: "github"}}}
	for provider, want := range map[string]string{"email": fold.Ambiguous, "github": "", "username": fold.Ambiguous} {
		if at, fault := Replaced(&two, provider); fault.Code != want || want == "" && at != 2 {
			t.Errorf("%s: %d, %v", provider, at, fault)
		}
	}
}

func TestUnlinkKeepsTheLast(t *testing.T) {
	s := store(testrecords.Open(t))
	s.add(t, "ada", true)
	_, err := s.change(t, "ada", "ada", func(tx *records.Tx, u *codec.User, c *records.Cascade) error {
		return Unlink(tx, u, c, u.Identities[0])
	})
	if e, ok := errors.AsType[*testrecords.InputError](err); !ok || e.Field != "Identifier" {
		t.Errorf("%v", err)
	}
}

// TestMayLose: a protected role keeps an enabled holder.
func TestMayLose(t *testing.T) {
	s := store(testrecords.Open(t))
	s.add(t, "ada", true, "admin")
	disable := func(tx *records.Tx, u *codec.User, c *records.Cascade) error { return Disable(tx, u, c, "") }
	withdraw := func(tx *records.Tx, u *codec.User, c *records.Cascade) error { return Withdraw(tx, u, c, "admin") }
	for name, change := range map[string]func(*records.Tx, *codec.User, *records.Cascade) error{"disable": disable, "withdraw": withdraw} {
		if _, err := s.change(t, "ada", "ada", change); !errors.Is(err, records.ErrLastHolder) {
			t.Errorf("%s: %v", name, err)
		}
	}
	s.add(t, "bob", true)
	if _, err := s.change(t, "bob", "bob", func(_ *records.Tx, u *codec.User, c *records.Cascade) error { return Grant(u, c, "admin") }); err != nil {
		t.Fatal(err)
	}
	if ada, err := s.change(t, "ada", "ada", disable); err != nil || ada.DisabledAt == 0 {
		t.Errorf("%+v, %v", ada, err)
	}
	if _, err := s.change(t, "bob", "bob", withdraw); !errors.Is(err, records.ErrLastHolder) {
		t.Errorf("ada is disabled, bob: %v", err)
	}
}

// TestUpdateOfNothingWritesNothing: a change without effect gets neither a commit nor
// its events.
func TestUpdateOfNothingWritesNothing(t *testing.T) {
	s := store(testrecords.Open(t))
	s.add(t, "ada", true, "editor")
	err := s(func(tx *records.Tx) error {
		before, err := tx.User("ada")
		if err != nil {
			return err
		}
		u, err := Update(tx, "ada", func(_ *codec.User, c *records.Cascade) error {
			c.Note(records.EventUserEnabled, records.About{})
			return nil
		})
		if tx.Written || u.CredentialVersion != before.CredentialVersion || !slices.Equal(u.Roles, before.Roles) {
			t.Errorf("written %t, %+v", tx.Written, u)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
