package snib

import (
	"context"
	"errors"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/credentials"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/records"
	"github.com/snibdb/snib/internal/token"
)

// GetSession returns a session by its id, active or idle. ErrInvalidSession.
func (db *DB) GetSession(ctx context.Context, id SessionID) (Session, error) {
	return read(ctx, db, "get session", readsSessionID, (*Tx).GetSession, id)
}

// GetSession is [DB.GetSession] in this transaction.
func (tx *Tx) GetSession(id SessionID) (Session, error) {
	if err := tx.reading(); err != nil {
		return Session{}, err
	}
	v, err := tx.sessionByID(id)
	if err == nil && tx.stateOf(&v) == SessionDead {
		err = ErrInvalidSession
	}
	if err != nil {
		return Session{}, err
	}
	return tx.publicSession(&v), nil
}

// sessionByID is session for an id that came from outside.
func (tx *Tx) sessionByID(id SessionID) (codec.SessionView, error) {
	key, ok := token.Session.ParseID(string(id))
	if !ok {
		return codec.SessionView{}, ErrInvalidSession
	}
	return tx.rec.Session(key)
}

func readsSessionID(_ *DB, id SessionID) []kv.Ref {
	key, ok := token.Session.ParseID(string(id))
	if !ok {
		return nil
	}
	return ref(records.SpaceSessions, string(key[:]))
}

// ListUserSessions returns the user's active and idle sessions, oldest first:
// at most 1,000, an empty list for an unknown user.
//
// A device with a refresh token whose last session has run out is not among
// them, and can come back: for the list of a user's devices see [Logins].
func (db *DB) ListUserSessions(ctx context.Context, id UserID) ([]Session, error) {
	return read(ctx, db, "list sessions", nil, (*Tx).ListUserSessions, id)
}

// ListUserSessions is [DB.ListUserSessions] in this transaction.
func (tx *Tx) ListUserSessions(id UserID) ([]Session, error) {
	if err := tx.reading(); err != nil {
		return nil, err
	}
	var out []Session
	err := tx.eachSession(id, func(v codec.SessionView) {
		if tx.stateOf(&v) == SessionDead {
			return
		}
		if out == nil {
			out = make([]Session, 0, 16) // a Session is large: to grow costs more than the scan
		}
		out = append(out, tx.publicSession(&v))
	})
	return out, err
}

// eachSession visits all sessions of a user, the dead ones too, by age. A view is
// valid during its visit.
func (tx *Tx) eachSession(id UserID, visit func(codec.SessionView)) error {
	if !validUserID(id) {
		return nil
	}
	return tx.rec.ScanOwner(records.SpaceSessions, tx.rec.Owner(string(id)), 0, func(key codec.OwnedKey, value []byte) error {
		tx.rec.Key = append(tx.rec.Key[:0], key[:]...) // which the view keeps
		v, err := codec.ViewSession(tx.rec.Key, value)
		if err != nil {
			return tx.rec.Damaged(records.SpaceSessions, err)
		}
		if v.IsUser(string(id)) {
			visit(v)
		}
		return nil
	})
}

// UpdateSessionAttributes merges a into the attributes of a session of this
// user, as UpdateUserAttributes does for a user's, and returns the session. Its
// token and its deadlines stay. If it was born of a refresh token, all later
// sessions of that have the new attributes too. ErrInvalidSession for an unknown
// id, a dead session and one of another user; ErrInvalidInput (Attributes).
func (db *DB) UpdateSessionAttributes(ctx context.Context, userID UserID, id SessionID, a Attributes) (Session, error) {
	return result(ctx, "update session attributes", db.update, func(tx *Tx) (Session, error) {
		return tx.UpdateSessionAttributes(userID, id, a)
	})
}

// UpdateSessionAttributes is [DB.UpdateSessionAttributes] in this transaction.
func (tx *Tx) UpdateSessionAttributes(userID UserID, id SessionID, a Attributes) (Session, error) {
	if err := tx.writing(); err != nil {
		return Session{}, err
	}
	v, err := tx.sessionByID(id)
	if err == nil && (!v.IsUser(string(userID)) || tx.stateOf(&v) == SessionDead) {
		err = ErrInvalidSession
	}
	if err != nil {
		return Session{}, err
	}
	var s codec.Session
	v.Decode(&s)
	if s.Attributes, err = encodeAttributes(mergedAttributes(s.Attributes, a), sessionBounds); err != nil {
		return Session{}, err
	}
	if !s.Family.IsZero() {
		switch f, err := tx.rec.Family(s.Key.With(s.Family)); {
		case err == nil:
			f.Attributes = s.Attributes
			if err := tx.rec.PutOwned(records.Families, f.Key, f.Append(nil)); err != nil {
				return Session{}, err
			}
		case !records.DamagedOrMissing(err):
			return Session{}, err
		}
	}
	return tx.putSession(&s)
}

