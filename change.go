package snib

import (
	"context"
	"errors"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/clock"
	"github.com/snibdb/snib/internal/records"
)

// ChangeCredentials runs change for the bearer of an active session, in one
// transaction in which that session gets a new Token, and returns it. The old
// token is refused after the commit, in the hands of a thief too, as are the
// sessions and tokens that the changes themselves end. Every change by a
// user of the ways into the own account belongs in it:
//
//	s, err := db.ChangeCredentials(ctx, token, func(tx *snib.Tx, s snib.Session) error {
//		_, err := tx.UnlinkIdentity(s.UserID, "github", "42")
//		return err
//	})
//
// The session survives all of that, RemoveUserPassword and RevokeUserSessions
// included. Time of log-in, methods, attributes and absolute
// deadline stay, and its life begins anew. If its refresh token is still there,
// that stays and the session is the one it leads to; if it has ended, the session
// ends at the deadline that it has. s is without its Token. Asking for the
// password first is for the caller: see Reauthenticate, and RequireFresh of
// snibhttp.
//
// ErrInvalidSession; ErrUserNotFound and ErrUserDisabled if change has deleted or
// disabled the user; errors of change. With an error nothing is written.
func (db *DB) ChangeCredentials(ctx context.Context, token string, change func(tx *Tx, s Session) error) (Session, error) {
	return result(ctx, "change credentials", db.update, func(tx *Tx) (Session, error) {
		return tx.ChangeCredentials(token, change)
	})
}

// ChangeCredentials is [DB.ChangeCredentials] in this transaction, all of which
// fails if change does.
func (tx *Tx) ChangeCredentials(token string, change func(tx *Tx, s Session) error) (Session, error) {
	if err := tx.writing(); err != nil {
		return Session{}, err
	}
	v, err := tx.active(token)
	if err != nil {
		return Session{}, err
	}
	var s codec.Session
	v.Decode(&s)
	outer := tx.changing
	tx.changing = s.Key
	defer func() { tx.changing = outer }()
	if err := change(tx, tx.publicSession(&v)); err != nil {
		return Session{}, tx.rec.DoomIf(true, err)
	}
	if now, err := records.OwnedRecord(&tx.rec, records.Sessions, s.Key, codec.DecodeSession); err == nil {
		s = now // change may have proven a factor by it
	}
	out, err := tx.keep(&s)
	return out, tx.rec.DoomIf(err != nil, err)
}

// active returns the active session of a token.
func (tx *Tx) active(token string) (codec.SessionView, error) {
	v, err := tx.presented(token)
	if err == nil && tx.stateOf(&v) != SessionActive {
		err = ErrInvalidSession
	}
	return v, err
}

// keep gives a session, which may have ended in this transaction, back to its
// bearer: under a new token, and in its refresh family as long as that lives.
func (tx *Tx) keep(s *codec.Session) (Session, error) {
	switch u, err := tx.user(UserID(s.UserID)); {
	case err != nil:
		return Session{}, err
	case u.DisabledAt != 0:
		return Session{}, ErrUserDisabled
	}
	old := s.Key
	if s.Family.IsZero() {
		tx.setDeadlines(s)
		return tx.issue(s, old)
	}
	f, err := tx.rec.Family(old.With(s.Family))
	switch {
	case err != nil && !records.DamagedOrMissing(err):
		return Session{}, err
	case err != nil || f.Session != old.OwnID():
		// Without a family it lives to the deadline it has, and no longer.
		s.Family, s.AbsoluteUntil, s.LastUsedAt = codec.OwnID{}, s.IdleUntil, tx.rec.Now
		return tx.issue(s, old)
	}
	return tx.keepInFamily(s, &f)
}

// keepInFamily makes s, under a new token, the session of its family. The refresh
// token stays, and with it the time of its log-in, to which the next use of it
// goes back: its bearer has proven nothing now.
func (tx *Tx) keepInFamily(s *codec.Session, f *codec.Family) (Session, error) {
	next := tx.refreshRules().FamilySession(f)
	next.AuthTime, next.Methods = s.AuthTime, s.Methods
	out, err := tx.issue(&next, s.Key)
	if err != nil {
		return Session{}, err
	}
	f.Session = next.Key.OwnID()
	if err := tx.rec.PutOwned(records.Families, f.Key, f.Append(nil)); err != nil {
		return Session{}, err
	}
	tx.db.given.Moved(s.Key, next.Key)
	return out, nil
}

