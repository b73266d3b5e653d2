package snibhttp_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibhttp"
)

const cookie = "Cookie: __Host-notes="

func TestWhoGetsThrough(t *testing.T) {
	s := newSite(t, nil)
	session, token := s.session()
	_, other := s.session()
	_, refresh, err := s.db.CreateRefreshToken(t.Context(), s.user, snib.SessionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	all.issue(refresh.Token.Reveal())
	for _, c := range []struct {
		what         string
		headers      []string
		open, closed int // status
		in           bool
	}{
		{"nothing", nil, 200, 401, false},
		{"the cookie", []string{cookie + token}, 200, 200, true},
		{"the cookie among others", []string{"Cookie: a=b; __Host-notes=" + token + "; c=d"}, 200, 200, true},
		{"the cookie in a second header", []string{"Cookie: a=b", cookie + token}, 200, 200, true},
		{"another name", []string{"Cookie: notes=" + token}, 200, 401, false},
		{"another case", []string{"Cookie: __host-notes=" + token}, 200, 401, false},
		{"an empty cookie", []string{cookie}, 200, 401, false},
		{"a cookie that is no token", []string{cookie + "x"}, 200, 401, false},
		{"a cookie in quotes", []string{cookie + `"` + token + `"`}, 200, 401, false},
		{"a refresh token as cookie", []string{cookie + refresh.Token.Reveal()}, 200, 401, false},
		{"the cookie twice", []string{cookie + token, cookie + token}, 200, 401, false},
		{"two cookies", []string{cookie + token + "; __Host-notes=" + other}, 200, 401, false},
		{"a second cookie that net/http skips", []string{cookie + token + "; __Host-notes=\x01"}, 200, 401, false},
		{"a second cookie without value", []string{cookie + token + "; __Host-notes"}, 200, 401, false},

		{"the token", []string{"Authorization: Bearer " + token}, 200, 200, true},
		{"the scheme in small letters", []string{"Authorization: bearer  " + token}, 200, 200, true},
		{"a token that is none", []string{"Authorization: Bearer x"}, 401, 401, false},
		{"no token", []string{"Authorization: Bearer"}, 401, 401, false},
		{"no token, and the cookie", []string{"Authorization: Bearer", cookie + token}, 401, 401, false},
		{"a bad token and a good cookie", []string{"Authorization: Bearer x", cookie + token}, 401, 401, false},
		{"a good token and a bad cookie", []string{"Authorization: Bearer " + token, cookie + "x"}, 200, 200, true},
		{"a good token and two cookies", []string{"Authorization: Bearer " + token, cookie + "x", cookie + "y"}, 200, 200, true},
		{"a refresh token as bearer", []string{"Authorization: Bearer " + refresh.Token.Reveal()}, 401, 401, false},
		{"two tokens in one", []string{"Authorization: Bearer " + token + ", Bearer " + other}, 401, 401, false},
		{"two tokens", []string{"Authorization: Bearer " + token, "Authorization: Bearer " + token}, 400, 400, false},
		{"another scheme", []string{"Authorization: Basic YTpi"}, 200, 401, false},
		{"another scheme, and the cookie", []string{"Authorization: Basic YTpi", cookie + token}, 200, 200, true},
		{"another scheme and the token", []string{"Authorization: Basic YTpi", "Authorization: Bearer " + token}, 400, 400, false},
		{"a scheme that begins alike", []string{"Authorization: Bearer2 " + token}, 200, 401, false},
	} {
		for path, want := range map[string]int{"/open": c.open, "/closed": c.closed, "/both": c.closed} {
			res := s.do(s.request("GET", path, c.headers...))
			if res.StatusCode != want {
				t.Errorf("%s: %s: %d, want %d", c.what, path, res.StatusCode, want)
			}
			text := body(t, res)
			if in := strings.Contains(text, string(session.ID)) && strings.Contains(text, string(s.user.ID)); in != c.in {
				t.Errorf("%s: %s: signed in: %v: %s", c.what, path, in, text)
			}
			wantCaching(t, c.what+": "+path, res, c.in)
		}
	}
}

// wantCaching: an answer to who is signed in, or refused, is in no cache; one
// that depends on who asks says so.
func wantCaching(t *testing.T, what string, res *http.Response, signedIn bool) {
	t.Helper()
	vary := strings.Join(res.Header["Vary"], ", ")
	if !strings.HasPrefix(vary, "Cookie, Authorization") || strings.Count(vary, "Cookie") != 1 {
		t.Errorf("%s: Vary %q", what, vary)
	}
	want := signedIn || res.StatusCode != http.StatusOK || len(res.Header["Set-Cookie"]) > 0
	if got := res.Header.Get("Cache-Control") == "no-store"; got != want {
		t.Errorf("%s: Cache-Control %q", what, res.Header.Get("Cache-Control"))
	}
}

func TestDuplicateCookiesAreDeletedAndLogged(t *testing.T) {
	s := newSite(t, nil)
	_, token := s.session()
	res := s.do(s.request("GET", "/open", cookie+token+"; __Host-notes=planted"))
	if body(t, res) != "nobody" {
		t.Error("somebody is signed in")
	}
	if _, value, age, _ := attributesOf(res.Header.Get("Set-Cookie")); value != "" || age != "0" {
		t.Errorf("Set-Cookie %q", res.Header["Set-Cookie"])
	}
	if got := s.log.String(); strings.Count(got, "level=WARN") != 1 || !strings.Contains(got, "count=2") {
		t.Errorf("log %q", got)
	}
	if !s.valid(token) {
		t.Error("the session has ended, though anybody may have planted the other")
	}
}

// TestADeadCookieIsLeftAlone: the answer could arrive after that of a log-in in
// another tab.
func TestADeadCookieIsLeftAlone(t *testing.T) {
	s := newSite(t, nil)
	_, token := s.session()
	if err := s.db.RevokeToken(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/open", "/closed"} {
		if res := s.do(s.request("GET", path, cookie+token)); len(res.Cookies()) != 0 {
			t.Errorf("%s: Set-Cookie %q", path, res.Header["Set-Cookie"])
		}
	}
}

func TestOneLookARequestAndNoWrite(t *testing.T) {
	s := newSite(t, nil)
	_, token := s.session()
	before := s.commits()
	for _, credential := range []string{cookie + token, "Authorization: Bearer " + token} {
		for path, want := range map[string]int{"/open": 1, "/closed": 1, "/both": 1, "/protected": 0} {
			if got := s.clock.count(func() { wantStatus(t, s.do(s.request("GET", path, credential)), 200) }); got != want {
				t.Errorf("%s: %d transactions, want %d", path, got, want)
			}
		}
	}
	if got := s.clock.count(func() { s.do(s.request("GET", "/open")) }); got != 0 {
		t.Errorf("a request without a cookie: %d transactions", got)
	}
	// A stranger's: one look, and another to see whether it is idle.
	for range 50 {
		if got := s.clock.count(func() { s.do(s.request("GET", "/open", cookie+token[:len(token)-1]+"x")) }); got > 2 {
			t.Errorf("%d transactions for a wrong token", got)
		}
	}
	if got := s.commits(); got != before {
		t.Errorf("%d commits", got-before)
	}
}

// TestFromContextWithoutMiddleware, and of a context from elsewhere.
func TestFromContextWithoutMiddleware(t *testing.T) {
	if _, _, ok := snibhttp.FromContext(context.Background()); ok {
		t.Error("somebody is signed in")
	}
	s := newSite(t, nil)
	_, token := s.session()
	if got := body(t, s.do(s.request("GET", "/protected", cookie+token))); got != "nobody" {
		t.Errorf("Protect looked: %s", got)
	}
}

// TestTwoManagers: what the middleware of one has found is not taken for the
// other's.
func TestTwoManagers(t *testing.T) {
	a, b := newSite(t, nil), newSite(t, nil)
	_, token := a.session()
	h := a.m.Optional(b.m.Require(http.NotFoundHandler()))
	wantStatus(t, a.serve(h, a.request("GET", "/", cookie+token)), http.StatusUnauthorized)
	wantStatus(t, a.serve(a.m.Protect(b.m.Protect(a.m.Require(http.NotFoundHandler()))), a.request("GET", "/", cookie+token)), http.StatusNotFound)
}

// TestRequireBehindProtect: Protect has not looked who it is.
func TestRequireBehindProtect(t *testing.T) {
	s := newSite(t, nil)
	_, token := s.session()
	h := s.m.Protect(s.m.Require(http.NotFoundHandler()))
	wantStatus(t, s.serve(h, s.request("GET", "/", cookie+token)), http.StatusNotFound)
	wantStatus(t, s.serve(h, s.request("GET", "/")), http.StatusUnauthorized)
}

func TestAHandlerMayBeCached(t *testing.T) {
	s := newSite(t, nil)
	_, token := s.session()
	res := s.serve(s.m.Require(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "private, max-age=60")
	})), s.request("GET", "/", cookie+token))
	if got := res.Header.Get("Cache-Control"); got != "private, max-age=60" {
		t.Errorf("Cache-Control %q", got)
	}
}

