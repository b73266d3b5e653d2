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
// token is fresh until that gives the next.
func TestRequireFreshGoesByTheLogIn(t *testing.T) {
	s := newSite(t, nil)
	first, token := s.session()
	_, refresh, err := s.db.CreateRefreshToken(t.Context(), s.refreshed(), snib.SessionOptions{Persistent: true})
	if err != nil {
		t.Fatal(err)
	}
	s.clock.Advance(10 * time.Minute)
	carried, err := s.db.CreateSession(t.Context(), first, snib.SessionOptions{Persistent: true})
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
	fresh := reauthenticated(t, s, born.Token.Reveal())
	wantStatus(t, s.serve(h, s.request("GET", "/", cookie+fresh)), http.StatusNotFound)
	if born, _, err = s.db.Refresh(t.Context(), refresh.Token.Reveal()); err != nil {
		t.Fatal(err)
	}
	all.issue(born.Token.Reveal())
	wantStatus(t, s.serve(h, s.request("GET", "/", cookie+born.Token.Reveal())), http.StatusUnauthorized)
	next := reauthenticated(t, s, carried.Token.Reveal())
	wantStatus(t, s.serve(h, s.request("GET", "/", cookie+next)), http.StatusNotFound)
	wantStatus(t, s.serve(h, s.request("GET", "/", cookie+token)), http.StatusUnauthorized)
}

// TestChangePasswordSetsAnotherCookie, and a copy of the old one is worth
// nothing, nor is any other session.
func TestChangePasswordSetsAnotherCookie(t *testing.T) {
	s := newSite(t, nil)
	_, token := s.session()
	_, other := s.session()
	rec := httptest.NewRecorder()
	_, err := s.m.ChangePassword(rec, s.request("POST", "/", cookie+token), "a guess", "a new passphrase")
	if !errors.Is(err, snib.ErrInvalidCredentials) || len(rec.Header()["Set-Cookie"]) != 0 || !s.valid(token) {
		t.Fatalf("by a guess: %v, %v", err, rec.Header())
	}
	session, err := s.m.ChangePassword(rec, s.request("POST", "/", cookie+token), password, "a new passphrase")
	if err != nil || session.Token.Reveal() != "" {
		t.Fatalf("%v, %v", session, err)
	}
	next := cookieOf(t, rec.Result())
	all.issue(next)
	if !s.valid(next) || s.valid(token) || s.valid(other) {
		t.Errorf("valid: the new one %t, the old one %t, another one %t", s.valid(next), s.valid(token), s.valid(other))
	}
}

// TestChangeCredentialsSetsAnotherCookie also of a session that is idle, as the
// middleware would extend it.
func TestChangeCredentialsSetsAnotherCookie(t *testing.T) {
	s := newSite(t, nil)
	_, token := s.session()
	s.clock.Advance(25 * time.Hour)
	rec := httptest.NewRecorder()
	_, err := s.m.ChangeCredentials(rec, s.request("POST", "/", cookie+token), func(tx *snib.Tx, session snib.Session) error {
		_, err := tx.RemoveUserPassword(session.UserID)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	next := cookieOf(t, rec.Result())
	all.issue(next)
	if !s.valid(next) || s.valid(token) || s.refreshed().HasPassword {
		t.Errorf("valid: the new one %t, the old one %t", s.valid(next), s.valid(token))
	}
	fails := errors.New("it fails")
	rec = httptest.NewRecorder()
	_, err = s.m.ChangeCredentials(rec, s.request("POST", "/", cookie+next), func(*snib.Tx, snib.Session) error { return fails })
	if !errors.Is(err, fails) || len(rec.Header()["Set-Cookie"]) != 0 || !s.valid(next) {
		t.Errorf("%v, %v", err, rec.Header())
	}
}

// TestLogInEndsWhatIsNotNamed: the session that the request carries.
func TestLogInEndsWhatIsNotNamed(t *testing.T) {
	s := newSite(t, nil)
	_, token := s.session()
	rec := httptest.NewRecorder()
	if _, err := s.m.LogIn(rec, s.request("POST", "/", cookie+token), s.refreshed(), snib.SessionOptions{Persistent: true}); err != nil {
		t.Fatal(err)
	}
	all.issue(cookieOf(t, rec.Result()))
	if s.valid(token) {
		t.Error("the session that the request carried is still good")
	}
}

// TestRequireFreshOfAnotherManager: a log-in there is none here.
func TestRequireFreshOfAnotherManager(t *testing.T) {
	a, b := newSite(t, nil), newSite(t, nil)
	_, token := a.session()
	h := a.m.Optional(b.m.RequireFresh(time.Hour, http.NotFoundHandler()))
	wantStatus(t, a.serve(h, a.request("GET", "/", cookie+token)), http.StatusUnauthorized)
}
