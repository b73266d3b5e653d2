package snibpg_test

import (
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibpg"
)

// TestJoinDeletesWithRows: a user who leaves in a transaction of the program takes the
// rows along, those that the transaction has put as well, and comes back with them.
func TestJoinDeletesWithRows(t *testing.T) {
	e, s := engine(t, snibpg.Options{}), programSchema(t)
	execute(t, s, "create table $.notes (user_id text)", "create index on $.notes (user_id)", "create table $.more (user_id text)")
	db, err := owning(t, e, s, "$.notes", "$.more")
	must(t, err)
	bob := string(account(t, db, "bob"))
	execute(t, s, "insert into $.notes values ('"+bob+"')", "insert into $.more values ('"+bob+"')")
	for _, mode := range []string{"cache_statement", "cache_describe", "describe_exec", "exec", "simple_protocol"} {
		pool, err := pgxpool.New(ctx, with(t, "default_query_exec_mode="+mode))
		must(t, err)
		defer pool.Close()
		for _, n := range []int{2, 10_003} {
			ada := account(t, db, "ada")
			execute(t, s, "insert into $.notes values ('"+string(ada)+"')")
			own := errors.New("changed my mind")
			for _, end := range []error{own, nil} {
				err = snibpg.Retry(ctx, db, pool, func(tx pgx.Tx) error {
					_, err := tx.Exec(ctx, "insert into "+s+".more select $1::text from generate_series(1, $2::int)", string(ada), n)
					if err != nil {
						return err
					}
					return join(db, tx, func(tx *snib.Tx) error { return errors.Join(tx.DeleteUser(ada), end) })
				})
				if !errors.Is(err, end) {
					t.Fatalf("%s: %v", mode, err)
				}
				if end != nil && count(t, s, "$.notes") != 2 {
					t.Errorf("%s: rows went without the commit", mode)
				}
			}
			r, err := db.Check(ctx)
			must(t, err)
			if left := max(0, n+1-10_000); r.Rows != 2+left || r.OrphanRows != 0 || r.Leaving != min(1, left) {
				t.Errorf("%s: %d rows, %d orphans, %d leaving of %d", mode, r.Rows, r.OrphanRows, r.Leaving, n)
			}
			_, err = db.Sweep(ctx)
			must(t, err)
			if r, err := db.Check(ctx); err != nil || r.Rows != 2 || r.Leaving != 0 {
				t.Errorf("%s: after the sweep %d rows, %v", mode, r.Rows, err)
			}
		}
	}
}

// TestJoinWithRowsLeftOpen: what the closure has written does not stay for a commit.
func TestJoinWithRowsLeftOpen(t *testing.T) {
	db, table := orders(t)
	for _, fails := range []bool{false, true} {
		tx, err := ownPool(t).BeginTx(ctx, serializable)
		must(t, err)
		var rows pgx.Rows
		own := errors.New("changed my mind")
		err = join(db, tx, func(in *snib.Tx) error {
			err := create("a@example.com")(in)
			if err == nil {
				_, err = snibpg.Conn(in).Exec(ctx, "insert into "+table+" values ('inside', 1)")
			}
			if err == nil {
				rows, err = snibpg.Conn(in).Query(ctx, "select generate_series(1, 3)")
			}
			if err == nil && fails {
				err = own
			}
			return err
		})
		if err == nil {
			t.Error("nil with rows left open")
		}
		if rows != nil {
			rows.Close()
		}
		err = tx.Commit(ctx)
		if n, m := users(t, db), count(t, "", table); n != 0 || m != 0 {
			t.Errorf("fails %v: %d users, %d rows are stored; the commit: %v", fails, n, m, err)
		}
	}
}
