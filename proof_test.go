package snib_test

import (
	"testing"
	"time"

	"github.com/snibdb/snib"
)

// TestCreateSessionOfASession: a log-in can be carried to another place, as
// long as it lives, and does not become a younger or longer one there.
func TestCreateSessionOfASession(t *testing.T) {
	db, clock := clocked(t, snib.Options{Sessions: snib.SessionPolicy{Active: 50 * time.Hour, Absolute: 100 * time.Hour}})
	u := user(t, db, "ada")
	first := newSession(t, db, u)
	clock.Advance(20 * time.Hour)

	second := must(db.CreateSession(ctx, first, snib.SessionOptions{}))(t)
	carried, r, err := db.CreateRefreshToken(ctx, first, snib.SessionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if second.UserID != u.ID || second.ID == first.ID {
		t.Errorf("the session is %+v", second)
	}
	for _, got := range []snib.Session{second, carried} {
		valid(t, db, got)
		if !got.AuthenticatedAt.Equal(first.AuthenticatedAt) || !got.AbsoluteUntil.Equal(first.AbsoluteUntil) {
			t.Errorf("log-in %v, until %v; want %v, %v", got.AuthenticatedAt, got.AbsoluteUntil, first.AuthenticatedAt, first.AbsoluteUntil)
		}
	}
	if !r.AuthenticatedAt.Equal(first.AuthenticatedAt) || !r.AbsoluteUntil.Equal(first.AbsoluteUntil) {
		t.Errorf("the refresh token: log-in %v, until %v", r.AuthenticatedAt, r.AbsoluteUntil)
	}
}

// TestCreateSessionNeedsProof: a session that has ended, is idle or was made
// up proves nothing, and neither does a User that was made up.
func TestCreateSessionNeedsProof(t *testing.T) {
	db, clock := clocked(t, snib.Options{Sessions: snib.SessionPolicy{Active: time.Hour}})
	u, other := user(t, db, "ada"), user(t, db, "bob")
	ended, idle := newSession(t, db, u), newSession(t, db, u)
	if err := db.RevokeSession(ctx, u.ID, ended.ID); err != nil {
		t.Fatal(err)
	}
	clock.Advance(2 * time.Hour)
	theirs := newSession(t, db, other)
	theirs.UserID = u.ID
	disabled := newSession(t, db, user(t, db, "eve"))
	for name, x := range map[string]struct {
		proof snib.Proof
		want  error
	}{
		"nil":               {nil, snib.ErrInvalidInput},
		"no user":           {snib.User{}, snib.ErrInvalidInput},
		"no version":        {snib.User{ID: u.ID}, snib.ErrInvalidInput},
		"no session":        {snib.Session{}, snib.ErrInvalidInput},
		"unknown user":      {snib.User{ID: "nobody", CredentialVersion: 1}, snib.ErrUserNotFound},
		"ended":             {ended, snib.ErrInvalidSession},
		"idle":              {idle, snib.ErrInvalidSession},
		"of another user":   {theirs, snib.ErrInvalidSession},
		"earlier knowledge": {snib.User{ID: u.ID, CredentialVersion: u.CredentialVersion + 1}, snib.ErrInvalidCredentials},
	} {
		t.Run(name, func(t *testing.T) {
			quiet(t, db, func() {
				_, err := db.CreateSession(ctx, x.proof, snib.SessionOptions{})
				wantErr(t, err, x.want)
				_, _, err = db.CreateRefreshToken(ctx, x.proof, snib.SessionOptions{})
				wantErr(t, err, x.want)
			})
		})
	}
	must(db.DisableUser(ctx, disabled.UserID, ""))(t)
	_, err := db.CreateSession(ctx, disabled, snib.SessionOptions{})
	wantErr(t, err, snib.ErrInvalidSession) // it ended with that
}
