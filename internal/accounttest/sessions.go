package accounttest

import (
	"context"
	"testing"

	"github.com/snibdb/snib"
)

// LogIn logs a user of [Email] in.
func LogIn(tb testing.TB, db *snib.DB, address string) snib.Session {
	tb.Helper()
	s, _, err := db.LogIn(context.Background(), "email", address, Password, snib.SessionOptions{})
	if err != nil {
		tb.Fatalf("log in: %v", err)
	}
	return s
}

// NewSession creates a session for u without a password.
func NewSession(tb testing.TB, db *snib.DB, u snib.User) snib.Session {
	tb.Helper()
	return Must(db.CreateSession(context.Background(), u, snib.SessionOptions{}))(tb)
}

// Session is NewSession for a user as of now.
func Session(tb testing.TB, db *snib.DB, id snib.UserID) snib.Session {
	tb.Helper()
	return NewSession(tb, db, AsNow(tb, db, id))
}

// SessionIDs lists the user's sessions.
func SessionIDs(tb testing.TB, db *snib.DB, id snib.UserID) []snib.SessionID {
	tb.Helper()
	var out []snib.SessionID
	for _, s := range Must(db.ListUserSessions(context.Background(), id))(tb) {
		out = append(out, s.ID)
	}
	return out
}

// Extend extends s and returns it, with its token.
func Extend(tb testing.TB, db *snib.DB, s snib.Session) snib.Session {
	tb.Helper()
	out := Must(db.ExtendSession(context.Background(), s.Token.Reveal()))(tb)
	if out.Token.Reveal() != "" || out.ID != s.ID {
		tb.Fatalf("extending %v gave %v and a token %t", s.ID, out.ID, out.Token.Reveal() != "")
	}
	out.Token = s.Token
	return out
}

// Valid fails the test unless the token is accepted.
func Valid(tb testing.TB, db *snib.DB, s snib.Session) {
	tb.Helper()
	if _, err := db.ValidateSession(context.Background(), s.Token.Reveal()); err != nil {
		tb.Fatalf("validate: %v", err)
	}
}

// Invalid fails the test unless the token is refused.
func Invalid(tb testing.TB, db *snib.DB, s snib.Session) {
	tb.Helper()
	_, err := db.ValidateSession(context.Background(), s.Token.Reveal())
	WantErr(tb, err, snib.ErrInvalidSession)
}
