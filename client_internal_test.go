package snib

import (
	"context"
	"path/filepath"
	"testing"
	"time"
)

// A live token of either kind proves its user and is not used by it; only a
// session tells of a log-in.
func TestWithProofTakesTheTurnOfItsUser(t *testing.T) {
	ctx := context.Background()
	db, err := Open(filepath.Join(t.TempDir(), "a.db"), &Options{InsecureNoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	u, err := db.CreateUser(ctx, NewUser{Provider: "x", Identifier: "ada"})
	if err != nil {
		t.Fatal(err)
	}
	s, err := db.CreateSession(ctx, u, SessionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	link, err := db.Tokens().Create(ctx, u.ID, "reset", time.Hour, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := func(what string, token Token, user UserID, login bool) {
		t.Helper()
		c, err := db.caller(WithProof(ctx, token.Reveal()))
		if err != nil || c.user != string(user) || (c.login != "") != login || c.turn().Proven != (user != "") {
			t.Errorf("%s: %+v, %v", what, c, err)
		}
	}
	want("session", s.Token, u.ID, true)
	want("one-time token", link.Token, u.ID, false)
	want("neither", PresentedToken("nonsense"), "", false)
	if _, err := db.Tokens().Use(ctx, "reset", link.Token.Reveal()); err != nil {
		t.Fatal(err)
	}
	want("used one-time token", link.Token, "", false)
	if _, err := db.DisableUser(ctx, u.ID, ""); err != nil {
		t.Fatal(err)
	}
	want("session of a disabled user", s.Token, "", false)
}
