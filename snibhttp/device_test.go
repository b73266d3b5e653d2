package snibhttp_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibhttp"
)

const deviceCookie = "Cookie: __Host-notes.device="

// device makes a known device of a user and returns its token.
func (s *site) device(u snib.User) string {
	s.t.Helper()
	session, err := s.db.CreateSession(context.Background(), s.current(u), snib.SessionOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	d, err := s.db.Devices().Remember(context.Background(), session)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.db.RevokeToken(context.Background(), session.Token.Reveal()); err != nil {
		s.t.Fatal(err)
	}
	all.issue(d.Token.Reveal())
	return d.Token.Reveal()
}

func (s *site) current(u snib.User) snib.User {
	s.t.Helper()
	u, err := s.db.GetUser(context.Background(), u.ID)
	if err != nil {
		s.t.Fatal(err)
	}
	return u
}

func (s *site) newUser(name string) snib.User {
	s.t.Helper()
	u, err := s.db.CreateUser(context.Background(), snib.NewUser{Provider: "email", Identifier: name + "@example.com", Password: password})
	if err != nil {
		s.t.Fatal(err)
	}
	return u
}

// known reports whether a device cookie has the token of a known device of u.
func (s *site) known(u snib.User, value string) bool {
	s.t.Helper()
	_, err := s.db.Devices().Current(snib.WithDevice(context.Background(), strings.Split(value, "~")...), u.ID)
	if err != nil && !errors.Is(err, snib.ErrDeviceNotFound) {
		s.t.Error(err)
	}
	return err == nil
}

// deviceOf returns the device cookie that an answer sets, or nil.
func deviceOf(t *testing.T, res *http.Response) *http.Cookie {
	t.Helper()
	var found *http.Cookie
	for _, c := range res.Cookies() {
		if strings.HasSuffix(c.Name, ".device") {
			if found != nil {
				t.Errorf("two device cookies: %q", res.Header["Set-Cookie"])
			}
			found = c
		}
	}
	return found
}

// strangers fail to log in as ada until they are throttled.
func (s *site) strangers() {
	for range 5 {
		s.db.AuthenticateUser(context.Background(), "email", "ada@example.com", "a guess")
	}
}

// TestDeviceCookieKeepsTheOwnerIn while strangers guess, through a log-out, with
// each way in that a program has.
func TestDeviceCookieKeepsTheOwnerIn(t *testing.T) {
	s := newSite(t, nil)
	logIn := s.m.Protect(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		session, _, err := s.db.LogIn(r.Context(), "email", "ada@example.com", password, s.m.SessionOptions(r))
		if err == nil {
			err = s.m.SetSession(w, r, session)
		}
		s.answer(w, r, err)
	}))
	res := s.serve(logIn, s.request("POST", "/"))
	wantStatus(t, res, http.StatusNoContent)
	c := deviceOf(t, res)
	if c == nil || c.Name != "__Host-notes.device" || !c.HttpOnly || !c.Secure || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" || c.MaxAge != 400*24*3600 {
		t.Fatalf("the device cookie is %v", c)
	}
	res = s.do(s.request("POST", "/sign-out", cookie+cookieOf(t, res), deviceCookie+c.Value))
	if wantStatus(t, res, http.StatusNoContent); deviceOf(t, res) != nil {
		t.Errorf("a log-out sets %v", deviceOf(t, res))
	}
	s.strangers()
	wantStatus(t, s.serve(logIn, s.request("POST", "/")), http.StatusTooManyRequests)
	wantStatus(t, s.serve(logIn, s.request("POST", "/", "Cookie: theme=dark; __Host-notes.device="+c.Value)), http.StatusNoContent)
	// A bearer's request has no cookies.
	wantStatus(t, s.serve(logIn, s.request("POST", "/", deviceCookie+c.Value, "Authorization: Bearer x")), http.StatusTooManyRequests)
	// As a session it is none.
	wantStatus(t, s.do(s.request("GET", "/closed", cookie+c.Value)), http.StatusUnauthorized)
	wantStatus(t, s.do(s.request("GET", "/closed", deviceCookie+c.Value)), http.StatusUnauthorized)
}

func persistentOptions(m *snibhttp.Manager, r *http.Request) snib.SessionOptions {
	o := m.SessionOptions(r)
	o.Persistent = true
	return o
}

// TestDeviceCookieOfALentBrowser: there is none where the session ends with the
// browser.
func TestDeviceCookieOfALentBrowser(t *testing.T) {
	s := newSite(t, func(_ *snib.Options, h *snibhttp.Options) { h.BrowserSession = true })
	if c := deviceOf(t, s.do(s.request("POST", "/sign-in"))); c != nil {
		t.Errorf("set: %v", c)
	}
	var session snib.Session
	res := s.serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var err error
		if session, err = s.m.LogIn(w, r, s.user, persistentOptions(s.m, r)); err != nil {
			t.Error(err)
		}
	}), s.request("POST", "/"))
	if c := deviceOf(t, res); c == nil || !s.known(s.user, c.Value) {
		t.Errorf("of a log-in that says so: %v", c)
	}
	if list, _ := s.db.Devices().List(t.Context(), s.user.ID); len(list) != 1 || list[0].Attributes()[snibhttp.AttrAddress] != "192.0.2.1" {
		t.Errorf("devices: %+v", list)
	}
	// A failure costs nobody the log-in.
	s.db.RevokeUserSessions(t.Context(), s.user.ID)
	rec := httptest.NewRecorder()
	if err := s.m.RememberDevice(rec, s.request("POST", "/"), session); !errors.Is(err, snib.ErrInvalidSession) || len(rec.Result().Cookies()) > 0 {
		t.Errorf("of a session that has ended: %v, %v", err, rec.Result().Cookies())
	}
}

