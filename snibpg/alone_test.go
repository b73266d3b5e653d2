package snibpg_test

import (
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/snibdb/snib"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/kv/remote"
	"github.com/snibdb/snib/snibpg"
)

// TestOneAloneForLong: a commit that waits for a program that runs alone certainly
// has not happened.
func TestOneAloneForLong(t *testing.T) {
	name := schema(t)
	e, err := snibpg.Open(ctx, server(t), &snibpg.Options{Schema: name})
	must(t, err)
	db, err := snib.OpenStore(ctx, e, &snib.Options{SweepEvery: -1, BusyTimeout: 1e9})
	must(t, err)
	defer db.Close()
	exec(t, func(conn *pgx.Conn) error {
		if _, err := conn.Exec(ctx, "begin; lock table "+name+".marks_1 in exclusive mode"); err != nil {
			return err
		}
		_, err := db.CreateUser(ctx, snib.NewUser{Provider: "email", Identifier: "ada@example.com"})
		if !errors.Is(err, snib.ErrBusy) {
			t.Errorf("got %v", err)
		}
		_, err = conn.Exec(ctx, "rollback")
		return err
	})
}

// TestOneAloneThatStops: the server ends the transaction of a program that runs
// alone and does not go on, for which the others wait.
func TestOneAloneThatStops(t *testing.T) {
	for setting, want := range map[string]string{"": "1min", "idle_in_transaction_session_timeout=7000": "7s"} {
		s := storeOn(t, with(t, setting), schema(t), false, shadowed)
		must(t, s.Exclusive(ctx, func(w kv.Tx) error {
			if err := w.Put(plain, []byte("k"), nil); err != nil {
				return err
			}
			lent, err := remote.SessionOf(w).(remote.Lender).Lend(ctx)
			if err != nil {
				return err
			}
			var got string
			err = lent.(*snibpg.Tx).QueryRow(ctx, "show idle_in_transaction_session_timeout").Scan(&got)
			if got != want {
				t.Errorf("with %q it waits %s, want %s", setting, got, want)
			}
			return err
		}))
	}
}
