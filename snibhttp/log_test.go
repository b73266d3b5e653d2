package snibhttp_test

import (
	"strings"
	"testing"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibhttp"
)

// TestARefusedRequestIsExplained to the operator: what came, and the setting
// that would let it through.
func TestARefusedRequestIsExplained(t *testing.T) {
	for _, c := range []struct {
		what, method, host string
		headers            []string
		status             int
		want               []string
	}{
		{"a proxy that changes the host", "POST", "backend:8080", []string{"Origin: https://notes.example"}, 403,
			[]string{"https://notes.example", "backend:8080", "Options.TrustedOrigins"}},
		{"another site", "POST", "notes.example", []string{"Origin: https://attacker.example", "Sec-Fetch-Site: cross-site"}, 403,
			[]string{"https://attacker.example", "sec_fetch_site=cross-site", "Options.TrustedOrigins"}},
		{"plain HTTP under HTTPS", "POST", "notes.example:80", []string{"Origin: http://notes.example:80"}, 403, []string{"Options.Profile", "HTTPS"}},
		{"a program", "POST", "notes.example", nil, 403, []string{"bearer token"}},
		{"a site without origin", "POST", "notes.example", []string{"Sec-Fetch-Site: same-site"}, 403, []string{"sec_fetch_site=same-site", "Origin"}},
		{"a sandbox", "POST", "notes.example", []string{"Origin: null"}, 403, []string{"Referrer-Policy"}},
		{"a WebSocket", "GET", "notes.example", []string{"Origin: https://attacker.example", "Upgrade: websocket"}, 403, []string{"attacker.example"}},
		{"another host", "GET", "elsewhere.example", nil, 421, []string{"elsewhere.example", "Options.Hosts"}},
	} {
		s := newSite(t, func(_ *snib.Options, o *snibhttp.Options) {
			if o.Hosts = []string{"notes.example", "notes.example:80", "backend:8080"}; c.status == 403 {
				o.Hosts = nil
			}
		})
		for _, path := range []string{"/open?secret-query", "/sign-in?secret-query", "/protected?secret-query"} {
			s.log.Reset()
			r := s.request(c.method, path, c.headers...)
			r.Header.Del("Sec-Fetch-Site")
			for _, h := range c.headers {
				name, value, _ := strings.Cut(h, ": ")
				r.Header.Set(name, value)
			}
			r.Host = c.host
			wantStatus(t, s.do(r), c.status)
			got := s.log.String()
			if strings.Count(got, "\n") != 1 || !strings.Contains(got, "level=WARN") || strings.Contains(got, "secret") {
				t.Errorf("%s: %s: log %q", c.what, path, got)
			}
			for _, want := range c.want {
				if !strings.Contains(got, want) {
					t.Errorf("%s: %s: log %q, want %q in it", c.what, path, got, want)
				}
			}
		}
	}
}

// TestTheTokenEndpointsExplainAHost too.
func TestTheTokenEndpointsExplainAHost(t *testing.T) {
	s := newSite(t, func(_ *snib.Options, o *snibhttp.Options) { o.Hosts = []string{"api.example"} })
	s.do(s.post("/token", "grant_type=refresh_token&refresh_token=x"))
	if got := s.log.String(); !strings.Contains(got, "Options.Hosts") || !strings.Contains(got, "notes.example") {
		t.Errorf("log %q", got)
	}
}

// TestStrangersWriteFewLines, of whatever kind, and none hides another kind.
func TestStrangersWriteFewLines(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(o *snib.Options, h *snibhttp.Options) {
		h.Hosts = []string{"notes.example"}
		o.BusyTimeout = busyTimeout / 4
	})
	_, token := s.session()
	s.clock.Advance(48 * 3600e9)
	long := strings.Repeat("x", 5000)
	flood := func(n int, kind, host string, headers ...string) {
		t.Helper()
		s.log.Reset()
		for range n {
			r := s.request("POST", "/open", headers...)
			r.Host = host
			s.do(r)
		}
		if n := strings.Count(s.log.String(), "\n"); n == 0 || n > 20 || s.log.Len() > 20*1024 {
			t.Errorf("%s: %d lines, %d bytes", kind, n, s.log.Len())
		}
	}
	flood(300, "two cookies", "notes.example", cookie+"x; __Host-notes=y")
	flood(300, "an origin", "notes.example", "Origin: https://attacker.example/"+long)
	flood(300, "a host", long+".example")
	s.busy(func() { flood(25, "a busy writer", "notes.example", cookie+token) })
	if err := s.db.Close(); err != nil {
		t.Fatal(err)
	}
	flood(300, "a closed database", "notes.example", cookie+token)
}

// TestTheLogShowsNoControlCharacters: it is cut, and without what a terminal would obey.
func TestTheLogShowsNoControlCharacters(t *testing.T) {
	s := newSite(t, nil)
	s.do(s.request("POST", "/open", "Origin: https://a\x1b[2Jb\u202e.example\xff"))
	if got := s.log.String(); !strings.Contains(got, "https://a[2Jb.example") || strings.ContainsAny(got, "\x1b\u202e") {
		t.Errorf("log %q", got)
	}
}
