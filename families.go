package snib

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/clock"
	"github.com/snibdb/snib/internal/records"
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

// RefreshTokens lists and revokes refresh tokens. Those of [DB.RefreshTokens]
// run each method in a transaction of its own; those of [Tx.RefreshTokens] run
// it in that transaction and end with it: there ctx is checked before the
// method begins.
type RefreshTokens struct{ at handle }

// RefreshTokens returns the methods on refresh tokens, a transaction each.
func (db *DB) RefreshTokens() RefreshTokens { return RefreshTokens{handle{db: db}} }

// RefreshTokens returns the methods on refresh tokens in this transaction.
func (tx *Tx) RefreshTokens() RefreshTokens { return RefreshTokens{handle{db: tx.db, tx: tx}} }

// A familySecret is the secret part of a refresh token: F, 16 bytes that stay
// through the family's life, and s, 32 bytes that are new each generation. A
// right F proves that its bearer holds, or has held, a token of the family; so
// a right F with a wrong s is reuse and not a guess.
type familySecret [16 + 32]byte

func (x *familySecret) f() []byte { return x[:16] }
func (x *familySecret) s() []byte { return x[16:] }

// presentedFamily returns the family whose F a token carries, in any state, and
// the token's secret.
func (tx *Tx) presentedFamily(text string) (codec.Family, familySecret, error) {
	var x familySecret
	key, ok := token.Family.Parse(text, x[:])
	if !ok {
		return codec.Family{}, x, ErrInvalidRefreshToken
	}
	hash := token.Hash(token.FamilyLabel, x.f())
	f, err := tx.rec.Family(key)
	if err != nil {
		return codec.Family{}, x, err
	}
	if !token.Equal(hash, f.FamilyHash) {
		return codec.Family{}, x, ErrInvalidRefreshToken
	}
	return f, x, nil
}

// familyLive reports whether the family's token can be used, or, if it was
// revoked for reuse, whether that is still remembered.
func (tx *Tx) familyLive(f *codec.Family) bool {
	until := f.IdleUntil
	if records.Revoked(f) {
		until = f.AbsoluteUntil
	}
	return f.Epoch == tx.rec.State.Epoch && tx.rec.Now < until
}

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
		err = tx.complete(p.with(o.Methods), pendingFor(goalFamily, p.session, attributes, &o))
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
	err = tx.replacing(p, o.Replaces, func() (err error) {
		if out.session, out.refresh, err = tx.startFamily(&f); err != nil {
			return err
		}
		return tx.rec.Note(f.UserID, records.EventRefreshCreated, records.About{Subject: f.Key.OwnID(), Methods: uint16(p.methods)})
	})
	return out.session, out.refresh, err
}

// startFamily draws the ids and secrets of a new family and its session, and
// writes both.
func (tx *Tx) startFamily(f *codec.Family) (Session, RefreshToken, error) {
	var err error
	if f.Key, err = tx.rec.NewKey(records.Families, f.UserID); err != nil {
		return Session{}, RefreshToken{}, err
	}
	session, err := tx.rec.NewKey(records.Sessions, f.UserID)
	if err != nil {
		return Session{}, RefreshToken{}, err
	}
	f.Session = session.OwnID()
	var x familySecret
	if _, err := io.ReadFull(tx.db.o.Rand, x[:]); err != nil {
		return Session{}, RefreshToken{}, err
	}
	sessionSecret, err := token.NewSecret(tx.db.o.Rand)
	if err != nil {
		return Session{}, RefreshToken{}, err
	}
	f.FamilyHash = token.Hash(token.FamilyLabel, x.f())
	f.Current = token.Family.Hash(x.s())
	f.IdleUntil = min(clock.After(tx.rec.Now, tx.db.o.Refresh.Idle), f.AbsoluteUntil)
	ended, err := tx.rec.Evicted(records.Families, f.UserID, codec.OwnedKey{})
	if err != nil {
		return Session{}, RefreshToken{}, err
	}
	return tx.putFamily(f, &x, sessionSecret[:], codec.OwnedKey{}, ended)
}

// putFamily writes a family and its session, whose secret is new, in the place
// of another session (zero for a new family), ends the families that go for
// it, and returns both with their tokens.
func (tx *Tx) putFamily(f *codec.Family, x *familySecret, sessionSecret []byte, replaced codec.OwnedKey, ended []codec.OwnedKey) (Session, RefreshToken, error) {
	endedSessions, err := tx.evictedSessions(f.UserID, replaced)
	if err != nil {
		return Session{}, RefreshToken{}, err
	}
	if err := tx.rec.DeleteOwned(records.Families, ended...); err != nil {
		return Session{}, RefreshToken{}, err
	}
	if err := tx.rec.PutOwned(records.Families, f.Key, f.Append(nil)); err != nil {
		return Session{}, RefreshToken{}, err
	}
	record := tx.familySession(f)
	s, err := tx.putNewSession(&record, sessionSecret, endedSessions)
	if err != nil {
		return Session{}, RefreshToken{}, err
	}
	return s, withToken(f, x), nil
}

func withToken(f *codec.Family, x *familySecret) RefreshToken {
	r := newRefreshToken(f)
	r.Token = newToken(token.Family, f.Key, x[:])
	return r
}

// familySession is a new session of a family, without its secret.
func (tx *Tx) familySession(f *codec.Family) codec.Session {
	until := min(clock.After(tx.rec.Now, tx.db.o.Refresh.Session), f.AbsoluteUntil)
	return codec.Session{
		Key: f.Key.With(f.Session), UserID: f.UserID, Family: f.Key.OwnID(), Attributes: f.Attributes,
		Flags: f.Flags & codec.SessionPersistent, Methods: f.Methods,
		AuthTime: f.AuthTime, LastUsedAt: tx.rec.Now,
		ActiveUntil: until, IdleUntil: until, AbsoluteUntil: f.AbsoluteUntil,
	}
}

// List returns the user's refresh tokens that can be used, oldest first: at most
// 100, an empty list for an unknown user. For the list of a user's devices see
// [Logins].
func (r RefreshTokens) List(ctx context.Context, user UserID) ([]RefreshToken, error) {
	return result(ctx, "list refresh tokens", r.at.view, func(tx *Tx) (out []RefreshToken, err error) {
		if !validUserID(user) {
			return nil, nil
		}
		err = tx.eachFamily(user, func(f *codec.Family) { out = append(out, newRefreshToken(f)) })
		return out, err
	})
}

// eachFamily visits the families of a user whose token can be used, by age.
func (tx *Tx) eachFamily(id UserID, visit func(*codec.Family)) error {
	return tx.rec.ScanOwner(records.SpaceFamilies, tx.rec.Owner(string(id)), 0, func(key codec.OwnedKey, value []byte) error {
		f, err := codec.DecodeFamily(key[:], value)
		if err != nil {
			return tx.rec.Damaged(records.SpaceFamilies, err)
		}
		if f.UserID == string(id) && !records.Revoked(&f) && tx.familyLive(&f) {
			visit(&f)
		}
		return nil
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
	if errors.Is(err, ErrInvalidRefreshToken) || err == nil && of != nil && f.UserID != string(*of) {
		return nil
	}
	if err != nil {
		return err
	}
	return tx.endFamily(&f)
}

// endFamily ends a family on request, and its session. A tombstone stays.
func (tx *Tx) endFamily(f *codec.Family) error {
	if records.Revoked(f) {
		return nil
	}
	if err := tx.rec.DeleteOwned(records.Sessions, f.Key.With(f.Session)); err != nil {
		return err
	}
	return tx.rec.DeleteOwned(records.Families, f.Key)
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
