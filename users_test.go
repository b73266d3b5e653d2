package snib_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/snibhttp"
	"github.com/snibdb/snib/snibtest"
)

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
	link := must(db.Tokens().Create(ctx, u.ID, "reset", time.Hour, []byte("data")))(t)

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
	_, err = db.Tokens().Use(ctx, "reset", link.Token.Reveal())
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

func TestUpdateUserMethodsOfAnUnknownUser(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	for _, id := range []snib.UserID{"usr_00000000000000000000000000", "", "a\x00b", snib.UserID(strings.Repeat("x", 1<<20))} {
		for name, f := range map[string]func() error{
			"GetUser":              func() error { _, err := db.GetUser(ctx, id); return err },
			"UpdateUserProviderID": func() error { _, err := db.UpdateUserProviderID(ctx, id, "github", "1"); return err },
			"UpdateUserPassword":   func() error { _, err := db.UpdateUserPassword(ctx, id, password); return err },
			"RemoveUserPassword":   func() error { _, err := db.RemoveUserPassword(ctx, id); return err },
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
			"CreateOneTimeToken":      func() error { _, err := db.Tokens().Create(ctx, id, "x", time.Hour, nil); return err },
			"RevokeUserSessions":      func() error { return db.RevokeUserSessions(ctx, id) },
			"RefreshTokens.RevokeAll": func() error { return db.RefreshTokens().RevokeAll(ctx, id) },
		} {
			if err := f(); !errors.Is(err, snib.ErrUserNotFound) {
				t.Errorf("%s of %.20q: %v, want ErrUserNotFound", name, id, err)
			}
		}
	}
}

// Nobody has an account that no one has made, under whatever name.
func TestANewFileHasNoAccount(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	report := must(db.Check(ctx))(t)
	if n := report.Users + report.Passwords + report.Records["sessions"] + report.Records["refresh_families"] + report.Records["one_time_tokens"]; n != 0 {
		t.Errorf("a new file holds %+v", report)
	}
	for u, err := range db.ListUsers(ctx, snib.ListOptions{}) {
		t.Errorf("a new file lists %s, %v", u.ID, err)
	}
	for _, name := range []string{"admin", "root", "sa", "administrator"} {
		_, err := db.AuthenticateUser(ctx, "username", name, name)
		wantErr(t, err, snib.ErrInvalidCredentials)
	}
}

func TestDisableUserAndEnableUserRaiseTheCredentialVersion(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	u := user(t, db, "ada")
	for i, step := range []struct {
		disable bool
		want    uint64
	}{{true, 1}, {true, 1}, {false, 2}, {false, 2}, {true, 3}} {
		var got snib.User
		if step.disable {
			got = must(db.DisableUser(ctx, u.ID, fmt.Sprint("reason ", i)))(t)
		} else {
			got = must(db.EnableUser(ctx, u.ID))(t)
		}
		if got.CredentialVersion != u.CredentialVersion+step.want || got.Disabled() != step.disable {
			t.Errorf("step %d: version %d, disabled %t", i, got.CredentialVersion, got.Disabled())
		}
		if step.disable && got.DisabledReason != fmt.Sprint("reason ", i) || !step.disable && got.DisabledReason != "" {
			t.Errorf("step %d: reason %q", i, got.DisabledReason)
		}
	}
}

func TestDisableUserShutsOutAndNothingComesBack(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	u := email(t, db, "a@example.com")
	s, r := family(t, db, u)
	plain, l := logIn(t, db, "a@example.com"), link(t, db, u, "reset", time.Hour)
	must(db.DisableUser(ctx, u.ID, "spam"))(t)

	check := func(state string) {
		invalid(t, db, s)
		invalid(t, db, plain)
		refused(t, db, r.Token.Reveal(), snib.ErrInvalidRefreshToken)
		unusable(t, db, l)
		if got := sessionIDs(t, db, u.ID); got != nil {
			t.Errorf("%s: sessions %v", state, got)
		}
	}
	check("disabled")
	quiet(t, db, func() {
		_, err := db.AuthenticateUser(ctx, "email", "a@example.com", password)
		wantErr(t, err, snib.ErrInvalidCredentials)
		_, _, err = db.LogIn(ctx, "email", "a@example.com", password, snib.SessionOptions{})
		wantErr(t, err, snib.ErrInvalidCredentials)
		if !errors.Is(err, snib.ErrUserDisabled) || errors.Unwrap(err).Error() != snib.ErrInvalidCredentials.Error() {
			t.Errorf("the right password: %v, want it to be ErrUserDisabled and to read as any other", err)
		}
		_, err = db.AuthenticateUser(ctx, "email", "a@example.com", password+"x")
		if !errors.Is(err, snib.ErrInvalidCredentials) || errors.Is(err, snib.ErrUserDisabled) {
			t.Errorf("a wrong password of a disabled user: %v, which tells that there is one", err)
		}
		_, err = db.CreateSession(ctx, u, snib.SessionOptions{})
		wantErr(t, err, snib.ErrUserDisabled)
		_, _, err = db.CreateRefreshToken(ctx, u, snib.SessionOptions{})
		wantErr(t, err, snib.ErrUserDisabled)
		_, err = db.DisableUser(ctx, u.ID, strings.Repeat("x", 257))
		wantField(t, err, "Reason")
		_, err = db.CreateUser(ctx, snib.NewUser{Provider: "email", Identifier: "a@example.com"})
		wantErr(t, err, snib.ErrIdentityTaken) // it stays reserved
	})
	must(db.UpdateUserAttributes(ctx, u.ID, snib.Attributes{"a": 1}))(t)
	must(db.UpdateUserPassword(ctx, u.ID, "a new passphrase"))(t)
	must(db.EnableUser(ctx, u.ID))(t)
	check("enabled")
	must(db.AuthenticateUser(ctx, "email", "a@example.com", "a new passphrase"))(t)
}