// ChangePassword sets the password of the bearer of an active session if current
// is the one that is set, as a user does. It is atomic: if the password changes
// between the verification and the write, the call is refused. All sessions,
// refresh tokens and one-time tokens of the user end in the same transaction, as
// by UpdateUserPassword, but no API key: show the list of them. The session comes back with a new Token and
// authenticated now, as by Reauthenticate. Of one born of a refresh token, which
// has ended, that is the last: it ends at the deadline that it has.
//
// It calls Options.Throttle.BeforeAuth and is throttled as a log-in by the primary
// identity is, with the session as [WithProof]: failures of strangers do not
// count, those of the session do.
//
// ErrInvalidSession; ErrInvalidCredentials (current is wrong or cannot be a
// password, or the user has no password; a sign-out on another device meanwhile
// is no reason), ErrInvalidInput (Password),
// [ThrottledError], ErrBusy, ErrNoKey. With an error the session stays.
func (db *DB) ChangePassword(ctx context.Context, token, current, password string) (Session, error) {
	s, err := db.changePassword(WithProof(ctx, token), token, current, password)
	return s, during("change password", err)
}

func (db *DB) changePassword(ctx context.Context, token, current, password string) (s Session, err error) {
	if _, err := db.checkNew(password); err != nil {
		return Session{}, err
	}
	err = db.bearerVerified(ctx, token, current, func(verified *opened) error {
		hash, err := db.hashPassword(ctx, password)
		if err != nil {
			return err
		}
		db.afterVerify()
		s, err = result(ctx, "", db.update, func(tx *Tx) (Session, error) {
			s, err := tx.verifiedSession(token, verified)
			if err != nil {
				return Session{}, err
			}
			if _, err := tx.replacePassword(UserID(s.UserID), hash, records.EventPasswordChanged, records.PasswordChanges); err != nil {
				return Session{}, err
			}
			out, err := tx.keep(&s)
			return out, tx.rec.DoomIf(err != nil, err)
		})
		return err
	})
	return s, err
}

// bearerVerified verifies the password of the bearer of an active session, then
// lets finish rely on it.
func (db *DB) bearerVerified(ctx context.Context, token, password string, finish func(*opened) error) error {
	if err := db.passwordKeys(ctx); err != nil {
		return err
	}
	u, err := result(ctx, "", db.view, func(tx *Tx) (codec.User, error) {
		_, u, err := tx.sessionUser(token)
		if err == nil {
			u.PasswordHash, err = tx.openHash(&u)
		}
		return u, err
	})
	if err != nil {
		return err
	}
	return db.verifyAgain(ctx, &u, password, func() error {
		return finish(&opened{u.CredentialVersion, u.PasswordHash})
	})
}

// sessionUser returns the active session of a token and its user.
func (tx *Tx) sessionUser(token string) (s codec.Session, u codec.User, err error) {
	v, err := tx.active(token)
	if err != nil {
		return s, u, err
	}
	v.Decode(&s)
	u, err = tx.user(UserID(s.UserID))
	if errors.Is(err, ErrUserNotFound) || err == nil && u.DisabledAt != 0 {
		err = ErrInvalidSession // a damaged file: Check says more
	}
	return s, u, err
}

// verifiedSession returns the active session of a token as one that has
// authenticated now, if the password that was verified is still that of its user.
func (tx *Tx) verifiedSession(token string, password *opened) (codec.Session, error) {
	s, u, err := tx.sessionUser(token)
	if err == nil && !password.holds(tx, &u) {
		err = ErrInvalidCredentials
	}
	if err != nil {
		return s, err
	}
	if all, err := tx.rec.FactorsOf(&u); err != nil || all.Needed() || tx.mustHave(&u) {
		return s, err // by the password alone it is as old as before
	}
	s.AuthTime = tx.rec.Now
	s.Methods |= uint16(MethodPassword)
	if s.Flags&codec.SessionOwnLife == 0 && s.Family.IsZero() {
		s.AbsoluteUntil = clock.After(tx.rec.Now, tx.db.o.Sessions.Absolute)
	}
	return s, err
}
