package snib_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/kv/faultkv"
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
// identities move from one user to another, users come and go. newest is the id
// of the user who gets all that the last one had.
func meanwhile(tb testing.TB, db *snib.DB, newest snib.UserID) {
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
		for i, id := range []snib.UserID{"a-new-one", newest} {
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
	newest := []snib.UserID{"b-new-one", "zzz-new-one"} // before all others, and behind
	var want [2]map[string]string
	for i, id := range newest {
		want[i] = born(t, newRules, seed, func(a *accounts, db *snib.DB) {
			a.fill(t, db, n)
			meanwhile(t, db, id)
		})
	}
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
				return before{inner, &left, func() { meanwhile(t, other, newest[at%2]) }, view}
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
			sameTrees(t, trees(t, db), want[at%2])
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

// guests makes two DBs on one handle: one that is there already, and one that
// lets act happen before its n-th Exclusive, while it builds.
func guests(t *testing.T, n int, act func(b *bolt.DB, other *snib.DB)) (db *snib.DB, log string) {
	t.Helper()
	b := openBolt(t, filepath.Join(t.TempDir(), "app.db"))
	a := accounts{seed: 11}
	o := a.options(oldRules)
	o.InsecureNoSync = true
	other := must(snib.New(b, o))(t)
	a.fill(t, other, 20)
	build := small
	build.Wrap = func(inner kv.Store) kv.Store { return before{inner, &n, func() { act(b, other) }, false} }
	var text strings.Builder
	o = snibtest.Fast(&newRules)
	o.InsecureNoSync, o.Logger = true, slog.New(slog.NewTextHandler(&text, nil))
	db = must(build.New(b, o))(t)
	t.Cleanup(func() { snibtest.CheckAndClose(t, db) })
	snibtest.CheckAndClose(t, other)
	if n > 0 {
		t.Error("nothing has happened meanwhile")
	}
	return db, text.String()
}

// Two that declare the same at the same time build once, one after the other.
func TestNewWaitsForABuildOnTheHandle(t *testing.T) {
	second := make(chan error)
	guests(t, 2, func(b *bolt.DB, _ *snib.DB) {
		o := snibtest.Fast(&newRules)
		var log strings.Builder
		o.InsecureNoSync, o.Logger = true, slog.New(slog.NewTextHandler(&log, nil))
		go func() {
			db, err := snib.New(b, o)
			if err == nil {
				err = db.Close()
			}
			if strings.Contains(log.String(), "building") {
				err = errors.New("built again")
			}
			second <- err
		}()
		select {
		case err := <-second:
			t.Errorf("did not wait: %v", err)
		case <-time.After(20 * time.Millisecond):
		}
	})
	if err := <-second; err != nil {
		t.Error(err)
	}
}

// One that declares nothing else does not wait, and does not take what is being
// built for what a crash has left.
func TestNewLeavesABuildOfAnotherAlone(t *testing.T) {
	db, _ := guests(t, 4, func(b *bolt.DB, _ *snib.DB) {
		o := snibtest.Fast(nil)
		o.InsecureNoSync = true
		snibtest.CheckAndClose(t, must(snib.New(b, o))(t))
	})
	sameTrees(t, trees(t, db), born(t, newRules, 11, func(a *accounts, db *snib.DB) { a.fill(t, db, 20) }))
}

// A Repair that declares anew while indexes are built has the build start over.
func TestNewStartsOverWhenTheDeclarationsHaveChanged(t *testing.T) {
	db, log := guests(t, 4, func(b *bolt.DB, _ *snib.DB) {
		state := must(codec.DecodeState(rawGet(t, b, "meta", codec.KeyState)))(t)
		declared := must(codec.DecodeDeclarations(rawGet(t, b, "meta", codec.KeyDeclarations)))(t)
		state.Declarations, declared.Version = 9, 9
		rawPut(t, b, "meta", codec.KeyState, state.Append(nil))
		rawPut(t, b, "meta", codec.KeyDeclarations, declared.Append(nil))
	})
	sameTrees(t, trees(t, db), born(t, newRules, 11, func(a *accounts, db *snib.DB) { a.fill(t, db, 20) }))
	if n := strings.Count(log, "building them"); n != 2 {
		t.Errorf("built %d times, want 2:\n%s", n, log)
	}
	if v := must(codec.DecodeDeclarations(rawGet(t, handle(t, db), "meta", codec.KeyDeclarations)))(t).Version; v != 10 {
		t.Errorf("version %d, want 10", v)
	}
}

// A file whose state and declarations are of different versions, which Check
// reports, is declared anew, and not for ever.
func TestOpenDeclaresAnewWhereTheVersionsDisagree(t *testing.T) {
	path, _ := old(t, 12, 5)
	db := must(snib.Open(path, snibtest.Fast(nil)))(t)
	b := handle(t, db)
	declared := must(codec.DecodeDeclarations(rawGet(t, b, "meta", codec.KeyDeclarations)))(t)
	declared.Version += 7
	rawPut(t, b, "meta", codec.KeyDeclarations, declared.Append(nil))
	closeDB(t, db)
	limited, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	db = must(snib.OpenContext(limited, path, snibtest.Fast(&newRules)))(t)
	sameTrees(t, trees(t, db), filled(t, 12, 5))
	snibtest.CheckAndClose(t, db)
}

// ceasing is a store that lets somebody else act before its n-th Exclusive, and
// then has none any more.
type ceasing struct {
	kv.Store
	n   *int
	act func()
}

func (f ceasing) Exclusive(ctx context.Context, fn func(kv.Tx) error) error {
	if *f.n--; *f.n == 0 {
		f.act()
	}
	if *f.n <= 0 {
		return faultkv.ErrInjected
	}
	return f.Store.Exclusive(ctx, fn)
}

// pinned is a store that tells of its first Pin.
type pinned struct {
	kv.Store
	told func()
}

func (p pinned) Pin(ctx context.Context) (kv.Snapshot, error) {
	p.told()
	return p.Store.Pin(ctx)
}

// A build whose shadows stay, because removing them failed too, leaves nothing
// to one that waits for its turn: a user who was deleted since would be back.
func TestNewBuildsAfterABuildThatLeftShadows(t *testing.T) {
	b := openBolt(t, filepath.Join(t.TempDir(), "app.db"))
	a := accounts{seed: 13}
	o := a.options(oldRules)
	o.InsecureNoSync = true
	other := must(snib.New(b, o))(t)
	a.fill(t, other, 20)
	deleted := ids(t, other.ListUsers(ctx, snib.ListOptions{}))[0]
	o = snibtest.Fast(&newRules)
	o.InsecureNoSync = true
	var next *snib.DB
	done := make(chan error)
	left := 6
	build := small
	build.Wrap = func(inner kv.Store) kv.Store {
		return ceasing{inner, &left, func() {
			waits := make(chan struct{})
			told := sync.OnceFunc(func() { close(waits) })
			second := small
			second.Wrap = func(inner kv.Store) kv.Store { return pinned{inner, told} }
			go func() {
				var err error
				next, err = second.New(b, o)
				done <- err
			}()
			<-waits // it has looked for shadows before
			must(0, other.DeleteUser(ctx, deleted))(t)
		}}
	}
	wantErr(t, second(build.New(b, o)), faultkv.ErrInjected)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	wantErr(t, second(next.GetUser(ctx, deleted)), snib.ErrUserNotFound)
	if left := mentions(t, next, string(deleted)); len(left) > 0 {
		t.Errorf("left of a deleted user: %q", left)
	}
	snibtest.CheckAndClose(t, next)
	snibtest.CheckAndClose(t, other)
}

// A user who changes while the record is copied, and is as before at the swap,
// keeps the record: a clock that stands still gives both the same time.
func TestNewKeepsAUserWhoChangesAndChangesBack(t *testing.T) {
	b := openBolt(t, filepath.Join(t.TempDir(), "app.db"))
	a := accounts{seed: 14}
	o := a.options(oldRules)
	o.InsecureNoSync = true
	other := must(snib.New(b, o))(t)
	ada := must(other.CreateUser(ctx, snib.NewUser{Provider: "email", Identifier: "ada@example.com", Attributes: snib.Attributes{"note": "as before"}}))(t)
	left, acted := 2, 0
	set := func(note string) { must(other.UpdateUserAttributes(ctx, ada.ID, snib.Attributes{"note": note}))(t) }
	build := small
	build.Wrap = func(inner kv.Store) kv.Store {
		return before{inner, &left, func() {
			if acted++; acted == 1 {
				set("changed")
				left = 1
				return
			}
			set("as before")
		}, false}
	}
	o = snibtest.Fast(&newRules)
	o.InsecureNoSync = true
	db := must(build.New(b, o))(t)
	if got := must(db.GetUser(ctx, ada.ID))(t).Attributes()["note"]; got != "as before" || acted != 2 {
		t.Errorf("the note is %q, after %d changes", got, acted)
	}
	snibtest.CheckAndClose(t, db)
	snibtest.CheckAndClose(t, other)
}
