package snib_test

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibtest"
)

// TestReauthenticateGivesANewTokenAndAuthenticatesNow: a thief who has copied
// the token is out, and the life of the session begins anew.
func TestReauthenticateGivesANewTokenAndAuthenticatesNow(t *testing.T) {
	db, clock := clocked(t, snib.Options{})
	u := email(t, db, "a@example.com")
	old := must(db.CreateSession(ctx, u, snib.SessionOptions{Attributes: snib.Attributes{"device": "laptop"}}))(t)
	other := logIn(t, db, "a@example.com")
	clock.Advance(time.Hour)

	commits(t, db, 1, func() { old = replaced(t, db, old) })
	if !old.AuthenticatedAt.Equal(clock.Now()) || !old.CreatedAt.Equal(clock.Now()) {
		t.Errorf("authenticated at %v, made at %v, want %v", old.AuthenticatedAt, old.CreatedAt, clock.Now())
	}
	if want := clock.Now().Add(90 * 24 * time.Hour); !old.AbsoluteUntil.Equal(want) {
		t.Errorf("lives until %v, want %v", old.AbsoluteUntil, want)
	}
	if got := old.Attributes()["device"]; got != "laptop" {
		t.Errorf("device %v", got)
	}
	valid(t, db, other)
	if after := asNow(t, db, u.ID); after.CredentialVersion != u.CredentialVersion {
		t.Error("the credential version has changed")
	}
}

// replaced reauthenticates, and returns the session in the place of s.
func replaced(t *testing.T, db *snib.DB, s snib.Session) snib.Session {
	t.Helper()
	next := must(db.Reauthenticate(ctx, s.Token.Reveal(), password))(t)
	invalid(t, db, s)
	valid(t, db, next)
	if next.ID == s.ID || next.UserID != s.UserID {
		t.Errorf("session %s of %s follows %s of %s", next.ID, next.UserID, s.ID, s.UserID)
	}
	return next
}

func TestReauthenticateRefusesWhatIsNotGoodNow(t *testing.T) {
	db, clock := clocked(t, snib.Options{Throttle: snib.ThrottlePolicy{InsecureOff: true}})
	u := email(t, db, "a@example.com")
	s := logIn(t, db, "a@example.com")
	quiet(t, db, func() {
		for _, wrong := range []string{"a guess", "", "nul\x00 and more", "\xff not text"} {
			_, err := db.Reauthenticate(ctx, s.Token.Reveal(), wrong)
			wantErr(t, err, snib.ErrInvalidCredentials)
		}
		for _, token := range []string{"", "no token", string(s.ID)} {
			_, err := db.Reauthenticate(ctx, token, password)
			wantErr(t, err, snib.ErrInvalidSession)
		}
	})
	valid(t, db, s)

	_, family := family(t, db, u)
	_, err := db.Reauthenticate(ctx, family.Token.Reveal(), password)
	wantErr(t, err, snib.ErrInvalidSession)
	clock.Advance(25 * time.Hour) // idle: to be renewed, and not to be trusted
	_, err = db.Reauthenticate(ctx, s.Token.Reveal(), password)
	wantErr(t, err, snib.ErrInvalidSession)

	s = logIn(t, db, "a@example.com")
	s = must(removePassword(db, s))(t)
	_, err = db.Reauthenticate(ctx, s.Token.Reveal(), password)
	wantErr(t, err, snib.ErrInvalidCredentials)
	must(db.DisableUser(ctx, u.ID, ""))(t)
	_, err = db.Reauthenticate(ctx, s.Token.Reveal(), password)
	wantErr(t, err, snib.ErrInvalidSession)
}

// TestReauthenticateDecidesAnewAtTheCommit: a verification that was overtaken
// makes no session.
func TestReauthenticateDecidesAnewAtTheCommit(t *testing.T) {
	for what, c := range map[string]struct {
		overtake func(*snib.DB, snib.Session) error
		want     error // nil: it goes on
	}{
		"another password": {func(db *snib.DB, s snib.Session) error {
			_, err := db.UpdateUserPassword(ctx, s.UserID, "a new passphrase")
			return err
		}, snib.ErrInvalidSession},
		"a change with a new token": {func(db *snib.DB, s snib.Session) error {
			_, err := removePassword(db, s)
			return err
		}, snib.ErrInvalidSession},
		"a sign-out": {func(db *snib.DB, s snib.Session) error {
			return db.RevokeToken(ctx, s.Token.Reveal())
		}, snib.ErrInvalidSession},
		"a disabled user": {func(db *snib.DB, s snib.Session) error {
			_, err := db.DisableUser(ctx, s.UserID, "")
			return err
		}, snib.ErrInvalidSession},
		"a deleted user": {func(db *snib.DB, s snib.Session) error {
			return db.DeleteUser(ctx, s.UserID)
		}, snib.ErrInvalidSession},
		"a sign-out of other devices": {func(db *snib.DB, s snib.Session) error {
			return db.RevokeUserSessions(ctx, s.UserID, s.ID)
		}, nil},
	} {
		t.Run(what, func(t *testing.T) {
			db := snibtest.NewDB(t, nil)
			email(t, db, "a@example.com")
			s := logIn(t, db, "a@example.com")
			var once sync.Once
			db.SetVerified(func() {
				once.Do(func() {
					if err := c.overtake(db, s); err != nil {
						t.Error(err)
					}
				})
			})
			next, err := db.Reauthenticate(ctx, s.Token.Reveal(), password)
			if !errors.Is(err, c.want) {
				t.Fatalf("%v, want %v", err, c.want)
			}
			if c.want == nil {
				valid(t, db, next)
			}
		})
	}
}

