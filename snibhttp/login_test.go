package snibhttp_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibhttp"
)

// TestLogInEndsTheCarriedSession, whosever it is: otherwise who has planted
// its cookie here would be signed in along with the user (fixation).
func TestLogInEndsTheCarriedSession(t *testing.T) {
	s := newSite(t, nil)
	mallory, err := s.db.CreateUser(t.Context(), snib.NewUser{Provider: "email", Identifier: "mallory@example.com"})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/log-in", "/sign-in"} {
		for _, owner := range []snib.User{s.user, mallory} {
			planted, err := s.db.CreateSession(t.Context(), owner, snib.SessionOptions{})
			if err != nil {
				t.Fatal(err)
			}
			_, second := s.session()
			_, bystander := s.session()
			all.issue(planted.Token.Reveal())
			res := s.do(s.request("POST", path, cookie+planted.Token.Reveal()+"; __Host-notes="+second))
			wantStatus(t, res, http.StatusNoContent)
			token := cookieOf(t, res)
			if s.valid(planted.Token.Reveal()) || s.valid(second) {
				t.Errorf("%s: a carried session is still good", path)
			}
			if !s.valid(token) || !s.valid(bystander) || token == planted.Token.Reveal() {
				t.Errorf("%s: a session is not good that should be", path)
			}
		}
	}
}

// TestLogInEndsACarriedIdleSession: it could be woken.
func TestLogInEndsACarriedIdleSession(t *testing.T) {
	s := newSite(t, nil)
	_, token := s.session()
	s.clock.Advance(48 * 3600e9)
	wantStatus(t, s.do(s.request("POST", "/sign-in", cookie+token)), http.StatusNoContent)
	if _, err := s.db.ExtendSession(t.Context(), token); !errors.Is(err, snib.ErrInvalidSession) {
		t.Errorf("extending the carried session: %v", err)
	}
}

func TestLogInRecordsTheClient(t *testing.T) {
	long := strings.Repeat("ü", 200)
	for _, c := range []struct{ address, agent, wantAddress, wantAgent string }{
		{"192.0.2.7:5555", "Browser/1.0", "192.0.2.7", "Browser/1.0"},
		{"[2001:db8::1]:5555", "", "2001:db8::1", ""},
		{"@", "a\x00b\x1bc\u202ed\xff", "@", "abcd"},
		{"192.0.2.7:5555", long, "192.0.2.7", long[:256]},
		{"192.0.2.7:5555", "x" + long, "192.0.2.7", "x" + long[:254]},
		{"192.0.2.7:5555", strings.Repeat("\x01", 5000), "192.0.2.7", ""},
	} {
		for _, path := range []string{"/log-in", "/sign-in"} {
			s := newSite(t, nil)
			r := s.request("POST", path, "X-Forwarded-For: 203.0.113.1", "User-Agent: "+c.agent)
			r.RemoteAddr = c.address
			wantStatus(t, s.do(r), http.StatusNoContent)
			list, err := s.db.ListUserSessions(t.Context(), s.user.ID)
			if err != nil || len(list) != 1 {
				t.Fatalf("%d sessions, %v", len(list), err)
			}
			a := list[0].Attributes()
			if a[snibhttp.AttrAddress] != c.wantAddress || a[snibhttp.AttrUserAgent] != c.wantAgent || !utf8.ValidString(c.wantAgent) {
				t.Errorf("%s: %q", path, a)
			}
			if path == "/sign-in" && a["device"] != "laptop" {
				t.Errorf("attributes %q", a)
			}
		}
	}
}

