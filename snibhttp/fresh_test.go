package snibhttp_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
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
		if got := rec.Header().Values("Set-Cookie"); len(got) != 0 {
			t.Errorf("%s: %d cookies were set", what, len(got))
		}
	}
	if !s.valid(token) || !s.valid(other) {
		t.Error("a session has ended")
	}
}

// TestRequireFreshGoesByTheLogIn: a session that is carried to another place or
// refreshed is as old as the log-in that it comes from, and one of a refresh
// token is not made fresh.
func TestRequireFreshGoesByTheLogIn(t *testing.T) {
	s := newSite(t, nil)
	first, token := s.session()
	_, refresh, err := s.db.CreateRefreshToken(t.Context(), s.refreshed(), snib.SessionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s.clock.Advance(10 * time.Minute)
	carried, err := s.db.CreateSession(t.Context(), first, snib.SessionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	born, _, err := s.db.Refresh(t.Context(), refresh.Token.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	h := s.m.Optional(s.m.RequireFresh(5*time.Minute, http.NotFoundHandler()))
	for _, text := range []string{token, carried.Token.Reveal(), born.Token.Reveal()} {
		all.issue(text)
		wantStatus(t, s.serve(h, s.request("GET", "/", cookie+text)), http.StatusUnauthorized)
	}
	_, err = s.m.Reauthenticate(httptest.NewRecorder(), s.request("POST", "/again", cookie+born.Token.Reveal()), password)
	if !errors.Is(err, snibhttp.ErrUnauthenticated) {
		t.Errorf("%v, want %v", err, snibhttp.ErrUnauthenticated)
	}
	next := reauthenticated(t, s, carried.Token.Reveal())
	wantStatus(t, s.serve(h, s.request("GET", "/", cookie+next)), http.StatusNotFound)
	wantStatus(t, s.serve(h, s.request("GET", "/", cookie+token)), http.StatusUnauthorized)
}

// TestRequireFreshOfAnotherManager: a log-in there is none here.
func TestRequireFreshOfAnotherManager(t *testing.T) {
	a, b := newSite(t, nil), newSite(t, nil)
	_, token := a.session()
	h := a.m.Optional(b.m.RequireFresh(time.Hour, http.NotFoundHandler()))
	wantStatus(t, a.serve(h, a.request("GET", "/", cookie+token)), http.StatusUnauthorized)
}
