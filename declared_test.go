package snib_test

import (
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibtest"
)

// Two DBs on one handle, of which the second declares more: what the file
// declares holds for both, from the next transaction on.

// newDeclared makes a DB on a handle without indexes, with ada, and returns
// what makes another DB that declares indexes of nick and team.
func newDeclared(tb testing.TB) (one *snib.DB, ada snib.User, redeclare func() *snib.DB) {
	tb.Helper()
	b := openBolt(tb, filepath.Join(tb.TempDir(), "app.db"))
	one = must(snib.New(b, snibtest.Fast(nil)))(tb)
	ada = must(one.CreateUser(ctx, snib.NewUser{Provider: "username", Identifier: "ada", Attributes: snib.Attributes{"nick": "Countess", "team": "engine"}}))(tb)
	return one, ada, func() *snib.DB {
		return must(snib.New(b, snibtest.Fast(&snib.Options{
			Indexes: []snib.Index{{Name: "nick", Unique: true, Fold: true}, {Name: "team"}},
		})))(tb)
	}
}

func TestADBSeesWhatAnotherDeclares(t *testing.T) {
	one, ada, redeclare := newDeclared(t)
	wantField(t, second(one.GetUserByAttribute(ctx, "nick", "countess")), "Name")
	two := redeclare()
	if u := must(one.GetUserByAttribute(ctx, "nick", "COUNTESS"))(t); u.ID != ada.ID {
		t.Errorf("found %s, want %s", u.ID, ada.ID)
	}
	bob := must(one.CreateUser(ctx, snib.NewUser{Provider: "username", Identifier: "bob", Attributes: snib.Attributes{"nick": "Builder", "team": "engine"}}))(t)
	if n := len(ids(t, two.ListUsersByAttribute(ctx, "team", "engine", snib.ListOptions{}))); n != 2 {
		t.Errorf("the other lists %d, want 2", n)
	}
	wantErr(t, second(one.UpdateUserAttributes(ctx, bob.ID, snib.Attributes{"nick": "COUNTESS"})), snib.ErrAttributeTaken)
	must(one.UpdateUserAttributes(ctx, ada.ID, snib.Attributes{"nick": "Lovelace"}))(t)
	wantErr(t, second(two.GetUserByAttribute(ctx, "nick", "Countess")), snib.ErrUserNotFound)
	if u := must(two.GetUserByAttribute(ctx, "nick", "lovelace"))(t); u.ID != ada.ID {
		t.Errorf("found %s, want %s", u.ID, ada.ID)
	}
	if err := one.DeleteUser(ctx, bob.ID); err != nil {
		t.Fatal(err)
	}
	if left := mentions(t, two, string(bob.ID)); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
	snibtest.CheckAndClose(t, two)
	snibtest.CheckAndClose(t, one)
}

// TestADBSeesAnotherRule: also the rules of providers.
func TestADBSeesAnotherRule(t *testing.T) {
	b := openBolt(t, filepath.Join(t.TempDir(), "app.db"))
	one := must(snib.New(b, snibtest.Fast(nil)))(t)
	ada := must(one.CreateUser(ctx, snib.NewUser{Provider: "login", Identifier: "Ada"}))(t)
	wantErr(t, second(one.GetUserByProviderID(ctx, "login", "ada")), snib.ErrUserNotFound) // exact
	two := must(snib.New(b, snibtest.Fast(&snib.Options{Providers: map[string]snib.IdentifierRule{"login": snib.Username}})))(t)
	if u := must(one.GetUserByProviderID(ctx, "login", "ADA"))(t); u.ID != ada.ID {
		t.Errorf("found %s", u.ID)
	}
	wantErr(t, second(one.CreateUser(ctx, snib.NewUser{Provider: "login", Identifier: "aDa"})), snib.ErrIdentityTaken)
	snibtest.CheckAndClose(t, two)
	snibtest.CheckAndClose(t, one)
}

// TestDeclarationsChangeUnderWriters: writers and readers of one DB go on while
// another declares and undeclares. Whatever comes first, entries are those of
// the declarations in force.
func TestDeclarationsChangeUnderWriters(t *testing.T) {
	one, ada, redeclare := newDeclared(t)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				name := fmt.Sprintf("w%d-%d", g, i)
				u, err := one.CreateUser(ctx, snib.NewUser{Provider: "username", Identifier: name, Attributes: snib.Attributes{"nick": name, "team": g}})
				if err == nil && i%2 == 0 {
					_, err = one.UpdateUserAttributes(ctx, u.ID, snib.Attributes{"nick": name + "x", "team": nil})
				}
				if err == nil && i%3 == 0 {
					err = one.DeleteUser(ctx, u.ID)
				}
				if err != nil {
					t.Errorf("writer: %v", err)
					return
				}
				if u, err := one.GetUserByAttribute(ctx, "nick", "countess"); err == nil && u.ID != ada.ID {
					t.Errorf("found %s, want %s", u.ID, ada.ID)
				}
			}
		})
	}
	for range 5 {
		two := redeclare()
		must(one.GetUserByAttribute(ctx, "nick", "countess"))(t)
		must(two.Check(ctx))(t)
		b := handle(t, two)
		closeDB(t, two)
		closeDB(t, must(snib.New(b, snibtest.Fast(&snib.Options{Indexes: []snib.Index{}})))(t))
		wantField(t, second(one.GetUserByAttribute(ctx, "nick", "countess")), "Name")
		must(one.Check(ctx))(t)
	}
	close(stop)
	wg.Wait()
	snibtest.CheckAndClose(t, one)
}