// TestLogInOutsideTheMiddlewareHasItsClient: the event of the log-in, too.
func TestLogInOutsideTheMiddlewareHasItsClient(t *testing.T) {
	s := newSite(t, nil)
	r := s.request("POST", "/")
	r.RemoteAddr = "203.0.113.9:5555"
	if _, err := s.m.LogIn(httptest.NewRecorder(), r, s.user, s.m.SessionOptions(r)); err != nil {
		t.Fatal(err)
	}
	list, err := s.db.Events().List(t.Context(), s.user.ID, snib.EventLogIn)
	if err != nil || len(list) != 1 || netip.AddrFrom16(list[0].Client).Unmap().String() != "203.0.113.9" {
		t.Errorf("%v, %v", list, err)
	}
}

// TestLogInLooksAtTheCredentialVersion: nothing that was proven with old
// credentials lets anybody in after a change.
func TestLogInLooksAtTheCredentialVersion(t *testing.T) {
	s := newSite(t, nil)
	old := s.user
	if _, err := s.db.UpdateUserPassword(t.Context(), s.user.ID, "a new password"); err != nil {
		t.Fatal(err)
	}
	_, carried := s.session()
	unread := old
	unread.CredentialVersion = 0
	w, r := httptest.NewRecorder(), s.request("POST", "/", cookie+carried)
	_, err := s.m.LogIn(w, r, unread, s.m.SessionOptions(r))
	wantInput(t, err, "Proof")
	if _, err := s.m.LogIn(w, r, old, s.m.SessionOptions(r)); !errors.Is(err, snib.ErrInvalidCredentials) {
		t.Errorf("with old credentials: %v", err)
	}
	_, err = s.m.LogIn(w, r, s.refreshed(), snib.SessionOptions{Attributes: snib.Attributes{"x": make(chan int)}})
	wantInput(t, err, "Attributes[x]")
	if !s.valid(carried) || len(w.Header()["Set-Cookie"]) != 0 {
		t.Error("a refused sign-in has ended the carried session or set a cookie")
	}
	if _, err := s.db.DisableUser(t.Context(), s.user.ID, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := s.m.LogIn(w, r, s.refreshed(), snib.SessionOptions{}); !errors.Is(err, snib.ErrUserDisabled) {
		t.Errorf("of a disabled user: %v", err)
	}
	if err := s.db.DeleteUser(t.Context(), s.user.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := s.m.LogIn(w, r, s.user, snib.SessionOptions{}); !errors.Is(err, snib.ErrUserNotFound) {
		t.Errorf("of a deleted user: %v", err)
	}
}

func (s *site) refreshed() snib.User {
	s.t.Helper()
	u, err := s.db.GetUser(context.Background(), s.user.ID)
	if err != nil {
		s.t.Fatal(err)
	}
	return u
}

// TestSetSessionThatFailsLeavesNoSession: its token has been thrown away.
func TestSetSessionThatFailsLeavesNoSession(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(o *snib.Options, _ *snibhttp.Options) { o.BusyTimeout = busyTimeout })
	_, carried := s.session()
	for what, r := range map[string]*http.Request{
		"cross-origin": s.request("POST", "/log-in", "Sec-Fetch-Site: cross-site", cookie+carried),
		"bearer":       s.request("POST", "/log-in", "Authorization: Bearer "+carried),
		"two headers":  s.request("POST", "/log-in", "Authorization: a", "Authorization: b", cookie+carried),
	} {
		if res := s.do(r); res.StatusCode < 400 || res.StatusCode >= 500 || len(res.Cookies()) != 0 {
			t.Errorf("%s: %s, cookies %v", what, res.Status, res.Cookies())
		}
		list, err := s.db.ListUserSessions(t.Context(), s.user.ID)
		if err != nil || len(list) != 1 || !s.valid(carried) {
			t.Errorf("%s: %d sessions, %v", what, len(list), err)
		}
	}
	session, token := s.session()
	s.busy(func() {
		w := httptest.NewRecorder()
		err := s.m.SetSession(w, s.request("POST", "/", cookie+carried), session)
		if !errors.Is(err, snib.ErrBusy) || len(w.Header()["Set-Cookie"]) != 0 {
			t.Errorf("with a busy writer: %v, %v", err, w.Header())
		}
	})
	if !s.valid(carried) || !strings.Contains(s.log.String(), string(session.ID)) {
		t.Errorf("carried ended, or nothing logged: %q", s.log)
	}
	_ = token // nobody could end it; the log says so
}

func TestLogOut(t *testing.T) {
	for _, prefix := range []string{"", "/looked"} {
		s := newSite(t, nil)
		_, one := s.session()
		_, two := s.session()
		_, three := s.session()
		res := s.do(s.request("POST", prefix+"/sign-out", cookie+one+"; __Host-notes="+two))
		wantStatus(t, res, http.StatusNoContent)
		if s.valid(one) || s.valid(two) || !s.valid(three) || len(res.Cookies()) != 1 {
			t.Errorf("after a sign-out with two cookies: %v %v %v, %v", s.valid(one), s.valid(two), s.valid(three), res.Cookies())
		}
		// Again, and of nobody: no error, and the cookie goes.
		for _, c := range []string{cookie + one, "X: y"} {
			res = s.do(s.request("POST", prefix+"/sign-out", c))
			if wantStatus(t, res, http.StatusNoContent); len(res.Cookies()) != 1 || res.Cookies()[0].MaxAge >= 0 {
				t.Errorf("%q", res.Header["Set-Cookie"])
			}
		}
		res = s.do(s.request("POST", prefix+"/sign-out", "Authorization: Bearer "+three))
		if wantStatus(t, res, http.StatusNoContent); s.valid(three) || len(res.Cookies()) != 0 {
			t.Errorf("after a sign-out by token: cookies %v", res.Cookies())
		}
	}
}

func TestLogOutOthersAndEverywhere(t *testing.T) {
	for _, prefix := range []string{"", "/looked"} {
		for _, header := range []string{cookie, "Authorization: Bearer "} {
			s := newSite(t, nil)
			_, carried := s.session()
			mine := carried
			_, other := s.session()
			_, refresh, err := s.db.CreateRefreshToken(t.Context(), s.refreshed(), snib.SessionOptions{})
			if err != nil {
				t.Fatal(err)
			}
			res := s.do(s.request("POST", prefix+"/others", header+mine))
			if header == cookie {
				mine = cookieOf(t, res)
				all.issue(mine)
			}
			if wantStatus(t, res, http.StatusNoContent); !s.valid(mine) || s.valid(other) || s.valid(carried) != (mine == carried) {
				t.Errorf("others: mine %v, other %v, cookies %v", s.valid(mine), s.valid(other), res.Cookies())
			}
			if _, _, err := s.db.Refresh(t.Context(), refresh.Token.Reveal()); !errors.Is(err, snib.ErrInvalidRefreshToken) {
				t.Errorf("the refresh token of another device: %v", err)
			}
			_, other = s.session()
			res = s.do(s.request("POST", prefix+"/everywhere", header+mine))
			wantStatus(t, res, http.StatusNoContent)
			if deleted := len(res.Cookies()) == 1 && res.Cookies()[0].MaxAge < 0; s.valid(mine) || s.valid(other) || deleted != (header == cookie) {
				t.Errorf("everywhere: mine %v, other %v, cookies %v", s.valid(mine), s.valid(other), res.Cookies())
			}
		}
	}
}

// TestLogOutOthersOfNobody: a session that is not good ends nothing.
func TestLogOutOthersOfNobody(t *testing.T) {
	s := newSite(t, nil)
	_, good := s.session()
	_, bad := s.session()
	if err := s.db.RevokeToken(t.Context(), bad); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/others", "/everywhere", "/looked/others", "/looked/everywhere"} {
		for _, h := range []string{"X: y", cookie + bad, cookie + good + "; __Host-notes=" + good, "Authorization: Bearer " + bad} {
			wantStatus(t, s.do(s.request("POST", path, h)), http.StatusUnauthorized)
		}
	}
	if !s.valid(good) {
		t.Error("a session has ended")
	}
}

