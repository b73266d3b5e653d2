package snib

import (
	"context"
	"fmt"
	"time"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/clock"
	"github.com/snibdb/snib/internal/credentials"
	"github.com/snibdb/snib/internal/records"
	"github.com/snibdb/snib/internal/ticket"
	"github.com/snibdb/snib/internal/token"
)

// RefreshToken is a family of refresh tokens, one device's log-in, as it was
// when it was read. Each use of its token gives the next one and a new session.
type RefreshToken struct {
	ID        RefreshTokenID // of the family
	UserID    UserID         // whose it is
	SessionID SessionID      // the session that the last use gave

	// Token is the secret text for the bearer, and is there only when
	// CreateRefreshToken or Refresh has just made it.
	Token Token

	Methods    Methods // how the user was authenticated at the log-in
	Persistent bool    // SessionOptions.Persistent

	CreatedAt       time.Time // of the family
	AuthenticatedAt time.Time // of the log-in
	RotatedAt       time.Time // of the last use that gave new tokens
	IdleUntil       time.Time // can be used before this
	AbsoluteUntil   time.Time // IdleUntil does not go beyond this; zero: never
	Rotations       uint64    // uses so far
	Repeats         uint32    // answers given again, as far as is known; counted at the next use

	attributes string
}

// Attributes returns those of the SessionOptions with which the family began,
// which each of its sessions has too; a private copy, never nil.
func (r RefreshToken) Attributes() Attributes { return decodeAttributes(r.attributes) }

// Format implements fmt.Formatter, without the attributes.
func (r RefreshToken) Format(f fmt.State, verb rune) {
	type plain RefreshToken
	r.attributes = ""
	printed(f, verb, plain(r))
}

func newRefreshToken(f *codec.Family) RefreshToken {
	return RefreshToken{
		ID:              RefreshTokenID(token.Family.ID(f.Key)),
		UserID:          UserID(f.UserID),
		SessionID:       SessionID(token.Session.ID(f.Key.With(f.Session))),
		Methods:         Methods(f.Methods),
		Persistent:      f.Flags&codec.SessionPersistent != 0,
		CreatedAt:       clock.Time(f.Key.Time()),
		AuthenticatedAt: clock.Time(f.AuthTime),
		RotatedAt:       clock.Time(f.RotatedAt),
		IdleUntil:       clock.Time(f.IdleUntil),
		AbsoluteUntil:   clock.Time(f.AbsoluteUntil),
		Rotations:       f.Generation,
		Repeats:         f.Repeats,
		attributes:      f.Attributes,
	}
}

// RefreshTokens lists and revokes refresh tokens. Transactions: see [Tx].
type RefreshTokens struct{ at handle }

// RefreshTokens returns the methods on refresh tokens, a transaction each.
func (db *DB) RefreshTokens() RefreshTokens { return RefreshTokens{handle{db: db}} }

// RefreshTokens returns the methods on refresh tokens in this transaction.
func (tx *Tx) RefreshTokens() RefreshTokens { return RefreshTokens{handle{db: tx.db, tx: tx}} }

// CreateRefreshToken starts a family for the user of whom proof is given: one
// device's log-in. It returns the refresh token and its first session, each
// with its Token, this once; revoking one of the two ends the other. It evicts
// a family of the user's if there would be more than Options.Refresh.MaxPerUser.
// Errors are those of CreateSession.
func (db *DB) CreateRefreshToken(ctx context.Context, proof Proof, o SessionOptions) (Session, RefreshToken, error) {
	out, err := result(ctx, "create refresh token", db.update, func(tx *Tx) (pair, error) {
		s, r, err := tx.CreateRefreshToken(proof, o)
		return pair{s, r}, err
	})
	return out.session, out.refresh, err
}

type pair struct {
	session Session
	refresh RefreshToken
}

// CreateRefreshToken is [DB.CreateRefreshToken] in this transaction.
func (tx *Tx) CreateRefreshToken(proof Proof, o SessionOptions) (Session, RefreshToken, error) {
	if err := tx.writing(); err != nil {
		return Session{}, RefreshToken{}, err
	}
	p, err := tx.proven(proof)
	if err != nil {
		return Session{}, RefreshToken{}, err
	}
	return tx.newFamily(p, o)
}

