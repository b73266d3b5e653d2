package snib

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"iter"
	"slices"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/fold"
	"github.com/snibdb/snib/internal/records"
)

// MaxRoles bounds the roles of one user: 16.
const MaxRoles = records.MaxRoles

// RolePolicy says what roles there are. The zero value allows every name and
// protects none.
type RolePolicy struct {
	// Protected are roles that somebody must have: the last enabled user with
	// one cannot lose it, be deleted or be disabled ([LastHolderError]). At most
	// 16. [Roles.Claim] gives it to the first. A deletion of a record that is
	// damaged, Repair, imports and Restore do not ask.
	Protected []string

	// Known are all roles that can be granted, so that a misspelt one is
	// refused; nil: any. Protected ones must be among them. At most 64.
	// Withdraw takes any, and users keep roles that are no longer known.
	Known []string
}

func (p *RolePolicy) check() error {
	for field, names := range map[string][]string{"Protected": p.Protected, "Known": p.Known} {
		for _, name := range names {
			if !fold.Name(name) {
				return &InputError{Field: "Options.Roles." + field, Code: CodeMalformed, Reason: "must each be 1–32 of [a-z0-9_-]"}
			}
		}
	}
	switch {
	case len(p.Protected) > MaxRoles:
		return &InputError{Field: "Options.Roles.Protected", Code: CodeTooMany, Reason: "must be at most 16", Max: MaxRoles}
	case len(p.Known) > maxDeclared:
		return &InputError{Field: "Options.Roles.Known", Code: CodeTooMany, Reason: "must be at most 64", Max: maxDeclared}
	case p.Known != nil && slices.ContainsFunc(p.Protected, func(r string) bool { return !slices.Contains(p.Known, r) }):
		return &InputError{Field: "Options.Roles.Protected", Code: CodeNotAllowed, Reason: "must each be among Known"}
	}
	p.Protected, p.Known = slices.Clone(p.Protected), slices.Clone(p.Known)
	return nil
}

// grantable refuses a role that cannot be granted.
func (p *RolePolicy) grantable(role string) error {
	switch {
	case !fold.Name(role):
		return malformedRole()
	case p.Known != nil && !slices.Contains(p.Known, role):
		return &InputError{Field: "Role", Code: CodeNotAllowed, Reason: "is not among Options.Roles.Known"}
	}
	return nil
}

// importable refuses roles that a new user cannot have.
func (p *RolePolicy) importable(roles []string) error {
	if fault := records.RolesFault(roles); fault.Found() {
		return faulty("Roles", fault)
	}
	for _, role := range roles {
		if err := p.grantable(role); err != nil {
			return &InputError{Field: "Roles", Code: CodeNotAllowed, Reason: "has one that is not among Options.Roles.Known"}
		}
	}
	return nil
}

func malformedRole() error {
	return &InputError{Field: "Role", Code: CodeMalformed, Reason: "must be 1–32 of [a-z0-9_-]"}
}

// Roles grants, withdraws and lists roles. Those of [DB.Roles] run each method
// in a transaction of its own; those of [Tx.Roles] run it in that transaction
// and end with it.
//
// A role is a short name without meaning to the library: 1–32 of [a-z0-9_-], at
// most 16 a user. One does not imply another, and none says what it allows: that
// is the program's, or a permission engine's. [User].Roles is as of the read, so
// a withdrawn role is gone at the next request that looks the session up. A role
// is no credential: a change ends nothing.
type Roles struct{ at handle }

// Roles returns the methods on roles, a transaction each.
func (db *DB) Roles() Roles { return Roles{handle{db: db}} }

// Roles returns the methods on roles in this transaction.
func (tx *Tx) Roles() Roles { return Roles{handle{db: tx.db, tx: tx}} }

// Grant gives a user a role, and returns the updated user; one who has it
// already is no error. ErrUserNotFound; ErrTooLarge for a 17th; ErrInvalidInput
// (Role).
func (r Roles) Grant(ctx context.Context, user UserID, role string) (User, error) {
	return result(ctx, "grant role", r.at.update, func(tx *Tx) (User, error) {
		if err := tx.db.o.Roles.grantable(role); err != nil {
			return User{}, err
		}
		return tx.grant(user, role)
	})
}

func (tx *Tx) grant(user UserID, role string) (User, error) {
	return tx.updateUser(user, func(u *codec.User, _ *records.Cascade) error {
		at, has := slices.BinarySearch(u.Roles, role)
		switch {
		case has:
			return nil
		case len(u.Roles) >= MaxRoles:
			return ErrTooLarge
		}
		u.Roles = slices.Insert(slices.Clone(u.Roles), at, role)
		return nil
	})
}

