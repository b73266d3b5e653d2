package snibhttp

import (
	"net/http"
	"strings"
	"time"

	"github.com/snibdb/snib"
)

// maxCookieAge is the longest that browsers keep a cookie (RFC 6265bis).
const maxCookieAge = 400 * 24 * time.Hour

// cookieName is that of the profile. The prefix makes browsers refuse the
// cookie unless it is Secure, of Path=/ and of this very host.
func (o *Options) cookieName() string {
	if o.Profile == HTTPS {
		return "__Host-" + o.App
	}
	return o.App
}

// setCookie gives the client the token of a session, in the place of any
// cookie of ours that this answer had. It may do so once the session is
// committed.
//
// The browser keeps the cookie until the absolute deadline of the session, so
// that extending one is between this program and its database: were each
// extension a new cookie, the answer to a slow request could overwrite the
// cookie of a log-in in another tab. Max-Age needs no clock but the one that
// the session was made by; and Expires would need the browser's to be right.
func (m *Manager) setCookie(w http.ResponseWriter, s snib.Session) {
	age := maxCookieAge
	switch {
	case s.RefreshTokenID != "": // it cannot be extended
		age = s.IdleUntil.Sub(s.LastUsedAt)
	case !s.AbsoluteUntil.IsZero():
		age = min(age, s.AbsoluteUntil.Sub(s.LastUsedAt))
	}
	m.writeCookie(w, s.Token.Reveal(), max(1, int(age/time.Second)))
}

// deleteCookie takes the cookie away.
func (m *Manager) deleteCookie(w http.ResponseWriter) { m.writeCookie(w, "", -1) }

// writeCookie is the one place that writes the cookie: a cookie is deleted by
// one that is alike in every attribute.
func (m *Manager) writeCookie(w http.ResponseWriter, value string, maxAge int) {
	c := http.Cookie{
		Name:     m.cookie,
		Value:    value,
		Path:     "/",
		MaxAge:   maxAge,
		Secure:   m.o.Profile == HTTPS,
		HttpOnly: true,
		SameSite: m.o.SameSite,
	}
	h := w.Header()
	var kept []string
	for _, line := range h["Set-Cookie"] {
		if name, _, _ := strings.Cut(line, "="); name != m.cookie {
			kept = append(kept, line)
		}
	}
	h["Set-Cookie"] = append(kept, c.String())
	noStore(h)
}

// noStore keeps an answer out of every cache: that of a proxy, which would give
// it to others, and the browser's, which would show it after the sign-out.
func noStore(h http.Header) { h.Set("Cache-Control", "no-store") }
