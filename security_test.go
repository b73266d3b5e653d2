package snib_test

import (
	"testing"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibtest"
)

// Nobody has an account that no one has made, under whatever name.
func TestANewFileHasNoAccount(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	report := must(db.Check(ctx))(t)
	if n := report.Users + report.Passwords + report.Sessions + report.RefreshTokens + report.OneTimeTokens; n != 0 {
		t.Errorf("a new file holds %+v", report)
	}
	for u, err := range db.ListUsers(ctx, snib.ListOptions{}) {
		t.Errorf("a new file lists %s, %v", u.ID, err)
	}
	for _, name := range []string{"admin", "root", "sa", "administrator"} {
		_, err := db.AuthenticateUser(ctx, "username", name, name)
		wantErr(t, err, snib.ErrInvalidCredentials)
	}
}

// A password is good until somebody changes it, though the sessions that came
// of it are long over.
func TestAPasswordDoesNotExpire(t *testing.T) {
	db, clock := clocked(t, snib.Options{})
	u := email(t, db, "a@example.com")
	old := logIn(t, db, "a@example.com")
	for range 20 {
		clock.Advance(365 * 24 * time.Hour)
		valid(t, db, logIn(t, db, "a@example.com"))
	}
	invalid(t, db, old)
	got := must(db.GetUser(ctx, u.ID))(t)
	if !got.PasswordChangedAt.Equal(u.PasswordChangedAt) || got.CredentialVersion != u.CredentialVersion {
		t.Errorf("changed at %v to version %d, though nobody did", got.PasswordChangedAt, got.CredentialVersion)
	}
}