func TestDeleteUserDeletesADamagedUser(t *testing.T) {
	c := newChecked(t)
	imported := must(c.db.ImportUser(ctx, snib.UserImport{
		Provider: "username", Identifier: "grace", PasswordHash: "$2b$06$jWR0JbunbcW8Fi5tg6avBu5V3kVRzuZ5pxMc63R8joVdfu7vCldYu",
	}))(t)
	rawPut(t, c.b, "users", string(imported.ID), flip(rawGet(t, c.b, "users", string(imported.ID)), 60))
	if err := c.db.DeleteUser(ctx, imported.ID); err != nil {
		t.Fatal(err)
	}
	must(c.db.Check(ctx))(t) // the number of imported hashes too
	rawPut(t, c.b, "users", string(c.ada.ID), flip(rawGet(t, c.b, "users", string(c.ada.ID)), 30))
	if err := c.db.DeleteUser(ctx, c.ada.ID); err != nil {
		t.Fatal(err)
	}
	invalid(t, c.db, c.session)
	if left := mentions(t, c.db, string(c.ada.ID)); len(left) > 0 {
		t.Errorf("live keys or records mention the user: %q", left)
	}
	email(t, c.db, "ada@example.com") // is free
	must(c.db.Check(ctx))(t)
}

// A user whose record is lost has sessions still: a program that deletes the
// user means them.
func TestDeleteUserEndsWhatALostUserHas(t *testing.T) {
	c := newChecked(t)
	rawDelete(t, c.b, "users", string(c.ada.ID))
	valid(t, c.db, c.session)
	if err := c.db.DeleteUser(ctx, c.ada.ID); err != nil {
		t.Fatal(err)
	}
	invalid(t, c.db, c.session)
	valid(t, c.db, c.bobs)
}

// A record is as large as its bounds allow, all at once, and everything can
// still be done to the user.
func TestTheLargestUserCanBeChangedAndShutOut(t *testing.T) {
	indexes := make([]snib.Index, 64)
	attributes := snib.Attributes{}
	for i := range indexes {
		indexes[i] = snib.Index{Name: fmt.Sprintf("%064d", i), Unique: i%2 == 0}
		attributes[indexes[i].Name] = strings.Repeat("x", 509)
	}
	attributes[indexes[0].Name] = strings.Repeat("y", 64<<10-64*(66+512)) // the rest of 64 KiB, not indexed
	db := snibtest.NewDB(t, &snib.Options{Indexes: indexes[1:]})
	id := must(db.ImportUser(ctx, snib.UserImport{
		ID: snib.UserID(strings.Repeat("u", 64)), Provider: strings.Repeat("p", 32), Identifier: strings.Repeat("i", 256),
		PasswordHash: "$2b$06$jWR0JbunbcW8Fi5tg6avBu5V3kVRzuZ5pxMc63R8joVdfu7vCldYu", Attributes: attributes,
	}))(t).ID
	for i := range snib.MaxIdentities - 1 {
		must(db.LinkIdentity(ctx, id, strings.Repeat("p", 32), fmt.Sprintf("%0256d", i)))(t)
	}
	_, err := db.LinkIdentity(ctx, id, "github", "one more")
	wantErr(t, err, snib.ErrTooMany)
	if _, _, err := db.LogIn(ctx, strings.Repeat("p", 32), strings.Repeat("i", 256), "pässwörd-1", snib.SessionOptions{}); err != nil {
		t.Fatal(err) // with a better hash, which is longer
	}
	fillUp(t, db, id)
	must(db.UpdateUserPassword(ctx, id, password))(t)
	fillUp(t, db, id)
	must(db.DisableUser(ctx, id, strings.Repeat("r", 256)))(t)
	must(db.EnableUser(ctx, id))(t)
	fillUp(t, db, id)
	commits(t, db, 1, func() {
		if err := db.DeleteUser(ctx, id); err != nil {
			t.Fatal(err)
		}
	})
	if left := mentions(t, db, string(id)); len(left) > 0 {
		t.Errorf("%d live keys or records mention the user", len(left))
	}
}

