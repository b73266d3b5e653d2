package snibpg_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibpg"
)

// orders opens accounts and a table of the program's own.
func orders(t *testing.T) (db *snib.DB, table string) {
	t.Helper()
	name := schema(t)
	e, err := snibpg.Open(ctx, server(t), &snibpg.Options{Schema: name})
	must(t, err)
	table = "orders_" + name
	exec(t, func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "create table "+table+" (account text primary key, n int)")
		return err
	})
	t.Cleanup(func() {
		exec(t, func(conn *pgx.Conn) error { _, err := conn.Exec(ctx, "drop table "+table); return err })
	})
	db, err = snib.OpenStore(ctx, e, &snib.Options{SweepEvery: -1})
	must(t, err)
	t.Cleanup(func() { must(t, db.Close()) })
	return db, table
}

func rows(t *testing.T, table string) (n int) {
	t.Helper()
	exec(t, func(conn *pgx.Conn) error { return conn.QueryRow(ctx, "select count(*) from "+table).Scan(&n) })
	return n
}

func users(t *testing.T, db *snib.DB) int {
	t.Helper()
	report, err := db.Check(ctx)
	must(t, err)
	return int(report.Users)
}

// TestOwnRowsAndAnAccount: both are stored or neither, through conflicts too.
func TestOwnRowsAndAnAccount(t *testing.T) {
	db, table := orders(t)
	own := errors.New("changed my mind")
	insert := func(name string, result error) (runs int, err error) {
		err = db.Update(ctx, func(tx *snib.Tx) error {
			runs++
			u, err := tx.CreateUser(snib.NewUser{Provider: "email", Identifier: name})
			if err != nil {
				return err
			}
			if _, err := snibpg.Conn(tx).Exec(ctx, "insert into "+table+" values ($1, 1)", string(u.ID)); err != nil {
				return err
			}
			var seen int // the account is there for the program's statements
			schema := strings.TrimPrefix(table, "orders_")
			err = snibpg.Conn(tx).QueryRow(ctx, "select count(*) from "+table+" join "+schema+".users on convert_from(k, 'UTF8') = account where account = $1", string(u.ID)).Scan(&seen)
			if err == nil && seen != 1 {
				t.Errorf("the program sees %d of its accounts", seen)
			}
			return errors.Join(err, result)
		})
		return runs, err
	}
	if _, err := insert("a@example.com", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := insert("b@example.com", own); !errors.Is(err, own) {
		t.Errorf("got %v, want the closure's error", err)
	}
	if rows(t, table) != 1 || users(t, db) != 1 {
		t.Errorf("%d rows and %d users, want one of each", rows(t, table), users(t, db))
	}
}

// TestAConflictInTheProgramsRows: the closure runs again, even if it returns
// another error, or none.
func TestAConflictInTheProgramsRows(t *testing.T) {
	db, table := orders(t)
	exec(t, func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "insert into "+table+" values ('x', 0)")
		return err
	})
	for _, hides := range []error{nil, errors.New("it did not work")} {
		runs := 0
		err := db.Update(ctx, func(tx *snib.Tx) error {
			runs++
			c := snibpg.Conn(tx)
			var n int
			if err := c.QueryRow(ctx, "select n from "+table+" where account = 'x'").Scan(&n); err != nil {
				return err
			}
			if runs == 1 { // another program is faster
				exec(t, func(conn *pgx.Conn) error {
					_, err := conn.Exec(ctx, "update "+table+" set n = n + 1 where account = 'x'")
					return err
				})
			}
			if _, err := c.Exec(ctx, "update "+table+" set n = $1 where account = 'x'", n+1); err != nil {
				return hides
			}
			return nil
		})
		if err != nil || runs != 2 {
			t.Errorf("%d runs, %v, want 2 and nil", runs, err)
		}
	}
	exec(t, func(conn *pgx.Conn) error {
		var n int
		err := conn.QueryRow(ctx, "select n from "+table).Scan(&n)
		if n != 4 {
			t.Errorf("counted %d, want 4", n)
		}
		return err
	})
}

// TestAStatementThatFails: what the program ignored does not pass for a success.
func TestAStatementThatFails(t *testing.T) {
	db, table := orders(t)
	for _, sql := range []string{"insert into " + table + " values (null, 1)", "commit", "rollback"} {
		err := db.Update(ctx, func(tx *snib.Tx) error {
			if _, err := tx.CreateUser(snib.NewUser{Provider: "email", Identifier: "a@example.com"}); err != nil {
				return err
			}
			c := snibpg.Conn(tx)
			c.Exec(ctx, sql)
			return nil
		})
		if err == nil {
			t.Errorf("%s: nil, and the transaction was not stored", sql)
		}
	}
	must(t, db.Update(ctx, func(tx *snib.Tx) error { // a savepoint saves it
		c := snibpg.Conn(tx)
		for _, sql := range []string{"savepoint s", "insert into " + table + " values (null, 1)", "rollback to s", "insert into " + table + " values ('y', 1)"} {
			c.Exec(ctx, sql)
		}
		return nil
	}))
	if rows(t, table) != 1 {
		t.Errorf("%d rows, want 1", rows(t, table))
	}
}

// TestConnOutlivesNothing: what a closure kept is of no use, and never another's
// transaction.
func TestConnOutlivesNothing(t *testing.T) {
	db, table := orders(t)
	var kept *snibpg.Tx
	must(t, db.Update(ctx, func(tx *snib.Tx) error { kept = snibpg.Conn(tx); return nil }))
	check := func(what string, c *snibpg.Tx) {
		_, exec := c.Exec(ctx, "select 1")
		_, query := c.Query(ctx, "select 1")
		_, copied := c.CopyFrom(ctx, pgx.Identifier{table}, []string{"account"}, nil)
		var n int
		for name, err := range map[string]error{
			"Exec": exec, "Query": query, "QueryRow": c.QueryRow(ctx, "select 1").Scan(&n), "CopyFrom": copied,
			"SendBatch": c.SendBatch(ctx, &pgx.Batch{}).Close(),
		} {
			if !errors.Is(err, snib.ErrTxClosed) {
				t.Errorf("%s, %s: %v, want ErrTxClosed", what, name, err)
			}
		}
	}
	check("after the closure", kept)
	var tx *snib.Tx
	err := db.View(ctx, func(inside *snib.Tx) error {
		tx = inside
		c := snibpg.Conn(tx)
		var n int
		if err := c.QueryRow(ctx, "select count(*) from "+table).Scan(&n); err != nil {
			return err
		}
		if _, err := c.Exec(context.Background(), "insert into "+table+" values ('z', 1)"); err == nil {
			t.Error("a View has written")
		}
		return nil
	})
	if err == nil {
		t.Error("nil, and a statement has failed")
	}
	check("taken after the end", snibpg.Conn(tx))
}
