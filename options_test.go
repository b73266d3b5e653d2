package snib_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibtest"
)

// Options outside their bounds, by field. A field without an entry has no
// bounds; TestEveryOptionHasBoundsOrNone holds the list complete.
var optionsOutOfBounds = map[string][]func(*snib.Options){
	"Sessions.Active": {
		func(o *snib.Options) { o.Sessions.Active = time.Second - 1 },
		func(o *snib.Options) { o.Sessions.Active = -1 },
		func(o *snib.Options) { o.Sessions.Active = 1 << 62 },
	},
	"Sessions.Idle": {func(o *snib.Options) { o.Sessions.Idle = 1 << 62 }},
	"Sessions.Absolute": {
		func(o *snib.Options) { o.Sessions.Absolute = time.Second - 1 },
		func(o *snib.Options) { o.Sessions.Absolute = 1 << 62 },
	},
	"Sessions.ExtendEvery": {func(o *snib.Options) { o.Sessions.ExtendEvery = 1 << 62 }},
	"Sessions.MaxPerUser": {
		func(o *snib.Options) { o.Sessions.MaxPerUser = -1 },
		func(o *snib.Options) { o.Sessions.MaxPerUser = 1001 },
	},
	"Refresh.Idle": {
		func(o *snib.Options) { o.Refresh.Idle = -1 },
		func(o *snib.Options) { o.Refresh.Idle = time.Second - 1 },
		func(o *snib.Options) { o.Refresh.Idle = 1 << 62 },
	},
	"Refresh.Absolute": {
		func(o *snib.Options) { o.Refresh.Absolute = time.Second - 1 },
		func(o *snib.Options) { o.Refresh.Absolute = 1 << 62 },
	},
	"Refresh.Session": {
		func(o *snib.Options) { o.Refresh.Session = -1 },
		func(o *snib.Options) { o.Refresh.Session = 1 << 62 },
	},
	"Refresh.Grace": {func(o *snib.Options) { o.Refresh.Grace = 5*time.Minute + 1 }},
	"Refresh.MaxPerUser": {
		func(o *snib.Options) { o.Refresh.MaxPerUser = -1 },
		func(o *snib.Options) { o.Refresh.MaxPerUser = 101 },
	},
	"Passwords.MemoryKiB": {
		func(o *snib.Options) { o.Passwords.MemoryKiB = 7 },
		func(o *snib.Options) { o.Passwords.MemoryKiB = 1 << 31 },
	},
	"Passwords.Time":          {func(o *snib.Options) { o.Passwords.Time = 1 << 31 }},
	"Passwords.Parallelism":   {func(o *snib.Options) { o.Passwords.MemoryKiB, o.Passwords.Parallelism = 8, 2 }},
	"Passwords.MaxHashMemory": {func(o *snib.Options) { o.Passwords.MemoryKiB, o.Passwords.MaxHashMemory = 64, 1024 }},
	"Passwords.MaxImportTime": nil,
	"Passwords.ForeignPeppers": {
		func(o *snib.Options) { o.Passwords.ForeignPeppers = map[string]string{"": "pepper"} },
		func(o *snib.Options) { o.Passwords.ForeignPeppers = map[string]string{"Old": "pepper"} },
		func(o *snib.Options) {
			o.Passwords.ForeignPeppers = map[string]string{strings.Repeat("x", 33): "pepper"}
		},
		func(o *snib.Options) { o.Passwords.ForeignPeppers = map[string]string{"old": ""} },
		func(o *snib.Options) {
			o.Passwords.ForeignPeppers = map[string]string{"old": strings.Repeat("x", 1025)}
		},
		func(o *snib.Options) {
			o.Passwords.ForeignPeppers = map[string]string{}
			for i := range 17 {
				o.Passwords.ForeignPeppers[fmt.Sprint("p", i)] = "pepper"
			}
		},
	},
	"Passwords.ForeignVerifier": nil,
	"Passwords.GateMemory":      nil,
	"Passwords.Queue":           nil,
	"Providers": {
		func(o *snib.Options) { o.Providers = map[string]snib.IdentifierRule{"": snib.Exact} },
		func(o *snib.Options) { o.Providers = map[string]snib.IdentifierRule{"Email": snib.Email} },
		func(o *snib.Options) {
			o.Providers = map[string]snib.IdentifierRule{strings.Repeat("x", 33): snib.Exact}
		},
		func(o *snib.Options) { o.Providers = map[string]snib.IdentifierRule{"x": "rule"} },
		func(o *snib.Options) { o.Providers = map[string]snib.IdentifierRule{"x": ""} },
		func(o *snib.Options) {
			o.Providers = map[string]snib.IdentifierRule{}
			for i := range 65 {
				o.Providers[fmt.Sprint("p", i)] = snib.Exact
			}
		},
	},
	"Indexes": {
		func(o *snib.Options) { o.Indexes = []snib.Index{{}} },
		func(o *snib.Options) { o.Indexes = []snib.Index{{Name: "a\x00b"}} },
		func(o *snib.Options) { o.Indexes = []snib.Index{{Name: "\xff"}} },
		func(o *snib.Options) { o.Indexes = []snib.Index{{Name: strings.Repeat("n", 65)}} },
		func(o *snib.Options) { o.Indexes = []snib.Index{{Name: "a"}, {Name: "a", Unique: true}} },
		func(o *snib.Options) {
			for i := range 65 {
				o.Indexes = append(o.Indexes, snib.Index{Name: fmt.Sprint(i)})
			}
		},
	},
	"SweepEvery": {
		func(o *snib.Options) { o.SweepEvery = time.Second - 1 },
		func(o *snib.Options) { o.SweepEvery = 1 << 62 },
	},
	"MaxSize": {
		func(o *snib.Options) { o.MaxSize = 1<<20 - 1 },
	},
	"LockTimeout": nil, "BusyTimeout": nil, "BeforeAuth": nil, "AfterAuth": nil,
	"Logger": nil, "Progress": nil, "Now": nil, "Rand": nil, "InsecureNoSync": nil,
}

