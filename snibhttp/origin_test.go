package snibhttp_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibhttp"
)

// A crossing is a request to https://notes.example and whether it may pass.
// std is whether http.CrossOriginProtection lets it pass.
type crossing struct {
	what    string
	method  string
	headers string // "Name: value", separated by " | "
	pass    bool
	std     bool
}

// The first part are the cases of the standard library's own documentation and
// tests, the second ours.
var crossings = []crossing{
	{"same-origin", "POST", "Sec-Fetch-Site: same-origin", true, true},
	{"the user's own doing", "POST", "Sec-Fetch-Site: none", true, true},
	{"cross-site", "POST", "Sec-Fetch-Site: cross-site", false, false},
	{"same-site", "POST", "Sec-Fetch-Site: same-site", false, false},
	{"an unknown site", "POST", "Sec-Fetch-Site: elsewhere", false, false},
	{"no site, equal origin", "POST", "Origin: https://notes.example", true, true},
	{"no site, other origin", "POST", "Origin: https://attacker.example", false, false},
	{"no site, null origin", "POST", "Origin: null", false, false},
	{"GET", "GET", "Sec-Fetch-Site: cross-site", true, true},
	{"HEAD", "HEAD", "Sec-Fetch-Site: cross-site", true, true},
	{"OPTIONS", "OPTIONS", "Sec-Fetch-Site: cross-site | Origin: https://attacker.example", true, true},
	{"PUT", "PUT", "Sec-Fetch-Site: cross-site", false, false},
	{"DELETE", "DELETE", "Sec-Fetch-Site: cross-site", false, false},
	{"PATCH", "PATCH", "Origin: https://attacker.example", false, false},
	{"trusted, cross-site", "POST", "Origin: https://trusted.example | Sec-Fetch-Site: cross-site", true, true},
	{"trusted, no site", "POST", "Origin: https://trusted.example", true, true},
	{"trusted with a port", "POST", "Origin: https://trusted.example:8443 | Sec-Fetch-Site: cross-site", false, false},

	{"neither header", "POST", "", false, true},
	{"neither header, GET", "GET", "", true, true},
	{"plain HTTP for HTTPS", "POST", "Origin: http://notes.example", false, true},
	{"plain HTTP that claims same-origin", "POST", "Origin: http://notes.example | Sec-Fetch-Site: same-origin", false, true},
	{"another port", "POST", "Origin: https://notes.example:8443", false, false},
	{"another origin that claims same-origin", "POST", "Origin: https://attacker.example | Sec-Fetch-Site: same-origin", false, true},
	{"another origin by the user's own doing", "POST", "Origin: https://attacker.example | Sec-Fetch-Site: none", false, true},
	{"no-referrer page of ours", "POST", "Origin: null | Sec-Fetch-Site: same-origin", true, true},
	{"sandboxed frame", "POST", "Origin: null | Sec-Fetch-Site: cross-site", false, false},
	{"name that begins with ours", "POST", "Origin: https://notes.example.attacker.example", false, false},
	{"our name as a user's", "POST", "Origin: https://notes.example@attacker.example", false, false},
	{"our origin with a path", "POST", "Origin: https://notes.example/", false, true},
	{"two origins", "POST", "Origin: https://notes.example | Origin: https://attacker.example", false, true},
	{"two sites", "POST", "Sec-Fetch-Site: same-origin | Sec-Fetch-Site: cross-site", false, true},
	{"trusted in other letters", "POST", "Origin: https://TRUSTED.example", false, false},
	{"TRACE", "TRACE", "Sec-Fetch-Site: cross-site", false, false},
	{"small letters are another method", "get", "Sec-Fetch-Site: cross-site", false, false},
	{"CONNECT", "CONNECT", "Origin: https://attacker.example", false, false},
	{"null origin of a sibling", "POST", "Origin: null | Sec-Fetch-Site: same-site", false, false},
	{"null origin by the user's own doing", "POST", "Origin: null | Sec-Fetch-Site: none", true, true},
	{"same-origin in capitals", "POST", "Sec-Fetch-Site: Same-Origin", false, false},
	{"our origin with its default port", "POST", "Origin: https://notes.example:443 | Sec-Fetch-Site: same-origin", false, true},
	{"our name with a dot", "POST", "Origin: https://notes.example. | Sec-Fetch-Site: same-origin", false, true},
	{"a list of origins", "POST", "Origin: https://notes.example, https://attacker.example | Sec-Fetch-Site: same-origin", false, true},
	{"a method by a header", "GET", "X-HTTP-Method-Override: POST | Sec-Fetch-Site: cross-site", true, true},

	{"WebSocket of ours", "GET", "Upgrade: websocket | Origin: https://notes.example", true, true},
	{"WebSocket of ours, all headers", "GET", "Upgrade: websocket | Origin: https://notes.example | Sec-Fetch-Site: same-origin | Sec-Fetch-Mode: websocket", true, true},
	{"WebSocket of another site", "GET", "Upgrade: websocket | Origin: https://attacker.example", false, true},
	{"WebSocket of another site, all headers", "GET", "Upgrade: websocket | Origin: https://attacker.example | Sec-Fetch-Site: cross-site | Sec-Fetch-Mode: websocket", false, true},
	{"WebSocket of a sibling", "GET", "Upgrade: websocket | Origin: https://a.notes.example | Sec-Fetch-Site: same-site", false, true},
	{"WebSocket of plain HTTP", "GET", "Upgrade: websocket | Origin: http://notes.example", false, true},
	{"WebSocket of nobody", "GET", "Upgrade: websocket", false, true},
	{"WebSocket of a trusted origin", "GET", "Upgrade: websocket | Origin: https://trusted.example", true, true},
	{"any Upgrade", "GET", "Upgrade: something | Sec-Fetch-Site: cross-site", false, true},
	{"an empty Upgrade", "GET", "Upgrade:  | Sec-Fetch-Site: cross-site", false, true},
	{"a WebSocket by its mode", "GET", "Sec-Fetch-Mode: websocket | Sec-Fetch-Site: cross-site", false, true},
	{"navigation that asks for HTTPS", "GET", "Upgrade-Insecure-Requests: 1 | Sec-Fetch-Site: cross-site | Sec-Fetch-Mode: navigate", true, true},
}

