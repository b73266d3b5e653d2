package snib_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/snibtest"
)

var admins = snib.RolePolicy{Protected: []string{"admin"}}

func grant(tb testing.TB, db *snib.DB, u snib.User, roles ...string) {
	tb.Helper()
	for _, r := range roles {
		must(db.Roles().Grant(ctx, u.ID, r))(tb)
	}
}

// holders lists the users of a role.
func holders(tb testing.TB, db *snib.DB, role string) []snib.UserID {
	tb.Helper()
	return ids(tb, db.Roles().List(ctx, role, snib.ListOptions{}))
}

func TestGrantAndWithdrawChangeHasRole(t *testing.T) {
	db, clock := clocked(t, snib.Options{})
	u, other := user(t, db, "ada"), user(t, db, "bob")
	s := newSession(t, db, u)
	seen := func(want ...string) {
		t.Helper()
		_, v, err := db.ValidateSessionUser(ctx, s.Token.Reveal())
		if err != nil || !slices.Equal(v.Roles, want) || v.CredentialVersion != u.CredentialVersion {
			t.Errorf("roles %q, %v; want %q", v.Roles, err, want)
		}
	}
	seen()
	clock.Advance(tick)
	grant(t, db, u, "support", "admin")
	grant(t, db, other, "support-2")
	seen("admin", "support")
	quiet(t, db, func() {
		for _, bad := range []string{"", "Admin", "a b", "a\x00b", "é", strings.Repeat("r", 33)} {
			wantField(t, second(db.Roles().Grant(ctx, u.ID, bad)), "Role")
			wantField(t, second(db.Roles().Withdraw(ctx, u.ID, bad)), "Role")
			for _, err := range db.Roles().List(ctx, bad, snib.ListOptions{}) {
				wantField(t, err, "Role")
			}
		}
		wantErr(t, second(db.Roles().Grant(ctx, "nobody", "admin")), snib.ErrUserNotFound)
		wantErr(t, second(db.Roles().Withdraw(ctx, "nobody", "admin")), snib.ErrUserNotFound)
	})
	v := must(db.Roles().Withdraw(ctx, u.ID, "support"))(t)
	if !v.HasRole("admin") || v.HasRole("support") || v.HasRole("adm") || !v.UpdatedAt.Equal(clock.Now()) {
		t.Errorf("%+v", v)
	}
	seen("admin")
	for i := range snib.MaxRoles - 1 {
		grant(t, db, u, fmt.Sprint("r", i))
	}
	wantErr(t, second(db.Roles().Grant(ctx, u.ID, "one-more")), snib.ErrTooMany)
	grant(t, db, u, "admin") // has it
	if got := holders(t, db, "admin"); !slices.Equal(got, []snib.UserID{u.ID}) {
		t.Errorf("admins: %v", got)
	}
}

func TestKnownRolesOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	db := openFile(t, path, nil)
	u := user(t, db, "ada")
	grant(t, db, u, "legacy")
	closeDB(t, db)
	names := []string{"admin"}
	db = snibtest.OpenDB(t, path, &snib.Options{Roles: snib.RolePolicy{Known: names}})
	names[0] = "legacy" // the caller's
	wantField(t, second(db.Roles().Grant(ctx, u.ID, "legacy")), "Role")
	grant(t, db, u, "admin")
	must(db.Roles().Withdraw(ctx, u.ID, "legacy"))(t)
	in := snib.UserImport{Provider: "x", Identifier: "eve", Roles: []string{"admin", "legacy"}}
	wantField(t, second(db.ImportUser(ctx, in)), "Roles")
	in.Roles = []string{"Admin"}
	wantField(t, second(db.ImportUser(ctx, in)), "Roles")
	in.Roles = []string{"admin", "admin"}
	eve := must(db.ImportUser(ctx, in))(t)
	if got := holders(t, db, "admin"); !slices.Equal(eve.Roles, []string{"admin"}) || len(got) != 2 {
		t.Errorf("imported with %q; admins %v", eve.Roles, got)
	}
}

