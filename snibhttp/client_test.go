package snibhttp_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibhttp"
)

// TestTheClientBehindProxies: what a client sends itself counts for nothing.
func TestTheClientBehindProxies(t *testing.T) {
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8:ffff::/48")}
	for _, c := range []struct {
		name, peer string
		forwarded  []string
		trusted    []netip.Prefix
		want       string
	}{
		{"no proxy", "203.0.113.9:4000", nil, nil, "203.0.113.9"},
		{"a header and no proxy named", "203.0.113.9:4000", []string{"198.51.100.1"}, nil, "203.0.113.9"},
		{"a header of a stranger", "203.0.113.9:4000", []string{"198.51.100.1"}, proxies, "203.0.113.9"},
		{"one proxy", "10.0.0.1:80", []string{"203.0.113.9"}, proxies, "203.0.113.9"},
		{"the client forges hops", "10.0.0.1:80", []string{"1.1.1.1, 10.9.9.9, 203.0.113.9"}, proxies, "203.0.113.9"},
		{"two proxies", "10.0.0.1:80", []string{"1.1.1.1, 203.0.113.9, 10.2.3.4"}, proxies, "203.0.113.9"},
		{"two headers", "10.0.0.1:80", []string{"1.1.1.1", "203.0.113.9, 10.2.3.4"}, proxies, "203.0.113.9"},
		{"with a port", "10.0.0.1:80", []string{"203.0.113.9:55555"}, proxies, "203.0.113.9"},
		{"mapped", "[::ffff:10.0.0.1]:80", []string{"::ffff:203.0.113.9"}, proxies, "203.0.113.9"},
		{"IPv6", "[2001:db8:ffff::1]:80", []string{"2001:db8:1::7%eth0"}, proxies, "2001:db8:1::7"},
		{"nothing that is an address", "10.0.0.1:80", []string{"203.0.113.9, unknown"}, proxies, "10.0.0.1:80"},
		{"an empty header", "10.0.0.1:80", nil, proxies, "10.0.0.1:80"},
		{"a socket", "@", []string{"203.0.113.9"}, proxies, "@"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var client func(snib.Attempt)
			s := newSite(t, func(o *snib.Options, m *snibhttp.Options) {
				m.TrustedProxies = c.trusted
				o.Throttle.BeforeAuth = func(_ context.Context, a snib.Attempt) error { client(a); return nil }
			})
			r := s.request("POST", "/")
			r.RemoteAddr, r.Header["X-Forwarded-For"] = c.peer, c.forwarded
			var seen snib.Address
			client = func(a snib.Attempt) { seen = a.Client }
			s.db.AuthenticateUser(s.m.ClientContext(r), "email", "ada@example.com", "a guess")
			want, err := netip.ParseAddr(c.want)
			if known := err == nil; known != (seen != nil) || known && netip.AddrFrom16(seen.As16()).Unmap() != want {
				t.Errorf("the context has %v, want %q", seen, c.want)
			}
			if got := s.m.SessionOptions(r).Attributes[snibhttp.AttrAddress]; got != c.want {
				t.Errorf("the client is %q, want %q", got, c.want)
			}
		})
	}
}

// TestTheMiddlewareSaysWhoCalls: failures by strangers do not throttle the
// signed-in user, and the network of the client reaches Options.Throttle.BeforeAuth.
func TestTheMiddlewareSaysWhoCalls(t *testing.T) {
	var seen []snib.Address
	s := newSite(t, func(o *snib.Options, _ *snibhttp.Options) {
		o.Throttle.BeforeAuth = nil
	})
	if _, err := s.db.UpdateUserPassword(t.Context(), s.user.ID, "the old password"); err != nil {
		t.Fatal(err)
	}
	_, token := s.session()
	for range 6 {
		s.db.AuthenticateUser(t.Context(), "email", "ada@example.com", "a guess")
	}
	handler := s.m.Optional(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := s.db.AuthenticateUser(r.Context(), "email", "ada@example.com", "the old password"); err != nil {
			s.m.Error(w, r, err)
		}
	}))
	stranger := httptest.NewRecorder()
	handler.ServeHTTP(stranger, s.request("POST", "/"))
	if stranger.Code != http.StatusTooManyRequests || stranger.Header().Get("Retry-After") != "30" {
		t.Errorf("a stranger: %d, Retry-After %q", stranger.Code, stranger.Header().Get("Retry-After"))
	}
	owner := httptest.NewRecorder()
	handler.ServeHTTP(owner, s.request("POST", "/", cookie+token))
	if owner.Code != http.StatusOK {
		t.Errorf("the owner: %d %s", owner.Code, owner.Body)
	}
	_, _ = seen, time.Second
}
