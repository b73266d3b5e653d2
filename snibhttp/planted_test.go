package snibhttp_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibhttp"
)

// direct is a transport without a network: every request is served by h.
type direct struct{ h http.Handler }

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	served := httptest.NewRequestWithContext(r.Context(), r.Method, r.URL.RequestURI(), nil)
	served.Host, served.Header = r.URL.Host, r.Header.Clone()
	w := httptest.NewRecorder()
	d.h.ServeHTTP(w, served)
	res := w.Result()
	res.Request = r
	for _, c := range res.Cookies() {
		all.issue(c.Value)
	}
	return res, nil
}

// A victim has a browser with cookies, at a site under plain HTTP that shows
// who is signed in on all pages under /account/.
type victim struct {
	*site
	root   *url.URL
	client *http.Client
}

func newVictim(t *testing.T, root string, wrap func(http.Handler) http.Handler) *victim {
	t.Helper()
	u, err := url.Parse(root)
	if err != nil {
		t.Fatal(err)
	}
	v := &victim{root: u}
	v.site = newSite(t, func(_ *snib.Options, o *snibhttp.Options) {
		if o.Profile = snibhttp.InsecureLAN; u.Hostname() == "127.0.0.1" || u.Hostname() == "localhost" {
			o.Profile, o.Hosts = snibhttp.Loopback, []string{u.Host}
		}
	})
	v.mux.Handle("/account/", v.m.Optional(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, user, ok := snibhttp.FromContext(r.Context())
		if !ok {
			io.WriteString(w, "nobody")
			return
		}
		io.WriteString(w, user.Identities[0].Identifier)
	})))
	for path, name := range map[string]string{"/account/in": "/sign-in", "/account/out": "/sign-out"} {
		v.mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			r.URL.Path = name // as a program that routes by itself might do
			v.mux.ServeHTTP(w, r)
		})
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	if wrap == nil {
		wrap = func(h http.Handler) http.Handler { return h }
	}
	v.client = &http.Client{Jar: jar, Transport: direct{wrap(v.mux)}}
	return v
}

// visit returns what the answer to a request says.
func (v *victim) visit(method, path string) string {
	v.t.Helper()
	r, err := http.NewRequest(method, v.root.String()+path, nil)
	if err != nil {
		v.t.Fatal(err)
	}
	r.Header.Set("Origin", v.root.Scheme+"://"+v.root.Host)
	res, err := v.client.Do(r)
	if err != nil {
		v.t.Fatal(err)
	}
	if res.StatusCode >= 400 {
		v.t.Errorf("%s %s: %s", method, path, res.Status)
	}
	return body(v.t, res)
}

// plant puts cookies of the name into the browser as another port of the host,
// or another host of the domain, can: each with a good token of mallory's.
func (v *victim) plant(cookies ...string) {
	v.t.Helper()
	mallory, err := v.db.GetUserByProviderID(v.t.Context(), "email", "mallory@example.com")
	if err != nil {
		mallory, err = v.db.CreateUser(v.t.Context(), snib.NewUser{Provider: "email", Identifier: "mallory@example.com"})
	}
	if err != nil {
		v.t.Fatal(err)
	}
	for _, attributes := range cookies {
		s, err := v.db.CreateSession(v.t.Context(), mallory, snib.SessionOptions{})
		if err != nil {
			v.t.Fatal(err)
		}
		all.issue(s.Token.Reveal())
		c, err := http.ParseSetCookie("notes=" + s.Token.Reveal() + "; " + attributes)
		if err != nil {
			v.t.Fatal(err)
		}
		v.client.Jar.SetCookies(v.root.JoinPath("/x"), []*http.Cookie{c})
	}
}

// TestAPlantedCookieIsNobodysLogIn: not at the request that meets it, and not
// at those after, when the answer has taken cookies away; and the victim's own
// goes on.
func TestAPlantedCookieIsNobodysLogIn(t *testing.T) {
	for _, c := range []struct {
		root, page string
		planted    []string
	}{
		{"http://127.0.0.1:8080", "/account/", []string{"Path=/account"}},
		{"http://127.0.0.1:8080", "/account/", []string{"Path=/account/"}},
		{"http://localhost:8080", "/account/a/b%2Fc/d", []string{"Path=/account", "Path=/account/", "Path=/account/a", "Path=/account/a/b%2Fc/", "Path=/account/a/b%2Fc/d"}},
		{"http://localhost:8080", "/account/?q=/account/x", []string{"Path=/account/"}},
		{"http://printer.local", "/account/a", []string{"Path=/account; Domain=printer.local"}},
		{"http://a.office.home.arpa:8080", "/account/a", []string{"Path=/account/; Domain=office.home.arpa", "Path=/; Domain=home.arpa"}},
	} {
		v := newVictim(t, c.root, nil)
		v.visit("POST", "/sign-in")
		if got := v.visit("GET", c.page); got != "ada@example.com" {
			t.Fatalf("%s: signed in as %s", c.page, got)
		}
		v.plant(c.planted...)
		if got := v.visit("GET", c.page); got != "nobody" {
			t.Errorf("%q: the first request is of %s", c.planted, got)
		}
		for range 3 {
			if got := v.visit("GET", c.page); got != "ada@example.com" {
				t.Errorf("%q: a later request is of %s", c.planted, got)
			}
		}
	}
}