// TestListRolesGoesInPages: by the index, past the end of a page, and of no role
// that begins alike.
func TestListRolesGoesInPages(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	var want []snib.UserID
	err := db.Update(ctx, func(tx *snib.Tx) error {
		for i := range 300 {
			u := must(tx.CreateUser(snib.NewUser{Provider: "x", Identifier: fmt.Sprint(i)}))(t)
			if i%100 == 0 {
				must(tx.Roles().Grant(ctx, u.ID, "admin-2"))(t)
				continue
			}
			must(tx.Roles().Grant(ctx, u.ID, "admin"))(t)
			want = append(want, u.ID)
		}
		slices.Sort(want)
		if got := ids(t, tx.Roles().List(ctx, "admin", snib.ListOptions{Limit: 5, After: want[0]})); !slices.Equal(got, want[1:6]) {
			t.Errorf("in the transaction: %v", got)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := holders(t, db, "admin"); !slices.Equal(got, want) {
		t.Errorf("%d users, want %d", len(got), len(want))
	}
	after := ids(t, db.Roles().List(ctx, "admin", snib.ListOptions{After: want[270], Limit: 9}))
	if !slices.Equal(after, want[271:280]) {
		t.Errorf("behind the 271st: %v", after)
	}
	if err := db.DeleteUser(ctx, want[0]); err != nil {
		t.Fatal(err)
	}
	if got := holders(t, db, "admin"); !slices.Equal(got, want[1:]) {
		t.Error("a deleted user is listed")
	}
}

// TestLastHolderStays: by every way that is not an import, and whoever has the
// role but is disabled counts for nothing.
func TestLastHolderStays(t *testing.T) {
	db := snibtest.NewDB(t, &snib.Options{Roles: admins})
	ada, bob := user(t, db, "ada"), user(t, db, "bob")
	grant(t, db, ada, "admin", "support")
	grant(t, db, bob, "admin")
	must(db.DisableUser(ctx, bob.ID, ""))(t)
	quiet(t, db, func() {
		for what, err := range map[string]error{
			"Withdraw":    second(db.Roles().Withdraw(ctx, ada.ID, "admin")),
			"DisableUser": second(db.DisableUser(ctx, ada.ID, "")),
			"DeleteUser":  db.DeleteUser(ctx, ada.ID),
			"in a transaction": db.Update(ctx, func(tx *snib.Tx) error {
				return tx.DeleteUser(ada.ID)
			}),
		} {
			e, ok := errors.AsType[*snib.LastHolderError](err)
			if !ok || e.Role != "admin" || !errors.Is(err, snib.ErrLastHolder) {
				t.Errorf("%s: %v", what, err)
			}
		}
	})
	must(db.Roles().Withdraw(ctx, ada.ID, "support"))(t) // not protected
	must(db.EnableUser(ctx, bob.ID))(t)
	must(db.DisableUser(ctx, ada.ID, ""))(t)
	wantErr(t, db.DeleteUser(ctx, bob.ID), snib.ErrLastHolder)
	must(db.Roles().Withdraw(ctx, ada.ID, "admin"))(t) // disabled: bob has it
	wantErr(t, db.DeleteUser(ctx, ada.ID), nil)
	wantErr(t, db.DeleteUser(ctx, bob.ID), snib.ErrLastHolder)
	err := db.Update(ctx, func(tx *snib.Tx) error { // handed over in one commit
		must(tx.Roles().Grant(ctx, user2(t, tx, "carol").ID, "admin"))(t)
		return second(tx.Roles().Withdraw(ctx, bob.ID, "admin"))
	})
	wantErr(t, err, nil)
}

// TestLastHolderIsNoEntry: the record of another decides, not an entry of the
// index that leads to one who lost the role, or to a record that is damaged.
func TestLastHolderIsNoEntry(t *testing.T) {
	db := openFile(t, filepath.Join(t.TempDir(), "a.db"), &snib.Options{Roles: admins})
	ada, bob, carol := user(t, db, "ada"), user(t, db, "bob"), user(t, db, "carol")
	grant(t, db, ada, "admin")
	grant(t, db, carol, "admin")
	b := handle(t, db)
	rawPut(t, b, "roles", pair("admin", string(bob.ID)), nil)
	rawPut(t, b, "users", string(carol.ID), []byte("damage"))
	wantErr(t, second(db.Roles().Withdraw(ctx, ada.ID, "admin")), snib.ErrLastHolder)
	for _, err := range db.Roles().List(ctx, "admin", snib.ListOptions{After: ada.ID}) {
		wantErr(t, err, snib.ErrCorrupt)
	}
	wantErr(t, db.DeleteUser(ctx, carol.ID), nil) // damage keeps nobody in
}

func user2(tb testing.TB, tx *snib.Tx, name string) snib.User {
	tb.Helper()
	return must(tx.CreateUser(snib.NewUser{Provider: "x", Identifier: name}))(tb)
}

// TestLastHoldersAtOnce: of two who leave at the same moment one stays.
func TestLastHoldersAtOnce(t *testing.T) {
	db := snibtest.NewDB(t, &snib.Options{Roles: admins})
	for round := range 5 {
		a, b := user(t, db, fmt.Sprint("a", round)), user(t, db, fmt.Sprint("b", round))
		grant(t, db, a, "admin")
		grant(t, db, b, "admin")
		for _, old := range holders(t, db, "admin") {
			if old != a.ID && old != b.ID {
				must(db.Roles().Withdraw(ctx, old, "admin"))(t)
			}
		}
		errs := make([]error, 2)
		var done sync.WaitGroup
		done.Go(func() { errs[0] = second(db.Roles().Withdraw(ctx, a.ID, "admin")) })
		done.Go(func() { errs[1] = db.DeleteUser(ctx, b.ID) })
		done.Wait()
		if (errs[0] == nil) == (errs[1] == nil) || len(holders(t, db, "admin")) != 1 {
			t.Errorf("%v; %v are left", errs, holders(t, db, "admin"))
		}
		wantErr(t, errors.Join(errs...), snib.ErrLastHolder)
	}
}

// TestClaimTokenMakesTheFirstHolder: 100 at once make one, and later none.
func TestClaimTokenMakesTheFirstHolder(t *testing.T) {
	db := snibtest.NewDB(t, &snib.Options{Roles: admins})
	token := must(db.Roles().ClaimToken(ctx, "admin"))(t).Reveal()
	if again := must(db.Roles().ClaimToken(ctx, "admin"))(t).Reveal(); again != token || len(token) < 50 {
		t.Errorf("another text, or a short one")
	}
	if left := mentions(t, db, token); left != nil {
		t.Errorf("the token is in %q", left)
	}
	var sessions []snib.Session
	for i := range 100 {
		sessions = append(sessions, newSession(t, db, user(t, db, fmt.Sprint("u", i))))
	}
	quiet(t, db, func() {
		other := snibtest.NewDB(t, &snib.Options{Roles: admins})
		for _, text := range []string{"", "admin", token[1:], token[:len(token)-1] + "x", must(other.Roles().ClaimToken(ctx, "admin"))(t).Reveal()} {
			wantErr(t, second(db.Roles().Claim(ctx, sessions[0], "admin", text)), snib.ErrInvalidOneTimeToken)
		}
		wantErr(t, second(db.Roles().Claim(ctx, sessions[0], "root", token)), snib.ErrInvalidOneTimeToken)
		wantErr(t, second(db.Roles().Claim(ctx, snib.Session{}, "admin", token)), snib.ErrInvalidInput)
		wantField(t, second(db.Roles().ClaimToken(ctx, "support")), "Role")
	})
	errs := make([]error, len(sessions))
	var done sync.WaitGroup
	for i, s := range sessions {
		done.Go(func() { errs[i] = second(db.Roles().Claim(ctx, s, "admin", token)) })
	}
	done.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
			continue
		}
		wantErr(t, err, snib.ErrRoleHeld)
	}
	if all := holders(t, db, "admin"); won != 1 || len(all) != 1 {
		t.Errorf("%d have claimed, %v have it", won, all)
	}
	wantErr(t, second(db.Roles().ClaimToken(ctx, "admin")), snib.ErrRoleHeld)
}

// TestRolesSurviveAnotherIndex: building indexes, a compact copy and a repair of
// other things keep them.
func TestRolesSurviveAnotherIndex(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	db := openFile(t, path, nil)
	u := user(t, db, "ada")
	grant(t, db, u, "admin", "support")
	closeDB(t, db)
	db = openFile(t, path, &snib.Options{Indexes: []snib.Index{{Name: "team"}}})
	copied := filepath.Join(t.TempDir(), "b.db")
	if err := db.File().CompactTo(ctx, copied, nil); err != nil {
		t.Fatal(err)
	}
	db = snibtest.OpenDB(t, copied, nil)
	if v := must(db.GetUser(ctx, u.ID))(t); !slices.Equal(v.Roles, []string{"admin", "support"}) || len(holders(t, db, "support")) != 1 {
		t.Errorf("roles %q", v.Roles)
	}
}

func TestCheckINV22Roles(t *testing.T) {
	key := func(c *checked, role string, id snib.UserID) string { return pair(role, string(id)) }
	granted := func(break_ func(testing.TB, *checked) breach) func(testing.TB, *checked) breach {
		return func(tb testing.TB, c *checked) breach {
			grant(tb, c.db, c.ada, "admin")
			return break_(tb, c)
		}
	}
	breaking(t, map[string]func(testing.TB, *checked) breach{
		"an entry is missing": granted(func(tb testing.TB, c *checked) breach {
			rawDelete(tb, c.b, "roles", key(c, "admin", c.ada.ID))
			return breach{22, "roles", string(c.ada.ID)}
		}),
		"an entry of another role": granted(func(tb testing.TB, c *checked) breach {
			rawPut(tb, c.b, "roles", key(c, "owner", c.ada.ID), nil)
			return breach{22, "roles", string(c.ada.ID)}
		}),
		"an entry of nobody": granted(func(tb testing.TB, c *checked) breach {
			rawPut(tb, c.b, "roles", key(c, "admin", "ghost"), nil)
			return breach{22, "roles", "ghost"}
		}),
		"an entry that is none": granted(func(tb testing.TB, c *checked) breach {
			rawPut(tb, c.b, "roles", "admin", nil)
			return breach{2, "roles", ""}
		}),
		"a role that cannot be": granted(func(tb testing.TB, c *checked) breach {
			c.editUser(tb, c.ada.ID, func(u *codec.User) { u.Roles = []string{"Root", "admin"} })
			rawPut(tb, c.b, "roles", key(c, "Root", c.ada.ID), nil)
			return breach{22, "users", string(c.ada.ID)}
		}),
	})
	c := newChecked(t) // DeleteUser needs no readable record
	grant(t, c.db, c.ada, "admin")
	rawPut(t, c.b, "users", string(c.ada.ID), []byte("damage"))
	wantErr(t, c.db.DeleteUser(ctx, c.ada.ID), nil)
	if left := mentions(t, c.db, string(c.ada.ID)); left != nil {
		t.Errorf("left: %q", left)
	}
}

// TestClaimedIdentityLeavesLastHolder: the last user with a protected role loses
// an address to its holder, and is not shut out.
func TestClaimedIdentityLeavesLastHolder(t *testing.T) {
	db, _ := clocked(t, snib.Options{Roles: admins})
	admin, other := email(t, db, "boss@example.com"), user(t, db, "bob")
	grant(t, db, admin, "admin", "support")
	s := newSession(t, db, admin)
	must(db.Identities().Verify(ctx, other.ID, "email", "boss@example.com"))(t)
	if u := asNow(t, db, admin.ID); u.Disabled() || len(u.Identities) != 0 {
		t.Errorf("the last admin: %+v", u)
	}
	valid(t, db, s)
	// Nothing may lead to that account: it is no holder for another.
	grant(t, db, other, "admin")
	for _, err := range []error{
		db.DeleteUser(ctx, other.ID), second(db.DisableUser(ctx, other.ID, "")), second(db.Roles().Withdraw(ctx, other.ID, "admin")),
	} {
		wantErr(t, err, snib.ErrLastHolder)
	}
	must(db.LinkIdentity(ctx, admin.ID, "email", "boss2@example.com"))(t)
	third := user(t, db, "cy")
	must(db.Identities().Verify(ctx, third.ID, "email", "boss2@example.com"))(t)
	if u := asNow(t, db, admin.ID); !u.Disabled() {
		t.Error("one of two admins is enabled, with no identity")
	}
	invalid(t, db, s)
}
