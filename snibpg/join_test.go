package snibpg_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibpg"
)

// ownPool is a pool of the program's own, in which searches for the program's tables
// are as it likes them.
func ownPool(t *testing.T) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.New(ctx, server(t))
	must(t, err)
	t.Cleanup(pool.Close)
	return pool
}

func join(db *snib.DB, tx pgx.Tx, fn func(*snib.Tx) error) error { return snibpg.Join(ctx, db, tx, fn) }

func create(name string) func(*snib.Tx) error {
	return func(tx *snib.Tx) error {
		_, err := tx.CreateUser(snib.NewUser{Provider: "email", Identifier: name})
		return err
	}
}

func there(t *testing.T, db *snib.DB, name string) bool {
	t.Helper()
	_, err := db.GetUserByProviderID(ctx, "email", name)
	if err != nil && !errors.Is(err, snib.ErrUserNotFound) {
		t.Error(err)
	}
	return err == nil
}

func insert(tx pgx.Tx, table, account string) error {
	_, err := tx.Exec(ctx, "insert into "+table+" values ($1, 1)", account)
	return err
}

var serializable = pgx.TxOptions{IsoLevel: pgx.Serializable}

// TestJoin: the account is stored with the program's commit and no sooner, seen in the
// transaction before, and gone with its rollback.
func TestJoin(t *testing.T) {
	db, table := orders(t)
	pool := ownPool(t)
	for _, commit := range []bool{false, true} {
		tx, err := pool.BeginTx(ctx, serializable)
		must(t, err)
		must(t, insert(tx, table, "row"))
		_, err = tx.Exec(ctx, "set local synchronous_commit = off")
		must(t, err)
		must(t, join(db, tx, create("a@example.com")))
		var commits string
		must(t, tx.QueryRow(ctx, "show synchronous_commit").Scan(&commits))
		if commits != "on" {
			t.Errorf("the commit would not wait for the disk: %s", commits)
		}
		must(t, join(db, tx, func(in *snib.Tx) error { // a second one sees the first
			_, err := in.GetUserByProviderID("email", "a@example.com")
			return err
		}))
		var rows int
		must(t, tx.QueryRow(ctx, "select count(*) from "+strings.TrimPrefix(table, "orders_")+".users").Scan(&rows))
		if rows != 1 {
			t.Errorf("%d accounts in the transaction", rows)
		}
		if there(t, db, "a@example.com") {
			t.Error("stored before the commit")
		}
		if commit {
			must(t, tx.Commit(ctx))
		} else {
			must(t, tx.Rollback(ctx))
		}
		if there(t, db, "a@example.com") != commit {
			t.Errorf("commit %v, and there is the opposite", commit)
		}
	}
	if rows(t, table) != 1 || users(t, db) != 1 {
		t.Errorf("%d rows, %d users", rows(t, table), users(t, db))
	}
}

// TestJoinThatFails: nothing of the closure stays in the transaction, whether it was
// sent or not, and the transaction goes on with the settings that it had.
func TestJoinThatFails(t *testing.T) {
	db, table := orders(t)
	tx, err := ownPool(t).BeginTx(ctx, serializable)
	must(t, err)
	defer tx.Rollback(ctx)
	_, err = tx.Exec(ctx, "set local enable_seqscan = off; set local jit = on")
	must(t, err)
	own := errors.New("changed my mind")
	for _, sent := range []bool{false, true} {
		fails := func(in *snib.Tx) error {
			err := create("a@example.com")(in)
			if sent && err == nil {
				_, err = snibpg.Conn(in).Exec(ctx, "insert into "+table+" values ('inside', 1)")
			}
			return errors.Join(err, own)
		}
		if err := join(db, tx, fails); !errors.Is(err, own) {
			t.Errorf("got %v", err)
		}
		func() {
			defer func() { recover() }()
			join(db, tx, func(in *snib.Tx) error { fails(in); panic("in the closure") })
		}()
	}
	must(t, insert(tx, table, "after"))
	var seqscan, bitmapscan, jit string
	must(t, tx.QueryRow(ctx, "select current_setting('enable_seqscan'), current_setting('enable_bitmapscan'), current_setting('jit')").Scan(&seqscan, &bitmapscan, &jit))
	if seqscan != "off" || bitmapscan != "on" || jit != "on" {
		t.Errorf("the settings of the program are %s, %s, %s", seqscan, bitmapscan, jit)
	}
	must(t, join(db, tx, create("b@example.com")))
	must(t, tx.QueryRow(ctx, "select current_setting('enable_seqscan'), current_setting('enable_bitmapscan'), current_setting('jit')").Scan(&seqscan, &bitmapscan, &jit))
	if seqscan != "off" || bitmapscan != "on" || jit != "on" {
		t.Errorf("after a Join they are %s, %s, %s", seqscan, bitmapscan, jit)
	}
	must(t, tx.Commit(ctx))
	if there(t, db, "a@example.com") || !there(t, db, "b@example.com") || rows(t, table) != 1 {
		t.Errorf("stored: %d users, %d rows", users(t, db), rows(t, table))
	}
}