func TestSessionInUseIsExtendedOnceAnInterval(t *testing.T) {
	s := newSite(t, nil)
	session, token := s.session()
	start := s.clock.Clock.Now()
	last := session
	for i := range 40 { // 20 minutes each: past the active life, with ExtendEvery 1 h
		s.clock.Advance(20 * time.Minute)
		if i == 39 {
			s.clock.Set(start.Add(36 * time.Hour))
		}
		before := s.commits()
		res := s.do(s.request("GET", "/closed", cookie+token))
		wantStatus(t, res, 200)
		got, err := s.db.GetSession(t.Context(), session.ID)
		if err != nil {
			t.Fatal(err)
		}
		due := s.clock.Clock.Now().Sub(last.LastUsedAt) >= time.Hour
		if wrote := s.commits() - before; (wrote == 1) != due || wrote > 1 {
			t.Errorf("after %v: %d commits, due %v", s.clock.Clock.Now().Sub(start), wrote, due)
		}
		if due != got.ActiveUntil.After(last.ActiveUntil) || len(res.Cookies()) != 0 {
			t.Errorf("after %v: active until %v, cookies %v", s.clock.Clock.Now().Sub(start), got.ActiveUntil, res.Cookies())
		}
		last = got
	}
	s.clock.Set(session.AbsoluteUntil)
	wantStatus(t, s.do(s.request("GET", "/closed", cookie+token)), http.StatusUnauthorized)
}

