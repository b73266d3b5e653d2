package snibpg_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibpg"
)

// TestDeferredConstraint: rows of the program's that break one at the commit are an
// error, and no loss to another writer, after which the closure would run in vain.
func TestDeferredConstraint(t *testing.T) {
	e, s := engine(t, snibpg.Options{}), programSchema(t)
	execute(t, s, "create table $.notes (user_id text unique deferrable initially deferred)")
	db, err := owning(t, e, s, "$.notes")
	must(t, err)
	runs := 0
	err = db.Update(ctx, func(tx *snib.Tx) error {
		runs++
		if runs > 3 {
			return errors.New("too many runs")
		}
		if _, err := tx.CreateUser(snib.NewUser{Provider: "username", Identifier: "ada"}); err != nil {
			return err
		}
		_, err := snibpg.Conn(tx).Exec(ctx, "insert into "+s+".notes values ('a'), ('a')")
		return err
	})
	if err == nil || errors.Is(err, snib.ErrBusy) || !strings.Contains(err.Error(), "duplicate key") || runs != 1 {
		t.Errorf("%d runs: %v", runs, err)
	}
}
