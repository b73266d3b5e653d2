package snib_test

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibtest"
)

// with creates a user with one attribute. The name is the id too, so that the
// order of users is that of their names.
func with(tb testing.TB, db *snib.DB, name string, key string, value any) snib.User {
	tb.Helper()
	return must(db.ImportUser(ctx, snib.UserImport{ID: snib.UserID(name), Provider: "x", Identifier: name, Attributes: snib.Attributes{key: value}}))(tb)
}

// team lists the users whose attribute "team" has this value.
func team(tb testing.TB, db *snib.DB, value any) []snib.UserID {
	tb.Helper()
	return ids(tb, db.ListUsersByAttribute(ctx, "team", value, snib.ListOptions{}))
}

func declare(indexes ...snib.Index) *snib.Options {
	return &snib.Options{Indexes: append([]snib.Index{}, indexes...)}
}

// Each step reopens the file with other declarations, and says what can be
// found then.
func TestOpenMakesTheFileAsDeclared(t *testing.T) {
	path := filepath.Join(t.TempDir(), "accounts.db")
	db := openFile(t, path, nil)
	a := with(t, db, "a", "team", "Red")
	b := with(t, db, "b", "team", "Blue")
	closeDB(t, db)
	const undeclared, list, unique = 0, 1, 2
	for _, c := range []struct {
		name     string
		o        *snib.Options
		declared int
		folded   bool
	}{
		{"new file declares none", nil, undeclared, false},
		{"add", declare(snib.Index{Name: "team"}), list, false},
		{"nil keeps", nil, list, false},
		{"again the same", declare(snib.Index{Name: "team"}), list, false},
		{"fold", declare(snib.Index{Name: "team", Fold: true}), list, true},
		{"nil keeps the fold", &snib.Options{}, list, true},
		{"unique", declare(snib.Index{Name: "team", Unique: true, Fold: true}), unique, true},
		{"unfold", declare(snib.Index{Name: "team", Unique: true}), unique, false},
		{"no longer unique, and another", declare(snib.Index{Name: "zz"}, snib.Index{Name: "team"}), list, false},
		{"nil keeps both", nil, list, false},
		{"other order", declare(snib.Index{Name: "team"}, snib.Index{Name: "zz"}), list, false},
		{"drop", declare(), undeclared, false},
		{"stays dropped", nil, undeclared, false},
		{"unique at once", declare(snib.Index{Name: "team", Unique: true}), unique, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			db := openFile(t, path, c.o)
			defer snibtest.CheckAndClose(t, db)
			_, err := db.GetUserByAttribute(ctx, "team", "Red")
			if c.declared == unique {
				if got := must(db.GetUserByAttribute(ctx, "team", "Red"))(t); got.ID != a.ID {
					t.Errorf("found %s, want %s", got.ID, a.ID)
				}
			} else {
				wantField(t, err, "Name")
			}
			if c.declared == undeclared {
				for _, err := range db.ListUsersByAttribute(ctx, "team", "Red", snib.ListOptions{}) {
					wantField(t, err, "Name")
				}
				return
			}
			if got := team(t, db, "Blue"); !slices.Equal(got, []snib.UserID{b.ID}) {
				t.Errorf("Blue is %v, want %v", got, b.ID)
			}
			if got := team(t, db, "BLUE"); (len(got) == 1) != c.folded {
				t.Errorf("BLUE is %v, folded: %t", got, c.folded)
			}
		})
	}
}

// refusedAndUnchanged opens with o, wants a ConflictError, and then the file
// byte for byte as it was.
func refusedAndUnchanged(tb testing.TB, path string, o *snib.Options, name string, kind error, users ...snib.UserID) {
	tb.Helper()
	before := must(os.ReadFile(path))(tb)
	_, err := snib.Open(path, snibtest.Fast(o))
	wantErr(tb, err, kind)
	e, ok := errors.AsType[*snib.ConflictError](err)
	if !ok {
		tb.Fatalf("got %T %v, want a ConflictError", err, err)
	}
	if got := e.Users[:]; e.Name != name || !slices.Equal(got, users) {
		tb.Errorf("names %s of %v, want %s of %v", e.Name, got, name, users)
	}
	if !strings.Contains(err.Error(), string(users[0])) || !strings.Contains(err.Error(), string(users[1])) {
		tb.Errorf("the text names not both: %v", err)
	}
	if after := must(os.ReadFile(path))(tb); !bytes.Equal(after, before) {
		tb.Errorf("the file was changed: %d bytes, was %d", len(after), len(before))
	}
}

func TestConflictAtOpenLeavesTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "accounts.db")
	db := openFile(t, path, declare(snib.Index{Name: "team"}))
	a, b := with(t, db, "a", "team", "Red"), with(t, db, "b", "team", "red")
	c := with(t, db, "c", "team", "Red")
	closeDB(t, db)
	// Users are met in order of their ids, of which those of one millisecond
	// have any.
	all, red := []snib.UserID{a.ID, b.ID, c.ID}, []snib.UserID{a.ID, c.ID}
	slices.Sort(all)
	slices.Sort(red)
	refusedAndUnchanged(t, path, declare(snib.Index{Name: "team", Unique: true}), "team", snib.ErrAttributeTaken, red...)
	refusedAndUnchanged(t, path, declare(snib.Index{Name: "team", Unique: true, Fold: true}), "team", snib.ErrAttributeTaken, all[:2]...)

	db = snibtest.OpenDB(t, path, nil) // as before
	if got := team(t, db, "Red"); !slices.Equal(got, red) {
		t.Errorf("Red is %v", got)
	}
}

func TestProvidersAreDeclaredLikeIndexes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "accounts.db")
	exact := &snib.Options{Providers: map[string]snib.IdentifierRule{}}
	folded := &snib.Options{Providers: map[string]snib.IdentifierRule{"email": snib.Email}}
	create := func(db *snib.DB, id snib.UserID, address string) snib.User {
		return must(db.ImportUser(ctx, snib.UserImport{ID: id, Provider: "email", Identifier: address}))(t)
	}
	db := openFile(t, path, exact)
	a, b := create(db, "u1", "Ada@example.com"), create(db, "u2", "ada@example.com")
	must(db.LinkIdentity(ctx, b.ID, "email", "ADA@example.org"))(t)
	must(db.LinkIdentity(ctx, b.ID, "email", "ada@EXAMPLE.org"))(t)
	closeDB(t, db)
	refusedAndUnchanged(t, path, folded, "email", snib.ErrIdentityTaken, a.ID, b.ID)

	db = openFile(t, path, nil) // as before
	must(db.GetUserByProviderID(ctx, "email", "Ada@example.com"))(t)
	_, err := db.GetUserByProviderID(ctx, "email", "aDa@example.com")
	wantErr(t, err, snib.ErrUserNotFound)
	must(db.UpdateUserProviderID(ctx, a.ID, "email", "a@example.com"))(t)
	closeDB(t, db)

	db = openFile(t, path, folded)
	for _, address := range []string{"aDa@example.com", "ada@example.ORG"} {
		if u := must(db.GetUserByProviderID(ctx, "email", address))(t); u.ID != b.ID || len(u.Identities) != 2 {
			t.Errorf("%s is %s with %d identities, want %s with 2", address, u.ID, len(u.Identities), b.ID)
		}
	}
	_, err = db.CreateUser(ctx, snib.NewUser{Provider: "email", Identifier: "A@example.com"})
	wantErr(t, err, snib.ErrIdentityTaken)
	snibtest.CheckAndClose(t, db)

	db = openFile(t, path, exact)
	_, err = db.GetUserByProviderID(ctx, "email", "aDa@example.com")
	wantErr(t, err, snib.ErrUserNotFound)
	must(db.GetUserByProviderID(ctx, "email", "ada@example.com"))(t) // the spelling was kept
	must(db.CreateUser(ctx, snib.NewUser{Provider: "email", Identifier: "no address"}))(t)
	snibtest.CheckAndClose(t, db)

	before := must(os.ReadFile(path))(t)
	_, err = snib.Open(path, snibtest.Fast(folded))
	wantField(t, err, "Options.Providers[email]")
	if after := must(os.ReadFile(path))(t); !bytes.Equal(after, before) {
		t.Error("the file was changed")
	}
}

// A new file declares the rules of e-mail addresses and user names.
func TestProvidersOfANewFile(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	for provider, spellings := range map[string][2]string{"email": {"A@x.org", "a@X.org"}, "username": {"Ada", "aDA"}} {
		must(db.CreateUser(ctx, snib.NewUser{Provider: provider, Identifier: spellings[0]}))(t)
		must(db.GetUserByProviderID(ctx, provider, spellings[1]))(t)
	}
}

