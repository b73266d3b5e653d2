package snibhttp

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"

	"github.com/snibdb/snib"
)

// SetSession signs the client in to s, which a method of the database has just
// made and which has its Token: that of LogIn, say, with
// [Manager.SessionOptions]. It ends the session that the request carries, unless
// those options have done so, and then sets the cookie, so that a cookie planted
// in this browser gains nothing. Call it before anything of the body is written, and
// not for a request that changes nothing (GET), unless something in it proves
// that its user began it: the state of an OAuth callback, say.
//
// ErrCrossOrigin, ErrHost and ErrAuthorization, the last also for a request
// with a bearer token, which gets no cookie; they are found here if no
// middleware has looked. ErrInvalidInput if s has no Token. Others are of the
// database. With an error there is no cookie, and s is ended if it can be.
func (m *Manager) SetSession(w http.ResponseWriter, r *http.Request, s snib.Session) error {
	if s.Token.Reveal() == "" {
		return &snib.InputError{Field: "Session.Token", Code: snib.CodeRequired, Reason: "must be there"}
	}
	c, err := m.mayEnter(r)
	if err == nil {
		err = m.end(r.Context(), c.cookies)
	}
	if err != nil {
		// No client will ever have its token.
		if err := m.db.RevokeSessionByID(context.WithoutCancel(r.Context()), s.ID); err != nil {
			m.logLine(lineOrphan, slog.LevelWarn, "snibhttp: a session that nobody holds was not ended", "session", s.ID, "error", err)
		}
		return err
	}
	m.enter(w, r, c, s)
	return nil
}

// LogIn creates a session for a user that was authenticated just now, and signs
// the client in to it. If the proof is void by now, it is
// snib.ErrInvalidCredentials and there is no session: see [snib.Proof]. o is that
// of [Manager.SessionOptions], in which the program may have changed what it
// likes; the session that the request carries ends in the same commit whether o
// names it or not.
//
// It returns the session without its Token, which is in the cookie. Of a user with
// a second factor it makes none, and returns snib.ErrSecondFactor: see
// [Manager.SecondStep]. When to call it, and other errors, are as of SetSession and [snib.DB.CreateSession].
func (m *Manager) LogIn(w http.ResponseWriter, r *http.Request, proof snib.Proof, o snib.SessionOptions) (snib.Session, error) {
	c, err := m.mayEnter(r)
	if err != nil {
		return snib.Session{}, err
	}
	o.Replaces = withCarried(o.Replaces, c)
	s, err := m.db.CreateSession(m.ClientContext(r), proof, o)
	if m.SecondStep(w, r, err) {
		return snib.Session{}, err
	}
	if err != nil {
		return snib.Session{}, err
	}
	m.enter(w, r, c, s)
	s.Token = snib.Token{}
	return s, nil
}

// withCarried returns the tokens and those of the cookies, each once.
func withCarried(tokens []snib.Token, c credentials) []snib.Token {
	tokens = slices.Clone(tokens)
	for _, text := range c.cookies {
		if !slices.ContainsFunc(tokens, func(t snib.Token) bool { return t.Reveal() == text }) {
			tokens = append(tokens, snib.PresentedToken(text))
		}
	}
	return tokens
}

// LogOut ends the session that the request carries, and the refresh tokens that
// belong to it, and deletes the cookie. The browser stays a known device. A
// request that is not signed in is no error. It is done even if the client does
// not wait for the answer.
//
// ErrMethod for a request that changes nothing (GET), which any page can have
// sent; ErrCrossOrigin, ErrHost and ErrAuthorization as SetSession. Others are
// of the database: then the cookie stays, for another try.
func (m *Manager) LogOut(w http.ResponseWriter, r *http.Request) error {
	c, err := m.mayLeave(r)
	if err != nil {
		return err
	}
	if c.bearer {
		c.cookies = []string{c.token}
	}
	if err := m.end(context.WithoutCancel(r.Context()), c.cookies); err != nil {
		return err
	}
	m.leave(w, r, c)
	return nil
}