// TestTheHandlerSeesTheExtendedSession, of an active and of an idle one.
func TestTheHandlerSeesTheExtendedSession(t *testing.T) {
	for _, after := range []time.Duration{2 * time.Hour, 48 * time.Hour} {
		s := newSite(t, nil)
		_, token := s.session()
		now := s.clock.Advance(after)
		s.serve(s.m.Require(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			session, user, ok := snibhttp.FromContext(r.Context())
			if !ok || !session.LastUsedAt.Equal(now) || session.State != snib.SessionActive || user.ID != s.user.ID {
				t.Errorf("after %v: %v %v", after, session, user.ID)
			}
		})), s.request("GET", "/", cookie+token))
	}
}

// TestParallelRequestsAcrossAnIdleExtension: nobody is logged out, and one of
// them writes.
func TestParallelRequestsAcrossAnIdleExtension(t *testing.T) {
	for range 20 {
		s := newSite(t, nil)
		_, token := s.session()
		s.clock.Advance(48 * time.Hour)
		if s.valid(token) {
			t.Fatal("the session is not idle")
		}
		before := s.commits()
		requests := make([]*http.Request, 8)
		for i := range requests {
			requests[i] = s.request("GET", "/closed", cookie+token)
		}
		var group sync.WaitGroup
		for _, r := range requests {
			group.Go(func() {
				if res := s.do(r); res.StatusCode != 200 || len(res.Cookies()) != 0 {
					t.Errorf("%s, cookies %v", res.Status, res.Cookies())
				}
			})
		}
		group.Wait()
		if got := s.commits() - before; got != 1 {
			t.Errorf("%d commits", got)
		}
	}
}

// busy keeps the writer busy while f runs.
func (s *site) busy(f func()) {
	s.t.Helper()
	started, stop, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- s.db.Update(context.Background(), func(*snib.Tx) error {
			close(started)
			<-stop
			return errors.New("nothing to commit")
		})
	}()
	// Deferred: f may end the test, and Close would wait for the closure.
	defer func() { close(stop); <-ended }()
	select {
	case <-started:
	case err := <-ended:
		ended <- err
		s.t.Fatalf("the Update that keeps the writer busy: %v", err)
	}
	f()
}

