package snib_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"reflect"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibtest"
)

// dry is a source of randomness that fails when it is told to.
type dry struct{ empty atomic.Bool }

var errDry = errors.New("no randomness")

func (d *dry) Read(p []byte) (int, error) {
	if d.empty.Load() {
		return 0, errDry
	}
	return io.ReadFull(zeros{}, p)
}

type zeros struct{}

var counter atomic.Uint64

func (zeros) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(counter.Add(1) * 0x9E3779B97F4A7C15 >> 56)
	}
	return len(p), nil
}

var (
	dbType = reflect.TypeFor[*snib.DB]()
	txType = reflect.TypeFor[*snib.Tx]()

	// Methods of DB that have no counterpart in a transaction: they hash, or
	// are transactions of their own kind.
	dbOnly = map[string]bool{"ImportUsers": true,
		"View": true, "Update": true, "Join": true, "Close": true,
		"HashPassword": true, "AuthenticateUser": true, "LogIn": true, "ChangePassword": true, "Reauthenticate": true,
		"Refresh": true, "Sweep": true, "Check": true, "Stats": true, "EndEverything": true,
		"Repair": true, "File": true,
		"Throttle": true, "ExportUser": true, "Codes": true,
		"SetVerified": true, "ObserveHashes": true, "WrapStore": true, // of these tests
	}

	reading = map[string]bool{
		"GetUser": true, "GetUserByProviderID": true, "GetUserByAttribute": true,
		"ListUsers": true, "ListUsersByAttribute": true,
		"ValidateSession": true, "ValidateSessionUser": true, "GetSession": true, "ListUserSessions": true,
		"RefreshTokens.List": true, "Events.List": true, "Events.Read": true, "Events.Consume": true,
		"Tokens.Peek": true, "Tokens.List": true, "Tokens.PeekReset": true, "Logins.List": true, "Factors.List": true,
		"Factors.Passkeys": true, "Factors.PasskeyByCredential": true, "Factors.PasskeyChallenge": true,
		"Devices.Current": true, "Devices.List": true,
		"APIKeys.Validate": true, "APIKeys.List": true, "Roles.List": true, "Roles.ClaimToken": true,
		"Identities.BeginSignUp": true, "Identities.PeekSignUp": true, "Identities.PeekInvitation": true, "Identities.Invitations": true,
	}

	// handles are the methods that return methods.
	handles = map[string]reflect.Type{
		"APIKeys":       reflect.TypeFor[snib.APIKeys](),
		"Roles":         reflect.TypeFor[snib.Roles](),
		"File":          reflect.TypeFor[snib.File](),
		"Codes":         reflect.TypeFor[snib.Codes](),
		"Factors":       reflect.TypeFor[snib.Factors](),
		"Events":        reflect.TypeFor[snib.Events](),
		"Identities":    reflect.TypeFor[snib.Identities](),
		"Logins":        reflect.TypeFor[snib.Logins](),
		"RefreshTokens": reflect.TypeFor[snib.RefreshTokens](),
		"Tokens":        reflect.TypeFor[snib.OneTimeTokens](),
		"Devices":       reflect.TypeFor[snib.Devices](),
	}
)

// call calls a method by its name with arguments that could be meant, and
// returns its error. first is the argument in front. "Tokens.Create" is Create
// of Tokens.
func call(tb testing.TB, receiver any, name string, first ...any) error {
	tb.Helper()
	if handle, name, ok := strings.Cut(name, "."); ok {
		if len(first) == 0 {
			first = []any{ctx} // the methods of a handle have it in a transaction too
		}
		return call(tb, reflect.ValueOf(receiver).MethodByName(handle).Call(nil)[0].Interface(), name, first...)
	}
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
		case t == reflect.TypeFor[io.Writer]():
			in = append(in, reflect.ValueOf(io.Discard))
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

// methodNames returns the names of the exported methods of t but the excepted,
// and in the place of a handle those of its methods.
func methodNames(tb testing.TB, t reflect.Type, except map[string]bool) (names []string) {
	tb.Helper()
	for i := range t.NumMethod() {
		name := t.Method(i).Name
		if except[name] {
			continue
		}
		if handle := handles[name]; handle != nil {
			for i := range handle.NumMethod() {
				names = append(names, name+"."+handle.Method(i).Name)
			}
		} else {
			names = append(names, name)
		}
	}
	if len(names) < 20 {
		tb.Fatalf("only %d methods of %v", len(names), t)
	}
	return names
}

func TestTxHasTheMethodsOfDBWithoutTheContext(t *testing.T) {
	onDB, onTx := methodNames(t, dbType, dbOnly), methodNames(t, txType, map[string]bool{"Bolt": true, "Underlying": true})
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
		if strings.Contains(name, ".") {
			continue // one method for both
		}
		d, x := signature(dbType, name, 2), signature(txType, name, 1)
		if name == "UpdateUserPassword" { // is hashed before
			x = strings.Replace(x, "snib.PasswordHash", "string", 1)
		}
		if d != x {
			t.Errorf("%s: DB (ctx, %s), Tx (%s)", name, d, x)
		}
	}
	for _, name := range methodNames(t, dbType, map[string]bool{"Join": true, "Close": true, "Throttle": true, "SetVerified": true, "ObserveHashes": true, "WrapStore": true}) {
		typ := dbType
		if handle, method, ok := strings.Cut(name, "."); ok {
			typ, name = handles[handle], method
		}
		if m, _ := typ.MethodByName(name); m.Type.In(1) != reflect.TypeFor[context.Context]() {
			t.Errorf("%s does not begin with a context", name)
		}
	}
}

