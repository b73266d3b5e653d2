package snib_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibtest"
)

// entrances are the two ways in by a password.
var entrances = map[string]func(db *snib.DB, address, password string) error{
	"LogIn": func(db *snib.DB, address, password string) error {
		s, u, err := db.LogIn(ctx, "email", address, password, snib.SessionOptions{})
		if err != nil && (s.ID != "" || s.Token.Reveal() != "" || u.ID != "") {
			return errors.New("a refused log-in gave something")
		}
		return err
	},
	"AuthenticateUser": func(db *snib.DB, address, password string) error {
		u, err := db.AuthenticateUser(ctx, "email", address, password)
		if err != nil && u.ID != "" {
			return errors.New("a refused authentication gave a user")
		}
		return err
	},
}

// vector is the password hash of another system.
func vector(tb testing.TB, name string) (hash, password string) {
	tb.Helper()
	text, err := os.ReadFile(filepath.Join("internal", "phc", "testdata", "password_vectors.json"))
	if err != nil {
		tb.Fatal(err)
	}
	var vectors []struct{ Name, Hash, Password string }
	if err := json.Unmarshal(text, &vectors); err != nil {
		tb.Fatal(err)
	}
	for _, v := range vectors {
		if v.Name == name {
			return v.Hash, v.Password
		}
	}
	tb.Fatalf("there is no vector %s", name)
	return "", ""
}

// imported makes a user with a hash of an early Lucia.
func imported(tb testing.TB, db *snib.DB) (u snib.User, password string) {
	tb.Helper()
	hash, password := vector(tb, "lucia-v1-r8")
	u = must(db.ImportUser(ctx, snib.UserImport{
		ID: "moved-in", Provider: "email", Identifier: "a@example.com", PasswordHash: hash, PasswordSource: "lucia-1",
	}))(tb)
	return u, password
}

func TestLogInRehashingLateNeverRestoresAnOldPassword(t *testing.T) {
	for name, enter := range entrances {
		t.Run(name, func(t *testing.T) {
			db := snibtest.NewDB(t, nil)
			u, old := imported(t, db)
			once(db, func() { must(db.UpdateUserPassword(ctx, u.ID, "a new passphrase"))(t) })
			wantErr(t, enter(db, "a@example.com", old), snib.ErrInvalidCredentials)
			wantErr(t, enter(db, "a@example.com", old), snib.ErrInvalidCredentials)
			if err := enter(db, "a@example.com", "a new passphrase"); err != nil {
				t.Errorf("the new password: %v", err)
			}
			if n := foreignHashes(t, db); n != 0 {
				t.Errorf("%d foreign hashes, want 0", n)
			}
		})
	}
}

func TestLogInReplacesAForeignHashInItsOwnCommit(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	u, old := imported(t, db)
	if n := foreignHashes(t, db); n != 1 {
		t.Fatalf("%d foreign hashes, want 1", n)
	}
	quiet(t, db, func() { // no session, no upgrade
		_, _, err := db.LogIn(ctx, "email", "a@example.com", old, snib.SessionOptions{Attributes: snib.Attributes{"": 1}})
		wantField(t, err, "Attributes")
		_, _, err = db.LogIn(ctx, "email", "a@example.com", "a wrong password", snib.SessionOptions{})
		wantErr(t, err, snib.ErrInvalidCredentials)
	})
	var s snib.Session
	var got snib.User
	commits(t, db, 1, func() {
		var err error
		if s, got, err = db.LogIn(ctx, "email", "a@example.com", old, snib.SessionOptions{}); err != nil {
			t.Fatal(err)
		}
	})
	valid(t, db, s)
	if n := foreignHashes(t, db); n != 0 {
		t.Errorf("%d foreign hashes, want 0", n)
	}
	if got.CredentialVersion != u.CredentialVersion || !got.PasswordChangedAt.Equal(u.PasswordChangedAt) {
		t.Errorf("a rehash changed version or time: %+v, was %+v", got, u)
	}
	if read := must(db.GetUser(ctx, u.ID))(t); !reflect.DeepEqual(read, got) {
		t.Errorf("read back %+v, returned %+v", read, got)
	}
	must(db.AuthenticateUser(ctx, "email", "a@example.com", old))(t)
}