// TestLogOutOfADeletedUser, between the middleware and the handler.
func TestLogOutOfADeletedUser(t *testing.T) {
	s := newSite(t, nil)
	for what, c := range map[string]struct {
		act  func(http.ResponseWriter, *http.Request) error
		want error
	}{"others": {s.m.LogOutOthers, snibhttp.ErrUnauthenticated}, "everywhere": {s.m.LogOutEverywhere, nil}} {
		u, err := s.db.CreateUser(t.Context(), snib.NewUser{Provider: "email", Identifier: "gone@example.com"})
		if err != nil {
			t.Fatal(err)
		}
		session, err := s.db.CreateSession(t.Context(), u, snib.SessionOptions{})
		if err != nil {
			t.Fatal(err)
		}
		s.serve(s.m.Require(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if err := s.db.DeleteUser(r.Context(), u.ID); err != nil {
				t.Error(err)
			}
			if err := c.act(w, r); !errors.Is(err, c.want) {
				t.Errorf("%s: %v, want %v", what, err, c.want)
			}
		})), s.request("POST", "/", cookie+session.Token.Reveal()))
	}
}

// TestNobodyIsSignedOutByGET: a link or an image could do it.
func TestNobodyIsSignedOutByGET(t *testing.T) {
	s := newSite(t, nil)
	_, token := s.session()
	for _, path := range []string{"/sign-out", "/others", "/everywhere"} {
		for _, method := range []string{"GET", "HEAD", "OPTIONS"} {
			for _, h := range []string{cookie + token, "Authorization: Bearer " + token} {
				res := s.do(s.request(method, path, h))
				if res.StatusCode != http.StatusMethodNotAllowed || res.Header.Get("Allow") != "POST" || len(res.Cookies()) != 0 || !s.valid(token) {
					t.Errorf("%s %s: %s", method, path, res.Status)
				}
			}
		}
	}
	// The callback of an OAuth provider is a GET, and signs in.
	cookieOf(t, s.do(s.request("GET", "/sign-in", "Sec-Fetch-Site: cross-site")))
}