func TestOptionsOutsideTheirBoundsAreNamed(t *testing.T) {
	for field, ways := range optionsOutOfBounds {
		for i, way := range ways {
			t.Run(fmt.Sprint(field, i), func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "accounts.db")
				o := snib.Options{InsecureNoSync: true}
				way(&o)
				want := "Options." + field
				if strings.HasPrefix(field, "Passwords.") {
					want = "Options.Passwords" // the reason names the parameter
				}
				db, err := snib.Open(path, &o)
				if err == nil {
					db.Close()
				}
				wantField(t, err, want)
				if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
					t.Errorf("a file was made: %v", err)
				}
			})
		}
	}
}

func TestEveryOptionHasBoundsOrNone(t *testing.T) {
	var fields func(prefix string, of reflect.Type)
	n := 0
	fields = func(prefix string, of reflect.Type) {
		for f := range of.Fields() {
			name := prefix + f.Name
			if f.Type.Kind() == reflect.Struct {
				fields(name+".", f.Type)
				continue
			}
			n++
			if _, ok := optionsOutOfBounds[name]; !ok {
				t.Errorf("nothing is said of Options.%s", name)
			}
		}
	}
	fields("", reflect.TypeFor[snib.Options]())
	if n != len(optionsOutOfBounds) {
		t.Errorf("%d fields, %d in the table", n, len(optionsOutOfBounds))
	}
}

