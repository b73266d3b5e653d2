package accounttest

import (
	"context"
	"testing"

	"github.com/snibdb/snib"
)

// Family starts a family of refresh tokens.
func Family(tb testing.TB, db *snib.DB, u snib.User) (snib.Session, snib.RefreshToken) {
	tb.Helper()
	s, r, err := db.CreateRefreshToken(context.Background(), u, snib.SessionOptions{})
	if err != nil {
		tb.Fatalf("create refresh token: %v", err)
	}
	return s, r
}

// Refresh uses r's token.
func Refresh(tb testing.TB, db *snib.DB, r snib.RefreshToken) (snib.Session, snib.RefreshToken) {
	tb.Helper()
	s, next, err := db.Refresh(context.Background(), r.Token.Reveal())
	if err != nil {
		tb.Fatalf("refresh: %v", err)
	}
	return s, next
}

// Reuse revokes r's family: it presents the token twice more than it may be.
func Reuse(tb testing.TB, db *snib.DB, r snib.RefreshToken) {
	tb.Helper()
	_, second := Refresh(tb, db, r)
	Refresh(tb, db, second)
	_, _, err := db.Refresh(context.Background(), r.Token.Reveal())
	WantErr(tb, err, snib.ErrRefreshTokenReused)
}
