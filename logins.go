package snib

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/clock"
	"github.com/snibdb/snib/internal/credentials"
	"github.com/snibdb/snib/internal/records"
	"github.com/snibdb/snib/internal/token"
)

// LoginID names a log-in in the list of a user's: the id of its refresh token,
// which all sessions of that share, or else of its session.
type LoginID string

// LoginID returns the id under which [Logins].List has the session: that of the
// refresh token it was born of, or its own.
func (s Session) LoginID() LoginID {
	return cmp.Or(LoginID(s.RefreshTokenID), LoginID(s.ID))
}

// Login is a device on which a user is logged in: a session, or a refresh token
// and its session, which are one entry. A page shows it to the user.
type Login struct {
	ID        LoginID   // for Revoke; the viewer's own is Session.LoginID
	UserID    UserID    // whose it is
	SessionID SessionID // "" for a refresh token whose last session has run out

	// State is SessionActive while the session is valid, and SessionIdle if the
	// device can come back by extending, renewing or refreshing.
	State SessionState

	CreatedAt       time.Time // of the refresh token, or of the session's token
	AuthenticatedAt time.Time // when the user was last asked
	LastUsedAt      time.Time // as far as it was written: a log-in, extension, renewal or refresh
	IdleUntil       time.Time // when it ends if it is not used any more
	AbsoluteUntil   time.Time // when it ends at the latest; zero: never
	Methods         Methods   // how the user was authenticated
	Persistent      bool      // SessionOptions.Persistent

	attributes string
}

// Attributes returns the attributes recorded with the log-in, a private copy,
// never nil.
func (l Login) Attributes() Attributes { return decodeAttributes(l.attributes) }

// Format implements fmt.Formatter, without the attributes.
func (l Login) Format(f fmt.State, verb rune) {
	type plain Login
	l.attributes = ""
	printed(f, verb, plain(l))
}

// Logins lists and revokes the log-ins of a user, of browsers and native clients
// alike. Transactions: see [Tx].
type Logins struct{ at handle }

// Logins returns the methods on log-ins, a transaction each.
func (db *DB) Logins() Logins { return Logins{handle{db: db}} }

// Logins returns the methods on log-ins in this transaction.
func (tx *Tx) Logins() Logins { return Logins{handle{db: tx.db, tx: tx}} }

// List returns the log-ins of the user that are active or can come back, oldest
// first: at most 1,100, an empty list for an unknown user.
func (l Logins) List(ctx context.Context, user UserID) ([]Login, error) {
	return result(ctx, "list log-ins", l.at.view, func(tx *Tx) ([]Login, error) {
		if !validUserID(user) {
			return nil, nil
		}
		out, err := tx.familyLogins(user)
		if err != nil {
			return nil, err
		}
		if out, err = tx.withSessions(user, out); err != nil {
			return nil, err
		}
		slices.SortStableFunc(out, func(a, b Login) int { return a.CreatedAt.Compare(b.CreatedAt) })
		return out, nil
	})
}

// familyLogins are the log-ins with a refresh token, as without a session.
func (tx *Tx) familyLogins(user UserID) (out []Login, err error) {
	err = credentials.EachFamily(&tx.rec, string(user), func(f *codec.Family) {
		out = append(out, Login{
			ID: LoginID(token.Family.ID(f.Key)), UserID: user, State: SessionIdle,
			CreatedAt: clock.Time(f.Key.Time()), AuthenticatedAt: clock.Time(f.AuthTime), LastUsedAt: clock.Time(f.RotatedAt),
			IdleUntil: clock.Time(f.IdleUntil), AbsoluteUntil: clock.Time(f.AbsoluteUntil),
			Methods: Methods(f.Methods), Persistent: f.Flags&codec.SessionPersistent != 0, attributes: f.Attributes,
		})
	})
	return out, err
}

// withSessions adds the sessions: to the log-in of their refresh token, or as one
// of their own.
func (tx *Tx) withSessions(user UserID, out []Login) ([]Login, error) {
	at := make(map[LoginID]int, len(out))
	for i := range out {
		at[out[i].ID] = i
	}
	err := tx.eachSession(user, func(v codec.SessionView) {
		if tx.stateOf(&v) == SessionDead {
			return
		}
		s := tx.publicSession(&v)
		i, born := at[s.LoginID()]
		if !born {
			i = len(out)
			out = append(out, Login{
				ID: s.LoginID(), UserID: user, CreatedAt: s.CreatedAt, IdleUntil: s.IdleUntil, AbsoluteUntil: s.AbsoluteUntil,
				Persistent: s.Persistent, attributes: s.attributes,
			})
		}
		l := &out[i]
		l.SessionID, l.State, l.AuthenticatedAt, l.LastUsedAt, l.Methods = s.ID, s.State, s.AuthenticatedAt, s.LastUsedAt, s.Methods
	})
	return out, err
}

// Revoke ends a log-in of this user: the session, or the refresh token and its
// session. An unknown id and a log-in of another user are no error: an id of a
// session is unknown once that was renewed or has got another token in another
// way. ErrInvalidInput (UserID, LoginID) for a text that cannot be an id, such as
// a token: nothing was revoked.
func (l Logins) Revoke(ctx context.Context, user UserID, id LoginID) error {
	return during("revoke log-in", l.at.update(ctx, func(tx *Tx) error {
		family, ok := token.Family.ParseID(string(id))
		if !ok {
			if _, err := tx.revoking(&user, "LoginID", token.Session, string(id)); err != nil {
				return err
			}
			return tx.RevokeSession(user, SessionID(id))
		}
		if _, err := tx.revoking(&user, "LoginID", token.Family, string(id)); err != nil {
			return err
		}
		switch _, err := tx.rec.Family(family); {
		case records.DamagedOrMissing(err): // evicted, swept, or not to be read
			return tx.endSessionsOf(user, family)
		case err != nil:
			return err
		}
		return tx.revokeFamily(RefreshTokenID(id), &user)
	}))
}

// endSessionsOf ends the sessions of a user that name a family which is gone.
func (tx *Tx) endSessionsOf(user UserID, family codec.OwnedKey) error {
	var ended []codec.OwnedKey
	err := tx.eachSession(user, func(v codec.SessionView) {
		if key := v.Key(); !v.Family().IsZero() && key.With(v.Family()) == family {
			ended = append(ended, key)
		}
	})
	if err != nil {
		return err
	}
	return tx.rec.DeleteOwned(records.Sessions, ended...)
}