// TestABusyWriterShutsNobodyOut who is active; an idle session must be
// extended first, and is not signed out either.
func TestABusyWriterShutsNobodyOut(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(o *snib.Options, _ *snibhttp.Options) { o.BusyTimeout = busyTimeout })
	_, token := s.session()
	s.clock.Advance(2 * time.Hour)
	s.busy(func() { wantStatus(t, s.do(s.request("GET", "/closed", cookie+token)), 200) })
	if got := s.log.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "level=WARN") {
		t.Errorf("log %q", got)
	}
	s.log.Reset()
	s.clock.Advance(48 * time.Hour)
	s.busy(func() {
		res := s.do(s.request("GET", "/open", cookie+token))
		wantStatus(t, res, http.StatusServiceUnavailable)
		if res.Header.Get("Retry-After") == "" || len(res.Cookies()) != 0 {
			t.Errorf("%v", res.Header)
		}
	})
	if got := s.log.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "level=ERROR") {
		t.Errorf("log %q", got)
	}
	wantStatus(t, s.do(s.request("GET", "/closed", cookie+token)), 200)
}

// TestACanceledRequestIsNoError, where it waits for the writer.
func TestACanceledRequestIsNoError(t *testing.T) {
	refused := 0
	s := newSite(t, func(_ *snib.Options, o *snibhttp.Options) {
		o.Refuse = func(http.ResponseWriter, *http.Request, int, error) { refused++ }
	})
	for _, idle := range []time.Duration{2 * time.Hour, 48 * time.Hour} {
		_, token := s.session()
		s.clock.Advance(idle)
		before := s.commits()
		ctx, cancel := context.WithCancel(t.Context())
		s.busy(func() {
			done := make(chan *http.Response)
			go func() { done <- s.do(s.request("GET", "/closed", cookie+token).WithContext(ctx)) }()
			cancel()
			res := <-done
			if len(res.Cookies()) != 0 || res.StatusCode != http.StatusServiceUnavailable {
				t.Errorf("%s, cookies %v", res.Status, res.Cookies())
			}
		})
		if s.commits() != before {
			t.Error("something was written")
		}
		wantStatus(t, s.do(s.request("GET", "/closed", cookie+token)), 200)
	}
	if s.log.Len() != 0 || refused != 0 {
		t.Errorf("log %q, %d times refused", s.log, refused)
	}
}

func TestStoreClosed(t *testing.T) {
	s := newSite(t, nil)
	_, token := s.session()
	if err := s.db.Close(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ method, path, credential string }{
		{"GET", "/open", cookie + token},
		{"GET", "/closed", cookie + token},
		{"GET", "/open", "Authorization: Bearer " + token},
		{"POST", "/log-in", cookie + token},
		{"POST", "/sign-in", cookie + token},
		{"POST", "/sign-out", cookie + token},
		{"POST", "/others", cookie + token},
		{"POST", "/everywhere", cookie + token},
	} {
		s.log.Reset()
		res := s.do(s.request(c.method, c.path, c.credential))
		what := fmt.Sprint(c.method, " ", c.path, ": ", res.Status)
		if res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") != "1" || len(res.Cookies()) != 0 || res.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s, %v", what, res.Header)
		}
		if got := s.log.String(); strings.Count(got, "level=ERROR") != 1 || strings.Count(got, "\n") != 1 || strings.Contains(got, c.path) {
			t.Errorf("%s: log %q", what, got)
		}
	}
	// Who carries nothing needs no database.
	wantStatus(t, s.do(s.request("GET", "/open")), 200)
	wantStatus(t, s.do(httptest.NewRequest("GET", "https://notes.example/closed", nil)), 401)
}

// betweenLooks is the context of a request in which f happens after its
// session was found good and before that is extended, which is when the
// deadline of the context is asked for.
type betweenLooks struct {
	context.Context
	f    func()
	over bool // the deadline has passed
}

func (c *betweenLooks) Err() error {
	if c.over {
		return context.DeadlineExceeded
	}
	return c.Context.Err()
}

func (c *betweenLooks) Done() <-chan struct{} {
	if !c.over {
		return c.Context.Done()
	}
	passed := make(chan struct{})
	close(passed)
	return passed
}

func (c *betweenLooks) Deadline() (time.Time, bool) {
	if f := c.f; f != nil {
		c.f = nil
		f()
	}
	return c.Context.Deadline()
}

