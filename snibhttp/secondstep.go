package snibhttp

import (
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"github.com/snibdb/snib"
)

// The cookie that carries the first step of a log-in to the second one. The
// database bounds its life, the browser only tidies up.
const (
	pendingSuffix = "-step"
	pendingAge    = 10 * 60 // seconds
	maxPending    = 3800    // bytes; browsers drop a cookie of more than 4,096 in all
)

// SecondStep reports whether err is the first step of a log-in that needs a
// second one (snib.ErrSecondFactor), and sets the cookie that carries it there:
// HttpOnly, SameSite=Strict, for 10 minutes. Show a form for the code, whose
// handler calls [Manager.FinishLogIn]. [Manager.Error] and the methods of the
// Manager that log in have done it already. A request that SetSession would
// refuse gets no cookie.
func (m *Manager) SecondStep(w http.ResponseWriter, r *http.Request, err error) bool {
	e, ok := errors.AsType[*snib.SecondFactorError](err)
	if !ok {
		return false
	}
	pending := e.Pending.Reveal()
	switch c, err := m.admissible(r); {
	case err != nil || c.bearer:
	case len(pending) > maxPending:
		m.logLine(lineTrouble, slog.LevelError, "snibhttp: attributes are too long for a cookie, the log-in cannot go on", "bytes", len(pending))
	default:
		m.writePending(w, pending, pendingAge)
	}
	return true
}

// FinishLogIn is the second step of a log-in, also of [Manager.Reauthenticate]:
// it gives the code of a form and the first step, which the request carries in a
// cookie, to the database, and signs the client in as SetSession does. It
// returns the new session without its Token.
//
// snib.ErrInvalidCredentials for a wrong code: the form asks again.
// snib.ErrInvalidPending without the cookie, after 10 minutes, and when the user's
// credentials have changed: the log-in begins anew. ErrMethod for a request that
// changes nothing (GET); ErrCrossOrigin, ErrHost, ErrAuthorization. Others are as
// of [snib.Factors.FinishLogIn].
func (m *Manager) FinishLogIn(w http.ResponseWriter, r *http.Request, code string) (snib.Session, error) {
	pending, err := m.Pending(w, r)
	if err != nil {
		return snib.Session{}, err
	}
	s, _, err := m.db.Factors().FinishLogIn(m.ClientContext(r), pending, code)
	if err == nil {
		err = m.SetSession(w, r, s)
	}
	if err == nil || errors.Is(err, snib.ErrInvalidPending) {
		m.writePending(w, "", -1)
	}
	if err != nil {
		return snib.Session{}, err
	}
	s.Token = snib.Token{}
	return s, nil
}

// Pending returns the first step of a log-in, which the request carries in a
// cookie, for the methods of [snib.Factors] that take one, and for
// [snib.Enrolling]. Errors are those of FinishLogIn that are not about the code.
func (m *Manager) Pending(w http.ResponseWriter, r *http.Request) (string, error) {
	c, err := m.mayLeave(r)
	if err == nil && c.bearer {
		err = ErrAuthorization
	}
	if err != nil {
		return "", err
	}
	values, count := cookieValues(r.Header["Cookie"], m.cookie+pendingSuffix, 1)
	if count != 1 { // another port or host has planted one: see deletePlanted
		m.writePending(w, "", -1)
		return "", snib.ErrInvalidPending
	}
	return values[0], nil
}

// BeginTOTP begins the factor of a user who must have one and has none, in the
// second step of a log-in: see [snib.Enrolling]. Show its URI and a form for the
// code, whose handler calls FinishLogIn, which confirms the factor and signs in.
// issuer and name are as of [snib.Factors.BeginTOTP], and so are errors; others are
// those of Pending. snib.ErrEnrolment is for a page that mails a one-time token.
func (m *Manager) BeginTOTP(w http.ResponseWriter, r *http.Request, issuer, name string) (snib.TOTPEnrolment, error) {
	pending, err := m.Pending(w, r)
	if err != nil {
		return snib.TOTPEnrolment{}, err
	}
	e, err := m.db.Factors().BeginTOTP(m.ClientContext(r), snib.Enrolling(pending), issuer, name)
	if errors.Is(err, snib.ErrInvalidPending) {
		m.writePending(w, "", -1)
	}
	noStore(w.Header())
	return e, err
}

// writePending sets the cookie of the first step, in the place of one that this
// answer had.
func (m *Manager) writePending(w http.ResponseWriter, value string, maxAge int) {
	c := http.Cookie{
		Name: m.cookie + pendingSuffix, Value: value, Path: "/", MaxAge: maxAge,
		Secure: m.o.Profile == HTTPS, HttpOnly: true, SameSite: http.SameSiteStrictMode,
	}
	h := w.Header()
	var kept []string
	for _, line := range h["Set-Cookie"] {
		if !strings.HasPrefix(line, c.Name+"=") {
			kept = append(kept, line)
		}
	}
	h["Set-Cookie"] = append(kept, c.String())
	noStore(h)
}
