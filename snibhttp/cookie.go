package snibhttp

import (
	"net/http"
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

// setCookie gives the client a token, which is that of a session, in the place
// of any cookie of ours that this answer had. It may do so once the session is
// committed.
//
// The browser keeps the cookie until the absolute deadline of the session, so
// that extending one is between this program and its database: were each
// extension a new cookie, the answer to a slow request could overwrite the
// cookie of a log-in in another tab. Max-Age needs no clock but the one that
// the session was read by; and Expires would need the browser's to be right.
func (m *Manager) setCookie(w http.ResponseWriter, token string, s snib.Session) {
	age := maxCookieAge
	switch {
	case !s.Persistent:
		m.writeCookie(w, token, 0)
		return
	case s.RefreshTokenID != "": // it cannot be extended
		age = s.IdleUntil.Sub(s.ReadAt)
	case !s.AbsoluteUntil.IsZero():
		age = min(age, s.AbsoluteUntil.Sub(s.ReadAt))
	}
	m.writeCookie(w, token, max(1, int(age/time.Second)))
}

// keepCookie sets the cookie again, with the same token, if the session is to
// outlive it: browsers drop a cookie 400 days after it was set. It does so in
// the second half of that time and where the use of the session has just been
// written, so that few answers carry a cookie: see setCookie for why.
func (m *Manager) keepCookie(w http.ResponseWriter, token string, s snib.Session) {
	outlives := s.AbsoluteUntil.IsZero() || s.AbsoluteUntil.Sub(s.CreatedAt) > maxCookieAge
	if !outlives || s.RefreshTokenID != "" || !s.LastUsedAt.Equal(s.ReadAt) || s.ReadAt.Sub(s.CreatedAt) < maxCookieAge/2 {
		return
	}
	if s.Persistent {
		m.setCookie(w, token, s)
	}
}

// deleteCookie takes the cookie away.
func (m *Manager) deleteCookie(w http.ResponseWriter) { m.writeCookie(w, "", -1) }

// writeCookie is the one place that writes our cookie: a cookie is deleted by
// one that is alike in every attribute. With a maxAge of 0 it ends with the
// browser.
func (m *Manager) writeCookie(w http.ResponseWriter, value string, maxAge int) {
	h := w.Header()
	var kept []string
	for _, line := range h["Set-Cookie"] {
		c, err := http.ParseSetCookie(line)
		if err != nil || c.Name != m.cookie || c.Path != "/" || c.Domain != "" {
			kept = append(kept, line) // not ours; the deletion of a planted one, say
		}
	}
	h["Set-Cookie"] = append(kept, m.cookieLine(value, "/", "", maxAge))
	noStore(h)
}

// cookieLine is the value of a Set-Cookie header.
func (m *Manager) cookieLine(value, path, domain string, maxAge int) string {
	c := http.Cookie{
		Name:     m.cookie,
		Value:    value,
		Path:     path,
		Domain:   domain,
		MaxAge:   maxAge,
		Secure:   m.o.Profile == HTTPS,
		HttpOnly: true,
		SameSite: m.o.SameSite,
	}
	return c.String()
}

// noStore keeps an answer out of every cache: that of a proxy, which would give
// it to others, and the browser's, which would show it after the sign-out.
func noStore(h http.Header) { h.Set("Cache-Control", "no-store") }
