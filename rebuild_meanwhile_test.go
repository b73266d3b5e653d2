package snib_test

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/snibtest"
)

// before is a store that lets somebody else act before its n-th transaction of
// a kind.
type before struct {
	kv.Store
	n    *int
	act  func()
	view bool // count Views, not Exclusives
}

func (b before) count(view bool) {
	if view != b.view {
		return
	}
	if *b.n--; *b.n == 0 {
		b.act()
	}
}

func (b before) View(ctx context.Context, fn func(kv.Reader) error) error {
	b.count(true)
	return b.Store.View(ctx, fn)
}

func (b before) Exclusive(ctx context.Context, fn func(kv.Tx) error) error {
	b.count(false)
	return b.Store.Exclusive(ctx, fn)
}

// meanwhile changes users as another DB may while indexes are built: values and
// identities move from one user to another, users come and go.
func meanwhile(tb testing.TB, db *snib.DB) {
	tb.Helper()
	err := db.Update(ctx, func(tx *snib.Tx) error {
		var all []snib.User
		for u, err := range tx.ListUsers(snib.ListOptions{}) {
			if err != nil {
				return err
			}
			all = append(all, u)
		}
		first, second, third := all[0], all[1], all[len(all)-1]
		if err := tx.DeleteUser(first.ID); err != nil {
			return err
		}
		if err := tx.DeleteUser(third.ID); err != nil {
			return err
		}
		if _, err := tx.UpdateUserAttributes(second.ID, first.Attributes()); err != nil {
			return err
		}
		if _, err := tx.LinkIdentity(second.ID, "email", first.Identities[0].Identifier); err != nil {
			return err
		}
		for i, id := range []snib.UserID{"a-new-one", "zzz-new-one"} {
			u := snib.UserImport{ID: id, Provider: "email", Identifier: fmt.Sprint("New", i, "@example.com"), Attributes: snib.Attributes{"unique": id}}
			if i == 1 {
				u.Identifier, u.Attributes = third.Identities[0].Identifier, third.Attributes()
			}
			if _, err := tx.ImportUser(u); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
}

// What another DB writes at any time of a build is in the new trees, as if it
// had been done under the new declarations.
func TestNewBuildsWhileOthersWrite(t *testing.T) {
	const seed, n = 7, 40
	want := born(t, newRules, seed, func(a *accounts, db *snib.DB) {
		a.fill(t, db, n)
		meanwhile(t, db)
	})
	acted := 0
	for _, view := range []bool{true, false} {
		for at := 1; ; at++ {
			b := openBolt(t, filepath.Join(t.TempDir(), "app.db"))
			a := accounts{seed: seed}
			o := a.options(oldRules)
			o.InsecureNoSync = true
			other := must(snib.New(b, o))(t)
			a.fill(t, other, n)
			left := at
			build := small
			build.Wrap = func(inner kv.Store) kv.Store {
				return before{inner, &left, func() { meanwhile(t, other) }, view}
			}
			o = snibtest.Fast(&newRules)
			o.InsecureNoSync = true
			db := must(build.New(b, o))(t)
			if left > 0 { // there are no more
				snibtest.CheckAndClose(t, db)
				other.Close()
				break
			}
			acted++
			sameTrees(t, trees(t, db), want)
			got := must(other.GetUserByAttribute(ctx, "unique", "A-NEW-ONE"))(t) // it sees them too
			if got.ID != "a-new-one" {
				t.Errorf("found %s", got.ID)
			}
			snibtest.CheckAndClose(t, db)
			snibtest.CheckAndClose(t, other)
			if t.Failed() {
				t.Fatalf("before transaction %d, a View: %t", at, view)
			}
		}
	}
	if acted < 15 {
		t.Errorf("only %d moments were tried", acted)
	}
}

// A conflict that arises during a build is one.
func TestNewFindsAConflictThatAroseMeanwhile(t *testing.T) {
	for _, attribute := range []bool{true, false} {
		path := filepath.Join(t.TempDir(), "app.db")
		b := openBolt(t, path)
		a := accounts{seed: 8}
		o := a.options(oldRules)
		o.InsecureNoSync = true
		other := must(snib.New(b, o))(t)
		a.fill(t, other, 10)
		create := func(id snib.UserID, address, value string) {
			u := snib.UserImport{ID: id, Provider: "email", Identifier: address, Attributes: snib.Attributes{"unique": value}}
			must(other.ImportUser(ctx, u))(t)
		}
		create("u1", "ada@example.com", "x")
		left := 2
		build := small
		build.Wrap = func(inner kv.Store) kv.Store {
			return before{inner, &left, func() {
				if attribute {
					create("u2", "b@example.com", "X")
				} else {
					create("u2", "ADA@example.com", "y")
				}
			}, false}
		}
		o = snibtest.Fast(&newRules)
		o.InsecureNoSync = true
		_, err := build.New(b, o)
		kind, name := snib.ErrIdentityTaken, "email"
		if attribute {
			kind, name = snib.ErrAttributeTaken, "unique"
		}
		wantErr(t, err, kind)
		wantConflict(t, err, name, "u1", "u2")
		must(other.GetUserByProviderID(ctx, "email", "ada@example.com"))(t)
		all, _ := content(t, other)
		for key := range all {
			if key[:6] == "shadow" {
				t.Errorf("%s is left", key)
			}
		}
		snibtest.CheckAndClose(t, other)
		b.Close()
		tidy(t, path)
	}
}