func TestWhatHappensBetweenLookAndExtension(t *testing.T) {
	for _, c := range []struct {
		what   string
		happen func(s *site, token string) error
		want   int
	}{
		{"the session ends", func(s *site, token string) error { return s.db.RevokeToken(context.Background(), token) }, 401},
		{"the user is disabled", func(s *site, _ string) error {
			_, err := s.db.DisableUser(context.Background(), s.user.ID, "")
			return err
		}, 401},
		{"the deadline passes", func(*site, string) error { return nil }, 503},
		{"the database is closed", func(s *site, _ string) error { return s.db.Close() }, 503},
	} {
		s := newSite(t, nil)
		_, token := s.session()
		s.clock.Advance(2 * time.Hour)
		happened := false
		r := s.request("GET", "/closed", cookie+token)
		between := &betweenLooks{Context: r.Context()}
		between.f = func() {
			happened = true
			if err := c.happen(s, token); err != nil {
				t.Errorf("%s: %v", c.what, err)
			}
			between.over = c.what == "the deadline passes"
		}
		r = r.WithContext(between)
		if res := s.do(r); res.StatusCode != c.want || !happened || len(res.Cookies()) != 0 {
			t.Errorf("%s: %s, want %d; happened: %v", c.what, res.Status, c.want, happened)
		}
	}
}

// TestAnotherProgramsAuthorization: a proxy in front sends a bearer token of
// its own with every request. The cookie counts, and so does the origin.
func TestAnotherProgramsAuthorization(t *testing.T) {
	s := newSite(t, func(_ *snib.Options, o *snibhttp.Options) { o.IgnoreAuthorization = true })
	session, token := s.session()
	proxy := "Authorization: Bearer eyJhbGciOiJSUzI1NiJ9.e30.c2ln"
	for what, headers := range map[string][]string{
		"one": {proxy}, "two": {proxy, proxy}, "our own": {"Authorization: Bearer " + token}, "another scheme": {"Authorization: Basic YTpi"},
	} {
		if got := body(t, s.do(s.request("GET", "/open", headers...))); got != "nobody" {
			t.Errorf("%s, without the cookie: %s", what, got)
		}
		wantStatus(t, s.do(s.request("GET", "/closed", headers...)), http.StatusUnauthorized)
		if got := body(t, s.do(s.request("GET", "/closed", append(headers, cookie+token)...))); !strings.Contains(got, string(session.ID)) {
			t.Errorf("%s, with the cookie: %s", what, got)
		}
		r := s.request("POST", "/open", append(headers, cookie+token)...)
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		wantStatus(t, s.do(r), http.StatusForbidden)
		for _, path := range []string{"/sign-in", "/log-in"} {
			cookieOf(t, s.do(s.request("POST", path, headers...)))
		}
		_, mine := s.session()
		if wantStatus(t, s.do(s.request("POST", "/sign-out", append(headers, cookie+mine)...)), http.StatusNoContent); s.valid(mine) || !s.valid(token) {
			t.Errorf("%s: signing out ended the wrong session", what)
		}
	}
}

// TestFromContextOfAManager: administrators and users in databases of their
// own, each behind the other's middleware.
func TestFromContextOfAManager(t *testing.T) {
	a, b := newSite(t, nil), newSite(t, nil)
	_, token := a.session()
	var asked bool
	h := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked = true
		if _, u, ok := a.m.FromContext(r.Context()); !ok || u.ID != a.user.ID {
			t.Errorf("of the one whose token came: %v", ok)
		}
		if _, _, ok := b.m.FromContext(r.Context()); ok {
			t.Error("of the other: somebody is signed in")
		}
	})
	for _, both := range []http.Handler{a.m.Optional(b.m.Optional(h)), b.m.Optional(a.m.Optional(h)), a.m.Optional(b.m.Protect(a.m.Require(h)))} {
		asked = false
		if got := a.clock.count(func() { a.serve(both, a.request("GET", "/", cookie+token)) }); got != 1 || !asked {
			t.Errorf("%d looks, answered: %v", got, asked)
		}
	}
	for _, ctx := range []context.Context{context.Background(), context.WithValue(context.Background(), a, b)} {
		if _, _, ok := a.m.FromContext(ctx); ok {
			t.Error("somebody is signed in without a middleware")
		}
	}
}
