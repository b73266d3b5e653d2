package snib

import (
	"context"
	"errors"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/clock"
	"github.com/snibdb/snib/internal/records"
)

// Reauthenticate asks the bearer of an active session for the password again,
// before something that a stolen session must not do. It returns a new session
// with its Token, authenticated now, whose life begins anew with the same
// attributes; the old token is refused after the same commit. Nothing else of
// the user ends.
//
// It calls Options.BeforeAuth and is throttled as a log-in by the primary
// identity is, with the session as [WithProof]: failures of strangers do not
// count, those of the session do. The commit decides anew whether session and
// password still hold. A hash is not upgraded.
//
// Of a user with a second factor it is the first step: [SecondFactorError], whose
// Pending is good for this session only, and [Factors.FinishLogIn] returns the new
// one.
//
// ErrInvalidSession, also for a session born of a refresh token, which Refresh
// replaces: such a client logs in, with its tokens as SessionOptions.Replaces.
// ErrInvalidCredentials for a wrong password, for one that cannot be, and for a
// user without one; the session stays. [ThrottledError], ErrBusy, ErrNoKey,
// Options.BeforeAuth's error.
func (db *DB) Reauthenticate(ctx context.Context, token, password string) (Session, error) {
	s, err := db.reauthenticate(WithProof(ctx, token), token, password)
	return s, during("reauthenticate", err)
}

func (db *DB) reauthenticate(ctx context.Context, token, password string) (Session, error) {
	if err := db.passwordKeys(ctx); err != nil {
		return Session{}, err
	}
	verified, err := result(ctx, "", db.view, func(tx *Tx) (codec.User, error) {
		_, u, err := tx.ownSession(token)
		if err == nil {
			u.PasswordHash, err = tx.openHash(&u)
		}
		return u, err
	})
	if err != nil {
		return Session{}, err
	}
	var s Session
	err = db.verifyAgain(ctx, &verified, password, func() (err error) {
		db.afterVerify()
		opened := opened{verified.CredentialVersion, verified.PasswordHash}
		s, err = result(ctx, "", db.update, func(tx *Tx) (Session, error) { return tx.authenticatedNow(token, &opened) })
		return err
	})
	return s, err
}

// ownSession returns the active session of a token, born of no refresh token,
// and its user.
func (tx *Tx) ownSession(token string) (s codec.Session, u codec.User, err error) {
	v, err := tx.presented(token)
	if err == nil && (tx.stateOf(&v) != SessionActive || !v.Family().IsZero()) {
		err = ErrInvalidSession
	}
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

// authenticatedNow replaces the session of a token by one whose log-in is now,
// if the password that was verified is still that of the user.
func (tx *Tx) authenticatedNow(token string, password *opened) (Session, error) {
	s, u, err := tx.ownSession(token)
	if err == nil && !password.holds(tx, &u) {
		err = ErrInvalidCredentials
	}
	p := proven{user: u, at: tx.rec.Now, until: clock.Never, session: s.Key, methods: records.MethodPassword}
	if err == nil {
		err = tx.complete(&p, pendingFor(goalAgain, s.Key, "", nil))
	}
	if err != nil {
		return Session{}, err
	}
	return tx.signInAgain(&p)
}
