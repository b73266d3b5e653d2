package snibhttp_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibhttp"
)

// attributesOf splits a Set-Cookie line into name, value, Max-Age and the rest.
func attributesOf(line string) (name, value, maxAge, rest string) {
	parts := strings.Split(line, "; ")
	name, value, _ = strings.Cut(parts[0], "=")
	var others []string
	for _, p := range parts[1:] {
		if age, ok := strings.CutPrefix(p, "Max-Age="); ok {
			maxAge = age
			continue
		}
		others = append(others, p)
	}
	return name, value, maxAge, strings.Join(others, "; ")
}

func TestCookieAttributesInEveryProfile(t *testing.T) {
	for _, c := range []struct {
		profile    snibhttp.Profile
		sameSite   http.SameSite
		name, rest string
	}{
		{snibhttp.HTTPS, 0, "__Host-notes", "Path=/; HttpOnly; Secure; SameSite=Lax"},
		{snibhttp.HTTPS, http.SameSiteLaxMode, "__Host-notes", "Path=/; HttpOnly; Secure; SameSite=Lax"},
		{snibhttp.HTTPS, http.SameSiteStrictMode, "__Host-notes", "Path=/; HttpOnly; Secure; SameSite=Strict"},
		{snibhttp.Loopback, 0, "notes", "Path=/; HttpOnly; SameSite=Lax"},
		{snibhttp.Loopback, http.SameSiteStrictMode, "notes", "Path=/; HttpOnly; SameSite=Strict"},
		{snibhttp.InsecureLAN, 0, "notes", "Path=/; HttpOnly; SameSite=Lax"},
		{snibhttp.InsecureLAN, http.SameSiteStrictMode, "notes", "Path=/; HttpOnly; SameSite=Strict"},
	} {
		s := newSite(t, func(_ *snib.Options, o *snibhttp.Options) {
			o.Profile, o.SameSite, o.Hosts = c.profile, c.sameSite, []string{"localhost:8080"}
		})
		for _, path := range []string{"/log-in", "/sign-in"} {
			r := s.request("POST", path)
			r.Host = "localhost:8080"
			res := s.do(r)
			token := cookieOf(t, res)
			name, _, age, rest := attributesOf(res.Header.Get("Set-Cookie"))
			if name != c.name || rest != c.rest || age != "7776000" { // 90 days
				t.Errorf("%v %s: set by %s; %s, Max-Age %s", c.profile, path, name, rest, age)
			}
			if !s.valid(token) {
				t.Errorf("%v %s: the cookie is not a session's token", c.profile, path)
			}
			if got := res.Header.Get("Cache-Control"); got != "no-store" {
				t.Errorf("%v %s: Cache-Control %q", c.profile, path, got)
			}
			r = s.request("POST", "/sign-out", "Cookie: "+c.name+"="+token)
			r.Host = "localhost:8080"
			res = s.do(r)
			name, value, age, rest := attributesOf(res.Header.Get("Set-Cookie"))
			if name != c.name || rest != c.rest || age != "0" || value != "" {
				t.Errorf("%v %s: deleted by %s=%s; %s, Max-Age %s", c.profile, path, name, value, rest, age)
			}
			if got := res.Header.Get("Cache-Control"); got != "no-store" {
				t.Errorf("%v sign-out: Cache-Control %q", c.profile, got)
			}
			if s.valid(token) {
				t.Errorf("%v: the session outlives the sign-out", c.profile)
			}
		}
	}
}

// TestMaxAgeIsTheAbsoluteLife: extending a session must not need a new cookie.
func TestMaxAgeIsTheAbsoluteLife(t *testing.T) {
	for _, c := range []struct {
		absolute time.Duration
		want     int
	}{
		{time.Hour, 3600},
		{500 * 24 * time.Hour, 400 * 24 * 3600}, // what browsers keep
		{-1, 400 * 24 * 3600},
	} {
		s := newSite(t, func(o *snib.Options, _ *snibhttp.Options) {
			o.Sessions = snib.SessionPolicy{Active: time.Hour, Absolute: c.absolute}
		})
		if got := s.do(s.request("POST", "/sign-in")).Cookies()[0].MaxAge; got != c.want {
			t.Errorf("absolute life %v: Max-Age %d, want %d", c.absolute, got, c.want)
		}
	}
}

// TestMaxAgeOfASessionBornOfARefreshToken: it cannot be extended.
func TestMaxAgeOfASessionBornOfARefreshToken(t *testing.T) {
	s := newSite(t, nil)
	session, refresh, err := s.db.CreateRefreshToken(t.Context(), s.user, snib.SessionOptions{Persistent: true})
	if err != nil {
		t.Fatal(err)
	}
	all.issue(refresh.Token.Reveal())
	res := s.serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.answer(w, r, s.m.SetSession(w, r, session))
	}), s.request("POST", "/"))
	if got := res.Cookies()[0].MaxAge; got != 3600 {
		t.Errorf("Max-Age %d, want 3600", got)
	}
}