// TestTheProgramEndsItInside: a transaction that the closure ends has not had it, also
// if the program begins another on its connection.
func TestTheProgramEndsItInside(t *testing.T) {
	db, _ := orders(t)
	pool, err := pgxpool.New(ctx, with(t, "pool_max_conns=1"))
	must(t, err)
	defer pool.Close()
	var others pgx.Tx
	for what, end := range map[string]func(tx pgx.Tx) error{
		"to others": func(tx pgx.Tx) (err error) { // who get the connection
			err = tx.Commit(ctx)
			if err == nil {
				others, err = pool.BeginTx(ctx, serializable)
			}
			return err
		},
		"commit":    func(tx pgx.Tx) error { return tx.Commit(ctx) },
		"rollback":  func(tx pgx.Tx) error { return tx.Rollback(ctx) },
		"statement": func(tx pgx.Tx) error { _, err := tx.Exec(ctx, "commit"); return err },
		"another":   func(tx pgx.Tx) error { _, err := tx.Exec(ctx, "commit; begin"); return err },
	} {
		tx, err := pool.BeginTx(ctx, serializable)
		must(t, err)
		err = join(db, tx, func(in *snib.Tx) error {
			return errors.Join(create("a@example.com")(in), end(tx))
		})
		if err == nil || what != "another" && !errors.Is(err, snib.ErrTxClosed) {
			t.Errorf("%s: %v", what, err)
		}
		tx.Commit(ctx)
		if others != nil {
			_, err := others.Exec(ctx, "select 1")
			if err = errors.Join(err, others.Commit(ctx)); err != nil {
				t.Errorf("%s: theirs: %v", what, err)
			}
			others = nil
		}
		if there(t, db, "a@example.com") {
			t.Errorf("%s: stored", what)
		}
	}
}

// TestConnAfterItsEndInside: the transaction that the closure ended has no connection
// any more. Statements in it do not go to the one who has the connection now, and that
// one goes on.
func TestConnAfterItsEndInside(t *testing.T) {
	db, table := orders(t)
	pool, err := pgxpool.New(ctx, with(t, "pool_max_conns=1"))
	must(t, err)
	defer pool.Close()
	for what, end := range map[string]func(pgx.Tx) error{
		"commit":   func(tx pgx.Tx) error { return tx.Commit(ctx) },
		"rollback": func(tx pgx.Tx) error { return tx.Rollback(ctx) },
	} {
		tx, err := pool.BeginTx(ctx, serializable)
		must(t, err)
		var others pgx.Tx
		var rows pgx.Rows
		err = join(db, tx, func(in *snib.Tx) error {
			c := snibpg.Conn(in)
			must(t, end(tx))
			others, err = pool.BeginTx(ctx, serializable)
			must(t, err)
			rows, err = others.Query(ctx, "select generate_series(1, 3)") // it is busy
			must(t, err)
			_, exec := c.Exec(ctx, "insert into "+table+" values ('x', 1)")
			_, query := c.Query(ctx, "select 1")
			var n int
			row := c.QueryRow(ctx, "select 1").Scan(&n)
			_, user := in.GetUserByProviderID("email", "nobody@example.com")
			for name, err := range map[string]error{"Exec": exec, "Query": query, "QueryRow": row, "GetUserByProviderID": user} {
				if !errors.Is(err, snib.ErrTxClosed) {
					t.Errorf("%s, %s: %v", what, name, err)
				}
			}
			return nil
		})
		if !errors.Is(err, snib.ErrTxClosed) || !strings.Contains(err.Error(), "the program has committed it") {
			t.Errorf("%s: %v", what, err)
		}
		rows.Close()
		if err := errors.Join(rows.Err(), insert(others, table, what), others.Commit(ctx)); err != nil {
			t.Errorf("%s: theirs: %v", what, err)
		}
	}
	if n := rows(t, table); n != 2 {
		t.Errorf("%d rows, want those of the others", n)
	}
	err = snibpg.Retry(ctx, db, pool, func(tx pgx.Tx) error { return tx.Commit(ctx) })
	if !errors.Is(err, snib.ErrTxClosed) {
		t.Errorf("in Retry: %v", err)
	}
}