func TestExtremeOptionsInsideTheirBounds(t *testing.T) {
	for name, o := range map[string]snib.Options{
		"least": {
			Sessions:   snib.SessionPolicy{Active: time.Second, Idle: -1, Absolute: time.Second, ExtendEvery: -1, MaxPerUser: 1},
			Refresh:    snib.RefreshPolicy{Idle: time.Second, Absolute: time.Second, Session: time.Second, Grace: -1, MaxPerUser: 1},
			SweepEvery: time.Second, LockTimeout: -1, BusyTimeout: -1, MaxSize: 1 << 20,
			Providers: map[string]snib.IdentifierRule{}, Indexes: []snib.Index{},
			Passwords: snib.PasswordPolicy{Queue: -1},
		},
		"most": {
			Sessions: snib.SessionPolicy{Active: 36500 * 24 * time.Hour, Idle: 36500 * 24 * time.Hour, Absolute: -1, MaxPerUser: 1000},
			Refresh:  snib.RefreshPolicy{Idle: 36500 * 24 * time.Hour, Absolute: -1, Grace: 5 * time.Minute, MaxPerUser: 100},
			Indexes:  []snib.Index{{Name: strings.Repeat("n", 64)}},
		},
		"none of the rest": {SweepEvery: -1},
	} {
		t.Run(name, func(t *testing.T) {
			db := snibtest.NewDB(t, &o)
			u := nobody(t, db, "ada")
			valid(t, db, session(t, db, u.ID))
			s, _, err := db.CreateRefreshToken(ctx, u.ID, snib.SessionOptions{})
			if err != nil {
				t.Fatal(err)
			}
			valid(t, db, s)
		})
	}
}

// What the caller does with the options later changes nothing.
func TestOptionsAreCopied(t *testing.T) {
	o := &snib.Options{
		Providers: map[string]snib.IdentifierRule{"corp": snib.Email},
		Indexes:   []snib.Index{{Name: "nick", Unique: true}},
	}
	db := snibtest.NewDB(t, o)
	o.Providers["corp"], o.Indexes[0] = snib.Exact, snib.Index{Name: "other"}
	must(db.CreateUser(ctx, snib.NewUser{Provider: "corp", Identifier: "A@corp", Attributes: snib.Attributes{"nick": "a"}}))(t)
	must(db.GetUserByProviderID(ctx, "corp", "a@corp"))(t)
	must(db.GetUserByAttribute(ctx, "nick", "a"))(t)
}

