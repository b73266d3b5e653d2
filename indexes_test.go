package snib_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/snibtest"
)

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

func TestOpenWithAConflictLeavesTheFile(t *testing.T) {
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
func TestOpenIndexesManyUsers(t *testing.T) {
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

// A file that was folded with other Unicode tables is sound, said so once at
// each Open, and folded anew when other indexes are declared.
func TestOpenLogsOtherUnicodeTablesUntilARebuild(t *testing.T) {
	path := filepath.Join(t.TempDir(), "accounts.db")
	db := snibtest.OpenDB(t, path, nil)
	must(db.CreateUser(ctx, snib.NewUser{Provider: "username", Identifier: "Ada"}))(t)
	b := handle(t, db)
	format := must(codec.DecodeFormat(rawGet(t, b, "meta", codec.KeyFormat)))(t)
	format.Unicode = "1.0.0"
	rawPut(t, b, "meta", codec.KeyFormat, format.Append(nil))
	snibtest.CheckAndClose(t, db)
	for i, c := range []struct {
		indexes []snib.Index
		told    bool
	}{{nil, true}, {nil, true}, {[]snib.Index{{Name: "nick"}}, true}, {nil, false}} {
		var log strings.Builder
		o := &snib.Options{Indexes: c.indexes, Logger: slog.New(slog.NewTextHandler(&log, nil))}
		snibtest.CheckAndClose(t, snibtest.OpenDB(t, path, o))
		if told := strings.Contains(log.String(), "other Unicode tables"); told != c.told {
			t.Errorf("open %d: told %t, want %t: %s", i, told, c.told, log.String())
		}
	}
}

// A form sends an optional field that was left empty.
func TestAnEmptyTextIsNoValueOfAUniqueIndex(t *testing.T) {
	for _, fold := range []bool{false, true} {
		t.Run(fmt.Sprint("fold ", fold), func(t *testing.T) {
			path := t.TempDir() + "/a.db"
			indexed := &snib.Options{Indexes: []snib.Index{{Name: "phone", Unique: true, Fold: fold}, {Name: "team"}}}
			db := openFile(t, path, indexed)
			create := func(n int, phone string) snib.User {
				t.Helper()
				return must(db.CreateUser(ctx, snib.NewUser{Provider: "x", Identifier: fmt.Sprint(n), Attributes: snib.Attributes{"phone": phone, "team": ""}}))(t)
			}
			a, b := create(1, ""), create(2, "")
			must(db.ImportUser(ctx, snib.UserImport{Provider: "x", Identifier: "3", Attributes: snib.Attributes{"phone": ""}}))(t)
			c := create(4, "112")
			must(db.UpdateUserAttributes(ctx, c.ID, snib.Attributes{"phone": ""}))(t)
			_, err := db.GetUserByAttribute(ctx, "phone", "")
			wantErr(t, err, snib.ErrUserNotFound)
			create(5, "112") // is free
			if v, ok := snib.Attr[string](asNow(t, db, a.ID).Attributes(), "phone"); !ok || v != "" {
				t.Errorf("the attribute itself is %q, %t", v, ok)
			}
			n := 0
			for _, err := range db.ListUsersByAttribute(ctx, "team", "", snib.ListOptions{}) {
				if n++; err != nil {
					t.Fatal(err)
				}
			}
			if n != 4 { // of an index that is not unique it is a value
				t.Errorf("%d users of the empty team, want 4", n)
			}
			must(db.Repair(ctx))(t)
			if got := must(db.GetUser(ctx, b.ID))(t).CredentialVersion; got != b.CredentialVersion {
				t.Error("Repair has taken the value from a user")
			}
			closeDB(t, db)
			db = openFile(t, path, &snib.Options{Indexes: []snib.Index{}})
			closeDB(t, db)
			db = openFile(t, path, indexed) // built anew
			if r := must(db.Check(ctx))(t); r.Found != 0 {
				t.Errorf("Check finds %+v", r.Problems)
			}
			closeDB(t, db)
		})
	}
}