// TestSigningInTakesPlantedCookiesAway, and signing out does.
func TestSigningInTakesPlantedCookiesAway(t *testing.T) {
	v := newVictim(t, "http://localhost:8080", nil)
	v.plant("Path=/account", "Path=/account/")
	v.visit("POST", "/account/in")
	for range 2 {
		if got := v.visit("GET", "/account/"); got != "ada@example.com" {
			t.Errorf("after signing in: %s", got)
		}
	}
	v.plant("Path=/account", "Path=/account/")
	v.visit("POST", "/account/out")
	for range 2 {
		if got := v.visit("GET", "/account/"); got != "nobody" {
			t.Errorf("after signing out: %s", got)
		}
	}
	if left := v.client.Jar.Cookies(v.root.JoinPath("/account/")); len(left) != 0 {
		t.Errorf("%d cookies are left", len(left))
	}
	if list, err := v.db.ListUserSessions(t.Context(), v.user.ID); err != nil || len(list) != 0 {
		t.Errorf("%d sessions, %v", len(list), err)
	}
}

// TestAPlantedCookieOfTheHostsDomain is another than ours to most browsers, and
// the same to the cookies of net/http. It goes with the next sign-in.
func TestAPlantedCookieOfTheHostsDomain(t *testing.T) {
	s := newSite(t, func(_ *snib.Options, o *snibhttp.Options) { o.Profile = snibhttp.InsecureLAN })
	planted := func(method, path string) (found bool) {
		r := s.request(method, path, "Cookie: notes=a; notes=b")
		r.Host = "printer.local"
		ours := -1
		for i, c := range s.do(r).Cookies() {
			switch {
			case c.Path == "/" && c.Domain == "printer.local" && c.MaxAge < 0:
				found = true
				if ours >= 0 {
					t.Errorf("%s: it goes after ours has come", path)
				}
			case c.Path == "/" && c.Domain == "":
				ours = i
			}
		}
		if (ours >= 0) != found {
			t.Errorf("%s: ours is written: %v, and the other: %v", path, ours >= 0, found)
		}
		return found
	}
	for path, want := range map[string]bool{"/open": false, "/sign-in": true, "/log-in": true, "/sign-out": true, "/looked/sign-out": true} {
		if got := planted("POST", path); got != want {
			t.Errorf("%s: deleted: %v", path, got)
		}
	}
}

// TestAPlantedCookieThatIsNotFound: behind a proxy that strips a prefix of the
// path, that of the cookie is not known. Ours must not go alone.
func TestAPlantedCookieThatIsNotFound(t *testing.T) {
	v := newVictim(t, "http://printer.local", func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			stripped := httptest.NewRequest(r.Method, strings.TrimPrefix(r.RequestURI, "/admin"), nil)
			stripped.Host, stripped.Header = r.Host, r.Header
			h.ServeHTTP(w, stripped)
		})
	})
	v.visit("POST", "/admin/sign-in")
	if got := v.visit("GET", "/admin/account/"); got != "ada@example.com" {
		t.Fatalf("signed in as %s", got)
	}
	v.plant("Path=/admin/account")
	for range 3 {
		if got := v.visit("GET", "/admin/account/"); got != "nobody" {
			t.Errorf("a request is of %s", got)
		}
	}
}

// TestStripPrefixHidesNoPath from the deletion.
func TestStripPrefixHidesNoPath(t *testing.T) {
	v := newVictim(t, "http://printer.local", func(h http.Handler) http.Handler {
		mux := http.NewServeMux()
		mux.Handle("/admin/", http.StripPrefix("/admin", h))
		return mux
	})
	v.visit("POST", "/admin/sign-in")
	v.plant("Path=/admin/account", "Path=/admin")
	for i, want := range []string{"nobody", "ada@example.com", "ada@example.com"} {
		if got := v.visit("GET", "/admin/account/"); got != want {
			t.Errorf("request %d is of %s, want %s", i, got, want)
		}
	}
}

// TestDeletionsAreBounded: the header of an answer must fit through proxies.
func TestDeletionsAreBounded(t *testing.T) {
	s := newSite(t, func(_ *snib.Options, o *snibhttp.Options) { o.Profile = snibhttp.InsecureLAN })
	r := s.request("GET", "/open", "Cookie: notes=a; notes=b")
	r.Host, r.RequestURI = "a.b.c.d.local", "/open"+strings.Repeat("/x", 5000)
	res := s.do(r)
	if n := len(res.Header["Set-Cookie"]); n == 0 || n > 48 {
		t.Errorf("%d cookies are deleted", n)
	}
	for _, line := range res.Header["Set-Cookie"] {
		if c, err := http.ParseSetCookie(line); err != nil || c.Value != "" || c.MaxAge >= 0 || c.Path == "/" && c.Domain == "" {
			t.Errorf("Set-Cookie: %s", fmt.Sprint(c, err))
		}
	}
	if res.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%v", res.Header)
	}
}