// TestDeviceCookieOfAFamily: who shares a browser shares no device, and the last
// five users stay known.
func TestDeviceCookieOfAFamily(t *testing.T) {
	s := newSite(t, nil)
	value := ""
	var users []snib.User
	for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
		u := s.newUser(name)
		users = append(users, u)
		for range 2 { // the second time changes nothing but its age
			res := s.serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, err := s.m.LogIn(w, r, s.current(u), s.m.SessionOptions(r))
				s.answer(w, r, err)
			}), s.request("POST", "/", deviceCookie+value))
			value = deviceOf(t, res).Value
		}
		if list, err := s.db.Devices().List(t.Context(), u.ID); err != nil || len(list) != 1 {
			t.Errorf("%s has %d devices, %v", name, len(list), err)
		}
	}
	if n := strings.Count(value, "~") + 1; n != 5 {
		t.Errorf("%d tokens in the cookie", n)
	}
	for i, u := range users {
		if s.known(u, value) != (i > 0) {
			t.Errorf("user %d is known: %t", i, i == 0)
		}
	}
	// Of two cookies of the name the last is ours.
	mixed := s.request("POST", "/", deviceCookie+"x~y~z~1~2", deviceCookie+value)
	var found snib.Device
	s.serve(s.m.Protect(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		found, _ = s.db.Devices().Current(r.Context(), users[5].ID)
	})), mixed)
	if found.ID == "" {
		t.Error("a planted cookie hides ours")
	}
}

// TestLogOutOthersKeepsThisDevice under another secret, and LogOutEverywhere
// ends it.
func TestLogOutOthersKeepsThisDevice(t *testing.T) {
	s := newSite(t, nil)
	bob := s.newUser("bob")
	mine, theirs, phone := s.device(s.user), s.device(bob), s.device(s.user)
	_, token := s.session()
	res := s.do(s.request("POST", "/others", cookie+token, deviceCookie+mine+"~"+theirs))
	wantStatus(t, res, http.StatusNoContent)
	c := deviceOf(t, res)
	if c == nil || !s.known(s.user, c.Value) || !s.known(bob, c.Value) || strings.Contains(c.Value, mine) {
		t.Fatalf("the device cookie is %v", c)
	}
	if s.known(s.user, mine) || s.known(s.user, phone) {
		t.Error("an old device is still known")
	}
	res = s.do(s.request("POST", "/others", cookie+cookieOf(t, res)))
	if wantStatus(t, res, http.StatusNoContent); !s.known(s.user, deviceOf(t, res).Value) || s.known(s.user, c.Value) {
		t.Errorf("a browser that was not known: %v", deviceOf(t, res))
	}
	token = cookieOf(t, res)
	mine = s.device(s.user)
	res = s.do(s.request("POST", "/everywhere", cookie+token, deviceCookie+mine+"~"+theirs))
	wantStatus(t, res, http.StatusNoContent)
	if c := deviceOf(t, res); c == nil || c.Value != theirs || s.known(s.user, mine) {
		t.Errorf("after a log-out everywhere: %v", c)
	}
	_, token = s.session()
	mine = s.device(s.user)
	if c := deviceOf(t, s.do(s.request("POST", "/everywhere", cookie+token, deviceCookie+mine))); c == nil || c.MaxAge >= 0 {
		t.Errorf("the last one of the cookie: %v", c)
	}
}

// TestRememberAndTrustDevice for a page that has changed the password or asked
// for a second factor.
func TestRememberAndTrustDevice(t *testing.T) {
	s := newSite(t, nil)
	_, token := s.session()
	mine := s.device(s.user)
	session, err := s.db.ChangePassword(t.Context(), token, password, "a new passphrase")
	if err != nil {
		t.Fatal(err)
	}
	token = session.Token.Reveal()
	page := func(act func(http.ResponseWriter, *http.Request) error, headers ...string) (*http.Response, error) {
		var err error
		res := s.serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { err = act(w, r) }), s.request("POST", "/", headers...))
		return res, err
	}
	remember := func(w http.ResponseWriter, r *http.Request) error { return s.m.RememberDevice(w, r, session) }
	trust := func(w http.ResponseWriter, r *http.Request) error { return s.m.TrustDevice(w, r, session, time.Hour) }
	res, err := page(remember, cookie+token, deviceCookie+mine)
	if err != nil || s.known(s.user, mine) || !s.known(s.user, deviceOf(t, res).Value) {
		t.Fatalf("after a change of password: %v, %v", deviceOf(t, res), err)
	}
	known := deviceOf(t, res).Value
	res, err = page(trust, deviceCookie+known)
	if err != nil || s.known(s.user, known) {
		t.Fatalf("trusted: %v, the old secret is known: %t", err, s.known(s.user, known))
	}
	list, err := s.db.Devices().List(t.Context(), s.user.ID)
	if err != nil || len(list) != 1 || list[0].TrustedUntil.IsZero() || !s.known(s.user, deviceOf(t, res).Value) {
		t.Errorf("devices: %+v, %v", list, err)
	}
	for _, act := range []func(http.ResponseWriter, *http.Request) error{remember, trust} {
		res, err := page(act, "Authorization: Bearer x")
		if !errors.Is(err, snibhttp.ErrAuthorization) || deviceOf(t, res) != nil {
			t.Errorf("for a bearer: %v", err)
		}
		res, err = page(act, "Sec-Fetch-Site: cross-site")
		if !errors.Is(err, snibhttp.ErrCrossOrigin) || deviceOf(t, res) != nil {
			t.Errorf("from another site: %v, %v", err, slices.Collect(slices.Values(res.Cookies())))
		}
	}
}
