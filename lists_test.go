package snib_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibtest"
)

// crowd makes n users of team 1, and returns their ids in order.
func crowd(tb testing.TB, n int) (*snib.DB, []snib.UserID) {
	tb.Helper()
	db := snibtest.NewDB(tb, &snib.Options{Indexes: []snib.Index{{Name: "team"}}})
	var all []snib.UserID
	for i := range n {
		all = append(all, snib.UserID(fmt.Sprintf("u%04d", i)))
	}
	for some := range slices.Chunk(all, 200) {
		err := db.Update(ctx, func(tx *snib.Tx) error {
			for _, id := range some {
				_, err := tx.ImportUser(snib.UserImport{
					ID: id, Provider: "username", Identifier: string(id), Attributes: snib.Attributes{"team": 1},
				})
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			tb.Fatal(err)
		}
	}
	return db, all
}

// A lister is a list of all of a crowd.
type lister func(context.Context, snib.ListOptions) func(func(snib.User, error) bool)

// listers are the two lists of DB.
func listers(db *snib.DB) map[string]lister {
	return map[string]lister{
		"ListUsers": func(ctx context.Context, o snib.ListOptions) func(func(snib.User, error) bool) {
			return db.ListUsers(ctx, o)
		},
		"ListUsersByAttribute": func(ctx context.Context, o snib.ListOptions) func(func(snib.User, error) bool) {
			return db.ListUsersByAttribute(ctx, "team", 1, o)
		},
	}
}

func TestListUsersPagesThroughAllWithAfterAndLimit(t *testing.T) {
	db, all := crowd(t, 600) // three pages
	for name, list := range listers(db) {
		for _, c := range []struct {
			o    snib.ListOptions
			want []snib.UserID
		}{
			{snib.ListOptions{}, all},
			{snib.ListOptions{Limit: -1}, all},
			{snib.ListOptions{Limit: 1}, all[:1]},
			{snib.ListOptions{Limit: 256}, all[:256]},
			{snib.ListOptions{Limit: 257}, all[:257]},
			{snib.ListOptions{Limit: 600}, all},
			{snib.ListOptions{Limit: 10_000}, all},
			{snib.ListOptions{After: all[255]}, all[256:]},
			{snib.ListOptions{After: all[100], Limit: 300}, all[101:401]},
			{snib.ListOptions{After: "u0100x"}, all[101:]}, // need not be there
			{snib.ListOptions{After: all[599]}, nil},
			{snib.ListOptions{After: "a\x00b"}, all},
		} {
			if got := ids(t, list(ctx, c.o)); !slices.Equal(got, c.want) {
				t.Errorf("%s %+v: %d users, want %d", name, c.o, len(got), len(c.want))
			}
		}
	}
	err := db.View(ctx, func(tx *snib.Tx) error {
		if got := ids(t, tx.ListUsers(snib.ListOptions{After: all[0]})); !slices.Equal(got, all[1:]) {
			t.Errorf("in a transaction: %d users", len(got))
		}
		if got := ids(t, tx.ListUsersByAttribute("team", 1, snib.ListOptions{Limit: 300})); !slices.Equal(got, all[:300]) {
			t.Errorf("in a transaction: %d users", len(got))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestListUsersBodyMayWriteThroughDB(t *testing.T) {
	for name := range listers(nil) {
		db, all := crowd(t, 600)
		var got []snib.UserID
		for u, err := range listers(db)[name](ctx, snib.ListOptions{}) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, u.ID)
			if len(got) != 21 { // it is deleted
				must(db.UpdateUserAttributes(ctx, u.ID, snib.Attributes{"seen": true}))(t)
			}
			if len(got) == 10 { // one of this page and one of a later, and itself
				for _, id := range []snib.UserID{all[20], all[400], u.ID} {
					if err := db.DeleteUser(ctx, id); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		// A page is one snapshot, the list is not.
		if want := slices.Delete(slices.Clone(all), 400, 401); !slices.Equal(got, want) {
			t.Errorf("%s: %d users, want %d", name, len(got), len(want))
		}
	}
}

func TestListUsersErrorComesOnceAndEndsIt(t *testing.T) {
	for name := range listers(nil) {
		db, _ := crowd(t, 600)
		ending, cancel := context.WithCancel(ctx)
		n, errs := 0, []error(nil)
		for u, err := range listers(db)[name](ending, snib.ListOptions{}) {
			if err != nil {
				errs = append(errs, err)
				if u.ID != "" {
					t.Errorf("%s: a user with the error", name)
				}
				continue
			}
			if n++; n == 300 { // on the second page
				cancel()
			}
		}
		if len(errs) != 1 || !errors.Is(errs[0], context.Canceled) || n != 512 {
			t.Errorf("%s: %d users and errors %v, want the two pages that were begun, 512, and context.Canceled", name, n, errs)
		}
		n, errs = 0, nil
		for _, err := range listers(db)[name](ctx, snib.ListOptions{}) {
			if err != nil {
				errs = append(errs, err)
				continue
			}
			if n++; n == 1 {
				if err := db.Close(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if len(errs) != 1 || !errors.Is(errs[0], snib.ErrClosed) || n != 256 {
			t.Errorf("%s: %d users and errors %v, want 256 and ErrClosed", name, n, errs)
		}
		cancel()
	}
}

func TestListUsersCanBeLeftAndBegunAgain(t *testing.T) {
	db, all := crowd(t, 300)
	list := db.ListUsers(ctx, snib.ListOptions{})
	for range 2 {
		for u, err := range list {
			if err != nil || u.ID != all[0] {
				t.Fatalf("%v, %v; want the first", u.ID, err)
			}
			break
		}
	}
	if got := ids(t, list); !slices.Equal(got, all) {
		t.Errorf("%d users, want %d", len(got), len(all))
	}
	if err := db.DeleteUser(ctx, all[0]); err != nil { // no transaction was left open
		t.Fatal(err)
	}
}
