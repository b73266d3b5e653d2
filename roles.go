package snib

import (
	"context"
	"crypto/hmac"
	"iter"
	"slices"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/fold"
	"github.com/snibdb/snib/internal/records"
	"github.com/snibdb/snib/internal/ticket"
	"github.com/snibdb/snib/internal/users"
)

// Roles grants, withdraws and lists roles. Transactions: see [Tx].
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

// Grant gives a user a role, and returns the updated user; a role that is there
// already is no error. ErrUserNotFound; ErrTooMany for a 17th; ErrInvalidInput
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
	return tx.updateUser(user, func(u *codec.User, c *records.Cascade) error { return users.Grant(u, c, role) })
}

// Withdraw takes a role from a user, and returns the updated user; a role that
// is not there is no error. ErrUserNotFound; ErrLastHolder, as a
// [LastHolderError], for a protected role of its last enabled holder;
// ErrInvalidInput (Role).
func (r Roles) Withdraw(ctx context.Context, user UserID, role string) (User, error) {
	return result(ctx, "withdraw role", r.at.update, func(tx *Tx) (User, error) {
		if !fold.Name(role) {
			return User{}, malformedRole()
		}
		return tx.updateUser(user, func(u *codec.User, c *records.Cascade) error { return users.Withdraw(&tx.rec, u, c, role) })
	})
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

// ClaimToken returns the text for which Claim grants a protected role without a
// holder. It is for the terminal on which the program starts: the reader of that
// becomes the first administrator. It is the same until this DB is closed,
// another DB has another, and nothing of it is in the file. ErrRoleHeld;
// ErrInvalidInput (Role) unless the role is protected.
func (r Roles) ClaimToken(ctx context.Context, role string) (Token, error) {
	return result(ctx, "make claim token", r.at.view, func(tx *Tx) (Token, error) {
		if err := tx.claimable(role); err != nil {
			return Token{}, err
		}
		return Token{newSecret(tx.claimText(role))}, nil
	})
}

// Claim grants a protected role without a holder to the user of whom proof is
// given, for the text of [Roles.ClaimToken]. Of many at once, one gets it: the
// commit decides. A second factor is not asked for here: it is at the log-in.
//
// ErrInvalidOneTimeToken; ErrRoleHeld; ErrTooMany; the errors of [Proof];
// ErrInvalidInput (Role).
func (r Roles) Claim(ctx context.Context, proof Proof, role, token string) (User, error) {
	return result(ctx, "claim role", r.at.updateIfNeeded, func(tx *Tx) (User, error) {
		// Before any look-up: a stranger does not learn whether there is an
		// administrator.
		if !hmac.Equal([]byte(token), []byte(tx.claimText(role))) {
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

// claimable returns ErrRoleHeld if a user has the role, disabled or not.
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
// process, so it needs no record; on a store of several programs, from their key.
func (tx *Tx) claimText(role string) string { return ticket.Claim(&tx.rec, tx.textKey(), role) }
