package snibpg_test

import (
	"errors"
	"testing"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibpg"
)

// TestRowsLeftOpen: the transaction cannot commit, and another run would not help.
func TestRowsLeftOpen(t *testing.T) {
	db, _ := orders(t)
	runs := 0
	err := db.Update(ctx, func(tx *snib.Tx) error {
		runs++
		if _, err := tx.CreateUser(snib.NewUser{Provider: "email", Identifier: "ada@example.com"}); err != nil {
			return err
		}
		rows, err := snibpg.Conn(tx).Query(ctx, "select generate_series(1, 100000)")
		if err == nil {
			rows.Next()
		}
		return err
	})
	if err == nil || errors.Is(err, snib.ErrBusy) || runs != 1 {
		t.Errorf("%d runs, %v", runs, err)
	}
	if n := users(t, db); n != 0 {
		t.Errorf("%d users", n)
	}
}