// TestJoinRefuses: transactions on which uniqueness could not rest, of another
// database, that have ended; and accounts that are elsewhere.
func TestJoinRefuses(t *testing.T) {
	db, table := orders(t)
	pool := ownPool(t)
	never := func(*snib.Tx) error { t.Error("the closure ran"); return nil }
	for _, level := range []pgx.TxIsoLevel{"", pgx.ReadCommitted, pgx.RepeatableRead} {
		tx, err := pool.BeginTx(ctx, pgx.TxOptions{IsoLevel: level})
		must(t, err)
		if err := join(db, tx, never); err == nil || !strings.Contains(err.Error(), "SERIALIZABLE") {
			t.Errorf("%q: %v", level, err)
		}
		must(t, insert(tx, table, "x"+string(level))) // it goes on
		must(t, tx.Rollback(ctx))
		if err := join(db, tx, never); !errors.Is(err, snib.ErrTxClosed) || errors.Is(err, pgx.ErrTxCommitRollback) {
			t.Errorf("after its end: %v", err)
		}
	}

	tx, err := pool.BeginTx(ctx, serializable)
	must(t, err)
	defer tx.Rollback(ctx)
	file, err := snib.Open(filepath.Join(t.TempDir(), "a.db"), nil)
	must(t, err)
	defer file.Close()
	for what, other := range map[string]*snib.DB{"a file": file, "nil": nil} {
		if err := join(other, tx, never); err == nil {
			t.Errorf("%s: nil", what)
		}
	}
	err = db.Update(ctx, func(*snib.Tx) error { return join(db, tx, never) })
	if !errors.Is(err, snib.ErrNested) {
		t.Errorf("inside a closure: %v", err)
	}
	err = join(db, tx, func(in *snib.Tx) error {
		if err := join(db, tx, never); !errors.Is(err, snib.ErrNested) {
			t.Errorf("inside a Join: %v", err)
		}
		if _, err := db.GetUser(ctx, "usr_x"); !errors.Is(err, snib.ErrNested) && !errors.Is(err, snib.ErrUserNotFound) {
			t.Errorf("db inside a Join: %v", err)
		}
		return db.DeleteUser(ctx, "usr_06h2fm1jdc05hjn6x2w7nm5fjr")
	})
	if !errors.Is(err, snib.ErrNested) {
		t.Errorf("db inside a Join: %v", err)
	}

	var database string
	must(t, pool.QueryRow(ctx, "select 'other_' || (random() * 1e15)::bigint").Scan(&database))
	_, err = pool.Exec(ctx, "create database "+database)
	must(t, err)
	defer pool.Exec(ctx, "drop database "+database+" with (force)")
	config, err := pgx.ParseConfig(dsn)
	must(t, err)
	config.Database = database
	elsewhere, err := pgx.ConnectConfig(ctx, config)
	must(t, err)
	defer elsewhere.Close(ctx)
	away, err := elsewhere.BeginTx(ctx, serializable)
	must(t, err)
	if err := join(db, away, never); err == nil || !strings.Contains(err.Error(), "another database") {
		t.Errorf("another database: %v", err)
	}
	must(t, away.Rollback(ctx))
	if err := snibpg.Retry(ctx, db, elsewhere, func(pgx.Tx) error { t.Error("ran elsewhere"); return nil }); err == nil {
		t.Error("another database: nil of Retry")
	}
	must(t, db.Close())
	if err := join(db, tx, never); !errors.Is(err, snib.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}

// TestJoinOfAReader: a read-only transaction reads, and its writes are refused.
func TestJoinOfAReader(t *testing.T) {
	db, _ := orders(t)
	u, err := db.CreateUser(ctx, snib.NewUser{Provider: "email", Identifier: "a@example.com"})
	must(t, err)
	tx, err := ownPool(t).BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.Serializable, AccessMode: pgx.ReadOnly})
	must(t, err)
	defer tx.Rollback(ctx)
	must(t, join(db, tx, func(in *snib.Tx) error { _, err := in.GetUser(u.ID); return err }))
	if err := join(db, tx, create("b@example.com")); !errors.Is(err, snib.ErrReadOnly) {
		t.Errorf("a write: %v", err)
	}
}