func TestAnUpdateThatChangesNothingCommitsNothing(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	u := email(t, db, "a@example.com")
	quiet(t, db, func() {
		for name, f := range map[string]func() (snib.User, error){
			"EnableUser":           func() (snib.User, error) { return db.EnableUser(ctx, u.ID) },
			"LinkIdentity":         func() (snib.User, error) { return db.LinkIdentity(ctx, u.ID, "email", "A@example.com") },
			"UnlinkIdentity":       func() (snib.User, error) { return db.UnlinkIdentity(ctx, u.ID, "github", "1") },
			"UpdateUserAttributes": func() (snib.User, error) { return db.UpdateUserAttributes(ctx, u.ID, nil) },
		} {
			if got := must(f())(t); !got.UpdatedAt.Equal(u.UpdatedAt) {
				t.Errorf("%s moved UpdatedAt", name)
			}
		}
	})
}

// fillUp gives a user as many sessions, families and one-time tokens as may be.
func fillUp(tb testing.TB, db *snib.DB, id snib.UserID) {
	tb.Helper()
	device := snib.SessionOptions{Attributes: snib.Attributes{"agent": strings.Repeat("a", 4000)}}
	for range 10 { // a transaction holds 1 MiB
		u := asNow(tb, db, id)
		if err := db.Update(ctx, func(tx *snib.Tx) error {
			for range 10 {
				if _, _, err := tx.CreateRefreshToken(u, device); err != nil {
					return err
				}
			}
			for range 90 {
				if _, err := tx.CreateSession(u, device); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			tb.Fatal(err)
		}
	}
	for i := range snib.MaxOneTimeTokens {
		must(db.Tokens().Create(ctx, id, fmt.Sprint("purpose-", i), time.Hour, make([]byte, 1<<10)))(tb)
	}
	sessions, families := must(db.ListUserSessions(ctx, id))(tb), must(db.RefreshTokens().List(ctx, id))(tb)
	if len(sessions) != snib.MaxSessions || len(families) != snib.MaxRefreshTokens {
		tb.Fatalf("%d sessions, %d families", len(sessions), len(families))
	}
	// Those of families first: their records are written again.
	slices.SortStableFunc(sessions, func(a, b snib.Session) int {
		return strings.Compare(string(b.RefreshTokenID), string(a.RefreshTokenID))
	})
	var keep []snib.SessionID
	for _, s := range sessions[:101] {
		keep = append(keep, s.ID)
	}
	wantField(tb, db.RevokeUserSessions(ctx, id, keep...), "Except")
	if err := db.RevokeUserSessions(ctx, id, keep[:100]...); err != nil {
		tb.Fatal(err)
	}
	u := asNow(tb, db, id)
	fill := func(tx *snib.Tx) error { // again, for the next cascade
		for range 100 {
			if _, _, err := tx.CreateRefreshToken(u, snib.SessionOptions{}); err != nil {
				return err
			}
		}
		for range 800 {
			if _, err := tx.CreateSession(u, snib.SessionOptions{}); err != nil {
				return err
			}
		}
		return nil
	}
	if err := db.Update(ctx, fill); err != nil {
		tb.Fatal(err)
	}
}

// Users without an identity. Repair leaves one when two users claim the same.

// newNameless makes a file in which Repair has left bob, who has a password and
// a session, without an identity.
func newNameless(tb testing.TB, o snib.Options) (db *snib.DB, bob snib.User, bobs snib.Session) {
	tb.Helper()
	db = snibtest.NewDB(tb, &o)
	email(tb, db, "ada@example.com")
	bob = email(tb, db, "bob@example.com")
	bobs = session(tb, db, bob.ID)
	c := &checked{db: db, b: handle(tb, db)}
	c.editUser(tb, bob.ID, func(u *codec.User) {
		u.Identities[0].Identifier, u.Identities[0].Key = "ada@example.com", "ada@example.com"
	})
	must(db.Repair(ctx))(tb)
	bob = must(db.GetUser(ctx, bob.ID))(tb)
	if len(bob.Identities) != 0 || !bob.HasPassword {
		tb.Fatalf("bob has %v and a password %t", bob.Identities, bob.HasPassword)
	}
	must(db.Check(ctx))(tb)
	return db, bob, bobs
}

func TestAUserWithoutIdentityIsAUser(t *testing.T) {
	db, bob, bobs := newNameless(t, snib.Options{})
	valid(t, db, bobs)
	valid(t, db, session(t, db, bob.ID))
	if n := len(ids(t, db.ListUsers(ctx, snib.ListOptions{}))); n != 2 {
		t.Errorf("%d users are listed", n)
	}
	must(db.UpdateUserAttributes(ctx, bob.ID, snib.Attributes{"x": 1}))(t)
	// Nobody logs in by what is gone.
	wantErr(t, second(db.AuthenticateUser(ctx, "email", "bob@example.com", password)), snib.ErrInvalidCredentials)
	u := must(db.UnlinkIdentity(ctx, bob.ID, "email", "bob@example.com"))(t)
	if len(u.Identities) != 0 {
		t.Errorf("has %v", u.Identities)
	}
	link := must(db.Tokens().Create(ctx, bob.ID, "reset", time.Hour, nil))(t)
	must(db.DisableUser(ctx, bob.ID, "lost"))(t)
	invalid(t, db, bobs)
	wantErr(t, second(db.Tokens().Use(ctx, "reset", link.Token.Reveal())), snib.ErrInvalidOneTimeToken)
	if !must(db.GetUser(ctx, bob.ID))(t).Disabled() {
		t.Error("is not disabled")
	}
	must(db.EnableUser(ctx, bob.ID))(t)
	must(db.Check(ctx))(t)
	if err := db.DeleteUser(ctx, bob.ID); err != nil {
		t.Fatal(err)
	}
	if left := mentions(t, db, string(bob.ID)); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
	must(db.GetUserByProviderID(ctx, "email", "ada@example.com"))(t)
}

// TestChangePasswordOfAUserWithoutIdentity: the hooks of a log-in are called,
// and let the program refuse.
func TestChangePasswordOfAUserWithoutIdentity(t *testing.T) {
	var asked []string
	db, bob, bobs := newNameless(t, snib.Options{Throttle: snib.ThrottlePolicy{BeforeAuth: func(_ context.Context, a snib.Attempt) error {
		asked = append(asked, a.Provider+":"+a.Identifier)
		return nil
	}}})
	_, err := changePassword(t, db, bob.ID, "not the password", "another passphrase")
	wantErr(t, err, snib.ErrInvalidCredentials)
	must(changePassword(t, db, bob.ID, password, "another passphrase"))(t)
	if want := ":" + string(bob.ID); strings.Join(asked, " ") != want+" "+want {
		t.Errorf("BeforeAuth was asked %q", asked)
	}
	invalid(t, db, bobs)
	must(db.Check(ctx))(t)
}

func TestAUserWithoutIdentityGetsOne(t *testing.T) {
	for name, give := range map[string]func(*snib.DB, snib.UserID) (snib.User, error){
		"UpdateUserProviderID": func(db *snib.DB, id snib.UserID) (snib.User, error) {
			return db.UpdateUserProviderID(ctx, id, "email", "new@example.com")
		},
		"LinkIdentity": func(db *snib.DB, id snib.UserID) (snib.User, error) {
			return db.LinkIdentity(ctx, id, "email", "new@example.com")
		},
	} {
		t.Run(name, func(t *testing.T) {
			db, bob, bobs := newNameless(t, snib.Options{})
			wantErr(t, second(db.UpdateUserProviderID(ctx, bob.ID, "email", "ada@example.com")), snib.ErrIdentityTaken)
			u := must(give(db, bob.ID))(t)
			if providers(u) != "email:new@example.com" {
				t.Errorf("has %v", u.Identities)
			}
			if found := must(db.GetUserByProviderID(ctx, "email", "NEW@example.com"))(t); found.ID != bob.ID {
				t.Errorf("found %s", found.ID)
			}
			valid(t, db, bobs)
			valid(t, db, logIn(t, db, "new@example.com"))
			must(db.Check(ctx))(t)
		})
	}
}

// TestManagerLogsInAUserWithoutIdentity: one who was authenticated otherwise.
func TestManagerLogsInAUserWithoutIdentity(t *testing.T) {
	db, bob, _ := newNameless(t, snib.Options{})
	m := must(snibhttp.New(db, &snibhttp.Options{App: "notes", Hosts: []string{"example.com"}}))(t)
	w, r := httptest.NewRecorder(), httptest.NewRequest("POST", "https://example.com/", nil)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	s := must(m.LogIn(w, r, bob, m.SessionOptions(r)))(t)
	if s.UserID != bob.ID || len(w.Result().Cookies()) == 0 {
		t.Errorf("a session of %s, cookies %v", s.UserID, w.Result().Cookies())
	}
	must(db.Check(ctx))(t)
}
