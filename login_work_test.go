package snib_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/accounttest"
	"github.com/snibdb/snib/internal/testopen"
	"github.com/snibdb/snib/snibtest"
)

// A passLog notes the class of each pass of hashing.
type passLog struct {
	mu  sync.Mutex
	all []string
}

// observe makes db report its passes from now on.
func observe(tb testing.TB, db *snib.DB) *passLog {
	tb.Helper()
	p := &passLog{}
	err := db.ObserveHashes(func(class string) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.all = append(p.all, class)
	})
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

// during returns the passes that f causes.
func (p *passLog) during(f func()) []string {
	p.mu.Lock()
	p.all = nil
	p.mu.Unlock()
	f()
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.all)
}

// storeHash writes a string into a user's record as its password hash.
func storeHash(tb testing.TB, db *snib.DB, id snib.UserID, hash string) {
	tb.Helper()
	if testopen.Engine != "" && !snib.InFile(db) {
		u := must(codec.DecodeUser([]byte(id), rawGet(tb, handle(tb, db), "users", string(id))))(tb)
		u.PasswordHash = hash
		rawPut(tb, handle(tb, db), "users", string(id), u.Append(nil))
		return
	}
	accounttest.StoreHash(tb, db, id, hash)
}

// populate makes one user of every kind that a stranger must not tell apart.
func populate(tb testing.TB, db *snib.DB) {
	tb.Helper()
	accounttest.Populate(tb, db, storeHash)
}

func TestLogInThatFailsDoesTheSameWork(t *testing.T) {
	db := snibtest.NewDB(t, &snib.Options{
		Passwords: snib.PasswordPolicy{MemoryKiB: 16, Time: 2, Parallelism: 1},
		Throttle:  snib.ThrottlePolicy{InsecureOff: true},
	})
	populate(t, db)
	passes := observe(t, db)
	want := []string{"argon2id m=16 t=2 p=1"}
	wrong, right := "a wrong passphrase", password
	for _, l := range accounttest.Logins {
		for _, c := range []struct{ provider, identifier, password string }{
			{"email", "unknown@example.com", wrong},
			{"email", "unknown@example.com", accounttest.Ligature},
			{"email", "unknown@example.com", "x"},
			{"email", "no address", wrong},               // folding refuses it
			{"username", "a@b", wrong},                   // likewise
			{"username", "\u2163", accounttest.Ligature}, // likewise
			{"email", "ünknown@example.com", "x"},        // likewise
			{"github", "active@example.com", right},
			{"nobody-has-this", "active@example.com", right},
			{"email", "none@example.com", right},
			{"email", "removed@example.com", right},
			{"email", "disabled@example.com", right},
			{"email", "disabled@example.com", wrong},
			{"email", "disabled@example.com", accounttest.Ligature},
			{"email", "active@example.com", wrong},
			{"email", "active@example.com", accounttest.Ligature},
			{"email", "ACTIVE@EXAMPLE.COM", "x"},
			{"email", "active@example.com", strings.Repeat("\ufdfa", 341)},
			{"email", "nfkc@example.com", wrong},
			{"email", "corrupt@example.com", right},
			{"email", "corrupt@example.com", accounttest.Ligature},
			{"email", "huge@example.com", right},
			{"email", "unknown@example.com", right},
			{"email", "text@example.com", "password"},
		} {
			var err error
			got := passes.during(func() { err = l.Call(db, c.provider, c.identifier, c.password) })
			if !slices.Equal(got, want) {
				t.Errorf("%s %s %s: passes %q, want %q", l.Name, c.provider, c.identifier, got, want)
			}
			if !errors.Is(err, snib.ErrInvalidCredentials) {
				t.Errorf("%s %s %s: %v", l.Name, c.provider, c.identifier, err)
			}
		}
		for _, c := range []struct{ identifier, password string }{
			{"active@example.com", right}, {"nfkc@example.com", accounttest.Ligature}, {"nfkc@example.com", accounttest.Folded},
		} {
			got := passes.during(func() {
				if err := l.Call(db, "email", c.identifier, c.password); err != nil {
					t.Errorf("%s %s: %v", l.Name, c.identifier, err)
				}
			})
			if !slices.Equal(got, want) {
				t.Errorf("%s %s: passes %q, want %q", l.Name, c.identifier, got, want)
			}
		}
	}
}

