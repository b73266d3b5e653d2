package snib_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibtest"
)

var ctx = context.Background()

const password = "correct horse battery"

// must returns v, failing the test on an error.
func must[T any](v T, err error) func(testing.TB) T {
	return func(tb testing.TB) T {
		tb.Helper()
		if err != nil {
			tb.Fatalf("unexpected error: %v", err)
		}
		return v
	}
}

// wantErr fails the test unless err is want.
func wantErr(tb testing.TB, err, want error) {
	tb.Helper()
	if !errors.Is(err, want) {
		tb.Fatalf("got error %v, want %v", err, want)
	}
}

// wantField fails the test unless err is an InputError of field.
func wantField(tb testing.TB, err error, field string) {
	tb.Helper()
	e, ok := errors.AsType[*snib.InputError](err)
	if !ok || !strings.HasPrefix(e.Field, field) || !errors.Is(err, snib.ErrInvalidInput) {
		tb.Fatalf("got error %v, want an InputError of %s", err, field)
	}
}

// email creates a user with this address and the password of these tests.
func email(tb testing.TB, db *snib.DB, address string) snib.User {
	tb.Helper()
	return must(db.CreateUser(ctx, snib.NewUser{Provider: "email", Identifier: address, Password: password}))(tb)
}

// asNow is a user as of now, let in without a log-in.
func asNow(tb testing.TB, db *snib.DB, id snib.UserID) snib.User {
	tb.Helper()
	return must(db.GetUser(ctx, id))(tb)
}

func logIn(tb testing.TB, db *snib.DB, address string) snib.Session {
	tb.Helper()
	s, _, err := db.LogIn(ctx, "email", address, password, snib.SessionOptions{})
	if err != nil {
		tb.Fatalf("log in: %v", err)
	}
	return s
}

// invalid fails the test unless the token is refused.
func invalid(tb testing.TB, db *snib.DB, s snib.Session) {
	tb.Helper()
	_, err := db.ValidateSession(ctx, s.Token.Reveal())
	wantErr(tb, err, snib.ErrInvalidSession)
}

// valid fails the test unless the token is accepted.
func valid(tb testing.TB, db *snib.DB, s snib.Session) {
	tb.Helper()
	if _, err := db.ValidateSession(ctx, s.Token.Reveal()); err != nil {
		tb.Fatalf("validate: %v", err)
	}
}

func TestUpdateUserProviderIDMovesTheIdentityAtOnce(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	u := email(t, db, "old@example.com")
	other := email(t, db, "other@example.com")

	for _, c := range []struct{ provider, identifier, field string }{
		{"", "new@example.com", "Provider"},
		{"email", "", "Identifier"},
		{"Email", "new@example.com", "Provider"},
		{"email", "not an address", "Identifier"},
		{"email", "new@example.com\n", "Identifier"},
		{"github", strings.Repeat("x", 257), "Identifier"},
		{"username", "a@b", "Identifier"},
	} {
		_, err := db.UpdateUserProviderID(ctx, u.ID, c.provider, c.identifier)
		wantField(t, err, c.field)
	}
	_, err := db.UpdateUserProviderID(ctx, u.ID, "email", "OTHER@example.com")
	wantErr(t, err, snib.ErrIdentityTaken)
	if got := must(db.GetUser(ctx, u.ID))(t); !reflect.DeepEqual(got, u) {
		t.Fatalf("a refused update changed the user: %+v, was %+v", got, u)
	}

	got := must(db.UpdateUserProviderID(ctx, u.ID, "github", "4711"))(t)
	if x := got.Identities[0]; x.Provider != "github" || x.Identifier != "4711" || len(got.Identities) != 1 {
		t.Errorf("identities %v", got.Identities)
	}
	if got.ID != u.ID || got.CredentialVersion != u.CredentialVersion+1 {
		t.Errorf("id %s version %d, want %s and one more than %d", got.ID, got.CredentialVersion, u.ID, u.CredentialVersion)
	}
	_, err = db.GetUserByProviderID(ctx, "email", "old@example.com")
	wantErr(t, err, snib.ErrUserNotFound)
	if found := must(db.GetUserByProviderID(ctx, "github", "4711"))(t); found.ID != u.ID {
		t.Errorf("found %s", found.ID)
	}
	email(t, db, "old@example.com") // is free
	if other := must(db.GetUser(ctx, other.ID))(t); other.Identities[0].Identifier != "other@example.com" {
		t.Errorf("the other user changed: %v", other.Identities)
	}
}

