package snib_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibtest"
)

// TestListUsersByPrefix finds each user once, by the rule of the provider, in
// pages too.
func TestListUsersByPrefix(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	named := map[snib.UserID]string{}
	add := func(name string, identities ...snib.Identity) {
		t.Helper()
		u := must(db.CreateUser(ctx, snib.NewUser{Provider: identities[0].Provider, Identifier: identities[0].Identifier}))(t)
		for _, x := range identities[1:] {
			must(db.LinkIdentity(ctx, u.ID, x.Provider, x.Identifier))(t)
		}
		named[u.ID] = name
	}
	mail := func(a string) snib.Identity { return snib.Identity{Provider: "email", Identifier: a} }
	add("grace", mail("Grace@example.com"), mail("ada-too@example.com"))
	add("ada", mail("ADA@example.com"))
	add("two", mail("ada.two@example.com"), snib.Identity{Provider: "x", Identifier: "ada"}, mail("ada.one@example.com"))
	add("name", snib.Identity{Provider: "username", Identifier: "AdaL"})
	add("high", snib.Identity{Provider: "x", Identifier: "a\U0010ffff"})
	for _, c := range []struct{ provider, prefix, want string }{
		{"email", "ada", "grace two ada"}, // ada-too, ada.one and ada.two, ada@
		{"email", "ADA@EX", "ada"}, {"email", "ada.", "two"}, {"email", "a", "grace two ada"},
		{"email", "", "grace two ada"}, {"email", "g", "grace"}, {"email", "b", ""}, {"email", "ada\x00", ""},
		{"username", "adal", "name"}, {"username", "ADA", "name"}, {"username", "a b", ""},
		{"x", "a", "two high"}, {"x", "A", ""}, {"x", "a\U0010ffff", "high"}, {"emai", "", ""}, {"nobody", "a", ""},
		{"email", strings.Repeat("a", 257), ""},
	} {
		o := snib.ListOptions{Provider: c.provider, Prefix: c.prefix}
		names := func(list []snib.UserID) string {
			var out []string
			for _, id := range list {
				out = append(out, named[id])
			}
			return strings.Join(out, " ")
		}
		all := ids(t, db.ListUsers(ctx, o))
		if got := names(all); got != c.want {
			t.Errorf("%s %q: %q, want %q", c.provider, c.prefix, got, c.want)
		}
		var paged []snib.UserID
		for o.Limit = 1; ; o.After = paged[len(paged)-1] {
			next := ids(t, db.ListUsers(ctx, o))
			if len(next) == 0 {
				break
			}
			paged = append(paged, next...)
		}
		if !slices.Equal(paged, all) {
			t.Errorf("%s %q in pages: %q, want %q", c.provider, c.prefix, names(paged), c.want)
		}
	}
}

// TestListUsersByPrefixGoesOn over pages of its own while users are deleted, and
// may be ranged over again.
func TestListUsersByPrefixGoesOn(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	for i := range 600 {
		nobody(t, db, fmt.Sprintf("%03d", i))
	}
	list := db.ListUsers(ctx, snib.ListOptions{Provider: "x", Limit: 590})
	for range 2 {
		n := 0
		for u, err := range list {
			if err != nil || u.Identities[0].Identifier != fmt.Sprintf("%03d", n) {
				t.Fatalf("user %d is %v, %v", n, u.Identities, err)
			}
			n++
		}
		if n != 590 {
			t.Errorf("%d users", n)
		}
	}
	n := 0
	for u, err := range list {
		if err == nil {
			err = db.DeleteUser(ctx, u.ID)
		}
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != 590 {
		t.Errorf("%d users while they are deleted", n)
	}
}

func TestListUsersByPrefixRefuses(t *testing.T) {
	db := snibtest.NewDB(t, &snib.Options{Indexes: []snib.Index{{Name: "team"}}})
	u := email(t, db, "a@example.com")
	for field, o := range map[string]snib.ListOptions{
		"Provider":  {Prefix: "a"},
		"Provider ": {Provider: "a b"},
		"After":     {Provider: "email", After: "usr_00000000000000000000000000"},
		"After ":    {Provider: "email", Prefix: "b", After: u.ID},
	} {
		wantField(t, lastError(t, db.ListUsers(ctx, o)), strings.TrimSpace(field))
		err := db.View(ctx, func(tx *snib.Tx) error { return lastError(t, tx.ListUsers(o)) })
		wantField(t, err, strings.TrimSpace(field))
	}
	wantField(t, lastError(t, db.ListUsersByAttribute(ctx, "team", 1, snib.ListOptions{Provider: "email"})), "Provider")
}