func TestLogInRehashingLaterLosesWithoutAnError(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	_, old := imported(t, db)
	var after map[string]string
	once(db, func() {
		must(db.AuthenticateUser(ctx, "email", "a@example.com", old))(t)
		if n := foreignHashes(t, db); n != 0 {
			t.Errorf("the first of the two has left %d foreign hashes", n)
		}
		after, _ = content(t, db)
	})
	s, _, err := db.LogIn(ctx, "email", "a@example.com", old, snib.SessionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	valid(t, db, s)
	now, _ := content(t, db)
	for key, record := range after {
		if strings.HasPrefix(key, "users/") && now[key] != record {
			t.Error("the user was written again")
		}
	}
}

func TestLogInCallsHooksAlikeForEverybody(t *testing.T) {
	var calls []string
	throttled := errors.New("throttled")
	db := snibtest.NewDB(t, &snib.Options{
		BeforeAuth: func(_ context.Context, a snib.Attempt) error {
			calls = append(calls, fmt.Sprint("before ", a.Provider, " ", a.Identifier, " ", a.Client))
			if strings.HasPrefix(a.Identifier, "many") {
				return throttled
			}
			return nil
		},
	})
	email(t, db, "known@example.com")
	email(t, db, "many@example.com")
	must(db.CreateUser(ctx, snib.NewUser{Provider: "email", Identifier: "none@example.com"}))(t)
	must(db.DisableUser(ctx, email(t, db, "off@example.com").ID, ""))(t)
	hashes := 0
	if err := db.ObserveHashes(func(string) { hashes++ }); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		identifier, password string
		want                 error
		calls                string
		hashes               int
	}{
		{"Known@Example.com", password, nil, "before email known@example.com <nil>", 1},
		{"Known@example.com", "a wrong password", snib.ErrInvalidCredentials, "before email known@example.com <nil>", 1},
		{"Unknown@example.com", password, snib.ErrInvalidCredentials, "before email unknown@example.com <nil>", 1},
		{"None@example.com", password, snib.ErrInvalidCredentials, "before email none@example.com <nil>", 1},
		{"Off@example.com", password, snib.ErrInvalidCredentials, "before email off@example.com <nil>", 1},
		{"no address", password, snib.ErrInvalidCredentials, "before email no address <nil>", 1},
		{"Many@example.com", password, throttled, "before email many@example.com <nil>", 0},
		{"many-unknown@example.com", password, throttled, "before email many-unknown@example.com <nil>", 0},
	} {
		for name, enter := range entrances {
			calls, hashes = nil, 0
			err := enter(db, c.identifier, c.password)
			if got := strings.Join(calls, ", "); !errors.Is(err, c.want) || got != c.calls || hashes != c.hashes {
				t.Errorf("%s %s: %v, %d hashes, calls\n%s, want %v, %d,\n%s", name, c.identifier, err, hashes, got, c.want, c.hashes, c.calls)
			}
		}
	}
}

// The upgrade of a hash is not worth waiting for.
func TestAuthenticateUserDoesNotWaitToUpgradeAHash(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	must(db.ImportUser(ctx, snib.UserImport{
		Provider: "email", Identifier: "a@example.com", PasswordHash: "$2b$06$jWR0JbunbcW8Fi5tg6avBu5V3kVRzuZ5pxMc63R8joVdfu7vCldYu",
	}))(t)
	release := holdWriter(t, db, nil)
	must(db.AuthenticateUser(ctx, "email", "a@example.com", "pässwörd-1"))(t) // while the writer is held
	release()
	if n := foreignHashes(t, db); n != 1 {
		t.Errorf("%d foreign hashes", n)
	}
	must(db.AuthenticateUser(ctx, "email", "a@example.com", "pässwörd-1"))(t)
	if n := foreignHashes(t, db); n != 0 {
		t.Errorf("%d foreign hashes after the next log-in", n)
	}
}