func TestUpdateUserProviderIDPromotesALinkedIdentity(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	u := email(t, db, "a@example.com")
	must(db.LinkIdentity(ctx, u.ID, "github", "1"))(t)
	must(db.LinkIdentity(ctx, u.ID, "google", "2"))(t)

	got := must(db.UpdateUserProviderID(ctx, u.ID, "google", "2"))(t)
	var names []string
	for _, x := range got.Identities {
		names = append(names, x.Provider)
	}
	if want := []string{"google", "github"}; !reflect.DeepEqual(names, want) {
		t.Errorf("providers %v, want %v", names, want)
	}
	// Only the spelling: nothing is proven anew, so the version stays.
	must(db.UpdateUserProviderID(ctx, u.ID, "email", "B@example.com"))(t)
	before := must(db.GetUser(ctx, u.ID))(t)
	after := must(db.UpdateUserProviderID(ctx, u.ID, "email", "b@EXAMPLE.com"))(t)
	if after.Identities[0].Identifier != "b@EXAMPLE.com" || after.CredentialVersion != before.CredentialVersion {
		t.Errorf("spelling %v version %d, want b@EXAMPLE.com and %d", after.Identities, after.CredentialVersion, before.CredentialVersion)
	}
}

func TestUpdateUserPasswordEndsEverythingButTheKept(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	u := email(t, db, "a@example.com")
	kept, gone := logIn(t, db, "a@example.com"), logIn(t, db, "a@example.com")
	famSession, family, err := db.CreateRefreshToken(ctx, u, snib.SessionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	keptFam, keptFamily, err := db.CreateRefreshToken(ctx, u, snib.SessionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	link := must(db.CreateOneTimeToken(ctx, u.ID, "reset", time.Hour, nil))(t)
	stranger := email(t, db, "b@example.com")
	theirs := logIn(t, db, "b@example.com")

	_, err = db.UpdateUserPassword(ctx, u.ID, "a new passphrase", theirs.ID)
	wantField(t, err, "Keep")
	for _, s := range []snib.Session{kept, gone, famSession} {
		valid(t, db, s) // nothing was written
	}
	_, err = db.UpdateUserPassword(ctx, u.ID, "short")
	wantField(t, err, "Password")

	got := must(db.UpdateUserPassword(ctx, u.ID, "a new passphrase", kept.ID, keptFam.ID))(t)
	if got.CredentialVersion != u.CredentialVersion+1 {
		t.Errorf("version %d", got.CredentialVersion)
	}
	valid(t, db, kept)
	valid(t, db, keptFam)
	invalid(t, db, gone)
	invalid(t, db, famSession)
	for _, f := range []snib.RefreshToken{family, keptFamily} {
		_, _, err := db.Refresh(ctx, f.Token.Reveal())
		wantErr(t, err, snib.ErrInvalidRefreshToken)
	}
	if s := must(db.GetSession(ctx, keptFam.ID))(t); s.RefreshTokenID != "" || !s.ActiveUntil.Equal(keptFam.ActiveUntil) {
		t.Errorf("the kept session is of family %q until %v, want none until %v", s.RefreshTokenID, s.ActiveUntil, keptFam.ActiveUntil)
	}
	_, err = db.UseOneTimeToken(ctx, "reset", link.Token.Reveal())
	wantErr(t, err, snib.ErrInvalidOneTimeToken)
	_, err = db.AuthenticateUser(ctx, "email", "a@example.com", password)
	wantErr(t, err, snib.ErrInvalidCredentials)
	must(db.AuthenticateUser(ctx, "email", "a@example.com", "a new passphrase"))(t)
	valid(t, db, theirs)

	got = must(db.RemoveUserPassword(ctx, u.ID))(t)
	if got.HasPassword {
		t.Error("still has a password")
	}
	invalid(t, db, kept)
	for _, p := range []string{"a new passphrase", password, "x"} {
		_, err = db.AuthenticateUser(ctx, "email", "a@example.com", p)
		wantErr(t, err, snib.ErrInvalidCredentials)
	}
	must(db.AuthenticateUser(ctx, "email", stranger.Identities[0].Identifier, password))(t)
}

func TestUpdateUserAttributesChangesOnlyTheGivenKeys(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	u := must(db.CreateUser(ctx, snib.NewUser{Provider: "username", Identifier: "ada", Attributes: snib.Attributes{
		"kept": "as it is", "text": "old", "gone": 1,
	}}))(t)
	when := time.Date(2026, 11, 24, 12, 0, 0, 123456789, time.FixedZone("x", 3600))

	got := must(db.UpdateUserAttributes(ctx, u.ID, snib.Attributes{
		"text": "", "int": 0, "bool": false, "null": nil, "gone": snib.Unset,
		"float": 1.5, "bytes": []byte{0, 255}, "time": when, "list": []string{"a", "b"},
		"map": map[string]any{"deep": int8(-3)}, "big": uint64(math.MaxInt64),
	}))(t)
	want := snib.Attributes{
		"kept": "as it is", "text": "", "int": int64(0), "bool": false, "null": nil,
		"float": 1.5, "bytes": []byte{0, 255}, "time": when.UTC(), "list": []any{"a", "b"},
		"map": map[string]any{"deep": int64(-3)}, "big": int64(math.MaxInt64),
	}
	if !reflect.DeepEqual(got.Attributes(), want) {
		t.Errorf("returned\n%v, want\n%v", got.Attributes(), want)
	}
	if read := must(db.GetUser(ctx, u.ID))(t); !reflect.DeepEqual(read, got) {
		t.Errorf("read back\n%v, returned\n%v", read, got)
	}
	// The copy is the caller's.
	got.Attributes()["kept"] = "changed"
	if got.Attributes()["kept"] != "as it is" {
		t.Error("the user's attributes can be changed from outside")
	}
	if s, ok := snib.Attr[string](got.Attributes(), "null"); ok || s != "" {
		t.Errorf("Attr of a null is %q, %t", s, ok)
	}
}

func TestAttributesOutsideTheirBoundsAreRefusedByName(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	u := email(t, db, "a@example.com")
	many := snib.Attributes{}
	for i := range 65 {
		many[fmt.Sprint("k", i)] = i
	}
	var deep any = "x"
	for range 9 {
		deep = []any{deep}
	}
	for name, c := range map[string]struct {
		a     snib.Attributes
		field string
	}{
		"65 keys":         {many, "Attributes"},
		"long name":       {snib.Attributes{strings.Repeat("n", 65): 1}, "Attributes"},
		"empty name":      {snib.Attributes{"": 1}, "Attributes"},
		"too large":       {snib.Attributes{"big": strings.Repeat("x", 64<<10)}, "Attributes"},
		"too deep":        {snib.Attributes{"deep": deep}, "Attributes[deep]"},
		"NaN":             {snib.Attributes{"nan": math.NaN()}, "Attributes[nan]"},
		"uint64":          {snib.Attributes{"u": uint64(math.MaxInt64) + 1}, "Attributes[u]"},
		"channel":         {snib.Attributes{"c": make(chan int)}, "Attributes[c]"},
		"struct":          {snib.Attributes{"s": struct{ X int }{1}}, "Attributes[s]"},
		"invalid UTF-8":   {snib.Attributes{"t": "\xff"}, "Attributes[t]"},
		"nested Unset":    {snib.Attributes{"m": map[string]any{"k": snib.Unset}}, "Attributes[m]"},
		"invalid name":    {snib.Attributes{"a\x00b": 1}, "Attributes"},
		"non-string keys": {snib.Attributes{"m": map[int]string{1: "x"}}, "Attributes[m]"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := db.UpdateUserAttributes(ctx, u.ID, c.a)
			wantField(t, err, c.field)
		})
	}
	if got := must(db.GetUser(ctx, u.ID))(t); len(got.Attributes()) != 0 {
		t.Errorf("something was written: %v", got.Attributes())
	}
}

func TestUniqueAttributeIsTakenAndFreedByNull(t *testing.T) {
	db := snibtest.NewDB(t, &snib.Options{Indexes: []snib.Index{{Name: "nick", Unique: true, Fold: true}, {Name: "team"}}})
	ada, bob := email(t, db, "ada@example.com"), email(t, db, "bob@example.com")
	must(db.UpdateUserAttributes(ctx, ada.ID, snib.Attributes{"nick": "The  Countess", "team": 1}))(t)

	before := must(db.GetUser(ctx, bob.ID))(t)
	_, err := db.UpdateUserAttributes(ctx, bob.ID, snib.Attributes{"nick": "the countess", "team": 1})
	wantErr(t, err, snib.ErrAttributeTaken)
	if e, ok := errors.AsType[*snib.AttributeTakenError](err); !ok || e.Name != "nick" {
		t.Errorf("the error names %v", e)
	}
	if got := must(db.GetUser(ctx, bob.ID))(t); !reflect.DeepEqual(got, before) {
		t.Errorf("a refused update changed the user")
	}
	if got := must(db.GetUserByAttribute(ctx, "nick", "THE COUNTESS"))(t); got.ID != ada.ID {
		t.Errorf("found %s", got.ID)
	}
	if nick := must(db.GetUser(ctx, ada.ID))(t).Attributes()["nick"]; nick != "The  Countess" {
		t.Errorf("the stored spelling is %q", nick)
	}

	must(db.UpdateUserAttributes(ctx, ada.ID, snib.Attributes{"nick": nil}))(t)
	must(db.UpdateUserAttributes(ctx, bob.ID, snib.Attributes{"nick": "the countess", "team": 1.0}))(t)
	if got := must(db.GetUserByAttribute(ctx, "nick", "The Countess"))(t); got.ID != bob.ID {
		t.Errorf("found %s", got.ID)
	}
	_, err = db.GetUserByAttribute(ctx, "nick", nil)
	wantErr(t, err, snib.ErrUserNotFound)
	_, err = db.GetUserByAttribute(ctx, "team", 1)
	wantField(t, err, "Name")
	if got := ids(t, db.ListUsersByAttribute(ctx, "team", 1, snib.ListOptions{})); len(got) != 2 {
		t.Errorf("team 1 is %v, want both (1.0 is 1)", got)
	}
}

// ids collects the ids of a list.
func ids(tb testing.TB, list func(func(snib.User, error) bool)) []snib.UserID {
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

func TestDeleteUserLeavesNothing(t *testing.T) {
	db := snibtest.NewDB(t, &snib.Options{Indexes: []snib.Index{{Name: "nick", Unique: true}, {Name: "team"}}})
	attributes := snib.Attributes{"nick": "n", "team": "t"}
	u := must(db.CreateUser(ctx, snib.NewUser{Provider: "email", Identifier: "a@example.com", Password: password, Attributes: attributes}))(t)
	bystander := email(t, db, "b@example.com")
	theirs := logIn(t, db, "b@example.com")
	must(db.LinkIdentity(ctx, u.ID, "github", "1"))(t)
	sessions := []snib.Session{logIn(t, db, "a@example.com"), logIn(t, db, "a@example.com")}
	famSession, family, err := db.CreateRefreshToken(ctx, u, snib.SessionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	link := must(db.CreateOneTimeToken(ctx, u.ID, "reset", time.Hour, []byte("data")))(t)

	if err := db.DeleteUser(ctx, u.ID); err != nil {
		t.Fatal(err)
	}
	for _, s := range append(sessions, famSession) {
		invalid(t, db, s)
		for _, f := range []func(context.Context, string) (snib.Session, error){db.RenewSession, db.ExtendSession} {
			_, err := f(ctx, s.Token.Reveal())
			wantErr(t, err, snib.ErrInvalidSession)
		}
	}
	_, _, err = db.Refresh(ctx, family.Token.Reveal())
	wantErr(t, err, snib.ErrInvalidRefreshToken)
	_, err = db.UseOneTimeToken(ctx, "reset", link.Token.Reveal())
	wantErr(t, err, snib.ErrInvalidOneTimeToken)
	_, err = db.GetUser(ctx, u.ID)
	wantErr(t, err, snib.ErrUserNotFound)
	if keys := mentions(t, db, string(u.ID)); len(keys) > 0 {
		t.Errorf("live keys or records mention the user: %q", keys)
	}

	again := must(db.CreateUser(ctx, snib.NewUser{Provider: "email", Identifier: "a@example.com", Attributes: attributes}))(t)
	must(db.LinkIdentity(ctx, again.ID, "github", "1"))(t)
	valid(t, db, theirs)
	must(db.GetUser(ctx, bystander.ID))(t)
	for _, id := range []snib.UserID{u.ID, "nobody", "", "mal formed\x00", snib.UserID(strings.Repeat("x", 1<<20)), snib.UserID(theirs.ID)} {
		if err := db.DeleteUser(ctx, id); err != nil {
			t.Errorf("deleting an unknown user: %v", err)
		}
	}
	valid(t, db, theirs)
}

// mentions returns the keys in the whole file, of which the key or the value
// contains text.
func mentions(tb testing.TB, db *snib.DB, text string) (keys []string) {
	tb.Helper()
	err := db.View(ctx, func(tx *snib.Tx) error {
		root := tx.Bolt().Bucket([]byte("snib"))
		return root.ForEachBucket(func(space []byte) error {
			return root.Bucket(space).ForEach(func(k, v []byte) error {
				if strings.Contains(string(k), text) || strings.Contains(string(v), text) {
					keys = append(keys, fmt.Sprintf("%s/%q", space, k))
				}
				return nil
			})
		})
	})
	if err != nil {
		tb.Fatal(err)
	}
	return keys
}

func TestUnknownUserOnEveryUpdate(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	for _, id := range []snib.UserID{"usr_00000000000000000000000000", "", "a\x00b", snib.UserID(strings.Repeat("x", 1<<20))} {
		for name, f := range map[string]func() error{
			"GetUser":              func() error { _, err := db.GetUser(ctx, id); return err },
			"UpdateUserProviderID": func() error { _, err := db.UpdateUserProviderID(ctx, id, "github", "1"); return err },
			"UpdateUserPassword":   func() error { _, err := db.UpdateUserPassword(ctx, id, password); return err },
			"RemoveUserPassword":   func() error { _, err := db.RemoveUserPassword(ctx, id); return err },
			"ChangePassword":       func() error { _, err := db.ChangePassword(ctx, id, password, password); return err },
			"UpdateUserAttributes": func() error { _, err := db.UpdateUserAttributes(ctx, id, nil); return err },
			"LinkIdentity":         func() error { _, err := db.LinkIdentity(ctx, id, "github", "1"); return err },
			"UnlinkIdentity":       func() error { _, err := db.UnlinkIdentity(ctx, id, "github", "1"); return err },
			"DisableUser":          func() error { _, err := db.DisableUser(ctx, id, ""); return err },
			"EnableUser":           func() error { _, err := db.EnableUser(ctx, id); return err },
			"CreateSession": func() error {
				_, err := db.CreateSession(ctx, snib.User{ID: id, CredentialVersion: 1}, snib.SessionOptions{})
				return err
			},
			"CreateRefreshToken": func() error {
				_, _, err := db.CreateRefreshToken(ctx, snib.User{ID: id, CredentialVersion: 1}, snib.SessionOptions{})
				return err
			},
			"CreateOneTimeToken":      func() error { _, err := db.CreateOneTimeToken(ctx, id, "x", time.Hour, nil); return err },
			"RevokeUserSessions":      func() error { return db.RevokeUserSessions(ctx, id) },
			"RevokeUserRefreshTokens": func() error { return db.RevokeUserRefreshTokens(ctx, id) },
		} {
			if err := f(); !errors.Is(err, snib.ErrUserNotFound) {
				t.Errorf("%s of %.20q: %v, want ErrUserNotFound", name, id, err)
			}
		}
	}
}
