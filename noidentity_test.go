package snib_test

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/snibhttp"
	"github.com/snibdb/snib/snibtest"
)

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
	link := must(db.CreateOneTimeToken(ctx, bob.ID, "reset", time.Hour, nil))(t)
	must(db.DisableUser(ctx, bob.ID, "lost"))(t)
	invalid(t, db, bobs)
	wantErr(t, second(db.UseOneTimeToken(ctx, "reset", link.Token.Reveal())), snib.ErrInvalidOneTimeToken)
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
	db, bob, bobs := newNameless(t, snib.Options{BeforeAuth: func(_ context.Context, provider, identifier string) error {
		asked = append(asked, provider+":"+identifier)
		return nil
	}})
	_, err := db.ChangePassword(ctx, bob.ID, "not the password", "another passphrase")
	wantErr(t, err, snib.ErrInvalidCredentials)
	must(db.ChangePassword(ctx, bob.ID, password, "another passphrase"))(t)
	if strings.Join(asked, " ") != ": :" {
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
	s := must(m.LogIn(w, r, bob, nil))(t)
	if s.UserID != bob.ID || len(w.Result().Cookies()) == 0 {
		t.Errorf("a session of %s, cookies %v", s.UserID, w.Result().Cookies())
	}
	must(db.Check(ctx))(t)
}
