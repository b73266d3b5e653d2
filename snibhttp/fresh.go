package snibhttp

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/snibdb/snib"
)

// secondFactors are the methods that stand for a second factor.
const secondFactors = snib.MethodTOTP | snib.MethodRecoveryCode | snib.MethodPasskey | snib.MethodTrustedDevice

// RequireFresh does the work of Require, and refuses with [ErrNotFresh] a
// request whose user was authenticated longer than within ago, by the clock of
// the database. It is for what a stolen session must not do: a change of the
// address or the password, a deletion. The hook Options.Refuse shows a form for
// the password, whose handler calls [Manager.Reauthenticate].
//
// Neither use nor renewal of a session makes it fresh. A session that was
// carried to another place ([snib.Proof]), or that a refresh token has given, is
// as fresh as the log-in that it comes from. The time counts as of the
// middleware's lookup. A log-in in which a trusted device stood for the second
// factor of the user is not fresh: Reauthenticate asks for the factor.
func (m *Manager) RequireFresh(within time.Duration, next http.Handler) http.Handler {
	return m.Require(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, _, ok := m.FromContext(r.Context())
		if !ok || s.ReadAt.Sub(s.AuthenticatedAt) > within || s.Methods&secondFactors == snib.MethodTrustedDevice {
			m.Error(w, r, ErrNotFresh)
			return
		}
		next.ServeHTTP(w, r)
	}))
}

// Reauthenticate asks the user of the request's cookie for the password again,
// as [snib.DB.Reauthenticate] does, and sets the cookie of the new session; the
// old one is refused from then on. Tabs share the cookie: a request that another
// one has on its way meanwhile can be refused. It returns the new session without
// its Token. Of a user with a second factor it is the first step: it returns
// snib.ErrSecondFactor, and [Manager.FinishLogIn] the new session.
//
// ErrUnauthenticated if the request is not signed in by one cookie; ErrMethod for
// a request that changes nothing (GET); ErrAuthorization for one with a bearer
// token, whose client gets its new token from DB.Reauthenticate; ErrCrossOrigin,
// ErrHost. snib.ErrInvalidCredentials for a wrong password, which the form
// answers by itself: the cookie stays. Others are of the database.
func (m *Manager) Reauthenticate(w http.ResponseWriter, r *http.Request, password string) (snib.Session, error) {
	return m.replace(w, r, func(ctx context.Context, token string) (snib.Session, error) {
		return m.db.Reauthenticate(ctx, token, password)
	})
}

// ChangePassword changes the password of the request's user, as
// [snib.DB.ChangePassword] does, and sets the cookie of the session that stays;
// the old one, of which a thief may have a copy, and all others are refused from
// then on. Results and errors are as of Reauthenticate, a wrong current password
// included, which the form answers and not [Manager.Error]; and snib.ErrInvalidInput
// (Password).
func (m *Manager) ChangePassword(w http.ResponseWriter, r *http.Request, current, password string) (snib.Session, error) {
	return m.replace(w, r, func(ctx context.Context, token string) (snib.Session, error) {
		return m.db.ChangePassword(ctx, token, current, password)
	})
}

// ChangeCredentials runs change for the request's user in one transaction, as
// [snib.DB.ChangeCredentials] does, and sets the cookie of the session that stays.
// Results and errors are as of Reauthenticate, and those of change. Put it behind
// [Manager.RequireFresh]. A second factor is added in two steps, of which it is the
// last:
//
//	phone, err := db.Factors().BeginTOTP(ctx, session, "Notes", "my phone") // show phone.URI
//
//	_, err = manager.ChangeCredentials(w, r, func(tx *snib.Tx, s snib.Session) error {
//		if _, err := tx.Factors().ConfirmTOTP(ctx, s, id, code); err != nil {
//			return err
//		}
//		codes, err = tx.Factors().CreateRecoveryCodes(ctx, s) // show them once
//		return err
//	})
//
// snib.ErrInvalidCredentials is then a wrong code, which the form answers by itself.
func (m *Manager) ChangeCredentials(w http.ResponseWriter, r *http.Request, change func(tx *snib.Tx, s snib.Session) error) (snib.Session, error) {
	return m.replace(w, r, func(ctx context.Context, token string) (snib.Session, error) {
		return m.db.ChangeCredentials(ctx, token, change)
	})
}

// replace sets the cookie of the session that replace makes in the place of that
// of the request.
func (m *Manager) replace(w http.ResponseWriter, r *http.Request, replace func(ctx context.Context, token string) (snib.Session, error)) (snib.Session, error) {
	c, err := m.mayLeave(r)
	switch {
	case err != nil:
		return snib.Session{}, err
	case c.bearer:
		return snib.Session{}, ErrAuthorization
	case c.count != 1:
		return snib.Session{}, ErrUnauthenticated
	}
	if _, _, err := m.whoever(r, c); err != nil { // extends an idle session
		return snib.Session{}, err
	}
	s, err := replace(m.ClientContext(r), c.cookies[0])
	if errors.Is(err, snib.ErrInvalidSession) {
		err = ErrUnauthenticated
	}
	m.SecondStep(w, r, err)
	if err != nil {
		return snib.Session{}, err
	}
	m.enter(w, r, c, s)
	s.Token = snib.Token{}
	return s, nil
}