// Withdraw takes a role from a user, and returns the updated user; one who does
// not have it is no error. ErrUserNotFound; ErrLastHolder, as a
// [LastHolderError], for a protected role of its last enabled holder;
// ErrInvalidInput (Role).
func (r Roles) Withdraw(ctx context.Context, user UserID, role string) (User, error) {
	return result(ctx, "withdraw role", r.at.update, func(tx *Tx) (User, error) {
		if !fold.Name(role) {
			return User{}, malformedRole()
		}
		return tx.updateUser(user, func(u *codec.User, _ *records.Cascade) error {
			if err := tx.mayLose(u, role); err != nil {
				return err
			}
			u.Roles = slices.DeleteFunc(slices.Clone(u.Roles), func(have string) bool { return have == role })
			return nil
		})
	})
}

// mayLose returns a LastHolderError if u is the last enabled user with one of
// these roles that is protected.
func (tx *Tx) mayLose(u *codec.User, roles ...string) error {
	if u.DisabledAt != 0 {
		return nil // holds none that counts
	}
	for _, role := range roles {
		if !slices.Contains(tx.db.o.Roles.Protected, role) || !slices.Contains(u.Roles, role) {
			continue
		}
		held, err := tx.rec.Held(role, u.ID, true)
		if err == nil && !held {
			err = &LastHolderError{Role: role}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// List ranges over the users with a role, in order of their ids, disabled ones
// too, with the promises of [DB.ListUsers]: in a transaction ctx is not looked
// at. The error is ErrInvalidInput (Role) for what cannot be a role.
func (r Roles) List(ctx context.Context, role string, o ListOptions) iter.Seq2[User, error] {
	if r.at.tx != nil {
		return r.at.tx.pages(o, rolePage(role))
	}
	return r.at.db.pages(ctx, "list users of a role", o, rolePage(role))
}

func rolePage(role string) page {
	return func(tx *Tx, after UserID, n int) (users []User, err error) {
		if !fold.Name(role) {
			return nil, malformedRole()
		}
		err = tx.rec.EachHolder(role, string(after), n, func(id string) error {
			u, err := tx.user(UserID(id))
			if err != nil {
				return tx.rec.Orphan(records.SpaceRoles, err)
			}
			if !slices.Contains(u.Roles, role) {
				return tx.rec.Stray(records.SpaceRoles)
			}
			users = append(users, newUser(u))
			return nil
		})
		return users, err
	}
}

// ClaimToken returns the text that lets one user take a protected role for
// himself by Claim, as long as nobody has it. It is for the terminal on which
// the program starts: who reads it is the first administrator. It is the same
// until this DB is closed, another DB has another, and nothing of it is in the
// file. ErrRoleHeld; ErrInvalidInput (Role) unless the role is protected.
func (r Roles) ClaimToken(ctx context.Context, role string) (Token, error) {
	return result(ctx, "make claim token", r.at.view, func(tx *Tx) (Token, error) {
		if err := tx.claimable(role); err != nil {
			return Token{}, err
		}
		return Token{newSecret(tx.db.claimText(role))}, nil
	})
}

// Claim gives a protected role that nobody has to the user of whom proof is
// given, for the text of [Roles.ClaimToken]. Of many at once, one gets it: the
// commit decides.
//
// ErrInvalidOneTimeToken; ErrRoleHeld; ErrTooLarge; the errors of [Proof];
// ErrInvalidInput (Role).
func (r Roles) Claim(ctx context.Context, proof Proof, role, token string) (User, error) {
	return result(ctx, "claim role", r.at.updateIfNeeded, func(tx *Tx) (User, error) {
		// Before any look-up: a stranger does not learn whether there is an
		// administrator.
		if !hmac.Equal([]byte(token), []byte(tx.db.claimText(role))) {
			return User{}, ErrInvalidOneTimeToken
		}
		if err := tx.claimable(role); err != nil {
			return User{}, err
		}
		p, err := tx.proven(proof)
		if err != nil {
			return User{}, err
		}
		return tx.grant(UserID(p.user.ID), role)
	})
}

// claimable returns ErrRoleHeld if anybody has the role, disabled or not.
func (tx *Tx) claimable(role string) error {
	if !slices.Contains(tx.db.o.Roles.Protected, role) {
		return &InputError{Field: "Role", Code: CodeNotAllowed, Reason: "is not among Options.Roles.Protected"}
	}
	held, err := tx.rec.Held(role, "", false)
	if err == nil && held {
		err = ErrRoleHeld
	}
	return err
}

// claimText is the text of a ClaimToken. It follows from a random key of the
// process, so it needs no record.
func (db *DB) claimText(role string) string {
	h := hmac.New(sha256.New, db.processKey[:])
	h.Write([]byte("snib claim\x00" + role))
	return "snclm_" + string(codec.AppendBase32(nil, h.Sum(nil)))
}
