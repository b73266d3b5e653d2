package snib_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

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
		Throttle: snib.ThrottlePolicy{BeforeAuth: func(_ context.Context, a snib.Attempt) error {
			calls = append(calls, fmt.Sprint("before ", a.Provider, " ", a.Identifier, " ", a.Client))
			if strings.HasPrefix(a.Identifier, "many") {
				return throttled
			}
			return nil
		}},
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

// carrying are the options of a client that carries these tokens.
func carrying(tokens ...snib.Token) (o snib.SessionOptions) {
	for _, t := range tokens {
		o.Replaces = append(o.Replaces, snib.PresentedToken(t.Reveal()))
	}
	return o
}

// A browser that signs in again at the bound takes its own place.
func TestLogInAgainAtTheBoundKeepsTheOtherDevice(t *testing.T) {
	for name, again := range map[string]func(*snib.DB, snib.User, snib.SessionOptions) error{
		"LogIn": func(db *snib.DB, _ snib.User, o snib.SessionOptions) error {
			_, _, err := db.LogIn(ctx, "email", "a@example.com", password, o)
			return err
		},
		"CreateSession": func(db *snib.DB, u snib.User, o snib.SessionOptions) error {
			return second(db.CreateSession(ctx, u, o))
		},
		"CreateRefreshToken": func(db *snib.DB, u snib.User, o snib.SessionOptions) error {
			_, _, err := db.CreateRefreshToken(ctx, u, o)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			db, clock := clocked(t, snib.Options{Sessions: snib.SessionPolicy{MaxPerUser: 2}})
			u := email(t, db, "a@example.com")
			phone := newSession(t, db, u)
			clock.Advance(time.Minute)
			browser := newSession(t, db, u)
			clock.Advance(time.Minute)
			commits(t, db, 1, func() {
				if err := again(db, u, carrying(browser.Token)); err != nil {
					t.Fatal(err)
				}
			})
			valid(t, db, phone)
			invalid(t, db, browser)
			if n := len(must(db.ListUserSessions(ctx, u.ID))(t)); n != 2 {
				t.Errorf("%d sessions, want 2", n)
			}
		})
	}
}

// The same for a device that signs in again with its refresh token.
func TestCreateRefreshTokenAgainAtTheBoundKeepsTheOtherDevice(t *testing.T) {
	db, clock := clocked(t, snib.Options{Refresh: snib.RefreshPolicy{MaxPerUser: 2}})
	u := email(t, db, "a@example.com")
	_, phone, err := db.CreateRefreshToken(ctx, u, snib.SessionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	clock.Advance(time.Minute)
	s, desktop, err := db.CreateRefreshToken(ctx, u, snib.SessionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := db.CreateRefreshToken(ctx, u, carrying(desktop.Token)); err != nil {
		t.Fatal(err)
	}
	invalid(t, db, s)
	_, _, err = db.Refresh(ctx, desktop.Token.Reveal())
	wantErr(t, err, snib.ErrInvalidRefreshToken)
	if _, _, err := db.Refresh(ctx, phone.Token.Reveal()); err != nil {
		t.Errorf("the phone: %v", err)
	}
}

func TestReplacesEndsWhatTheBearerCarries(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	u, planter := email(t, db, "a@example.com"), user(t, db, "eve")
	mine, planted := newSession(t, db, u), newSession(t, db, planter)
	born, family, err := db.CreateRefreshToken(ctx, planter, snib.SessionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	o := carrying(mine.Token, planted.Token, mine.Token, born.Token)
	bystander := newSession(t, db, planter)
	link := link(t, db, u, "reset", time.Hour)
	for _, text := range []string{"", "x", bystander.Token.Reveal()[1:], strings.Repeat("x", 1<<20), link.Token.Reveal(), string(bystander.ID),
		forge(t, bystander.Token, func(b []byte) { b[31] ^= 1 })} {
		o.Replaces = append(o.Replaces, snib.PresentedToken(text))
	}
	quiet(t, db, func() { // a refused log-in ends nothing
		_, _, err := db.LogIn(ctx, "email", "a@example.com", "a wrong password", o)
		wantErr(t, err, snib.ErrInvalidCredentials)
		many := snib.SessionOptions{Replaces: make([]snib.Token, 17)}
		_, _, err = db.LogIn(ctx, "email", "a@example.com", password, many)
		wantField(t, err, "Replaces")
		wantField(t, second(db.CreateSession(ctx, u, many)), "Replaces")
		_, _, err = db.CreateRefreshToken(ctx, u, many)
		wantField(t, err, "Replaces")
	})
	s, _, err := db.LogIn(ctx, "email", "a@example.com", password, o)
	if err != nil {
		t.Fatal(err)
	}
	valid(t, db, s)
	valid(t, db, bystander)
	for _, ended := range []snib.Session{mine, planted, born} {
		invalid(t, db, ended)
	}
	_, _, err = db.Refresh(ctx, family.Token.Reveal())
	wantErr(t, err, snib.ErrInvalidRefreshToken)
	must(db.Tokens().Use(ctx, "reset", link.Token.Reveal()))(t)
}

// A log-in that is carried from one place to another ends neither.
func TestReplacesSparesTheSessionThatIsTheProof(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	u := email(t, db, "a@example.com")
	born, family, err := db.CreateRefreshToken(ctx, u, snib.SessionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	alone := newSession(t, db, u)
	valid(t, db, must(db.CreateSession(ctx, alone, carrying(alone.Token)))(t))
	valid(t, db, alone)
	valid(t, db, must(db.CreateSession(ctx, born, carrying(born.Token, family.Token, alone.Token)))(t))
	valid(t, db, born)
	invalid(t, db, alone)
	if _, _, err := db.Refresh(ctx, family.Token.Reveal()); err != nil {
		t.Error(err)
	}
}

// What has ended for a session that was not made comes back.
func TestReplacesComesToNothingWithTheSession(t *testing.T) {
	random := &dry{}
	db := snibtest.NewDB(t, &snib.Options{Rand: random})
	u := email(t, db, "a@example.com")
	browser := newSession(t, db, u)
	before, _ := content(t, db)
	random.empty.Store(true)
	err := db.Update(ctx, func(tx *snib.Tx) error {
		_, err := tx.CreateSession(u, carrying(browser.Token))
		wantErr(t, err, errDry)
		return nil // and commit
	})
	wantErr(t, err, errDry)
	if err := db.Update(ctx, func(tx *snib.Tx) error { // nothing to end: the transaction goes on
		_, err := tx.CreateSession(u, carrying(snib.Token{}))
		wantErr(t, err, errDry)
		return nil
	}); err != nil {
		t.Error(err)
	}
	if after, _ := content(t, db); !maps.Equal(before, after) {
		t.Error("something was written")
	}
	valid(t, db, browser)
}

// A damaged record in the way of a log-in keeps nobody out.
func TestReplacesIgnoresADamagedRecord(t *testing.T) {
	c := newChecked(t)
	s := session(t, c.db, c.ada.ID)
	value := rawGet(t, c.b, "sessions", string(s.ID))
	value[len(value)/2] ^= 1
	rawPut(t, c.b, "sessions", string(s.ID), value)
	valid(t, c.db, must(c.db.CreateSession(ctx, asNow(t, c.db, c.bob.ID), carrying(s.Token)))(t))
}