// TestJoinLoses: two transactions that take one name cannot both commit, whether the
// other is of snib or of the program, and the loser says 40001, by which it is run
// again.
func TestJoinLoses(t *testing.T) {
	db, _ := orders(t)
	pool := ownPool(t)
	for i, other := range []func(name string) error{
		func(name string) error {
			_, err := db.CreateUser(ctx, snib.NewUser{Provider: "email", Identifier: name})
			return err
		},
		func(name string) error {
			return snibpg.Retry(ctx, db, pool, func(tx pgx.Tx) error { return join(db, tx, create(name)) })
		},
	} {
		name := fmt.Sprintf("a%d@example.com", i)
		tx, err := pool.BeginTx(ctx, serializable)
		must(t, err)
		must(t, join(db, tx, func(in *snib.Tx) error {
			if _, err := in.GetUserByProviderID("email", name); !errors.Is(err, snib.ErrUserNotFound) {
				t.Errorf("%s: %v", name, err)
			}
			return nil
		}))
		must(t, other(name))
		err = join(db, tx, create(name))
		if err == nil {
			err = tx.Commit(ctx)
		} else {
			tx.Rollback(ctx)
		}
		var pg *pgconn.PgError
		if !errors.As(err, &pg) || pg.Code != "40001" {
			t.Errorf("case %d: the second was stored, or says %v", i, err)
		}
	}
	if n := users(t, db); n != 2 {
		t.Errorf("%d users, want 2", n)
	}
}

// TestRetry: what many transactions of the program count, on rows and accounts that
// all of them change, is exact. Errors of the program are its own.
func TestRetry(t *testing.T) {
	db, table := orders(t)
	pool := ownPool(t)
	exec(t, func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "insert into "+table+" values ('total', 0)")
		return err
	})
	u, err := db.CreateUser(ctx, snib.NewUser{Provider: "email", Identifier: "a@example.com"})
	must(t, err)
	const workers, each = 6, 8
	var group sync.WaitGroup
	var runs, done atomic.Int64
	one := func() error {
		return snibpg.Retry(ctx, db, pool, func(tx pgx.Tx) error {
			runs.Add(1)
			var n int
			if err := tx.QueryRow(ctx, "select n from "+table+" where account = 'total'").Scan(&n); err != nil {
				return err
			}
			err := join(db, tx, func(in *snib.Tx) error {
				_, err := in.CreateSession(u, snib.SessionOptions{})
				return err
			})
			if err != nil {
				return fmt.Errorf("wrapped: %w", err)
			}
			_, err = tx.Exec(ctx, "update "+table+" set n = $1 where account = 'total'", n+1)
			return err
		})
	}
	for range workers {
		group.Go(func() {
			for range each {
				switch err := one(); {
				case err == nil:
					done.Add(1)
				case !errors.Is(err, snib.ErrBusy): // of a machine that has no time
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	var n int
	exec(t, func(conn *pgx.Conn) error {
		return conn.QueryRow(ctx, "select n from "+table+" where account = 'total'").Scan(&n)
	})
	sessions, err := db.ListUserSessions(ctx, u.ID)
	must(t, err)
	t.Logf("%d transactions in %d runs", done.Load(), runs.Load())
	if int64(n) != done.Load() || len(sessions) != n {
		t.Errorf("%d acknowledged: counted %d, %d sessions", done.Load(), n, len(sessions))
	}
	if runs.Load() == done.Load() {
		t.Error("none has lost: this test could not tell")
	}

	own := errors.New("changed my mind")
	before := runs.Load()
	err = snibpg.Retry(ctx, db, pool, func(tx pgx.Tx) error { runs.Add(1); return errors.Join(insert(tx, table, "x"), own) })
	if !errors.Is(err, own) || runs.Load() != before+1 || rows(t, table) != 1 {
		t.Errorf("an error of the program: %v", err)
	}
	err = snibpg.Retry(ctx, db, pool, func(tx pgx.Tx) error {
		insert(tx, table, "total") // is there, and the error is dropped
		return nil
	})
	if err == nil || errors.Is(err, snib.ErrBusy) {
		t.Errorf("a statement has failed: %v", err)
	}
	err = snibpg.Retry(ctx, db, pool, func(tx pgx.Tx) error { return db.DeleteUser(ctx, u.ID) })
	if !errors.Is(err, snib.ErrNested) || !there(t, db, "a@example.com") {
		t.Errorf("db inside Retry: %v", err)
	}
	canceled, cancel := context.WithCancel(ctx)
	err = snibpg.Retry(canceled, db, pool, func(tx pgx.Tx) error { cancel(); return tx.QueryRow(canceled, "select 1").Scan(&n) })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
}

// TestRetryRunsAlone: a transaction that has lost four times is not lost to a load of
// others again, and they wait for it.
func TestRetryRunsAlone(t *testing.T) {
	db, table := orders(t)
	pool := ownPool(t)
	exec(t, func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "insert into "+table+" values ('total', 0)")
		return err
	})
	runs, others := 0, make(chan error, 10)
	must(t, snibpg.Retry(ctx, db, pool, func(tx pgx.Tx) error {
		runs++
		var n int
		if err := tx.QueryRow(ctx, "select n from "+table+" where account = 'total'").Scan(&n); err != nil {
			return err
		}
		go func() { // of snib, so that it waits for a program that runs alone
			others <- db.Update(ctx, func(in *snib.Tx) error {
				_, err := snibpg.Conn(in).Exec(ctx, "update "+table+" set n = n + 100 where account = 'total'")
				return err
			})
		}()
		if runs <= 4 {
			must(t, <-others)
		} else {
			select {
			case err := <-others:
				t.Errorf("another has not waited: %v", err)
				others <- err
			case <-time.After(200 * time.Millisecond):
			}
		}
		_, err := tx.Exec(ctx, "update "+table+" set n = $1 where account = 'total'", n+1)
		return err
	}))
	must(t, <-others)
	if runs != 5 {
		t.Errorf("%d runs, want 5", runs)
	}
	var n int
	exec(t, func(conn *pgx.Conn) error {
		return conn.QueryRow(ctx, "select n from "+table+" where account = 'total'").Scan(&n)
	})
	if n != 501 {
		t.Errorf("counted %d, want 501", n)
	}
}

// TestJoinWaitsForOneAlone: like a commit of snib, one that writes waits for a program
// that runs alone.
func TestJoinWaitsForOneAlone(t *testing.T) {
	db, table := orders(t)
	tx, err := ownPool(t).BeginTx(ctx, serializable)
	must(t, err)
	exec(t, func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "begin; lock table "+strings.TrimPrefix(table, "orders_")+".marks_1 in exclusive mode")
		must(t, err)
		done := make(chan error, 1)
		go func() { done <- join(db, tx, create("a@example.com")) }()
		select {
		case err := <-done:
			t.Errorf("it has not waited: %v", err)
			done <- err
		case <-time.After(200 * time.Millisecond):
		}
		_, err = conn.Exec(ctx, "rollback")
		return errors.Join(err, <-done)
	})
	must(t, tx.Commit(ctx))
	if !there(t, db, "a@example.com") {
		t.Error("not stored")
	}
}