// TestOneCookieAnAnswer: what an answer says of the cookie last is all it says,
// and other cookies stay.
func TestOneCookieAnAnswer(t *testing.T) {
	s := newSite(t, nil)
	res := s.serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "theme", Value: "dark"})
		http.SetCookie(w, &http.Cookie{Name: "__Host-notes-2", Value: "other"})
		if err := s.m.LogOut(w, r); err != nil {
			t.Error(err)
		}
		if _, err := s.m.LogIn(w, r, s.user, s.m.SessionOptions(r)); err != nil {
			t.Error(err)
		}
	}), s.request("POST", "/"))
	list := res.Cookies()
	if len(list) != 3 || list[0].Name != "theme" || list[1].Name != "__Host-notes-2" || list[2].Name != "__Host-notes" || list[2].MaxAge <= 0 {
		t.Errorf("cookies %v", list)
	}
}

// TestSetSessionNeedsAToken: one that was read, and not just made, has none.
func TestSetSessionNeedsAToken(t *testing.T) {
	s := newSite(t, nil)
	made, token := s.session()
	read, err := s.db.GetSession(t.Context(), made.ID)
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	wantInput(t, s.m.SetSession(w, s.request("POST", "/"), read), "Session.Token")
	if !s.valid(token) || len(w.Header()["Set-Cookie"]) != 0 {
		t.Error("the session ended, or a cookie was set")
	}
}

// TestABrowserSessionCookie ends with the browser: by the option, or by what
// the log-in says, which goes before.
func TestABrowserSessionCookie(t *testing.T) {
	for _, c := range []struct {
		option bool
		said   string
		want   bool // it outlives the browser
	}{
		{false, "", true}, {true, "", false}, {false, "no", false}, {true, "yes", true}, {false, "yes", true}, {true, "no", false},
	} {
		s := newSite(t, func(_ *snib.Options, o *snibhttp.Options) { o.BrowserSession = c.option })
		options := func(r *http.Request) snib.SessionOptions {
			o := s.m.SessionOptions(r)
			if c.said != "" {
				o.Persistent = c.said == "yes"
			}
			return o
		}
		s.mux.HandleFunc("/in", func(w http.ResponseWriter, r *http.Request) {
			_, err := s.m.LogIn(w, r, s.user, options(r))
			s.answer(w, r, err)
		})
		s.mux.HandleFunc("/set", func(w http.ResponseWriter, r *http.Request) {
			session, err := s.db.CreateSession(r.Context(), s.user, options(r))
			if err == nil {
				err = s.m.SetSession(w, r, session)
			}
			s.answer(w, r, err)
		})
		for _, path := range []string{"/in", "/set"} {
			res := s.do(s.request("POST", path))
			wantStatus(t, res, http.StatusNoContent)
			name, token, age, rest := attributesOf(res.Header.Get("Set-Cookie"))
			if (age != "") != c.want || strings.Contains(rest, "Expires") || name != "__Host-notes" || rest != "Path=/; HttpOnly; Secure; SameSite=Lax" || !s.valid(token) {
				t.Errorf("option %v, said %v: %s: Max-Age %q, %s", c.option, c.said, path, age, rest)
			}
		}
	}
}

// TestTheCookieLastsAsLongAsTheSession, which may be for ever, while browsers
// drop a cookie 400 days after it was set.
func TestTheCookieLastsAsLongAsTheSession(t *testing.T) {
	const day = 24 * time.Hour
	for _, c := range []struct {
		absolute, every time.Duration
		persistent      bool
		days, most      int // until when it is used; how often the cookie is set again
	}{
		{-1, day, true, 1200, 1000},
		{-1, 10 * day, true, 1200, 100}, // idle each time
		{500 * day, day, true, 499, 300},
		{90 * day, day, true, 89, 0},
		{400 * day, day, true, 399, 0},
		{-1, day, false, 600, 0},
	} {
		s := newSite(t, func(o *snib.Options, h *snibhttp.Options) {
			o.Sessions = snib.SessionPolicy{Active: 36 * time.Hour, Absolute: c.absolute}
			h.BrowserSession = !c.persistent
		})
		first := s.do(s.request("POST", "/sign-in")).Cookies()[0]
		token, start, again := first.Value, s.clock.Clock.Now(), 0
		expires := start.Add(time.Duration(first.MaxAge) * time.Second)
		for now := start; now.Before(start.Add(time.Duration(c.days) * day)); now = s.clock.Advance(c.every - 3*time.Minute) {
			if c.persistent && !now.Before(expires) {
				t.Fatalf("%v: the browser has dropped the cookie after %v", c, now.Sub(start))
			}
			for range 3 { // of which at most one writes
				res := s.do(s.request("GET", "/closed", cookie+token))
				wantStatus(t, res, 200)
				for _, set := range res.Cookies() {
					if again++; set.Value != token || set.MaxAge <= 0 || now.Sub(start) < 200*day {
						t.Errorf("%v: set again after %v: %v", c, now.Sub(start), set.MaxAge)
					}
					expires = now.Add(time.Duration(set.MaxAge) * time.Second)
				}
				now = s.clock.Advance(time.Minute)
				if bearer := s.do(s.request("GET", "/closed", "Authorization: Bearer "+token)); len(bearer.Cookies()) != 0 {
					t.Error("a client with a bearer token got a cookie")
				}
			}
		}
		if again > c.most || c.most > 0 && again == 0 {
			t.Errorf("%v: set again %d times, at most %d", c, again, c.most)
		}
		if end := start.Add(c.absolute); c.absolute > 0 && expires.After(end) {
			t.Errorf("%v: the cookie outlives the session", c)
		}
	}
}
