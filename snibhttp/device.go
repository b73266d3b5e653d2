package snibhttp

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/snibdb/snib"
)

// The device cookie has the tokens of the known devices that this browser is
// ([snib.Devices]), one for each of the last users who logged in here. It stays
// through log-outs: it lets nobody in, and its work begins where there is no
// session. It does not say who has logged in to a reader without the database.
const (
	maxDevices      = 5   // tokens in the cookie; the database looks up no more
	deviceSeparator = "~" // between them, which no token has
)

// deviceCookie is the name of the cookie. No App has a dot, so it is no other
// program's.
func (o *Options) deviceCookie() string { return o.cookieName() + ".device" }

// deviceTokens returns the tokens of the device cookies of a request. Of several
// cookies the last is ours (see maxCookies) and comes first: one that is planted
// takes no place of its tokens.
func (m *Manager) deviceTokens(r *http.Request) (tokens []string) {
	values, count := cookieValues(r.Header["Cookie"], m.device, 2)
	if count == 0 {
		return nil
	}
	if c, err := m.presented(r); err != nil || c.bearer {
		return nil
	}
	slices.Reverse(values)
	for _, value := range values {
		for token := range strings.SplitSeq(value, deviceSeparator) {
			if len(tokens) == maxDevices {
				return tokens
			}
			if token != "" && !slices.Contains(tokens, token) {
				tokens = append(tokens, token)
			}
		}
	}
	return tokens
}

// RememberDevice makes the browser of a request a known device of the user of s,
// a session that was made for it, and sets the device cookie: see
// [snib.Devices.Remember]. SetSession, LogIn and Reauthenticate do so by
// themselves for a session that outlives the browser ([snib.Session.Persistent]),
// and so do ChangePassword, ChangeCredentials and LogOutOthers, which end all
// devices, this one too.
//
// It does nothing for a session that ends with the browser, which may be lent.
// Errors of the request are those of SetSession, others of the database.
func (m *Manager) RememberDevice(w http.ResponseWriter, r *http.Request, s snib.Session) error {
	return m.withDevice(w, r, s, m.db.Devices().Remember)
}

// TrustDevice does the work of RememberDevice and lets the browser stand for a
// second factor at log-ins of this user, for so long: see [snib.Devices.Trust].
func (m *Manager) TrustDevice(w http.ResponseWriter, r *http.Request, s snib.Session, life time.Duration) error {
	return m.withDevice(w, r, s, func(ctx context.Context, s snib.Session) (snib.Device, error) {
		return m.db.Devices().Trust(ctx, s, life)
	})
}

func (m *Manager) withDevice(w http.ResponseWriter, r *http.Request, s snib.Session, write func(context.Context, snib.Session) (snib.Device, error)) error {
	if _, err := m.mayEnter(r); err != nil {
		return err
	}
	if !s.Persistent {
		return nil
	}
	d, err := write(m.ClientContext(r), s)
	if err == nil && d.ID != "" {
		m.setDevice(w, r, d)
	}
	return err
}

// rememberDevice is RememberDevice after a log-in, which is worth more than a
// device.
func (m *Manager) rememberDevice(w http.ResponseWriter, r *http.Request, s snib.Session) {
	if err := m.RememberDevice(w, r, s); err != nil {
		m.logLine(lineDevice, slog.LevelWarn, "snibhttp: a device was not remembered", "session", s.ID, "error", err)
	}
}

// setDevice sets the device cookie: with the token of a device that is new or
// has a new one, in the place of the user's old one, else as it came.
func (m *Manager) setDevice(w http.ResponseWriter, r *http.Request, d snib.Device) {
	tokens := m.deviceTokens(r)
	if text := d.Token.Reveal(); text != "" {
		tokens = append([]string{text}, without(tokens, string(d.ID))...)
	}
	tokens = tokens[:min(len(tokens), maxDevices)]
	m.writeNamed(w, m.device, strings.Join(tokens, deviceSeparator), int(maxCookieAge/time.Second))
}

// dropDevice takes a user's device, which has ended, out of the cookie. id is of
// anything of the user's.
func (m *Manager) dropDevice(w http.ResponseWriter, r *http.Request, id string) {
	tokens := m.deviceTokens(r)
	left := without(tokens, id)
	switch {
	case len(left) == len(tokens):
	case len(left) == 0:
		m.writeNamed(w, m.device, "", -1)
	default:
		m.writeNamed(w, m.device, strings.Join(left, deviceSeparator), int(maxCookieAge/time.Second))
	}
}

// without leaves out the tokens of a user: 16 digits, from the fifth on, are the
// same in all ids of what a user has, and a token has "sn" in front of its id.
func without(tokens []string, id string) []string {
	return slices.DeleteFunc(slices.Clone(tokens), func(token string) bool {
		return len(token) > 22 && len(id) > 20 && token[6:22] == id[4:20]
	})
}