// More users than are read in one page, and one conflict at the far end.
func TestManyUsersAreIndexedAtOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "accounts.db")
	db := openFile(t, path, declare())
	var all []snib.UserID
	err := db.Update(ctx, func(tx *snib.Tx) error {
		all = all[:0]
		for i := range 300 {
			u, err := tx.CreateUser(snib.NewUser{Provider: "x", Identifier: fmt.Sprint(i),
				Attributes: snib.Attributes{"team": i % 3, "nick": fmt.Sprint("n", i), "almost": min(i, 298)}})
			if err != nil {
				return err
			}
			all = append(all, u.ID)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	closeDB(t, db)
	slices.Sort(all)
	refused := declare(snib.Index{Name: "almost", Unique: true}, snib.Index{Name: "team"})
	if _, err := snib.Open(path, snibtest.Fast(refused)); !errors.Is(err, snib.ErrAttributeTaken) {
		t.Errorf("got %v, want ErrAttributeTaken", err)
	}
	db = snibtest.OpenDB(t, path, declare(snib.Index{Name: "nick", Unique: true}, snib.Index{Name: "team"}))
	total := 0
	for i := range 3 {
		total += len(team(t, db, i))
	}
	if total != len(all) {
		t.Errorf("%d users are found, want %d", total, len(all))
	}
	for i := range all {
		must(db.GetUserByAttribute(ctx, "nick", fmt.Sprint("n", i)))(t)
	}
}

func TestPagesOfAnAttribute(t *testing.T) {
	db := snibtest.NewDB(t, declare(snib.Index{Name: "team"}, snib.Index{Name: "nick", Unique: true}))
	// Ids given out of order, so that the order of the list is not that of
	// creation, and one that is the beginning of others.
	var want []snib.UserID
	err := db.Update(ctx, func(tx *snib.Tx) error {
		want = want[:0]
		for i := range 320 {
			id := snib.UserID(fmt.Sprint("u", (i*7)%320))
			if i%16 != 0 {
				want = append(want, id)
			}
			_, err := tx.ImportUser(snib.UserImport{ID: id, Provider: "x", Identifier: fmt.Sprint(i),
				Attributes: snib.Attributes{"team": min(1, i%16), "nick": i}})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(want)
	for _, o := range []snib.ListOptions{{}, {Limit: 1}, {Limit: 256}, {Limit: 257}, {Limit: 1000}, {After: "u1"}, {After: "u1", Limit: 3},
		{After: want[256]}, {After: want[len(want)-1]}, {After: "zzz"}, {After: "u2000"}, {Limit: -1}} {
		expect := want
		i, found := slices.BinarySearch(want, o.After)
		if found {
			i++
		}
		if expect = expect[i:]; o.Limit > 0 {
			expect = expect[:min(o.Limit, len(expect))]
		}
		got := ids(t, db.ListUsersByAttribute(ctx, "team", 1, o))
		if !slices.Equal(got, expect) {
			t.Errorf("%+v: %d users, want %d", o, len(got), len(expect))
		}
		var inside []snib.UserID
		if err := db.View(ctx, func(tx *snib.Tx) error {
			inside = ids(t, tx.ListUsersByAttribute("team", 1, o))
			return nil
		}); err != nil || !slices.Equal(inside, expect) {
			t.Errorf("%+v in a View: %d users, %v", o, len(inside), err)
		}
	}
	one := must(db.GetUserByAttribute(ctx, "nick", 5))(t).ID
	for after, n := range map[snib.UserID]int{"": 1, "u": 1, one: 0, one + "0": 0} {
		if got := ids(t, db.ListUsersByAttribute(ctx, "nick", 5, snib.ListOptions{After: after})); len(got) != n {
			t.Errorf("unique, after %q: %v", after, got)
		}
	}
}

func TestWhatIsNotIndexed(t *testing.T) {
	db := snibtest.NewDB(t, declare(snib.Index{Name: "nick", Unique: true, Fold: true}, snib.Index{Name: "team", Fold: true}))
	for i, a := range []snib.Attributes{nil, {"nick": nil}, {"nick": ""}, {"nick": "   "}, {"nick": "\u3000 "}, {"nick": nil, "team": nil}, {"team": ""}} {
		for j := range 2 { // none of them collides
			must(db.CreateUser(ctx, snib.NewUser{Provider: "x", Identifier: fmt.Sprint(i, j), Attributes: a}))(t)
		}
	}
	for _, value := range []any{nil, "", " "} {
		_, err := db.GetUserByAttribute(ctx, "nick", value)
		wantErr(t, err, snib.ErrUserNotFound)
		if got := team(t, db, value); len(got) != 0 {
			t.Errorf("%q is found at %v", value, got)
		}
	}
}

// Values that are one, and values that are not, by the index.
func TestIndexTellsTypesApart(t *testing.T) {
	db := snibtest.NewDB(t, declare(snib.Index{Name: "key", Unique: true}, snib.Index{Name: "team"}))
	when := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	values := []any{
		1, "1", []byte("1"), true, false, 1.5, -1, 0, "", []byte{}, when, when.Add(1), when.Unix(), "true", "a", "A", "a\x01",
		[]byte{0}, []byte{0, 0}, []byte{0, 255}, 1e300, -1e300, int64(1) << 62, when.Format(time.RFC3339Nano),
	}
	for i, v := range values {
		u := with(t, db, fmt.Sprint(i), "key", v)
		if got := must(db.GetUserByAttribute(ctx, "key", v))(t); got.ID != u.ID {
			t.Errorf("%#v finds the user of another value", v)
		}
	}
	for same, as := range map[any]any{1.0: 1, int8(1): 1, uint64(1): 1, float32(1.5): 1.5, math.Copysign(0, -1): 0, when.In(time.FixedZone("x", 60)): when} {
		a, b := must(db.GetUserByAttribute(ctx, "key", same))(t), must(db.GetUserByAttribute(ctx, "key", as))(t)
		if a.ID != b.ID {
			t.Errorf("%#v and %#v are two values", same, as)
		}
		_, err := db.CreateUser(ctx, snib.NewUser{Provider: "x", Identifier: fmt.Sprint("again", same), Attributes: snib.Attributes{"key": same}})
		wantErr(t, err, snib.ErrAttributeTaken)
	}
	u := with(t, db, "float", "team", 2.0)
	if got := team(t, db, 2); len(got) != 1 || got[0] != u.ID {
		t.Errorf("2 is found at %v", got)
	}
	if v := must(db.GetUser(ctx, u.ID))(t).Attributes()["team"]; !reflect.DeepEqual(v, 2.0) {
		t.Errorf("the attribute has become %#v", v)
	}
}

func TestIndexedValuesHaveBounds(t *testing.T) {
	o := declare(snib.Index{Name: "key", Unique: true}, snib.Index{Name: "team"}, snib.Index{Name: "fold", Fold: true})
	path := filepath.Join(t.TempDir(), "accounts.db")
	db := openFile(t, path, o)
	u := nobody(t, db, "ada")
	for _, name := range []string{"key", "team", "fold"} {
		for what, v := range map[string]any{
			"list": []any{"a"}, "map": map[string]any{}, "long text": strings.Repeat("x", 510), "huge text": strings.Repeat("x", 60<<10),
			"zeros": make([]byte, 255), "long bytes": bytes.Repeat([]byte{1}, 510),
		} {
			t.Run(name+" "+what, func(t *testing.T) {
				_, err := db.UpdateUserAttributes(ctx, u.ID, snib.Attributes{name: v, "other": 1})
				wantField(t, err, "Attributes["+name+"]")
				_, err = db.CreateUser(ctx, snib.NewUser{Provider: "x", Identifier: "new", Attributes: snib.Attributes{name: v}})
				wantField(t, err, "Attributes["+name+"]")
			})
		}
	}
	_, err := db.UpdateUserAttributes(ctx, u.ID, snib.Attributes{"fold": "a\u2028b"})
	wantField(t, err, "Attributes[fold]")
	if got := must(db.GetUser(ctx, u.ID))(t); len(got.Attributes()) != 0 {
		t.Errorf("something was written: %v", got.Attributes())
	}
	must(db.UpdateUserAttributes(ctx, u.ID, snib.Attributes{
		"key": strings.Repeat("x", 509), "team": make([]byte, 254), "free": []any{1}, "long": strings.Repeat("x", 5000),
	}))(t)
	must(db.GetUserByAttribute(ctx, "key", strings.Repeat("x", 509)))(t)
	closeDB(t, db)
	// What users have already may not be indexable either.
	for _, name := range []string{"free", "long"} {
		before := must(os.ReadFile(path))(t)
		_, err := snib.Open(path, snibtest.Fast(declare(snib.Index{Name: name})))
		wantField(t, err, "Attributes["+name+"]")
		if after := must(os.ReadFile(path))(t); !bytes.Equal(after, before) {
			t.Errorf("%s: the file was changed", name)
		}
	}
	snibtest.OpenDB(t, path, nil)
}