// TestLogOutIsDoneForAClientThatHasGone: who closes the tab has signed out.
func TestLogOutIsDoneForAClientThatHasGone(t *testing.T) {
	s := newSite(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, token := s.session()
	if s.do(s.request("POST", "/sign-out", cookie+token).WithContext(ctx)); s.valid(token) {
		t.Error("the session is still good")
	}
	// Signing in is not.
	if res := s.do(s.request("POST", "/sign-in").WithContext(ctx)); len(res.Cookies()) != 0 {
		t.Errorf("cookies %v", res.Cookies())
	}
}

// TestLogOutThatFailsKeepsTheCookie: without it, nobody could try again.
func TestLogOutThatFailsKeepsTheCookie(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(o *snib.Options, _ *snibhttp.Options) { o.BusyTimeout = busyTimeout })
	_, token := s.session()
	s.busy(func() {
		for _, path := range []string{"/sign-out", "/others", "/everywhere"} {
			res := s.do(s.request("POST", path, cookie+token))
			if res.StatusCode != http.StatusServiceUnavailable || len(res.Cookies()) != 0 {
				t.Errorf("%s: %s, cookies %v", path, res.Status, res.Cookies())
			}
		}
	})
	if !s.valid(token) {
		t.Error("the session has ended")
	}
}

