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

// A known device takes its user's turns for log-ins of that user, and for
// nothing else; a session goes before it.
func TestAKnownDeviceTakesTheTurnOfItsUser(t *testing.T) {
	ctx := context.Background()
	db, err := Open(filepath.Join(t.TempDir(), "a.db"), &Options{InsecureNoSync: true, Passwords: PasswordPolicy{MemoryKiB: 8, Time: 1}})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	made := map[string]Device{}
	users := map[string]User{}
	for _, name := range []string{"ada", "grace"} {
		if users[name], err = db.CreateUser(ctx, NewUser{Provider: "x", Identifier: name, Password: "a good passphrase"}); err != nil {
			t.Fatal(err)
		}
		s, err := db.CreateSession(ctx, users[name], SessionOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if made[name], err = db.Devices().Remember(ctx, s); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		device, account, want string
		operator              bool
	}{
		{"ada", "ada", string(users["ada"].ID), false}, {"grace", "ada", "", false}, {"ada", "nobody", "", false}, {"ada", "ada", "operator", true},
	} {
		on := WithDevice(ctx, made[c.device].Token.Reveal())
		if c.operator {
			on = AsOperator(on)
		}
		g := &guess{db: db}
		if _, err := db.verify(on, g, "x", c.account, c.account, "a guess"); err != ErrInvalidCredentials {
			t.Fatal(err)
		}
		if g.turn.Key != c.want || g.turn.Proven != (c.want != "") {
			t.Errorf("%+v: turn %q, proven %t", c, g.turn.Key, g.turn.Proven)
		}
	}
	if c, err := db.caller(WithDevice(ctx, made["ada"].Token.Reveal())); err != nil || c.user != "" {
		t.Errorf("without an account to log in to: %+v, %v", c, err)
	}
}
