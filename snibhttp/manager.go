package snibhttp

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"unicode"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/internal/clock"
)

// Manager puts the accounts of a database behind the handlers of net/http.
// All its methods are safe for concurrent use. It keeps nothing but its
// settings and how much it has logged; there may be several to a database.
type Manager struct {
	db      *snib.DB
	o       Options
	cookie  string // its name
	device  string // that of the device cookie
	origin  string // the scheme of our own origin, with "://"
	hosts   hostList
	trusted map[string]bool
	base    *http.CrossOriginProtection
	log     *slog.Logger
	lines   limiter // of the log
	proxies proxies

	admitted *visit // of every request that Protect has let through
}

// New returns a Manager for db, which the caller goes on to own and closes
// after the server. A field of o that is missing or out of its bounds is
// ErrInvalidInput, as a [snib.InputError] that names it.
func New(db *snib.DB, o *Options) (*Manager, error) {
	m := &Manager{db: db, base: http.NewCrossOriginProtection(), trusted: make(map[string]bool), lines: limiter{now: clock.New(nil).Wall}}
	m.admitted = &visit{manager: m}
	if o != nil {
		m.o = *o
	}
	if db == nil {
		return nil, &snib.InputError{Field: "db", Code: snib.CodeRequired, Reason: "must not be nil"}
	}
	if err := m.o.check(); err != nil {
		return nil, err
	}
	for _, origin := range m.o.TrustedOrigins {
		if err := m.base.AddTrustedOrigin(origin); err != nil {
			return nil, invalid("TrustedOrigins", snib.CodeMalformed, "must each be an origin")
		}
		m.trusted[origin] = true
	}
	m.hosts = m.o.hostList()
	m.o.Hosts, m.o.TrustedOrigins = nil, nil // the caller's; both are in the sets
	m.proxies = slices.Clone(m.o.TrustedProxies)
	if m.o.SameSite == 0 {
		m.o.SameSite = http.SameSiteLaxMode
	}
	m.origin = m.o.Profile.scheme() + "://"
	m.cookie, m.device = m.o.cookieName(), m.o.deviceCookie()
	m.log = m.o.Logger
	if m.log == nil {
		m.log = slog.New(slog.DiscardHandler)
	}
	if m.o.Profile == InsecureLAN {
		m.log.Warn("snibhttp: sessions travel over plain HTTP, where anybody on the network can take them")
	}
	return m, nil
}

// The session attributes that the Manager records.
const (
	AttrAddress   = "address"    // of the client, at most 64 bytes
	AttrUserAgent = "user_agent" // as the client calls itself, at most 256 bytes
)

// SessionOptions returns the options for [snib.DB.LogIn] or CreateRefreshToken
// for a log-in by this request: the attributes [AttrAddress] and
// [AttrUserAgent], by which users know their sessions in a list, as Replaces the
// tokens of its cookies, and Persistent unless Options.BrowserSession is set. The
// second attribute is text of the client's choice. The caller may change all of
// it, and set Persistent to whether the user has ticked "remember me". A request
// that SetSession would refuse replaces nothing: a page of another site signs
// nobody out. A program puts the tokens of native clients there itself.
func (m *Manager) SessionOptions(r *http.Request) snib.SessionOptions {
	o := snib.SessionOptions{Attributes: snib.Attributes{
		AttrAddress:   m.address(r),
		AttrUserAgent: printable(r.UserAgent(), 256),
	}, Persistent: !m.o.BrowserSession}
	c, _ := m.admissible(r)
	for _, text := range c.cookies {
		o.Replaces = append(o.Replaces, snib.PresentedToken(text))
	}
	return o
}

// ClientContext returns the context of r with the address of its client, which heeds
// Options.TrustedProxies ([snib.WithClient]), and the known devices that it claims to
// be ([snib.WithDevice]). The middleware and the methods that log in see to it
// themselves; other handlers give it to what is throttled, such as
// [snib.Factors.LogInRefreshToken] and BeginReset of [snib.OneTimeTokens].
func (m *Manager) ClientContext(r *http.Request) context.Context {
	ctx := r.Context()
	if addr := m.proxies.client(r); addr.IsValid() {
		ctx = snib.WithClient(ctx, addr)
	}
	if tokens := m.deviceTokens(r); len(tokens) > 0 {
		ctx = snib.WithDevice(ctx, tokens...)
	}
	return ctx
}

// address is that of the client, as it is shown.
func (m *Manager) address(r *http.Request) string {
	if addr := m.proxies.client(r); addr.IsValid() {
		return addr.String()
	}
	return printable(r.RemoteAddr, 64)
}

// printable drops from text invalid UTF-8, unprintable characters, and the rest
// beyond most bytes: it will be shown in a list.
func printable(text string, most int) string {
	text = strings.Map(func(c rune) rune {
		if c == unicode.ReplacementChar || !unicode.IsPrint(c) {
			return -1
		}
		return c
	}, text[:min(len(text), 4*most)])
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "")
	}
	return text
}