// RevokeSession ends a session of this user by its id; if it was born of a
// refresh token, that ends too. An unknown id and a session of another user are
// no error. ErrInvalidInput (UserID, SessionID) for a text that cannot be an
// id, such as a token: nothing was revoked.
func (db *DB) RevokeSession(ctx context.Context, userID UserID, id SessionID) error {
	return during("revoke session", db.update(ctx, func(tx *Tx) error { return tx.RevokeSession(userID, id) }))
}

// RevokeSession is [DB.RevokeSession] in this transaction.
func (tx *Tx) RevokeSession(userID UserID, id SessionID) error {
	return tx.revokeSession(id, &userID)
}

// RevokeSessionByID is RevokeSession for a session of any user: for operators.
// With an id that a form or an address contained, use RevokeSession.
// ErrInvalidInput (SessionID).
func (db *DB) RevokeSessionByID(ctx context.Context, id SessionID) error {
	return during("revoke session", db.update(ctx, func(tx *Tx) error { return tx.RevokeSessionByID(id) }))
}

// RevokeSessionByID is [DB.RevokeSessionByID] in this transaction.
func (tx *Tx) RevokeSessionByID(id SessionID) error {
	return tx.revokeSession(id, nil)
}

// revokeSession ends a session, if it is of the given user; nil is any.
func (tx *Tx) revokeSession(id SessionID, of *UserID) error {
	key, err := tx.revoking(of, "SessionID", token.Session, string(id))
	if err != nil {
		return err
	}
	v, err := tx.rec.Session(key)
	if err != nil || of != nil && !v.IsUser(string(*of)) {
		return unless(ErrInvalidSession, err)
	}
	return tx.endSession(&v)
}

// revoking begins every method that revokes a credential by its id, of a user
// or (nil) of any. A text that cannot be an id is an error here, and not an
// unknown one: a caller that passes a token would believe it revoked.
func (tx *Tx) revoking(of *UserID, field string, k token.Kind, id string) (codec.OwnedKey, error) {
	if err := tx.writing(); err != nil {
		return codec.OwnedKey{}, err
	}
	if of != nil && !validUserID(*of) {
		return codec.OwnedKey{}, &InputError{Field: "UserID", Code: CodeMalformed, Reason: "cannot be an id"}
	}
	key, ok := k.ParseID(id)
	if !ok {
		return codec.OwnedKey{}, &InputError{Field: field, Code: CodeMalformed, Reason: "cannot be an id"}
	}
	return key, nil
}

// unless returns err, but nil for the error of an unknown id: what is to be revoked is
// gone, or was another user's.
func unless(unknown, err error) error {
	if errors.Is(err, unknown) {
		return nil
	}
	return err
}

// endAll ends the records of a kind that pick names, all of the user's.
func (tx *Tx) endAll(user UserID, k *records.Kind, pick func(c *records.Cascade, key codec.OwnedKey, value []byte) (bool, error)) error {
	if _, err := tx.user(user); err != nil {
		return err
	}
	c := records.Cascade{UserID: string(user)}
	if err := c.Add(&tx.rec, k, func(key codec.OwnedKey, value []byte) (bool, error) { return pick(&c, key, value) }); err != nil {
		return err
	}
	return c.Write(&tx.rec)
}

// endSession ends a session on request, and with it the family that it is the
// session of.
func (tx *Tx) endSession(v *codec.SessionView) error {
	key, family := v.Key(), v.Family()
	if !family.IsZero() {
		family := key.With(family)
		f, err := tx.rec.Family(family)
		if err != nil && !records.DamagedOrMissing(err) {
			return err
		}
		if err != nil || !records.Revoked(&f) { // also if it cannot be read
			if err := tx.rec.DeleteOwned(records.Families, family); err != nil {
				return err
			}
		}
	}
	return tx.rec.DeleteOwned(records.Sessions, key)
}

// RevokeToken revokes the credential of a presented token, in any state: a
// session, or the family of a refresh token (any token of it, also a spent
// one), each with the other if they belong together. Call it to sign a user
// out: it never fails for a stale cookie. A text that is malformed, unknown or no
// such token, as an id, is no error and revokes nothing.
func (db *DB) RevokeToken(ctx context.Context, token string) error {
	return during("revoke token", db.updateIfNeeded(ctx, func(tx *Tx) error {
		_, err := tx.endToken(token, codec.OwnedKey{})
		return err
	}))
}

// RevokeToken is [DB.RevokeToken] in this transaction.
func (tx *Tx) RevokeToken(token string) error {
	if err := tx.writing(); err != nil {
		return err
	}
	_, err := tx.endToken(token, codec.OwnedKey{})
	return err
}