// One text for all: not even the message tells why.
func TestLogInRefusalsHaveOneErrorText(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	populate(t, db)
	for _, l := range accounttest.Logins {
		want := l.Call(db, "email", "unknown@example.com", "wrong").Error()
		for _, name := range []string{"active", "disabled", "none", "removed", "corrupt", "huge", "text"} {
			if got := l.Call(db, "email", name+"@example.com", "wrong"); got == nil || got.Error() != want {
				t.Errorf("%s of %s: %v, want %s", l.Name, name, got, want)
			}
		}
	}
}

// What a stranger types is refused as a log-in, whatever it is, with the work of
// an unknown name.
func TestLogInRefusesMalformedInputAsCredentials(t *testing.T) {
	var asked []string
	db := snibtest.NewDB(t, &snib.Options{
		Throttle: snib.ThrottlePolicy{InsecureOff: true, BeforeAuth: func(_ context.Context, a snib.Attempt) error { asked = append(asked, a.Identifier); return nil }},
	})
	populate(t, db)
	passes := observe(t, db)
	const standIn = "no password" // a password like any other
	must(db.CreateUser(ctx, snib.NewUser{Provider: "email", Identifier: "standin@example.com", Password: standIn}))(t)
	for _, l := range accounttest.Logins {
		want := passes.during(func() { l.Call(db, "email", "unknown@example.com", "wrong") })
		text := l.Call(db, "email", "unknown@example.com", "wrong").Error()
		for _, name := range []string{"active", "disabled", "none", "unknown", "corrupt", "standin"} {
			for _, c := range []struct{ identifier, password, key string }{
				{"%s", "", "%s"}, {"%s", "a\x00b", "%s"}, {"%s", "\xff", "%s"}, {"%s", strings.Repeat("x", 1025), "%s"}, {"%s", strings.Repeat("x", 1<<20), "%s"},
				{"", password, ""}, {"%s\n", password, ""}, {"%s\xff", password, ""}, {"%s" + strings.Repeat("x", 256), password, ""},
				{"%s ", password, "%s "}, {"<%s", password, "<%s"}, {"", "", ""},
			} {
				identifier, key := strings.ReplaceAll(c.identifier, "%s", name+"@example.com"), strings.ReplaceAll(c.key, "%s", name+"@example.com")
				asked = nil
				var err error
				got := passes.during(func() { err = l.Call(db, "email", identifier, c.password) })
				if !errors.Is(err, snib.ErrInvalidCredentials) || err.Error() != text {
					t.Errorf("%s %.40q %.10q: %v, want %s", l.Name, identifier, c.password, err, text)
				}
				if !slices.Equal(got, want) || len(want) != 1 {
					t.Errorf("%s %.40q %.10q: passes %q, want %q", l.Name, identifier, c.password, got, want)
				}
				if !slices.Equal(asked, []string{key}) {
					t.Errorf("%s %.40q %.10q: BeforeAuth got %q", l.Name, identifier, c.password, asked)
				}
			}
		}
	}
}

// What only the program can get wrong stays an error of its own, and spends
// nothing.
func TestLogInRefusesErrorsOfTheProgramFirst(t *testing.T) {
	db := snibtest.NewDB(t, &snib.Options{Throttle: snib.ThrottlePolicy{BeforeAuth: func(context.Context, snib.Attempt) error { t.Error("BeforeAuth was called"); return nil }}})
	email(t, db, "a@example.com")
	passes := observe(t, db)
	got := passes.during(func() {
		for _, provider := range []string{"", "e mail", "é", strings.Repeat("x", 65)} {
			for _, l := range accounttest.Logins {
				wantField(t, l.Call(db, provider, "a@example.com", password), "Provider")
			}
		}
		_, _, err := db.LogIn(ctx, "email", "a@example.com", password, snib.SessionOptions{Attributes: snib.Attributes{"c": make(chan int)}})
		wantField(t, err, "Attributes[c]")
	})
	if len(got) != 0 {
		t.Errorf("passes %q", got)
	}
}