// newFamily makes a family and its first session.
func (tx *Tx) newFamily(p proven, o SessionOptions) (Session, RefreshToken, error) {
	attributes, err := o.encode()
	if err != nil {
		return Session{}, RefreshToken{}, err
	}
	absolute, err := o.familyLife(&tx.db.o.Refresh)
	if err == nil {
		err = tx.complete(p.with(o.Methods), pendingFor(ticket.ForFamily, p.session, attributes, &o))
	}
	if err != nil {
		return Session{}, RefreshToken{}, err
	}
	f := codec.Family{
		UserID: p.user.ID, Epoch: tx.rec.State.Epoch, Attributes: attributes,
		Flags: o.flags() & codec.SessionPersistent, Methods: uint16(p.methods | o.Methods),
		AuthTime: p.at, RotatedAt: tx.rec.Now, RevokedAt: clock.Never,
		AbsoluteUntil: min(clock.After(tx.rec.Now, absolute), p.until),
	}
	var out pair
	err = tx.replacing(p, o.Replaces, func() error {
		made, err := tx.refreshRules().Start(&f)
		if err != nil {
			return err
		}
		out = tx.publicPair(&made)
		return tx.rec.Note(f.UserID, records.EventRefreshCreated, records.About{Subject: f.Key.OwnID(), Methods: uint16(p.methods)})
	})
	return out.session, out.refresh, err
}

// refreshRules are the rules of this transaction.
func (tx *Tx) refreshRules() *credentials.Rules {
	o := &tx.db.o.Refresh
	return &credentials.Rules{
		Tx: &tx.rec, Idle: o.Idle, Grace: o.Grace, SessionLife: o.Session, Process: tx.db.processKey[:], Given: &tx.db.given,
	}
}

// publicPair is the public form of a refresh token and its session, with their
// tokens.
func (tx *Tx) publicPair(p *credentials.Pair) pair {
	out := pair{tx.publicSession(&p.Session), newRefreshToken(&p.Family)}
	out.session.Token = newToken(token.Session, p.Session.Key(), p.SessionSecret)
	out.refresh.Token = newToken(token.Family, p.Family.Key, p.Secret[:])
	return out
}

// List returns the user's refresh tokens that can be used, oldest first: at most
// 100, an empty list for an unknown user. For the list of a user's devices see
// [Logins].
func (r RefreshTokens) List(ctx context.Context, user UserID) ([]RefreshToken, error) {
	return result(ctx, "list refresh tokens", r.at.view, func(tx *Tx) (out []RefreshToken, err error) {
		if !validUserID(user) {
			return nil, nil
		}
		err = credentials.EachFamily(&tx.rec, string(user), func(f *codec.Family) { out = append(out, newRefreshToken(f)) })
		return out, err
	})
}

// Revoke ends a family of this user by its id, and its session. An unknown id
// and a family of another user are no error. ErrInvalidInput (UserID,
// RefreshTokenID) for a text that cannot be an id, such as a token.
func (r RefreshTokens) Revoke(ctx context.Context, user UserID, id RefreshTokenID) error {
	return during("revoke refresh token", r.at.update(ctx, func(tx *Tx) error { return tx.revokeFamily(id, &user) }))
}

// RevokeByID is Revoke for a family of any user: for operators. With an id that
// a form or an address contained, use Revoke. ErrInvalidInput (RefreshTokenID).
func (r RefreshTokens) RevokeByID(ctx context.Context, id RefreshTokenID) error {
	return during("revoke refresh token", r.at.update(ctx, func(tx *Tx) error { return tx.revokeFamily(id, nil) }))
}

// revokeFamily ends a family, if it is of the given user; nil is any.
func (tx *Tx) revokeFamily(id RefreshTokenID, of *UserID) error {
	key, err := tx.revoking(of, "RefreshTokenID", token.Family, string(id))
	if err != nil {
		return err
	}
	f, err := tx.rec.Family(key)
	if err != nil || of != nil && f.UserID != string(*of) {
		return unless(ErrInvalidRefreshToken, err)
	}
	return credentials.EndFamily(&tx.rec, &f)
}

// RevokeAll ends all refresh tokens of the user and their sessions, and raises
// the credential version. ErrUserNotFound.
func (r RefreshTokens) RevokeAll(ctx context.Context, user UserID) error {
	return during("revoke refresh tokens", r.at.update(ctx, func(tx *Tx) error {
		_, err := tx.updateUser(user, func(u *codec.User, c *records.Cascade) error {
			u.CredentialVersion++
			c.Note(records.EventRefreshRevoked, records.About{})
			if err := c.On(&tx.rec, records.RefreshTokensRevoked); err != nil {
				return err
			}
			// And the sessions of families, also of one that was evicted.
			return c.Add(&tx.rec, records.Sessions, func(key codec.OwnedKey, value []byte) (bool, error) {
				v, err := codec.ViewSession(key[:], value)
				return err == nil && !v.Family().IsZero(), err
			})
		})
		return err
	}))
}
