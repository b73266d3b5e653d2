package snibhttp_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibhttp"
)

// TestRequireFreshAsksForTheLogInAnew: use of the session does not make it
// fresh, the password does.
func TestRequireFreshAsksForTheLogInAnew(t *testing.T) {
	s := newSite(t, nil)
	_, token := s.session()
	h := s.m.RequireFresh(5*time.Minute, http.NotFoundHandler())
	get := func(token string) *http.Response { return s.serve(h, s.request("GET", "/", cookie+token)) }
	wantStatus(t, s.serve(h, s.request("GET", "/")), http.StatusUnauthorized)
	s.clock.Advance(5 * time.Minute)
	wantStatus(t, get(token), http.StatusNotFound)
	s.clock.Advance(2 * time.Hour)
	for range 2 { // the first extends the session
		res := get(token)
		wantStatus(t, res, http.StatusUnauthorized)
		if got := res.Header.Get("WWW-Authenticate"); got != `Bearer error="insufficient_user_authentication"` {
			t.Errorf("challenge %q", got)
		}
	}
	renewed, err := s.db.RenewSession(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	token = renewed.Token.Reveal()
	all.issue(token)
	wantStatus(t, get(token), http.StatusUnauthorized)

	next := reauthenticated(t, s, token)
	wantStatus(t, get(next), http.StatusNotFound)
	if s.valid(token) {
		t.Error("the old token is still good")
	}
}

// reauthenticated gives the password again and returns the new cookie.
func reauthenticated(t *testing.T, s *site, token string) string {
	t.Helper()
	rec := httptest.NewRecorder()
	session, err := s.m.Reauthenticate(rec, s.request("POST", "/again", cookie+token), password)
	if err != nil {
		t.Fatal(err)
	}
	if session.Token.Reveal() != "" {
		t.Error("the session has its token")
	}
	next := cookieOf(t, rec.Result())
	all.issue(next)
	return next
}

func TestReauthenticateRefusesAndSetsNoCookie(t *testing.T) {
	s := newSite(t, nil)
	_, token := s.session()
	_, other := s.session()
	foreign := s.request("POST", "/again", cookie+token)
	foreign.Header.Set("Sec-Fetch-Site", "cross-site")
	for what, c := range map[string]struct {
		r        *http.Request
		password string
		want     error
	}{
		"a wrong password":  {s.request("POST", "/again", cookie+token), "a guess", snib.ErrInvalidCredentials},
		"no cookie":         {s.request("POST", "/again"), password, snibhttp.ErrUnauthenticated},
		"a dead cookie":     {s.request("POST", "/again", cookie+"x"), password, snibhttp.ErrUnauthenticated},
		"two cookies":       {s.request("POST", "/again", cookie+token, cookie+other), password, snibhttp.ErrUnauthenticated},
		"a bearer token":    {s.request("POST", "/again", "Authorization: Bearer "+token), password, snibhttp.ErrAuthorization},
		"a GET":             {s.request("GET", "/again", cookie+token), password, snibhttp.ErrMethod},
		"from another site": {foreign, password, snibhttp.ErrCrossOrigin},
	} {
		rec := httptest.NewRecorder()
		_, err := s.m.Reauthenticate(rec, c.r, c.password)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", what, err, c.want)
		}
		if got := rec.Header().Values("Set-Cookie"); len(got) != 0 && strings.Contains(strings.Join(got, ""), "ses_") {
			t.Errorf("%s: a cookie was set", what)
		}
	}
	if !s.valid(token) || !s.valid(other) {
		t.Error("a session has ended")
	}
}