func TestUpdateWithBoltRowsCommitsAllOrNothing(t *testing.T) {
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
					if _, err := tx.CreateSession(u, snib.SessionOptions{}); err != nil {
						return err
					}
					notes, err := inFile(t, tx).CreateBucketIfNotExists([]byte("notes"))
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
		for _, name := range methodNames(t, txType, map[string]bool{"Bolt": true, "Underlying": true}) {
			if err := call(t, tx, name); !errors.Is(err, snib.ErrTxClosed) {
				t.Errorf("%s: %v, want ErrTxClosed", name, err)
			}
		}
		if tx.Bolt() != nil {
			t.Error("the bbolt transaction can still be had")
		}
	}
}

func TestViewRefusesToWrite(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	quiet(t, db, func() {
		err := db.View(ctx, func(tx *snib.Tx) error {
			for _, name := range methodNames(t, txType, map[string]bool{"Bolt": true, "Underlying": true}) {
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

func TestUpdateGoesOnAfterAMethodThatFailed(t *testing.T) {
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
			"UpdateUserPassword":     second(tx.UpdateUserPassword(theirs.UserID+"x", hash)),
			"UpdateUserPassword, no": second(tx.UpdateUserPassword(u.ID, snib.PasswordHash{})),
			"RemoveUserPassword":     second(tx.RemoveUserPassword(theirs.UserID + "x")),
			"UpdateUserAttributes":   second(tx.UpdateUserAttributes(u.ID, snib.Attributes{"ok": 1, "nick": "b"})),
			"LinkIdentity":           second(tx.LinkIdentity(u.ID, "github", "the 17th")),
			"LinkIdentity, taken":    second(tx.LinkIdentity(other.ID, "github", "1")),
			"UnlinkIdentity":         second(tx.UnlinkIdentity(other.ID, "username", "bob")),
			"DisableUser":            second(tx.DisableUser(u.ID, "\x00")),
			"CreateSession":          second(tx.CreateSession(snib.User{ID: u.ID, CredentialVersion: 99}, snib.SessionOptions{})),
			"RevokeUserSessions":     tx.RevokeUserSessions(u.ID, theirs.ID),
			"CreateOneTimeToken":     second(tx.Tokens().Create(ctx, u.ID, "", time.Hour, nil)),
			"RenewSession":           second(tx.RenewSession("")),
			"ExtendSession":          second(tx.ExtendSession("")),
			"UseOneTimeToken":        second(tx.Tokens().Use(ctx, "reset", "")),
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

func TestUpdateThatWritesTooMuchIsRefusedWhole(t *testing.T) {
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

func TestUpdateCommitsNothingOfAMethodThatFailed(t *testing.T) {
	random := &dry{}
	db := snibtest.NewDB(t, &snib.Options{Rand: random, Sessions: snib.SessionPolicy{MaxPerUser: 2}, Refresh: snib.RefreshPolicy{MaxPerUser: 1}})
	u := email(t, db, "a@example.com")
	s := must(db.CreateSession(ctx, u, snib.SessionOptions{}))(t)
	_, r, err := db.CreateRefreshToken(ctx, u, snib.SessionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	random.empty.Store(true)
	before, _ := content(t, db)
	if err := db.Update(ctx, func(tx *snib.Tx) error {
		for name, err := range map[string]error{
			"RenewSession":  second(tx.RenewSession(s.Token.Reveal())),
			"CreateSession": second(tx.CreateSession(u, snib.SessionOptions{})),
			"CreateRefreshToken": func() error {
				_, _, err := tx.CreateRefreshToken(u, snib.SessionOptions{})
				return err
			}(),
			"CreateOneTimeToken": second(tx.Tokens().Create(ctx, u.ID, "x", time.Hour, nil)),
			"CreateUser":         second(tx.CreateUser(snib.NewUser{Provider: "github", Identifier: "1"})),
		} {
			if !errors.Is(err, errDry) {
				t.Errorf("%s: %v", name, err)
			}
		}
		return nil // and commit
	}); err != nil {
		t.Fatal(err)
	}
	_, _, err = db.Refresh(ctx, r.Token.Reveal())
	wantErr(t, err, errDry)
	after, _ := content(t, db)
	for key := range after {
		if before[key] != after[key] {
			t.Errorf("%s was changed", key)
		}
	}
	if len(before) != len(after) {
		t.Errorf("%d records, were %d", len(after), len(before))
	}
}