func (c crossing) request(path string) *http.Request {
	r := httptest.NewRequest("GET", "https://notes.example"+path, nil)
	r.Method = c.method
	if c.headers != "" {
		for _, h := range strings.Split(c.headers, " | ") {
			name, value, _ := strings.Cut(h, ": ")
			r.Header.Add(name, value)
		}
	}
	return r
}

// TestCrossOriginRequests takes every case through the three middlewares, with
// a cookie and without, and with a bearer token, which exempts.
func TestCrossOriginRequests(t *testing.T) {
	s := newSite(t, func(_ *snib.Options, o *snibhttp.Options) { o.TrustedOrigins = []string{"https://trusted.example"} })
	_, token := s.session()
	std := http.NewCrossOriginProtection()
	if err := std.AddTrustedOrigin("https://trusted.example"); err != nil {
		t.Fatal(err)
	}
	for _, c := range crossings {
		if got := std.Check(c.request("/")) == nil; got != c.std {
			t.Errorf("%s: the standard library passes it: %v", c.what, got)
		}
		if c.pass && !c.std {
			t.Errorf("%s: is less strict than the standard library", c.what)
		}
		want := http.StatusForbidden
		if c.pass {
			want = http.StatusOK
		}
		for _, path := range []string{"/protected", "/open", "/closed", "/both"} {
			r := c.request(path)
			r.Header.Set("Cookie", "__Host-notes="+token)
			if got := s.do(r).StatusCode; got != want {
				t.Errorf("%s: %s with the cookie: %d, want %d", c.what, path, got, want)
			}
			r = c.request(path)
			r.Header.Set("Authorization", "Bearer "+token)
			if got := s.do(r).StatusCode; got != http.StatusOK {
				t.Errorf("%s: %s with the token: %d", c.what, path, got)
			}
		}
		for _, path := range []string{"/protected", "/open"} {
			if got := s.do(c.request(path)).StatusCode; got != want {
				t.Errorf("%s: %s without a cookie: %d, want %d", c.what, path, got, want)
			}
		}
	}
}

// TestCrossOriginLogInAndOut: the methods that set and delete the cookie look
// for themselves, behind no middleware, and nothing comes of a refused request.
func TestCrossOriginLogInAndOut(t *testing.T) {
	s := newSite(t, func(_ *snib.Options, o *snibhttp.Options) { o.TrustedOrigins = []string{"https://trusted.example"} })
	_, token := s.session()
	for _, c := range crossings {
		if c.pass {
			continue
		}
		for _, path := range []string{"/log-in", "/sign-in", "/sign-out", "/others", "/everywhere"} {
			r := c.request(path)
			r.Header.Set("Cookie", "__Host-notes="+token)
			res := s.do(r)
			if res.StatusCode != http.StatusForbidden || len(res.Cookies()) != 0 {
				t.Errorf("%s: %s: %d, cookies %v", c.what, path, res.StatusCode, res.Cookies())
			}
		}
	}
	list, err := s.db.ListUserSessions(t.Context(), s.user.ID)
	if err != nil || len(list) != 1 || !s.valid(token) {
		t.Errorf("%d sessions, %v: want the one that was there", len(list), err)
	}
}

