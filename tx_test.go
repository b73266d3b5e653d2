package snib_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibtest"
)

var (
	dbType = reflect.TypeFor[*snib.DB]()
	txType = reflect.TypeFor[*snib.Tx]()

	// Methods of DB that have no counterpart in a transaction: they hash, or
	// are transactions of their own kind.
	dbOnly = map[string]bool{
		"View": true, "Update": true, "Join": true, "Close": true,
		"HashPassword": true, "AuthenticateUser": true, "LogIn": true, "ChangePassword": true,
		"Refresh": true, "Sweep": true, "Check": true, "Stats": true, "EndEverything": true, "ResetClock": true,
		"Repair": true, "Backup": true, "BackupFile": true, "Compact": true, "CompactTo": true,
		"SetVerified": true, "ObserveHashes": true, "WrapStore": true, // of these tests
	}

	reading = map[string]bool{
		"GetUser": true, "GetUserByProviderID": true, "GetUserByAttribute": true,
		"ListUsers": true, "ListUsersByAttribute": true,
		"ValidateSession": true, "ValidateSessionUser": true, "GetSession": true, "ListUserSessions": true,
		"ListUserRefreshTokens": true,
	}
)

// call calls a method by its name with arguments that could be meant, and
// returns its error. first is the argument in front.
func call(tb testing.TB, receiver any, name string, first ...any) error {
	tb.Helper()
	m := reflect.ValueOf(receiver).MethodByName(name)
	var in []reflect.Value
	for i := range m.Type().NumIn() {
		t := m.Type().In(i)
		switch {
		case i < len(first):
			in = append(in, reflect.ValueOf(first[i]))
		case m.Type().IsVariadic() && i == m.Type().NumIn()-1:
		case t == reflect.TypeFor[func(*snib.Tx) error]():
			in = append(in, reflect.ValueOf(func(*snib.Tx) error { return nil }))
		case t == reflect.TypeFor[time.Duration]():
			in = append(in, reflect.ValueOf(time.Hour))
		case t == reflect.TypeFor[string]():
			in = append(in, reflect.ValueOf("passphrase"))
		default:
			in = append(in, reflect.Zero(t))
		}
	}
	out := m.Call(in)
	last := out[len(out)-1].Interface()
	if list, ok := last.(iter.Seq2[snib.User, error]); ok {
		return lastError(tb, list)
	}
	err, _ := last.(error)
	return err
}

// lastError runs through a list and returns its error, after which nothing may
// come, and with which no user.
func lastError(tb testing.TB, list iter.Seq2[snib.User, error]) (err error) {
	tb.Helper()
	for u, e := range list {
		if err != nil || e != nil && u.ID != "" {
			tb.Errorf("%v and %v came with or after %v", u.ID, e, err)
		}
		err = e
	}
	return err
}

// methodNames returns the names of the exported methods of t but the excepted.
func methodNames(tb testing.TB, t reflect.Type, except map[string]bool) (names []string) {
	tb.Helper()
	for i := range t.NumMethod() {
		if name := t.Method(i).Name; !except[name] {
			names = append(names, name)
		}
	}
	if len(names) < 20 {
		tb.Fatalf("only %d methods of %v", len(names), t)
	}
	return names
}

func TestTxHasTheMethodsOfDBWithoutTheContext(t *testing.T) {
	onDB, onTx := methodNames(t, dbType, dbOnly), methodNames(t, txType, map[string]bool{"Bolt": true})
	if !reflect.DeepEqual(onDB, onTx) {
		t.Fatalf("DB has\n%v\nand Tx\n%v", onDB, onTx)
	}
	signature := func(typ reflect.Type, name string, skip int) string {
		m, _ := typ.MethodByName(name)
		var parts []string
		for i := skip; i < m.Type.NumIn(); i++ {
			parts = append(parts, m.Type.In(i).String())
		}
		for i := range m.Type.NumOut() {
			parts = append(parts, m.Type.Out(i).String())
		}
		return strings.Join(parts, ", ")
	}
	for _, name := range onDB {
		d, x := signature(dbType, name, 2), signature(txType, name, 1)
		if name == "UpdateUserPassword" { // is hashed before
			x = strings.Replace(x, "snib.PasswordHash", "string", 1)
		}
		if d != x {
			t.Errorf("%s: DB (ctx, %s), Tx (%s)", name, d, x)
		}
	}
	for _, name := range methodNames(t, dbType, map[string]bool{"Join": true, "Close": true, "SetVerified": true, "ObserveHashes": true, "WrapStore": true}) {
		if m, _ := dbType.MethodByName(name); m.Type.In(1) != reflect.TypeFor[context.Context]() {
			t.Errorf("%s does not begin with a context", name)
		}
	}
}

