package snib

import (
	"context"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/clock"
	"github.com/snibdb/snib/internal/records"
	"github.com/snibdb/snib/internal/ticket"
	"github.com/snibdb/snib/internal/token"
)

// Reauthenticate asks the bearer of an active session for the password again,
// before something that a stolen session must not do. It returns a new session
// with its Token, authenticated now, whose life begins anew with the same
// attributes; the old token is refused after the same commit. Nothing else of
// the user ends.
//
// Of a session born of a refresh token, the new one takes its place there. The
// refresh token stays as it is, and so does the time of its log-in: the sessions
// that it gives later are as old as that again. So the bearer of a stolen refresh
// token gains nothing by the owner's password. A client that wants all of its
// sessions authenticated now logs in, with its tokens as SessionOptions.Replaces.
//
// It calls Options.Throttle.BeforeAuth and is throttled as a log-in by the primary
// identity is, with the session as [WithProof]: failures of strangers do not
// count, those of the session do. The commit decides anew whether session and
// password still hold. A hash is not upgraded.
//
// Of a user with a second factor it is the first step: [SecondFactorError], whose
// Pending is good for this session only, and [Factors.FinishLogIn] returns the new
// one.
//
// ErrInvalidSession. ErrInvalidCredentials for a wrong password, for one that
// cannot be, and for a user without one; the session stays. [ThrottledError],
// ErrBusy, ErrNoKey, Options.Throttle.BeforeAuth's error.
func (db *DB) Reauthenticate(ctx context.Context, token, password string) (Session, error) {
	s, err := db.reauthenticate(WithProof(ctx, token), token, password)
	return s, during("reauthenticate", err)
}

func (db *DB) reauthenticate(ctx context.Context, text, password string) (s Session, err error) {
	err = db.bearerVerified(ctx, text, password, func(verified *opened) error {
		db.afterVerify()
		s, err = result(ctx, "", db.update, func(tx *Tx) (Session, error) {
			s, err := tx.verifiedSession(text, verified)
			if err != nil {
				return Session{}, err
			}
			u, err := tx.user(UserID(s.UserID))
			if err != nil {
				return Session{}, err
			}
			p := proven{user: u, methods: MethodPassword, at: tx.rec.Now, until: clock.Never}
			if err := tx.complete(&p, pendingFor(ticket.ForAgain, s.Key, "", &SessionOptions{})); err != nil {
				return Session{}, err
			}
			return tx.keepAuthenticated(&s, MethodPassword)
		})
		return err
	})
	return s, err
}

// keepAuthenticated gives a session that has been authenticated by some methods
// another token.
func (tx *Tx) keepAuthenticated(s *codec.Session, methods Methods) (Session, error) {
	out, err := tx.keep(s)
	if err != nil {
		return Session{}, err
	}
	key, _ := token.Session.ParseID(string(out.ID))
	about := records.About{Subject: key.OwnID(), Methods: uint16(methods)}
	return out, tx.rec.Note(s.UserID, records.EventReauthenticated, about)
}
