package snibhttp

import (
	"net/http"
	"strings"
)

// admit decides whether a request gets as far as being looked at: its Host,
// its Authorization headers and, unless it carries a bearer token, where it
// was sent from. A page of another site can make a browser send a request, but
// not one with an Authorization header of the page's choosing.
func (m *Manager) admit(r *http.Request) (credentials, error) {
	c, err := m.admissible(r)
	switch err {
	case ErrHost:
		m.logHost(r)
	case ErrCrossOrigin:
		m.logOrigin(r)
	}
	return c, err
}

// admissible is admit without a line in the log.
func (m *Manager) admissible(r *http.Request) (credentials, error) {
	if !m.hosts.allows(r.Host) {
		return credentials{}, ErrHost
	}
	c, err := m.presented(r)
	if err != nil {
		return credentials{}, err
	}
	if !c.bearer && !m.sameOrigin(r) {
		return credentials{}, ErrCrossOrigin
	}
	return c, nil
}

// checkHost is Options.Hosts.
func (m *Manager) checkHost(r *http.Request) error {
	if m.hosts.allows(r.Host) {
		return nil
	}
	m.logHost(r)
	return ErrHost
}

// sameOrigin reports whether a request changes nothing, or was sent by a page
// of ours or of a trusted origin, or by the user's own doing. It is
// [http.CrossOriginProtection], and stricter where that lets pass:
//
//   - a request with neither Origin nor Sec-Fetch-Site is refused: every
//     browser sends one of them, and others have bearer tokens;
//   - an Origin must be equal in scheme, host and port, for any Sec-Fetch-Site;
//     without that, plain HTTP can forge for HTTPS. The Host is brought to the
//     form that browsers write, as proxies may change it;
//   - the handshake of a WebSocket is a GET and yet opens the way to anything;
//   - either header twice is refused.
func (m *Manager) sameOrigin(r *http.Request) bool {
	if safe(r) {
		return true
	}
	origins, sites := r.Header["Origin"], r.Header["Sec-Fetch-Site"]
	if len(origins) > 1 || len(sites) > 1 {
		return false
	}
	origin, site := r.Header.Get("Origin"), r.Header.Get("Sec-Fetch-Site")
	if origin == "" && site == "" {
		return false
	}
	host := m.hosts.canonical(r.Host)
	unsafe := *r
	unsafe.Method, unsafe.Host = http.MethodPost, host // also for a handshake
	if m.base.Check(&unsafe) != nil {
		return false
	}
	named, ours := strings.CutPrefix(origin, m.origin)
	switch {
	case origin == "", m.trusted[origin], ours && named != "" && named == host:
		return true
	case origin == "null":
		// A page of ours sends it under Referrer-Policy: no-referrer. The other
		// header proves that the page is ours; for a sandboxed frame or a data:
		// address it says cross-site.
		return site != ""
	}
	return false
}

// safe reports whether a request asks for nothing to change (RFC 9110, 9.2.1).
func safe(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return len(r.Header["Upgrade"]) == 0 && r.Header.Get("Sec-Fetch-Mode") != "websocket"
	}
	return false
}