func TestUpdateCommitsAllOrNothingWithTheApplicationsRows(t *testing.T) {
	verdict := errors.New("verdict")
	for _, c := range []struct {
		name string
		end  func() error
	}{
		{"error", func() error { return verdict }},
		{"panic", func() error { panic(verdict) }},
		{"Goexit", func() error { runtime.Goexit(); return nil }}, // as t.FailNow does
		{"nil", func() error { return nil }},
	} {
		t.Run(c.name, func(t *testing.T) {
			db := snibtest.NewDB(t, nil)
			before, _ := content(t, db)
			var err error
			var panicked any
			done := make(chan struct{})
			go func() {
				defer close(done)
				defer func() { panicked = recover() }()
				err = db.Update(ctx, func(tx *snib.Tx) error {
					u, err := tx.CreateUser(snib.NewUser{Provider: "username", Identifier: "ada"})
					if err != nil {
						return err
					}
					if _, err := tx.CreateSession(u.ID, snib.SessionOptions{}); err != nil {
						return err
					}
					notes, err := tx.Bolt().CreateBucketIfNotExists([]byte("notes"))
					if err != nil {
						return err
					}
					if err := notes.Put([]byte(u.ID), []byte("tea")); err != nil {
						return err
					}
					return c.end()
				})
			}()
			<-done
			if c.name == "error" && err != verdict || c.name == "panic" && panicked != verdict || c.name == "nil" && err != nil {
				t.Errorf("error %v, panic %v", err, panicked)
			}
			after, _ := content(t, db)
			notes := 0
			if err := db.View(ctx, func(tx *snib.Tx) error {
				if b := tx.Bolt().Bucket([]byte("notes")); b != nil {
					notes = b.Stats().KeyN
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			if c.name == "nil" {
				must(db.GetUserByProviderID(ctx, "username", "ada"))(t)
			} else if !maps.Equal(before, after) {
				t.Error("something of it has happened")
			}
			if (notes == 1) != (c.name == "nil") {
				t.Errorf("%d rows of the application's", notes)
			}
			user(t, db, "next") // the writer is free
		})
	}
}

func TestATxIsClosedAfterItsClosure(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	var viewed, updated *snib.Tx
	if err := db.View(ctx, func(tx *snib.Tx) error { viewed = tx; return nil }); err != nil {
		t.Fatal(err)
	}
	if err := db.Update(ctx, func(tx *snib.Tx) error { updated = tx; return nil }); err != nil {
		t.Fatal(err)
	}
	for _, tx := range []*snib.Tx{viewed, updated} {
		for _, name := range methodNames(t, txType, map[string]bool{"Bolt": true}) {
			if err := call(t, tx, name); !errors.Is(err, snib.ErrTxClosed) {
				t.Errorf("%s: %v, want ErrTxClosed", name, err)
			}
		}
		if tx.Bolt() != nil {
			t.Error("the bbolt transaction can still be had")
		}
	}
}

func TestWritingInAViewIsReadOnly(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	quiet(t, db, func() {
		err := db.View(ctx, func(tx *snib.Tx) error {
			for _, name := range methodNames(t, txType, map[string]bool{"Bolt": true}) {
				if err := call(t, tx, name); errors.Is(err, snib.ErrReadOnly) == reading[name] {
					t.Errorf("%s: %v", name, err)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

// nested fails the test unless every method of db returns ErrNested here.
func nested(t *testing.T, db *snib.DB) {
	t.Helper()
	for _, name := range methodNames(t, dbType, map[string]bool{
		"Close": true, "Join": true, "HashPassword": true, "SetVerified": true, "ObserveHashes": true, "WrapStore": true,
	}) {
		if err := call(t, db, name, ctx); !errors.Is(err, snib.ErrNested) {
			t.Errorf("%s: %v, want ErrNested", name, err)
		}
	}
}

func TestMethodsOfDBInsideAClosureAreNested(t *testing.T) {
	b, db := attached(t)
	for _, f := range []func(context.Context, func(*snib.Tx) error) error{db.View, db.Update} {
		before, _ := content(t, db)
		if err := f(ctx, func(*snib.Tx) error { nested(t, db); return nil }); err != nil {
			t.Fatal(err)
		}
		if after, _ := content(t, db); !maps.Equal(before, after) {
			t.Error("something was written")
		}
	}
	err := b.Update(func(btx *bolt.Tx) error {
		if _, err := db.Join(btx); err != nil {
			return err
		}
		nested(t, db)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	user(t, db, "ada") // after it, all is as ever
	// Another goroutine is not inside.
	err = db.View(ctx, func(*snib.Tx) error {
		done := make(chan error)
		go func() {
			_, err := db.GetUserByProviderID(ctx, "username", "ada")
			done <- err
		}()
		return <-done
	})
	if err != nil {
		t.Errorf("another goroutine: %v", err)
	}
}

// attached returns a database within a handle of the application's.
func attached(tb testing.TB) (*bolt.DB, *snib.DB) {
	tb.Helper()
	b := must(bolt.Open(filepath.Join(tb.TempDir(), "app.db"), 0o600, &bolt.Options{Timeout: time.Second, NoSync: true}))(tb)
	tb.Cleanup(func() {
		if err := b.Close(); err != nil {
			tb.Error(err)
		}
	})
	db := must(snib.New(b, snibtest.Fast(nil)))(tb)
	tb.Cleanup(func() { snibtest.CheckAndClose(tb, db) })
	return b, db
}

func TestJoinSeesAndIsSeen(t *testing.T) {
	b, db := attached(t)
	row := []byte("row")
	undo := errors.New("undo")
	for _, verdict := range []error{undo, nil} {
		var u snib.User
		err := b.Update(func(btx *bolt.Tx) error {
			notes, err := btx.CreateBucketIfNotExists([]byte("notes"))
			if err != nil {
				return err
			}
			if err := notes.Put(row, []byte("before")); err != nil {
				return err
			}
			tx, err := db.Join(btx)
			if err != nil {
				return err
			}
			if tx.Bolt() != btx || string(tx.Bolt().Bucket([]byte("notes")).Get(row)) != "before" {
				t.Error("the joined transaction is another")
			}
			if u, err = tx.CreateUser(snib.NewUser{Provider: "username", Identifier: "ada"}); err != nil {
				return err
			}
			again := must(db.Join(btx))(t)
			if _, err := again.GetUser(u.ID); err != nil {
				t.Errorf("a second Join does not see the first: %v", err)
			}
			if err := notes.Put(row, []byte(u.ID)); err != nil {
				return err
			}
			return verdict
		})
		wantErr(t, err, verdict)
		_, err = db.GetUser(ctx, u.ID)
		wantErr(t, err, map[error]error{undo: snib.ErrUserNotFound}[verdict])
		err = db.View(ctx, func(tx *snib.Tx) error {
			got := ""
			if b := tx.Bolt().Bucket([]byte("notes")); b != nil {
				got = string(b.Get(row))
			}
			if want := map[error]string{nil: string(u.ID)}[verdict]; got != want {
				t.Errorf("the application's row is %q, want %q", got, want)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := b.View(func(*bolt.Tx) error { return nil }); err != nil {
		t.Errorf("Close has closed the application's handle: %v", err)
	}
}

func TestJoinRefusesTransactionsThatEndedOrAreOthers(t *testing.T) {
	b, db := attached(t)
	other, _ := attached(t)
	btx := must(b.Begin(true))(t)
	tx := must(db.Join(btx))(t)
	must(tx.CreateUser(snib.NewUser{Provider: "username", Identifier: "ada"}))(t)
	if err := btx.Commit(); err != nil {
		t.Fatal(err)
	}
	for _, name := range methodNames(t, txType, map[string]bool{"Bolt": true}) {
		if err := call(t, tx, name); !errors.Is(err, snib.ErrTxClosed) {
			t.Errorf("%s after the commit: %v, want ErrTxClosed", name, err)
		}
	}
	if tx.Bolt() != nil {
		t.Error("the ended transaction can still be had")
	}
	_, err := db.Join(btx)
	wantErr(t, err, snib.ErrTxClosed)
	must(db.GetUserByProviderID(ctx, "username", "ada"))(t)

	foreign := must(other.Begin(true))(t)
	if _, err := db.Join(foreign); err == nil {
		t.Error("a transaction of another handle was joined")
	}
	if err := foreign.Rollback(); err != nil {
		t.Fatal(err)
	}
	err = b.View(func(btx *bolt.Tx) error {
		tx := must(db.Join(btx))(t)
		for _, name := range methodNames(t, txType, map[string]bool{"Bolt": true}) {
			if err := call(t, tx, name); errors.Is(err, snib.ErrReadOnly) == reading[name] {
				t.Errorf("%s in a joined read transaction: %v", name, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	err = b.View(func(btx *bolt.Tx) error { _, err := db.Join(btx); return err })
	wantErr(t, err, snib.ErrClosed)
}

func TestAMethodThatFailsHasWrittenNothingAndTheClosureGoesOn(t *testing.T) {
	db := snibtest.NewDB(t, &snib.Options{Indexes: []snib.Index{{Name: "nick", Unique: true}}})
	u := must(db.CreateUser(ctx, snib.NewUser{Provider: "username", Identifier: "ada", Attributes: snib.Attributes{"nick": "a"}}))(t)
	other := must(db.CreateUser(ctx, snib.NewUser{Provider: "username", Identifier: "bob", Attributes: snib.Attributes{"nick": "b"}}))(t)
	for i := range snib.MaxIdentities - 1 {
		must(db.LinkIdentity(ctx, u.ID, "github", fmt.Sprint(i)))(t)
	}
	theirs := newSession(t, db, other)
	hash := must(db.HashPassword(ctx, password))(t)
	link(t, db, u, "reset", time.Hour)
	newSession(t, db, u)
	before, _ := content(t, db)
	err := db.Update(ctx, func(tx *snib.Tx) error {
		for name, err := range map[string]error{
			"CreateUser":             second(tx.CreateUser(snib.NewUser{Provider: "username", Identifier: "Ada"})),
			"CreateUser, attribute":  second(tx.CreateUser(snib.NewUser{Provider: "username", Identifier: "eve", Attributes: snib.Attributes{"nick": "a"}})),
			"CreateUser, password":   second(tx.CreateUser(snib.NewUser{Provider: "username", Identifier: "eve", Password: password})),
			"ImportUser":             second(tx.ImportUser(snib.UserImport{ID: u.ID, Provider: "username", Identifier: "eve"})),
			"UpdateUserProviderID":   second(tx.UpdateUserProviderID(u.ID, "username", "bob")),
			"UpdateUserPassword":     second(tx.UpdateUserPassword(u.ID, hash, theirs.ID)),
			"UpdateUserPassword, no": second(tx.UpdateUserPassword(u.ID, snib.PasswordHash{})),
			"RemoveUserPassword":     second(tx.RemoveUserPassword(u.ID, theirs.ID)),
			"UpdateUserAttributes":   second(tx.UpdateUserAttributes(u.ID, snib.Attributes{"ok": 1, "nick": "b"})),
			"LinkIdentity":           second(tx.LinkIdentity(u.ID, "github", "the 17th")),
			"LinkIdentity, taken":    second(tx.LinkIdentity(other.ID, "github", "1")),
			"UnlinkIdentity":         second(tx.UnlinkIdentity(other.ID, "username", "bob")),
			"DisableUser":            second(tx.DisableUser(u.ID, "\x00")),
			"CreateSession":          second(tx.CreateSession(u.ID, snib.SessionOptions{CredentialVersion: 99})),
			"InvalidateUserSessions": tx.InvalidateUserSessions(u.ID, theirs.ID),
			"CreateOneTimeToken":     second(tx.CreateOneTimeToken(u.ID, "", time.Hour, nil)),
			"RenewSession":           second(tx.RenewSession("")),
			"ExtendSession":          second(tx.ExtendSession("")),
			"UseOneTimeToken":        second(tx.UseOneTimeToken("reset", "")),
		} {
			if err == nil {
				t.Errorf("%s did not fail", name)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if after, _ := content(t, db); !maps.Equal(before, after) {
		t.Error("something was written")
	}
}

func TestACancelledContextIsHonouredByEveryMethod(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	email(t, db, "a@example.com")
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	quiet(t, db, func() {
		for _, name := range methodNames(t, dbType, map[string]bool{"Join": true, "Close": true, "SetVerified": true, "ObserveHashes": true, "WrapStore": true}) {
			if err := call(t, db, name, cancelled); !errors.Is(err, context.Canceled) {
				t.Errorf("%s: %v, want context.Canceled", name, err)
			}
		}
		_, _, err := db.LogIn(cancelled, "email", "a@example.com", password, snib.SessionOptions{})
		wantErr(t, err, context.Canceled)
	})
}

func TestAContextThatEndsDuringALogInLetsNobodyIn(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	u := email(t, db, "a@example.com")
	ending, cancel := context.WithCancel(ctx)
	once(db, cancel)
	quiet(t, db, func() {
		_, _, err := db.LogIn(ending, "email", "a@example.com", password, snib.SessionOptions{})
		wantErr(t, err, context.Canceled)
		if got := sessionIDs(t, db, u.ID); got != nil {
			t.Errorf("sessions %v", got)
		}
	})
}

func TestAfterCloseEveryMethodReturnsErrClosed(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	// HashPassword touches no file.
	for _, name := range methodNames(t, dbType, map[string]bool{
		"Join": true, "Close": true, "HashPassword": true, "SetVerified": true, "ObserveHashes": true, "WrapStore": true,
	}) {
		if err := call(t, db, name, ctx); !errors.Is(err, snib.ErrClosed) {
			t.Errorf("%s: %v, want ErrClosed", name, err)
		}
	}
	if _, err := db.Join(nil); !errors.Is(err, snib.ErrClosed) {
		t.Errorf("Join: %v, want ErrClosed", err)
	}
	if err := db.Close(); err != nil {
		t.Errorf("a second Close: %v", err)
	}
}

func TestAClosureThatWritesTooMuchIsRefusedWhole(t *testing.T) {
	// With the index a user is three writes, so that the bound is met within
	// one: half a user must not stay.
	db := snibtest.NewDB(t, &snib.Options{Indexes: []snib.Index{{Name: "n"}}})
	u := user(t, db, "ada")
	big := snib.Attributes{"a": strings.Repeat("x", 60<<10)}
	for name, write := range map[string]func(tx *snib.Tx, i int) error{
		"records": func(tx *snib.Tx, i int) error {
			_, err := tx.CreateUser(snib.NewUser{Provider: "username", Identifier: fmt.Sprint("u", i), Attributes: snib.Attributes{"n": i}})
			return err
		},
		"bytes": func(tx *snib.Tx, i int) error {
			_, err := tx.UpdateUserAttributes(u.ID, snib.Attributes{"a": big["a"], "i": i})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			quiet(t, db, func() {
				refused := 0
				err := db.Update(ctx, func(tx *snib.Tx) error {
					refused = 0
					for i := range 4100 { // far behind the bound of either
						err := write(tx, i)
						if err != nil && !errors.Is(err, snib.ErrTooLarge) {
							t.Fatalf("write %d: %v", i, err)
						}
						if err != nil {
							refused++
						}
						if refused > 3 {
							break
						}
					}
					return nil // as if nothing had been
				})
				wantErr(t, err, snib.ErrTooLarge)
				if refused == 0 {
					t.Error("no method was refused")
				}
			})
		})
	}
	user(t, db, "u0")
}