// TestAPostedCallbackSignsIn: the POST of a provider is refused, and the GET of
// ours that it is redirected to, which the browser still calls cross-site, signs
// in.
func TestAPostedCallbackSignsIn(t *testing.T) {
	s := newSite(t, nil)
	s.mux.Handle("POST /callback", http.RedirectHandler("/sign-in?state=kept", http.StatusSeeOther))
	posted := crossing{method: "POST", headers: "Origin: https://provider.example | Sec-Fetch-Site: cross-site | Sec-Fetch-Mode: navigate"}
	wantStatus(t, s.do(posted.request("/sign-in")), http.StatusForbidden)
	res := s.do(posted.request("/callback"))
	wantStatus(t, res, http.StatusSeeOther)
	followed := crossing{method: "GET", headers: "Sec-Fetch-Site: cross-site | Sec-Fetch-Mode: navigate"}
	res = s.do(followed.request(res.Header.Get("Location")))
	wantStatus(t, res, http.StatusNoContent)
	if len(res.Cookies()) != 1 {
		t.Errorf("cookies %v", res.Cookies())
	}
}

// TestOriginUnderPlainHTTP: the profile says the scheme, whatever the
// connection and forwarded headers say.
func TestOriginUnderPlainHTTP(t *testing.T) {
	for _, profile := range []snibhttp.Profile{snibhttp.Loopback, snibhttp.InsecureLAN, snibhttp.HTTPS} {
		s := newSite(t, func(_ *snib.Options, o *snibhttp.Options) { o.Profile, o.Hosts = profile, []string{"localhost:8080"} })
		for _, url := range []string{"http://localhost:8080/open", "https://localhost:8080/open"} {
			for origin, ours := range map[string]bool{
				"http://localhost:8080":  profile != snibhttp.HTTPS,
				"https://localhost:8080": profile == snibhttp.HTTPS,
				"http://localhost:8081":  false, // another program on this machine
				"http://localhost":       false,
				"http://127.0.0.1:8080":  false,
			} {
				r := httptest.NewRequest("POST", url, nil)
				r.Header.Set("Origin", origin)
				r.Header.Set("X-Forwarded-Proto", "https")
				r.Header.Set("Forwarded", "proto=https;host=localhost:8081")
				if got := s.do(r).StatusCode == http.StatusOK; got != ours {
					t.Errorf("%v, %s: origin %s passes: %v", profile, url, origin, got)
				}
			}
		}
	}
}

// TestHostAllowList is about DNS rebinding: the page of an attacker whose name
// leads to 127.0.0.1 is, to the browser, of one origin with this program.
func TestHostAllowList(t *testing.T) {
	s := newSite(t, func(_ *snib.Options, o *snibhttp.Options) {
		o.Profile, o.Hosts = snibhttp.Loopback, []string{"localhost:8080", "[::1]:8080", "localhost:80"}
	})
	for host, ok := range map[string]bool{
		"localhost:8080": true, "LocalHost:8080": true, "[::1]:8080": true, "localhost": true, "localhost:80": true,
		"attacker.example:8080": false, "attacker.example": false, "localhost:8081": false, "localhost.:8080": false, "127.0.0.1:8080": false,
		"localhost:8080.attacker.example": false, "": false, "localhost:8080@attacker.example": false, "notes.localhost:8080": false,
	} {
		for _, method := range []string{"GET", "HEAD", "OPTIONS", "POST", "DELETE"} {
			for _, path := range []string{"/protected", "/open", "/closed", "/both", "/sign-in", "/log-in", "/sign-out", "/others", "/everywhere", "/token", "/revoke"} {
				r := s.request(method, path)
				r.Host = host
				if res := s.do(r); (res.StatusCode == http.StatusMisdirectedRequest) == ok {
					t.Errorf("%s %s for %q: %d", method, path, host, res.StatusCode)
				}
			}
		}
		r := s.request("GET", "/open", "Authorization: Bearer x", "Upgrade: websocket", "Origin: http://"+host)
		r.Host = host
		if res := s.do(r); (res.StatusCode == http.StatusMisdirectedRequest) == ok {
			t.Errorf("with a token, for %q: %d", host, res.StatusCode)
		}
	}
}

// TestANullOriginWithoutHost: to the standard library, the host of "null" is
// the empty one that a request without Host has.
func TestANullOriginWithoutHost(t *testing.T) {
	s := newSite(t, nil)
	r := httptest.NewRequest("POST", "https://notes.example/open", nil)
	r.Host = ""
	r.Header.Set("Origin", "null")
	wantStatus(t, s.do(r), http.StatusForbidden)
}