// Documented: who still has an imported hash takes that hash's time.
func TestLogInByAnImportedHashTakesItsOwnTimeUntilReplaced(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	passes := observe(t, db)
	hash := must(bcrypt.GenerateFromPassword([]byte(password), 4))(t)
	users := make(map[string]snib.User)
	for _, name := range []string{"log-in", "authenticate", "change", "remove", "reset", "delete"} {
		users[name] = must(db.ImportUser(ctx, snib.UserImport{Provider: "email", Identifier: name + "@example.com", PasswordHash: string(hash)}))(t)
	}
	const bcryptPass, own = "bcrypt cost=4 pw=both", "argon2id m=8 t=1 p=1"
	for _, l := range accounttest.Logins {
		for password, want := range map[string][]string{
			"wrong":              {bcryptPass},
			accounttest.Ligature: {bcryptPass, bcryptPass}, // as it came in, and its NFKC form
		} {
			if got := passes.during(func() { l.Call(db, "email", "reset@example.com", password) }); !slices.Equal(got, want) {
				t.Errorf("%s: passes %q, want %q", l.Name, got, want)
			}
		}
	}
	foreign := func(want int) {
		t.Helper()
		if got := foreignHashes(t, db); got != want {
			t.Errorf("%d foreign hashes, want %d", got, want)
		}
	}
	foreign(6)
	for i, l := range accounttest.Logins {
		name := []string{"log-in@example.com", "authenticate@example.com"}[i]
		for _, want := range [][]string{{bcryptPass, own}, {own}} {
			var err error
			if got := passes.during(func() { err = l.Call(db, "email", name, password) }); err != nil || !slices.Equal(got, want) {
				t.Errorf("%s: %v, passes %q, want %q", l.Name, err, got, want)
			}
		}
		foreign(5 - i)
	}
	must(changePassword(t, db, users["change"].ID, password, "a new passphrase"))(t)
	foreign(3)
	must(db.RemoveUserPassword(ctx, users["remove"].ID))(t)
	foreign(2)
	must(db.UpdateUserPassword(ctx, users["reset"].ID, "a new passphrase"))(t)
	foreign(1)
	if err := db.DeleteUser(ctx, users["delete"].ID); err != nil {
		t.Fatal(err)
	}
	foreign(0)
}

// A hash that other options made is verified with what it was made with, and
// brought up at the log-in, never down.
func TestLogInBringsUpAHashOfOtherParameters(t *testing.T) {
	path := t.TempDir() + "/a.db"
	open := func(memory uint32) *snib.DB {
		return must(snib.Open(path, snibtest.Fast(&snib.Options{Passwords: snib.PasswordPolicy{MemoryKiB: memory, Time: 1, Parallelism: 1}})))(t)
	}
	closed := func(db *snib.DB) {
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	db := open(8)
	email(t, db, "a@example.com")
	closed(db)
	for _, c := range []struct {
		memory        uint32
		first, second []string
	}{
		{32, []string{"argon2id m=8 t=1 p=1", "argon2id m=32 t=1 p=1"}, []string{"argon2id m=32 t=1 p=1"}},
		{16, []string{"argon2id m=32 t=1 p=1"}, []string{"argon2id m=32 t=1 p=1"}},
	} {
		db := open(c.memory)
		passes := observe(t, db)
		for _, want := range [][]string{c.first, c.second} {
			if got := passes.during(func() { logIn(t, db, "a@example.com") }); !slices.Equal(got, want) {
				t.Errorf("with %d KiB: passes %q, want %q", c.memory, got, want)
			}
		}
		closed(db)
	}
}