// TestReauthenticateTwiceAtOnceGivesOneSession, by one token.
func TestReauthenticateTwiceAtOnceGivesOneSession(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	u := email(t, db, "a@example.com")
	s := logIn(t, db, "a@example.com")
	got := make([]error, 2)
	var wg sync.WaitGroup
	for i := range got {
		wg.Go(func() { _, got[i] = db.Reauthenticate(ctx, s.Token.Reveal(), password) })
	}
	wg.Wait()
	if (got[0] == nil) == (got[1] == nil) {
		t.Errorf("%v and %v, want one success", got[0], got[1])
	}
	wantErr(t, errors.Join(got...), snib.ErrInvalidSession)
	if n := len(sessionIDs(t, db, u.ID)); n != 1 {
		t.Errorf("%d sessions", n)
	}
}

// TestReauthenticateIsThrottledByItsSession: a stolen session has five guesses,
// and strangers who guess do not stop its owner.
func TestReauthenticateIsThrottledByItsSession(t *testing.T) {
	db, _ := clocked(t, snib.Options{})
	email(t, db, "a@example.com")
	s := logIn(t, db, "a@example.com")
	if err := fail(db, "a@example.com", 5); err != nil {
		t.Fatal(err)
	}
	_, err := db.AuthenticateUser(ctx, "email", "a@example.com", password)
	wantThrottled(t, err, 30*time.Second)
	s = replaced(t, db, s) // strangers are not in the way

	for range 5 {
		_, err := db.Reauthenticate(ctx, s.Token.Reveal(), "a guess")
		wantErr(t, err, snib.ErrInvalidCredentials)
	}
	_, err = db.Reauthenticate(ctx, s.Token.Reveal(), password)
	wantThrottled(t, err, 30*time.Second)
	valid(t, db, s)
}

// TestRenewalGivesAStolenSessionNoNewGuesses: the run is that of the log-in.
func TestRenewalGivesAStolenSessionNoNewGuesses(t *testing.T) {
	db, _ := clocked(t, snib.Options{})
	email(t, db, "a@example.com")
	s := logIn(t, db, "a@example.com")
	for range 5 {
		_, err := db.Reauthenticate(ctx, s.Token.Reveal(), "a guess")
		wantErr(t, err, snib.ErrInvalidCredentials)
	}
	s = must(db.RenewSession(ctx, s.Token.Reveal()))(t)
	_, err := db.Reauthenticate(ctx, s.Token.Reveal(), password)
	wantThrottled(t, err, 30*time.Second)
}

// TestAClockSetBackMakesNoLogInYounger: not below zero, and real time goes on
// counting, across a restart too.
func TestAClockSetBackMakesNoLogInYounger(t *testing.T) {
	for _, restart := range []bool{false, true} {
		clock := snibtest.NewClock()
		path := filepath.Join(t.TempDir(), "accounts.db")
		db := openFile(t, path, &snib.Options{Now: clock.Now})
		clock.Advance(24 * time.Hour)
		email(t, db, "a@example.com")
		s := logIn(t, db, "a@example.com")
		clock.Advance(-24 * time.Hour)
		if restart {
			closeDB(t, db)
			db = openFile(t, path, &snib.Options{Now: clock.Now})
		}
		for _, want := range []time.Duration{0, 12 * time.Hour} {
			now := must(db.ValidateSession(ctx, s.Token.Reveal()))(t)
			if age := now.ReadAt.Sub(now.AuthenticatedAt); age != want {
				t.Errorf("restarted %t: the log-in is %v old, want %v", restart, age, want)
			}
			clock.Advance(12 * time.Hour)
		}
		closeDB(t, db)
	}
}

// TestReauthenticateAsksTheHook with the primary identity, and ends with its
// error before a guess is counted or hashed.
func TestReauthenticateAsksTheHook(t *testing.T) {
	var asked []string
	captcha, refuse := errors.New("captcha"), false
	db := snibtest.NewDB(t, &snib.Options{Throttle: snib.ThrottlePolicy{BeforeAuth: func(_ context.Context, a snib.Attempt) error {
		asked = append(asked, a.Provider+" "+a.Identifier)
		if refuse {
			return captcha
		}
		return nil
	}}})
	u := email(t, db, "a@example.com")
	must(db.LinkIdentity(ctx, u.ID, "github", "1"))(t)
	s := logIn(t, db, "a@example.com")
	asked, refuse = nil, true
	for range 6 {
		_, err := db.Reauthenticate(ctx, s.Token.Reveal(), "a guess")
		wantErr(t, err, captcha)
	}
	if len(asked) != 6 || asked[0] != "email a@example.com" {
		t.Errorf("asked %q", asked)
	}
	refuse = false
	replaced(t, db, s)
}