// TestManyCookiesCostLittle: what strangers send is looked up a few times, and
// never in the writer's turn. Ours, which browsers send last, is among it.
func TestManyCookiesCostLittle(t *testing.T) {
	t.Parallel()
	other := newSite(t, nil)
	_, unknown := other.session()
	s := newSite(t, func(o *snib.Options, _ *snibhttp.Options) { o.BusyTimeout = busyTimeout })
	many := strings.Repeat("__Host-notes="+unknown+"; ", 9000)
	before := s.commits()
	s.busy(func() {
		for path, most := range map[string]int{"/sign-out": 8, "/looked/sign-out": 8, "/open": 0, "/everywhere": 2} {
			got := s.clock.count(func() {
				res := s.do(s.request("POST", path, "Cookie: "+many+"a=b"))
				if want := path != "/everywhere"; (res.StatusCode < 400) != want {
					t.Errorf("%s: %s", path, res.Status)
				}
			})
			if got > most {
				t.Errorf("%s: %d transactions, at most %d", path, got, most)
			}
		}
	})
	if got := s.commits(); got != before {
		t.Errorf("%d commits", got-before)
	}
	for _, path := range []string{"/sign-out", "/sign-in", "/log-in"} {
		_, token := s.session()
		wantStatus(t, s.do(s.request("POST", path, "Cookie: "+many+"__Host-notes="+token)), http.StatusNoContent)
		if s.valid(token) {
			t.Errorf("%s: the session that came last is still good", path)
		}
	}
	if got := s.log.String(); strings.Count(got, "count=9000") == 0 {
		t.Errorf("log %q", got)
	}
}

// TestSigningInAgainKeepsTheOtherDevice: by each way in, at the bound of
// sessions.
func TestSigningInAgainKeepsTheOtherDevice(t *testing.T) {
	for name, again := range map[string]func(*site, *http.Request) error{
		"DB.LogIn and SetSession": func(s *site, r *http.Request) error {
			session, _, err := s.db.LogIn(t.Context(), "email", "ada@example.com", password, s.m.SessionOptions(r))
			if err != nil {
				return err
			}
			return s.m.SetSession(httptest.NewRecorder(), r, session)
		},
		"Manager.LogIn": func(s *site, r *http.Request) error {
			_, err := s.m.LogIn(httptest.NewRecorder(), r, s.refreshed(), snib.SessionOptions{})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, func(o *snib.Options, _ *snibhttp.Options) { o.Sessions.MaxPerUser = 2 })
			device := s.device(s.user)
			_, phone := s.session()
			_, browser := s.session()
			before := s.commits()
			if err := again(s, s.request("POST", "/log-in", cookie+browser, deviceCookie+device)); err != nil {
				t.Fatal(err)
			}
			if n := s.commits() - before; n != 1 {
				t.Errorf("%d commits, want 1", n)
			}
			list, err := s.db.ListUserSessions(t.Context(), s.user.ID)
			if err != nil || len(list) != 2 || !s.valid(phone) || s.valid(browser) {
				t.Errorf("%d sessions, phone %t, browser's old %t, %v", len(list), s.valid(phone), s.valid(browser), err)
			}
		})
	}
}

// TestSessionOptionsReplaceWhatSetSessionWould: the cookies, all of them, and
// none of a request that was forged.
func TestSessionOptionsReplaceWhatSetSessionWould(t *testing.T) {
	s := newSite(t, nil)
	for what, c := range map[string]struct {
		headers []string
		want    string
	}{
		"none":         {nil, ""},
		"one":          {[]string{cookie + "a"}, "a"},
		"planted":      {[]string{cookie + "a; " + strings.TrimPrefix(cookie, "Cookie: ") + "b"}, "a b"},
		"bearer":       {[]string{"Authorization: Bearer x", cookie + "a"}, ""},
		"two headers":  {[]string{"Authorization: a", "Authorization: b", cookie + "a"}, ""},
		"another site": {[]string{"Sec-Fetch-Site: cross-site", cookie + "a"}, ""},
	} {
		var got []string
		for _, token := range s.m.SessionOptions(s.request("POST", "/log-in", c.headers...)).Replaces {
			got = append(got, token.Reveal())
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: %q, want %q", what, got, c.want)
		}
	}
	if s.log.Len() != 0 {
		t.Errorf("logged: %s", s.log)
	}
}