// LogOutEverywhere ends all sessions, refresh tokens and known devices of the
// signed-in user, and deletes the cookie. ErrUnauthenticated if the request is
// not signed in; other errors as LogOut.
func (m *Manager) LogOutEverywhere(w http.ResponseWriter, r *http.Request) error {
	c, err := m.mayLeave(r)
	if err != nil {
		return err
	}
	s, u, err := m.whoever(r, c)
	if err != nil {
		return err
	}
	err = m.db.RevokeUserSessions(context.WithoutCancel(r.Context()), u.ID)
	if err != nil && !errors.Is(err, snib.ErrUserNotFound) { // deleted meanwhile, with all there was
		return err
	}
	m.leave(w, r, c)
	m.dropDevice(w, r, string(s.ID))
	return nil
}

// LogOutOthers ends all sessions, refresh tokens and known devices of the
// signed-in user except this session and the refresh token it was born of, and
// sets the cookie of a new token for it: a copy of the old one is worth nothing.
// The browser is a known device anew. A client with a bearer token keeps that.
// ErrUnauthenticated if the request is not signed in; other errors as LogOut.
func (m *Manager) LogOutOthers(w http.ResponseWriter, r *http.Request) error {
	c, err := m.mayLeave(r)
	if err != nil {
		return err
	}
	if !c.bearer {
		_, err := m.replace(w, r, func(ctx context.Context, token string) (snib.Session, error) {
			return m.db.ChangeCredentials(context.WithoutCancel(ctx), token, func(tx *snib.Tx, s snib.Session) error {
				return tx.RevokeUserSessions(s.UserID, s.ID)
			})
		})
		return err
	}
	s, _, err := m.whoever(r, c)
	if err != nil {
		return err
	}
	err = m.db.RevokeUserSessions(context.WithoutCancel(r.Context()), s.UserID, s.ID)
	if errors.Is(err, snib.ErrUserNotFound) { // deleted meanwhile, with all there was
		return ErrUnauthenticated
	}
	return err
}

// mayEnter returns the credentials of a request that is to get the cookie of a
// session. More than one is no obstacle: all of them end.
func (m *Manager) mayEnter(r *http.Request) (credentials, error) {
	c, err := m.admit(r)
	if err == nil && c.bearer {
		err = ErrAuthorization
	}
	return c, err
}

// enter sets the cookie of a session that was made.
func (m *Manager) enter(w http.ResponseWriter, r *http.Request, c credentials, s snib.Session) {
	if c.count > 1 {
		m.deletePlanted(w, r, true)
	}
	m.setCookie(w, s.Token.Reveal(), s)
	m.rememberDevice(w, r, s)
}

// mayLeave returns the credentials of a request that is to end sessions.
func (m *Manager) mayLeave(r *http.Request) (credentials, error) {
	c, err := m.admit(r)
	if err == nil && safe(r) {
		err = ErrMethod
	}
	return c, err
}

// leave deletes the cookie of a session that was ended.
func (m *Manager) leave(w http.ResponseWriter, r *http.Request, c credentials) {
	if c.bearer {
		return
	}
	if c.count > 1 {
		m.deletePlanted(w, r, true)
	}
	m.deleteCookie(w)
}

// whoever returns the signed-in session and user: those that the middleware
// found, or, without a middleware, those of a lookup of its own.
func (m *Manager) whoever(r *http.Request, c credentials) (snib.Session, snib.User, error) {
	if v := m.visitOf(r); v != nil && v.looked {
		if !v.signedIn {
			return snib.Session{}, snib.User{}, ErrUnauthenticated
		}
		return v.session, v.user, nil
	}
	if !c.bearer && len(c.cookies) == 1 {
		c.token = c.cookies[0]
	}
	s, u, err := m.validate(r.Context(), c.token)
	if errors.Is(err, snib.ErrInvalidSession) {
		err = ErrUnauthenticated
	}
	return s, u, err
}

// end ends the sessions and families of tokens. Each is looked up before the
// writer is asked for, so that strangers cannot hold up other callers; should
// one fail, a later try ends the rest.
func (m *Manager) end(ctx context.Context, tokens []string) error {
	for _, token := range tokens {
		if err := m.db.RevokeToken(ctx, token); err != nil {
			return err
		}
	}
	return nil
}
