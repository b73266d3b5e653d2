package snibhttp

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/snibdb/snib"
)

// Protect lets requests through to next that come from where they may: see
// "Cross-site requests" in the package comment. Their context is that of
// [Manager.ClientContext]. It looks up no session and reads no database. Optional and
// Require include it.
func (m *Manager) Protect(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if m.visitOf(r) == nil {
			if _, err := m.admit(r); err != nil {
				m.Error(w, r, err)
				return
			}
			r = withVisit(r, m.admitted)
		}
		next.ServeHTTP(w, r)
	})
}

// Optional does the work of Protect, and gives next, by [FromContext], the
// session and user if the request is signed in. It is for a whole site, of
// which parts are behind Require: those look nothing up again.
//
// A session that is idle, or whose use is due to be written, is extended before
// next is called; that is the only write, and happens once in
// Options.Sessions.ExtendEvery of the database. The cookie stays as it is.
// Answers to signed-in requests are Cache-Control: no-store unless next says
// otherwise. A bearer token that is not valid is refused with 401, an invalid
// cookie is ignored. A request with an API key is not signed in: see
// [Manager.RequireKey].
func (m *Manager) Optional(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r, _, ok := m.look(w, r); ok {
			next.ServeHTTP(w, r)
		}
	})
}

// Require does the work of Optional, and refuses with 401 a request that is not
// signed in. Behind it, FromContext always has a session and user.
func (m *Manager) Require(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r, v, ok := m.look(w, r)
		switch {
		case !ok:
		case !v.signedIn:
			m.Error(w, r, ErrUnauthenticated)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// FromContext returns the session and user of a request that went through
// Optional or Require, as they were then: a session that next ends or begins is
// not in it. ok is false, and both are zero, if the request is not signed in.
// The Session has no Token.
//
// Of several Managers it is the one whose middleware is the innermost:
// [Manager.FromContext] asks a certain one.
func FromContext(ctx context.Context) (s snib.Session, u snib.User, ok bool) {
	v, _ := ctx.Value(visitKey{}).(*visit)
	return v.who()
}

// FromContext is the function of this name for the middleware of this Manager:
// where administrators and users have databases of their own, one is never
// taken for the other.
func (m *Manager) FromContext(ctx context.Context) (s snib.Session, u snib.User, ok bool) {
	v, _ := ctx.Value(m).(*visit)
	return v.who()
}

// A visit holds the middleware's findings about a request. It is written before
// it is put into the context and not after.
type visit struct {
	manager  *Manager // whose middleware it was
	looked   bool     // for a session: not by Protect
	signedIn bool
	token    string // of the session, if signedIn
	session  snib.Session
	user     snib.User
}

// who returns the session and user as FromContext does. A nil visit has no
// session.
func (v *visit) who() (snib.Session, snib.User, bool) {
	if v == nil || !v.signedIn {
		return snib.Session{}, snib.User{}, false
	}
	return v.session, v.user, true
}

type visitKey struct{}

// A visitContext has a visit under two keys: that of the last middleware that a
// request went through, and the Manager's own, which another one inside does
// not shadow.
type visitContext struct {
	context.Context
	visit *visit
}

// Value returns the visit, or the value of the context around.
func (c visitContext) Value(key any) any {
	if key == (visitKey{}) || key == c.visit.manager {
		return c.visit
	}
	return c.Context.Value(key)
}

// withVisit returns r with v in its context, and what the database asks about
// the caller: the client's address, and the session as proof of the user.
func withVisit(r *http.Request, v *visit) *http.Request {
	ctx := v.manager.ClientContext(r)
	if v.signedIn {
		ctx = snib.WithProof(ctx, v.token)
	}
	return r.WithContext(visitContext{ctx, v})
}

// visitOf returns the visit that a middleware of this Manager has made already,
// or nil.
func (m *Manager) visitOf(r *http.Request) *visit {
	v, _ := r.Context().Value(m).(*visit)
	return v
}

// look admits a request and finds its session and user. If it is refused, look
// has answered and ok is false.
func (m *Manager) look(w http.ResponseWriter, r *http.Request) (_ *http.Request, _ *visit, ok bool) {
	if v := m.visitOf(r); v != nil && v.looked {
		return r, v, true
	}
	// The answer depends on both headers, signed in or not.
	w.Header().Add("Vary", "Cookie, Authorization")
	v, err := m.find(w, r)
	if err != nil {
		m.Error(w, r, err)
		return r, nil, false
	}
	if v.signedIn {
		noStore(w.Header())
	}
	return withVisit(r, v), v, true
}

// find is look without the answer.
func (m *Manager) find(w http.ResponseWriter, r *http.Request) (*visit, error) {
	v := &visit{manager: m, looked: true}
	c, err := m.admit(r)
	if err != nil {
		return nil, err
	}
	token := c.token
	switch {
	case c.bearer && looksLikeKey(token):
		return v, nil // for RequireKey inside, if there is one; no session
	case c.bearer:
	case c.count == 0:
		return v, nil
	case c.count > 1:
		// Another port or host of this name has planted one. There is no
		// telling which by the request, and taking the wrong one would be to
		// work in another user's account.
		m.logLine(lineCookies, slog.LevelWarn, "snibhttp: more than one cookie of our name, taken as signed out",
			"cookie", m.cookie, "count", c.count, "address", m.address(r))
		m.deletePlanted(w, r, false)
		return v, nil
	default:
		token = c.cookies[0]
	}
	v.session, v.user, err = m.validate(r.Context(), token)
	switch {
	case err == nil:
		if v.signedIn, v.token = true, token; !c.bearer {
			m.keepCookie(w, token, v.session)
		}
	case !errors.Is(err, snib.ErrInvalidSession):
		return nil, err
	case c.bearer:
		return nil, ErrBearerToken
	}
	// A cookie that is not valid stays: this answer may reach the browser
	// after that of a log-in in another tab, and would delete its cookie.
	return v, nil
}

// extendWait bounds how long a request of an active session waits for its use
// to be written: it is good without.
const extendWait = time.Second

// validate returns the session and user of a token, and extends the session if
// that is due. Almost always it is one look that writes nothing.
func (m *Manager) validate(ctx context.Context, token string) (snib.Session, snib.User, error) {
	s, u, err := m.db.ValidateSessionUser(ctx, token)
	switch {
	case errors.Is(err, snib.ErrInvalidSession):
		// Idle or dead: ExtendSession knows, and writes only for the first.
		// Of two requests at once, one writes and the other finds it done.
		extended, err := m.db.ExtendSession(ctx, token)
		if err != nil {
			return snib.Session{}, snib.User{}, err
		}
		_, u, err = m.db.ValidateSessionUser(ctx, token)
		return extended, u, err
	case err != nil || !s.ExtendDue:
		return s, u, err
	}
	soon, cancel := context.WithTimeout(ctx, extendWait)
	defer cancel()
	extended, err := m.db.ExtendSession(soon, token)
	switch {
	case err == nil:
		return extended, u, nil
	case ctx.Err() == nil && mayGoUnwritten(err):
		// A full disk or a busy writer shuts no user out.
		m.logLine(lineUnwritten, slog.LevelWarn, "snibhttp: the use of a session was not written", "session", s.ID, "error", err)
		return s, u, nil
	}
	return snib.Session{}, snib.User{}, err
}

// mayGoUnwritten reports whether an extension failed for a reason that leaves
// the session, and the database, good.
func mayGoUnwritten(err error) bool {
	for _, e := range []error{snib.ErrBusy, snib.ErrFull, snib.ErrReadOnly, context.DeadlineExceeded} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
