package snibpg_test

import (
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibpg"
)

// TestAnOldPrimary: a program that has met a later primary takes nothing from the
// earlier one any more: no connection, no answer to a read, no commit.
func TestAnOldPrimary(t *testing.T) {
	for what, call := range map[string]func(db *snib.DB, promoted func()) error{
		"a call": func(db *snib.DB, promoted func()) error {
			promoted()
			_, err := db.GetUserByProviderID(ctx, "email", "a@example.com")
			return err
		},
		"a read under way": func(db *snib.DB, promoted func()) error {
			return db.View(ctx, func(tx *snib.Tx) error {
				promoted()
				_, err := tx.GetUserByProviderID("email", "a@example.com")
				return err
			})
		},
		"a commit": func(db *snib.DB, promoted func()) error {
			return db.Update(ctx, func(tx *snib.Tx) error {
				_, err := tx.CreateUser(snib.NewUser{Provider: "email", Identifier: "b@example.com"})
				promoted()
				return err
			})
		},
		"a transaction of the program's": func(db *snib.DB, promoted func()) error {
			return snibpg.Retry(ctx, db, ownPool(t), func(pgx.Tx) error { promoted(); return nil })
		},
		"a Join": func(db *snib.DB, promoted func()) error {
			return snibpg.Retry(ctx, db, ownPool(t), func(tx pgx.Tx) error {
				return join(db, tx, func(tx *snib.Tx) error {
					promoted()
					if _, err := tx.GetUserByProviderID("email", "a@example.com"); err == nil {
						t.Error("it reads")
					}
					return nil
				})
			})
		},
	} {
		t.Run(what, func(t *testing.T) {
			e := engine(t, snibpg.Options{})
			snibpg.Hurry(e, time.Second, time.Second)
			db, err := snib.OpenStore(ctx, e, &snib.Options{SweepEvery: -1, BusyTimeout: time.Second})
			must(t, err)
			defer db.Close()
			newUser(t, db)
			err = call(db, func() {
				if !snibpg.Promoted(e) {
					t.Error("the server did not tell its place")
				}
			})
			if !errors.Is(err, snib.ErrBusy) && !errors.Is(err, snib.ErrUnknown) {
				t.Errorf("got %v", err)
			}
		})
	}
}
