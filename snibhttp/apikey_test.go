package snibhttp_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibhttp"
)

// key makes a key of the site's user with these scopes.
func (s *site) key(scopes ...string) string {
	s.t.Helper()
	k, err := s.db.APIKeys().CreateFor(s.t.Context(), s.user.ID, snib.NewAPIKey{Name: "a program", Scopes: scopes, TTL: time.Hour})
	if err != nil {
		s.t.Fatal(err)
	}
	all.issue(k.Token.Reveal())
	return k.Token.Reveal()
}

const bearer = "Authorization: Bearer "

// keyed answers with the scopes and the user of the key, and says if there is a
// session too.
var keyed = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	k, u, ok := snibhttp.KeyFrom(r.Context())
	_, _, session := snibhttp.FromContext(r.Context())
	fmt.Fprint(w, k.Scopes, u.ID == k.UserID, ok, session, k.Token)
})

func TestRequireKeyAsksForTheScope(t *testing.T) {
	s := newSite(t, nil)
	key := s.key("files:read", "notes")
	for scope, want := range map[string]string{"files:read": "", "": "", "files": "files", "files:write": "files:write", "FILES:READ": "FILES:READ"} {
		res := s.serve(s.m.RequireKey(scope, keyed), s.request("POST", "/api", bearer+key))
		if want == "" {
			wantStatus(t, res, http.StatusOK)
			if got := body(t, res); got != "[files:read notes] true true false REDACTED" {
				t.Errorf("%q: %s", scope, got)
			}
			if res.Header.Get("Cache-Control") != "no-store" || res.Header.Get("Vary") != "Authorization" {
				t.Errorf("%q: %v", scope, res.Header)
			}
			continue
		}
		wantStatus(t, res, http.StatusForbidden)
		if got := res.Header.Get("WWW-Authenticate"); got != `Bearer error="insufficient_scope", scope="`+want+`"` {
			t.Errorf("%q: challenge %s", scope, got)
		}
	}
	both := s.m.RequireKey("notes", s.m.RequireKey("admin", keyed))
	wantStatus(t, s.serve(both, s.request("GET", "/api", bearer+key)), http.StatusForbidden)
}

// TestRequireKeyTakesKeysFromTheHeaderOnly: not from where another site's page
// or a log would bring them, and no session's token at all.
func TestRequireKeyTakesKeysFromTheHeaderOnly(t *testing.T) {
	s := newSite(t, nil)
	key := s.key("notes")
	_, token := s.session()
	for what, c := range map[string]struct {
		r         *http.Request
		status    int
		challenge string
	}{
		"nothing":                     {s.request("GET", "/api"), 401, "Bearer"},
		"a key as the cookie":         {s.request("GET", "/api", cookie+key), 401, "Bearer"},
		"a key in the address":        {s.request("GET", "/api?access_token="+key), 401, "Bearer"},
		"a session's cookie":          {s.request("GET", "/api", cookie+token), 401, "Bearer"},
		"a session's token":           {s.request("GET", "/api", bearer+token), 401, `Bearer error="invalid_token"`},
		"the token, and a cookie":     {s.request("GET", "/api", bearer+token, cookie+key), 401, `Bearer error="invalid_token"`},
		"a key of no user":            {s.request("GET", "/api", bearer+key[:len(key)-1]+"u"), 401, `Bearer error="invalid_token"`},
		"a key by another scheme":     {s.request("GET", "/api", "Authorization: Basic "+key), 401, "Bearer"},
		"two headers":                 {s.request("GET", "/api", bearer+key, bearer+key), 400, ""},
		"a key, beside a dead cookie": {s.request("GET", "/api", bearer+key, cookie+"x"), 200, ""},
		"a key from another site":     {s.request("POST", "/api", bearer+key, "Sec-Fetch-Site: cross-site"), 200, ""},
	} {
		for around, h := range map[string]http.Handler{
			"alone": s.m.RequireKey("notes", keyed), "inside of Optional": s.m.Optional(s.m.RequireKey("notes", keyed)),
		} {
			res := s.serve(h, c.r)
			if res.StatusCode != c.status || res.Header.Get("WWW-Authenticate") != c.challenge {
				t.Errorf("%s, %s: %s, %q", what, around, res.Status, res.Header.Get("WWW-Authenticate"))
			}
			if n := len(res.Header.Values("Set-Cookie")); n != 0 {
				t.Errorf("%s, %s: %d cookies", what, around, n)
			}
		}
	}
}

// TestAKeyIsNoSession: whatever is for people refuses it, whichever middleware
// it comes through.
func TestAKeyIsNoSession(t *testing.T) {
	s := newSite(t, nil)
	key := s.key("notes")
	for what, h := range map[string]http.Handler{
		"Require": s.m.Require(keyed), "RequireFresh": s.m.RequireFresh(time.Hour, keyed),
		"Require in RequireKey":      s.m.RequireKey("notes", s.m.Require(keyed)),
		"RequireFresh in RequireKey": s.m.RequireKey("notes", s.m.RequireFresh(time.Hour, keyed)),
	} {
		for _, header := range []string{bearer, cookie} {
			wantStatus(t, s.serve(h, s.request("GET", "/", header+key)), http.StatusUnauthorized)
			if t.Failed() {
				t.Fatalf("%s, %s", what, header)
			}
		}
	}
	_, token := s.session()
	res := s.serve(s.m.Optional(keyed), s.request("GET", "/", bearer+key, cookie+token))
	if got := body(t, res); got != "[] true false false REDACTED" {
		t.Errorf("with a key, the cookie of a session counts: %s", got)
	}
	// A sign-out by a key ends nothing, the key neither.
	s.serve(s.mux, s.request("POST", "/everywhere", bearer+key))
	if err := s.db.RevokeToken(t.Context(), key); err != nil || !s.valid(token) {
		t.Errorf("%v; the session is good: %t", err, s.valid(token))
	}
	wantStatus(t, s.serve(s.m.RequireKey("", keyed), s.request("GET", "/", bearer+key)), http.StatusOK)
}

// TestRequireKeyOfAnotherManager: a key of users is none of administrators.
func TestRequireKeyOfAnotherManager(t *testing.T) {
	a, b := newSite(t, nil), newSite(t, nil)
	key := a.key("notes")
	inner := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _, ofA := a.m.KeyFrom(r.Context())
		_, _, ofB := b.m.KeyFrom(r.Context())
		fmt.Fprint(w, ofA, ofB)
	})
	wantStatus(t, a.serve(a.m.RequireKey("", b.m.RequireKey("", inner)), a.request("GET", "/", bearer+key)), http.StatusUnauthorized)
	if got := body(t, a.serve(a.m.RequireKey("", inner), a.request("GET", "/", bearer+key))); got != "true false" {
		t.Errorf("found by A, B: %s", got)
	}
}

// TestRequireKeyLooksOnceAndWritesNothing, also behind other middleware.
func TestRequireKeyLooksOnceAndWritesNothing(t *testing.T) {
	s := newSite(t, nil)
	key := s.key("notes")
	h := s.m.Optional(s.m.RequireKey("notes", s.m.RequireKey("", keyed)))
	before, err := s.db.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if n := s.clock.count(func() { wantStatus(t, s.serve(h, s.request("GET", "/", bearer+key)), 200) }); n != 1 {
		t.Errorf("%d looks, want 1", n)
	}
	if after, err := s.db.Stats(t.Context()); err != nil || after.Commits != before.Commits {
		t.Errorf("%d commits, %v", after.Commits-before.Commits, err)
	}
}