func TestNewRefusesAHandleThatDoesNotSync(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.db")
	b := openBolt(t, path) // NoSync
	_, err := snib.New(b, nil)
	wantField(t, err, "b")
	if err := b.View(func(tx *bolt.Tx) error {
		if tx.Bucket([]byte("snib")) != nil {
			t.Error("something was written")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	snibtest.CheckAndClose(t, must(snib.New(b, &snib.Options{InsecureNoSync: true}))(t))
}

// rows returns all that lies in an application's bucket.
func rows(tb testing.TB, b *bolt.DB) (out []string) {
	tb.Helper()
	err := b.View(func(tx *bolt.Tx) error {
		return tx.Bucket([]byte("rows")).ForEach(func(k, v []byte) error {
			out = append(out, string(k)+"="+string(v))
			return nil
		})
	})
	if err != nil {
		tb.Fatal(err)
	}
	return out
}

func TestNewIsAGuestInTheHandle(t *testing.T) {
	b := openBolt(t, filepath.Join(t.TempDir(), "app.db"))
	put := func(k string) error {
		return b.Update(func(tx *bolt.Tx) error {
			bucket, err := tx.CreateBucketIfNotExists([]byte("rows"))
			if err != nil {
				return err
			}
			return bucket.Put([]byte(k), []byte("v"))
		})
	}
	if err := put("before"); err != nil {
		t.Fatal(err)
	}
	o := snibtest.Fast(nil)
	one, two := must(snib.New(b, o))(t), must(snib.New(b, o))(t)
	u := email(t, one, "a@example.com")
	if err := put("meanwhile"); err != nil {
		t.Fatal(err)
	}
	s := logIn(t, two, "a@example.com") // each sees what the other does
	valid(t, one, s)
	if err := one.DeleteUser(ctx, u.ID); err != nil {
		t.Fatal(err)
	}
	invalid(t, two, s)
	snibtest.CheckAndClose(t, one)
	nobody(t, two, "ada") // the other goes on
	snibtest.CheckAndClose(t, two)
	if err := put("after"); err != nil {
		t.Errorf("the handle was closed: %v", err)
	}
	if got := rows(t, b); len(got) != 3 {
		t.Errorf("the application's rows are %q", got)
	}
	_, err := one.GetUser(ctx, u.ID)
	wantErr(t, err, snib.ErrClosed)
	three := must(snib.New(b, o))(t)
	must(three.GetUserByProviderID(ctx, "x", "ada"))(t)
	snibtest.CheckAndClose(t, three)
}

func TestReadOnlyHandle(t *testing.T) {
	path := filepath.Join(t.TempDir(), "accounts.db")
	db := openFile(t, path, nil)
	u := email(t, db, "a@example.com")
	s := logIn(t, db, "a@example.com")
	closeDB(t, db)
	content := must(os.ReadFile(path))(t)

	b := must(bolt.Open(path, 0o600, &bolt.Options{ReadOnly: true, Timeout: time.Second}))(t)
	defer b.Close()
	db = must(snib.New(b, snibtest.Fast(nil)))(t)
	valid(t, db, s)
	must(db.GetUser(ctx, u.ID))(t)
	must(db.AuthenticateUser(ctx, "email", "a@example.com", password))(t)
	if n := len(ids(t, db.ListUsers(ctx, snib.ListOptions{}))); n != 1 {
		t.Errorf("%d users are listed", n)
	}
	for name, err := range map[string]error{
		"CreateUser":     second(db.CreateUser(ctx, snib.NewUser{Provider: "x", Identifier: "y"})),
		"DeleteUser":     db.DeleteUser(ctx, u.ID),
		"CreateSession":  second(db.CreateSession(ctx, u.ID, snib.SessionOptions{})),
		"RenewSession":   second(db.RenewSession(ctx, s.Token.Reveal())),
		"EndEverything":  db.EndEverything(ctx),
		"empty Update":   db.Update(ctx, func(*snib.Tx) error { return nil }),
		"InvalidateUser": db.InvalidateUserSessions(ctx, u.ID),
	} {
		if !errors.Is(err, snib.ErrReadOnly) {
			t.Errorf("%s: %v, want ErrReadOnly", name, err)
		}
	}
	snibtest.CheckAndClose(t, db)
	untouched(t, path, content, 0o600)
	_, err := snib.New(b, snibtest.Fast(&snib.Options{Indexes: []snib.Index{{Name: "nick"}}}))
	wantErr(t, err, snib.ErrReadOnly)
}

// immutable makes a file or directory unchangeable even for root, or skips.
func immutable(t *testing.T, path string) {
	t.Helper()
	if out, err := exec.Command("chattr", "+i", path).CombinedOutput(); err != nil {
		t.Skipf("permissions do not bind root, and chattr does not work here: %v: %s", err, out)
	}
	t.Cleanup(func() { exec.Command("chattr", "-i", path).Run() })
}

func TestReadOnlyPlaces(t *testing.T) {
	lock := immutable
	if os.Geteuid() != 0 {
		lock = func(t *testing.T, path string) {
			info := must(os.Stat(path))(t)
			if err := os.Chmod(path, info.Mode()&^0o222); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { os.Chmod(path, info.Mode()) })
		}
	}
	t.Run("file", func(t *testing.T) {
		content := database(t, nil)
		path := filepath.Join(t.TempDir(), "accounts.db")
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		lock(t, path)
		_, err := snib.Open(path, snibtest.Fast(nil))
		wantErr(t, err, snib.ErrReadOnly)
		if got := must(os.ReadFile(path))(t); string(got) != string(content) {
			t.Error("the file was changed")
		}
	})
	t.Run("directory", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "d")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		lock(t, dir)
		_, err := snib.Open(filepath.Join(dir, "accounts.db"), snibtest.Fast(nil))
		wantErr(t, err, snib.ErrReadOnly)
		if names := must(os.ReadDir(dir))(t); len(names) != 0 {
			t.Errorf("made: %v", names)
		}
	})
}
