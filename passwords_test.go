package snib_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/internal/accounttest"
	"github.com/snibdb/snib/snibtest"
)

func TestUpdateUserPasswordEndsEverything(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	u := email(t, db, "a@example.com")
	gone := logIn(t, db, "a@example.com")
	famSession, family, err := db.CreateRefreshToken(ctx, u, snib.SessionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	link := must(db.Tokens().Create(ctx, u.ID, "reset", time.Hour, nil))(t)
	stranger := email(t, db, "b@example.com")
	theirs := logIn(t, db, "b@example.com")

	_, err = db.UpdateUserPassword(ctx, u.ID, "short")
	wantField(t, err, "Password")

	got := must(db.UpdateUserPassword(ctx, u.ID, "a new passphrase"))(t)
	if got.CredentialVersion != u.CredentialVersion+1 {
		t.Errorf("version %d", got.CredentialVersion)
	}
	invalid(t, db, gone)
	invalid(t, db, famSession)
	refused(t, db, family.Token.Reveal(), snib.ErrInvalidRefreshToken)
	_, err = db.Tokens().Use(ctx, "reset", link.Token.Reveal())
	wantErr(t, err, snib.ErrInvalidOneTimeToken)
	_, err = db.AuthenticateUser(ctx, "email", "a@example.com", password)
	wantErr(t, err, snib.ErrInvalidCredentials)
	must(db.AuthenticateUser(ctx, "email", "a@example.com", "a new passphrase"))(t)
	valid(t, db, theirs)

	got = must(db.RemoveUserPassword(ctx, u.ID))(t)
	if got.HasPassword {
		t.Error("still has a password")
	}
	for _, p := range []string{"a new passphrase", password, "x"} {
		_, err = db.AuthenticateUser(ctx, "email", "a@example.com", p)
		wantErr(t, err, snib.ErrInvalidCredentials)
	}
	must(db.AuthenticateUser(ctx, "email", stranger.Identities[0].Identifier, password))(t)
}

func TestRemoveUserPasswordEndsEverything(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	u := email(t, db, "a@example.com")
	gone := logIn(t, db, "a@example.com")
	_, family, err := db.CreateRefreshToken(ctx, u, snib.SessionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	link := must(db.Tokens().Create(ctx, u.ID, "reset", time.Hour, nil))(t)
	email(t, db, "b@example.com")
	theirs := logIn(t, db, "b@example.com")

	got := must(db.RemoveUserPassword(ctx, u.ID))(t)
	if got.HasPassword || got.CredentialVersion != u.CredentialVersion+1 {
		t.Errorf("has a password %t, version %d", got.HasPassword, got.CredentialVersion)
	}
	valid(t, db, theirs)
	invalid(t, db, gone)
	_, _, err = db.Refresh(ctx, family.Token.Reveal())
	wantErr(t, err, snib.ErrInvalidRefreshToken)
	_, err = db.Tokens().Use(ctx, "reset", link.Token.Reveal())
	wantErr(t, err, snib.ErrInvalidOneTimeToken)
	_, err = db.AuthenticateUser(ctx, "email", "a@example.com", password)
	wantErr(t, err, snib.ErrInvalidCredentials)
}

// A hash of one call is taken by several: made outside of the transaction, it
// costs no writer its turn.
func TestHashPasswordIsTakenInATransaction(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	for _, p := range []string{"", "1234567", "nul\x00 and more"} {
		_, err := db.HashPassword(ctx, p)
		wantField(t, err, "Password")
	}
	one, two := must(db.HashPassword(ctx, password))(t), must(db.HashPassword(ctx, "a new passphrase"))(t)
	create := func(tx *snib.Tx) error {
		for _, address := range []string{"a@example.com", "b@example.com"} {
			u, err := tx.CreateUser(snib.NewUser{Provider: "email", Identifier: address, PasswordHash: one})
			if err != nil {
				return err
			}
			if address[0] == 'b' {
				if _, err := tx.UpdateUserPassword(u.ID, two); err != nil {
					return err
				}
			}
		}
		return nil
	}
	if err := db.Update(ctx, create); err != nil {
		t.Fatal(err)
	}
	for address, p := range map[string][2]string{"a@example.com": {password, "a new passphrase"}, "b@example.com": {"a new passphrase", password}} {
		must(db.AuthenticateUser(ctx, "email", address, p[0]))(t)
		_, err := db.AuthenticateUser(ctx, "email", address, p[1])
		wantErr(t, err, snib.ErrInvalidCredentials)
	}
}

func TestUpdateUserPasswordTakesPasswordsWhole(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	u := email(t, db, "a@example.com")
	long := strings.Repeat("x", 1023)
	for name, c := range map[string]struct{ set, same, other string }{
		"8 code points":      {"12345678", "", "123456789"},
		"8 of 4 bytes":       {strings.Repeat("😀", 8), "", strings.Repeat("😀", 7)},
		"1,024 bytes":        {long + "y", "", long + "z"},
		"NFKC growth":        {strings.Repeat("\ufdfa", 341), "", strings.Repeat("\ufdfa", 340) + "x"},
		"NFKC":               {accounttest.Ligature, accounttest.Folded, "fil VIII étude"},
		"decomposed":         {"e\u0301tude etude", "\u00e9tude etude", "etude etude"},
		"spaces at the ends": {"  12345678  ", "", "12345678"},
		"only spaces":        {strings.Repeat(" ", 8), "", strings.Repeat(" ", 9)},
		"wide spaces":        {strings.Repeat("\u3000", 8), strings.Repeat(" ", 8), strings.Repeat(" ", 7)},
		"controls":           {"a\tb\nc\x7f1234", "", "abc1234"},
		"case":               {"PassWord", "", "password"},
	} {
		t.Run(name, func(t *testing.T) {
			must(db.UpdateUserPassword(ctx, u.ID, c.set))(t)
			for _, p := range []string{c.set, c.same} {
				if p != "" {
					must(db.AuthenticateUser(ctx, "email", "a@example.com", p))(t)
				}
			}
			for _, p := range []string{c.other, c.set + "x", c.set[:len(c.set)-1], "x"} {
				if _, err := db.AuthenticateUser(ctx, "email", "a@example.com", p); err == nil {
					t.Errorf("%.30q is accepted too", p)
				}
			}
		})
	}
}

func TestChangePasswordIsThrottledAsALogInIs(t *testing.T) {
	var asked []string
	stop := errors.New("slow down")
	db := snibtest.NewDB(t, &snib.Options{
		Throttle: snib.ThrottlePolicy{BeforeAuth: func(_ context.Context, a snib.Attempt) error {
			asked = append(asked, a.Provider+":"+a.Identifier)
			if len(asked) > 2 {
				return stop
			}
			return nil
		}},
	})
	u := email(t, db, "A@example.com")
	_, err := changePassword(t, db, u.ID, "wrong password", "a new passphrase")
	wantErr(t, err, snib.ErrInvalidCredentials)
	must(changePassword(t, db, u.ID, password, "a new passphrase"))(t)
	_, err = changePassword(t, db, u.ID, "a new passphrase", password)
	wantErr(t, err, stop)
	if got := fmt.Sprint(asked); got != "[email:a@example.com email:a@example.com email:a@example.com]" {
		t.Errorf("asked %v", got)
	}
}

// A password is good until somebody changes it, though the sessions that came
// of it are long over.
func TestLogInByAPasswordThatDoesNotExpire(t *testing.T) {
	db, clock := clocked(t, snib.Options{})
	u := email(t, db, "a@example.com")
	old := logIn(t, db, "a@example.com")
	for range 20 {
		clock.Advance(365 * 24 * time.Hour)
		valid(t, db, logIn(t, db, "a@example.com"))
	}
	invalid(t, db, old)
	got := must(db.GetUser(ctx, u.ID))(t)
	if !got.PasswordChangedAt.Equal(u.PasswordChangedAt) || got.CredentialVersion != u.CredentialVersion {
		t.Errorf("changed at %v to version %d, though nobody did", got.PasswordChangedAt, got.CredentialVersion)
	}
}

func TestChangePasswordVerifiesWhateverIsStored(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	populate(t, db)
	passes := observe(t, db)
	want := []string{"argon2id m=8 t=1 p=1"}
	for _, name := range []string{"active", "none", "removed", "corrupt", "huge"} {
		u := must(db.GetUserByProviderID(ctx, "email", name+"@example.com"))(t)
		got := passes.during(func() {
			_, err := changePassword(t, db, u.ID, "a wrong passphrase", "a new passphrase")
			wantErr(t, err, snib.ErrInvalidCredentials)
		})
		if !slices.Equal(got, want) {
			t.Errorf("%s: passes %q, want %q", name, got, want)
		}
	}
}

func TestChangePasswordIsACompareAndSwap(t *testing.T) {
	db := snibtest.NewDB(t, &snib.Options{Throttle: snib.ThrottlePolicy{InsecureOff: true}})
	u := email(t, db, "a@example.com")
	s, none := newSession(t, db, u), newSession(t, db, user(t, db, "none"))
	off := newSession(t, db, user(t, db, "off"))
	must(db.DisableUser(ctx, off.UserID, ""))(t)
	change := func(s snib.Session, current, password string) (snib.Session, error) {
		return db.ChangePassword(ctx, s.Token.Reveal(), current, password)
	}
	quiet(t, db, func() {
		_, err := change(s, "a wrong password", "a new passphrase")
		wantErr(t, err, snib.ErrInvalidCredentials)
		_, err = change(none, password, "a new passphrase")
		wantErr(t, err, snib.ErrInvalidCredentials)
		_, err = change(off, password, "a new passphrase")
		wantErr(t, err, snib.ErrInvalidSession)
		_, err = change(s, password, "short")
		wantField(t, err, "Password")
		passes := observe(t, db)
		for _, current := range []string{"", "nul\x00", "\xff", strings.Repeat("x", 1025)} {
			got := passes.during(func() { _, err = change(s, current, "a new passphrase") })
			if !errors.Is(err, snib.ErrInvalidCredentials) || len(got) != 1 {
				t.Errorf("current %.10q: %v after %d passes, want it wrong after one", current, err, len(got))
			}
		}
	})
	for _, o := range raising {
		t.Run(o.name, func(t *testing.T) {
			db := snibtest.NewDB(t, nil)
			u := opUser(t, db)
			s := newSession(t, db, u)
			var after map[string]string
			once(db, func() {
				if err := o.do(db, u.ID, s); err != nil {
					t.Fatal(err)
				}
				after, _ = content(t, db)
			})
			_, err := db.ChangePassword(ctx, s.Token.Reveal(), password, "the passphrase that lost")
			switch {
			case o.name == "DisableUser", strings.Contains(o.name, "Password"):
				wantErr(t, err, snib.ErrInvalidSession) // as the session has ended
			default: // says nothing of the password
				if err != nil {
					t.Fatal(err)
				}
				must(db.GetUser(ctx, u.ID))(t)
				return
			}
			if now, _ := content(t, db); after == nil || !maps.Equal(now, after) {
				t.Error("the late change has written something")
			}
		})
	}
	gone := logIn(t, db, "a@example.com")
	changed := must(change(s, password, "a new passphrase"))(t)
	if now := asNow(t, db, u.ID); now.CredentialVersion != u.CredentialVersion+1 {
		t.Errorf("version %d", now.CredentialVersion)
	}
	valid(t, db, changed)
	invalid(t, db, s)
	invalid(t, db, gone)
	must(db.AuthenticateUser(ctx, "email", "a@example.com", "a new passphrase"))(t)
	_, err := change(changed, password, "another passphrase")
	wantErr(t, err, snib.ErrInvalidCredentials)
}

// common is a blocklist of one.
type common string

func (c common) Common(folded string) bool { return folded == string(c) }

// TestPasswordPolicy is applied where a password is set, whatever its spelling,
// and nowhere else.
func TestPasswordPolicy(t *testing.T) {
	db := snibtest.NewDB(t, &snib.Options{Passwords: snib.PasswordPolicy{
		MinLength: 10, Blocklist: common("strasse of common words"), Names: []string{"The Notes Program"},
	}})
	u := email(t, db, "ada.lovelace@example.com")
	must(db.LinkIdentity(ctx, u.ID, "username", "countess_lovelace"))(t)
	for _, c := range []struct{ password, reason string }{
		{"short", "must have 10 characters or more"}, {"ninechars", "must have 10 characters or more"},
		{"\ufdfaabcdefgh", "must have 10 characters or more"}, // 26 in NFKC, and 9 as it is
		{"STRASSE OF COMMON WORDS", "is one of the most common ones"},
		{"\uff33trasse of common words", "is one of the most common ones"}, // an S of full width
		{"the notes PROGRAM", "is a name"},
		{"Ada.Lovelace@Example.com", "is a name of the user"},
		{"ADA.LOVELACE", "is a name of the user"},
		{"Countess_Lovelace", "is a name of the user"},
		{"ada.lovelace@example.co", ""},
	} {
		for name, set := range map[string]func() error{
			"UpdateUserPassword": func() error { _, err := db.UpdateUserPassword(ctx, u.ID, c.password); return err },
			"ChangePassword": func() error {
				s := newSession(t, db, asNow(t, db, u.ID))
				_, err := db.ChangePassword(snib.AsOperator(ctx), s.Token.Reveal(), password, c.password)
				return err
			},
		} {
			err := set()
			var e *snib.InputError
			if c.reason == "" && err != nil || c.reason != "" && (!errors.As(err, &e) || e.Field != "Password" || e.Reason != c.reason) {
				t.Errorf("%s %q: %v, want %q", name, c.password, err, c.reason)
			}
			if c.reason == "" {
				must(db.UpdateUserPassword(ctx, u.ID, password))(t)
			}
		}
	}
	_, err := db.CreateUser(ctx, snib.NewUser{Provider: "email", Identifier: "Grace.Hopper@example.com", Password: "grace.hopper"})
	wantField(t, err, "Password")
	// At a log-in a short one is as good as any that was set before.
	_, err = db.AuthenticateUser(ctx, "email", "ada.lovelace@example.com", "short")
	wantErr(t, err, snib.ErrInvalidCredentials)
}
