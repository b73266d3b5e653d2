package accounttest

import (
	"context"
	"testing"

	"github.com/snibdb/snib"
)

// User creates a user without a password.
func User(tb testing.TB, db *snib.DB, name string) snib.User {
	tb.Helper()
	return Must(db.CreateUser(context.Background(), snib.NewUser{Provider: "username", Identifier: name}))(tb)
}

// Email creates a user with this address and [Password].
func Email(tb testing.TB, db *snib.DB, address string) snib.User {
	tb.Helper()
	return Must(db.CreateUser(context.Background(), snib.NewUser{Provider: "email", Identifier: address, Password: Password}))(tb)
}

// AsNow is a user as of now, let in without a log-in.
func AsNow(tb testing.TB, db *snib.DB, id snib.UserID) snib.User {
	tb.Helper()
	return Must(db.GetUser(context.Background(), id))(tb)
}

// UserIDs collects the ids of a list.
func UserIDs(tb testing.TB, list func(func(snib.User, error) bool)) []snib.UserID {
	tb.Helper()
	var out []snib.UserID
	for u, err := range list {
		if err != nil {
			tb.Fatalf("list: %v", err)
		}
		out = append(out, u.ID)
	}
	return out
}