// cutting begins transactions whose commit loses its answer, or does not arrive, once.
type cutting struct {
	snibpg.Beginner
	arrives bool
	cuts    int
}

func (c *cutting) BeginTx(ctx context.Context, o pgx.TxOptions) (pgx.Tx, error) {
	tx, err := c.Beginner.BeginTx(ctx, o)
	return &cut{tx, c}, err
}

type cut struct {
	pgx.Tx
	c *cutting
}

func (t *cut) Commit(ctx context.Context) error {
	if t.c.cuts++; t.c.cuts > 1 {
		return t.Tx.Commit(ctx)
	}
	if t.c.arrives {
		if err := t.Tx.Commit(ctx); err != nil {
			return err
		}
	} else {
		t.Tx.Conn().Close(ctx)
		t.Tx.Rollback(ctx)
	}
	return errors.New("the connection is gone")
}

// TestRetryFindsALostCommit: one that happened is not done again, and one that did not
// is.
func TestRetryFindsALostCommit(t *testing.T) {
	for _, arrives := range []bool{true, false} {
		db, table := orders(t)
		c := &cutting{Beginner: ownPool(t), arrives: arrives}
		runs := 0
		must(t, snibpg.Retry(ctx, db, c, func(tx pgx.Tx) error {
			runs++
			if err := insert(tx, table, fmt.Sprint("run ", runs)); err != nil {
				return err
			}
			return join(db, tx, create("a@example.com"))
		}))
		if want := map[bool]int{true: 1, false: 2}[arrives]; runs != want || rows(t, table) != 1 || users(t, db) != 1 {
			t.Errorf("arrives %v: %d runs, %d rows, %d users", arrives, runs, rows(t, table), users(t, db))
		}
	}
}
