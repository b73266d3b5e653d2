package accounttest

import (
	"context"
	"testing"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/codec"
)

// A Login is one of the two ways to present a password.
type Login struct {
	Name string
	Call func(db *snib.DB, provider, identifier, password string) error
}

// Logins are both.
var Logins = []Login{
	{"LogIn", func(db *snib.DB, provider, identifier, password string) error {
		_, _, err := db.LogIn(context.Background(), provider, identifier, password, snib.SessionOptions{})
		return err
	}},
	{"AuthenticateUser", func(db *snib.DB, provider, identifier, password string) error {
		_, err := db.AuthenticateUser(context.Background(), provider, identifier, password)
		return err
	}},
}

// A password and what NFKC makes of it.
const (
	Ligature = "ﬁle Ⅷ étude"
	Folded   = "file VIII étude"
)

// StoredHash returns the password hash in a user's record of a file.
func StoredHash(tb testing.TB, db *snib.DB, id snib.UserID) (hash string) {
	tb.Helper()
	err := db.View(context.Background(), func(tx *snib.Tx) error {
		users := tx.Bolt().Bucket([]byte("snib")).Bucket([]byte("users"))
		u, err := codec.DecodeUser([]byte(id), users.Get([]byte(id)))
		hash = u.PasswordHash
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	return hash
}

// StoreHash writes a string into a user's record of a file as its password hash.
func StoreHash(tb testing.TB, db *snib.DB, id snib.UserID, hash string) {
	tb.Helper()
	err := db.Update(context.Background(), func(tx *snib.Tx) error {
		users := tx.Bolt().Bucket([]byte("snib")).Bucket([]byte("users"))
		u, err := codec.DecodeUser([]byte(id), users.Get([]byte(id)))
		if err != nil {
			return err
		}
		u.PasswordHash = hash
		return users.Put([]byte(id), u.Append(nil))
	})
	if err != nil {
		tb.Fatal(err)
	}
}

// Populate makes one user of every kind that a stranger must not tell apart; store is
// StoreHash, or does the same on another engine.
func Populate(tb testing.TB, db *snib.DB, store func(testing.TB, *snib.DB, snib.UserID, string)) {
	tb.Helper()
	ctx := context.Background()
	Email(tb, db, "active@example.com")
	disabled := Email(tb, db, "disabled@example.com")
	Must(db.DisableUser(ctx, disabled.ID, "left"))(tb)
	Must(db.CreateUser(ctx, snib.NewUser{Provider: "email", Identifier: "none@example.com"}))(tb)
	removed := Email(tb, db, "removed@example.com")
	Must(db.RemoveUserPassword(ctx, removed.ID))(tb)
	Must(db.CreateUser(ctx, snib.NewUser{Provider: "email", Identifier: "nfkc@example.com", Password: Ligature}))(tb)
	for name, hash := range map[string]string{
		"corrupt": "$argon2id$v=19$m=8,t=1,p=1$no base64$neither",
		"huge":    "$argon2id$v=19$m=4294967295,t=4294967295,p=1$c29tZXNhbHQ$c29tZWtleXNvbWVrZXk",
		"unknown": "$6$rounds=5000$salt$key",
		"text":    "password",
	} {
		store(tb, db, Email(tb, db, name+"@example.com").ID, hash)
	}
}