// endToken ends the credential of a token, save the session kept (zero: none)
// and its family. It reports whether there was something to end.
func (tx *Tx) endToken(token string, kept codec.OwnedKey) (ended bool, err error) {
	v, err := tx.presented(token)
	switch {
	case err == nil && v.Key() == kept:
		return false, nil
	case err == nil:
		return true, tx.endSession(&v)
	case !errors.Is(err, ErrInvalidSession):
		return false, err
	}
	f, _, err := credentials.Presented(&tx.rec, token)
	switch {
	case errors.Is(err, ErrInvalidRefreshToken), err == nil && f.Key.With(f.Session) == kept:
		return false, nil
	case err != nil:
		return false, err
	}
	return true, credentials.EndFamily(&tx.rec, &f)
}

// RevokeUserSessions ends all sessions and refresh tokens of the user,
// except the sessions named and the families that these were born of, and all
// one-time tokens and known devices, and raises the credential version: log out
// everywhere (else). ErrUserNotFound;
// ErrInvalidInput (Except) if one is a session of another user or cannot be an
// id.
func (db *DB) RevokeUserSessions(ctx context.Context, id UserID, except ...SessionID) error {
	return during("revoke sessions", db.update(ctx, func(tx *Tx) error {
		return tx.RevokeUserSessions(id, except...)
	}))
}

// RevokeUserSessions is [DB.RevokeUserSessions] in this transaction.
func (tx *Tx) RevokeUserSessions(id UserID, except ...SessionID) error {
	_, err := tx.updateUser(id, func(u *codec.User, c *records.Cascade) error {
		kept, err := tx.keptSessions(u.ID, "Except", except)
		if err != nil {
			return err
		}
		u.CredentialVersion++
		c.Note(records.EventSessionsRevoked, records.About{})
		return c.On(&tx.rec, records.SessionsRevoked, append(keysOf(kept), familiesOf(kept)...)...)
	})
	return err
}

func keysOf(sessions []codec.Session) []codec.OwnedKey {
	out := make([]codec.OwnedKey, len(sessions))
	for i := range sessions {
		out[i] = sessions[i].Key
	}
	return out
}

// familiesOf returns the families that sessions were born of.
func familiesOf(sessions []codec.Session) (out []codec.OwnedKey) {
	for i := range sessions {
		if s := &sessions[i]; !s.Family.IsZero() {
			out = append(out, s.Key.With(s.Family))
		}
	}
	return out
}

// maxKept is how many sessions can be kept: their records may have to be
// written again, all in one transaction.
const maxKept = 100

// keptSessions returns the records of the sessions that a caller names to live
// on. It skips sessions that have ended already.
func (tx *Tx) keptSessions(userID, field string, ids []SessionID) ([]codec.Session, error) {
	if len(ids) > maxKept {
		return nil, &InputError{Field: field, Code: CodeTooMany, Reason: "must be at most 100", Max: maxKept}
	}
	var kept []codec.Session
	for _, id := range ids {
		key, ok := token.Session.ParseID(string(id))
		if !ok {
			return nil, &InputError{Field: field, Code: CodeMalformed, Reason: "has what cannot be an id"}
		}
		s, err := records.OwnedRecord(&tx.rec, records.Sessions, key, codec.DecodeSession)
		switch {
		case errors.Is(err, ErrInvalidSession):
			continue
		case err != nil:
			return nil, err
		case s.UserID != userID:
			return nil, &InputError{Field: field, Code: CodeNotAllowed, Reason: "names a session of another user"}
		}
		kept = append(kept, s)
	}
	return kept, nil
}

// DeleteDeadUserSessions removes the records of the user's dead sessions and
// returns how many there were, so that they count no longer. Dead sessions are
// refused anyway; the sweep removes them for all users. 0 for an unknown user.
func (db *DB) DeleteDeadUserSessions(ctx context.Context, id UserID) (int, error) {
	return result(ctx, "delete dead sessions", db.update, func(tx *Tx) (int, error) { return tx.DeleteDeadUserSessions(id) })
}

// DeleteDeadUserSessions is [DB.DeleteDeadUserSessions] in this transaction.
func (tx *Tx) DeleteDeadUserSessions(id UserID) (int, error) {
	if err := tx.writing(); err != nil {
		return 0, err
	}
	var dead []codec.OwnedKey
	err := tx.eachSession(id, func(v codec.SessionView) {
		if tx.stateOf(&v) == SessionDead {
			dead = append(dead, v.Key())
		}
	})
	if err != nil {
		return 0, err
	}
	return len(dead), tx.rec.DeleteOwned(records.Sessions, dead...)
}
