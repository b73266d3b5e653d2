package snibsqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/ncruces/go-sqlite3/driver"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibsqlite"
)

var ctx = context.Background()

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// program opens a database as a program does, with a table of its own.
func program(tb testing.TB, pragmas string) *sql.DB {
	tb.Helper()
	db, err := driver.Open("file:" + filepath.Join(tb.TempDir(), "program.db") + "?_pragma=busy_timeout(120000)" + pragmas)
	must(tb, err)
	tb.Cleanup(func() { db.Close() })
	for _, query := range []string{"PRAGMA journal_mode = WAL", "CREATE TABLE orders (user TEXT NOT NULL, what TEXT NOT NULL)"} {
		_, err := db.Exec(query)
		must(tb, err)
	}
	return db
}

func accounts(tb testing.TB, handle *sql.DB) *snib.DB {
	tb.Helper()
	e, err := snibsqlite.New(handle, nil)
	must(tb, err)
	db, err := snib.OpenStore(ctx, e, &snib.Options{SweepEvery: -1})
	must(tb, err)
	tb.Cleanup(func() {
		if report, err := db.Check(ctx); err != nil && !errors.Is(err, snib.ErrClosed) || len(report.Problems) > 0 {
			tb.Errorf("check: %v, %v", report.Problems, err)
		}
		if err := db.Close(); err != nil {
			tb.Error(err)
		}
	})
	return db
}

func rows(tb testing.TB, handle *sql.DB) (n int) {
	tb.Helper()
	must(tb, handle.QueryRow("SELECT count(*) FROM orders").Scan(&n))
	return n
}

func newUser(email string) snib.NewUser { return snib.NewUser{Provider: "email", Identifier: email} }

func order(conn *sql.Conn, user snib.UserID) error {
	_, err := conn.ExecContext(ctx, "INSERT INTO orders VALUES (?, 'a book')", user)
	return err
}

// TestConnIsTheTransaction: rows of the program and an account are committed
// together, or not at all, and each sees the other before.
func TestConnIsTheTransaction(t *testing.T) {
	handle := program(t, "")
	db := accounts(t, handle)
	undo := errors.New("undo")
	for _, verdict := range []error{nil, undo} {
		var made snib.User
		err := db.Update(ctx, func(tx *snib.Tx) (err error) {
			if made, err = tx.CreateUser(newUser("ada@example.com")); err != nil {
				return err
			}
			conn := snibsqlite.Conn(tx)
			var n int
			if err := conn.QueryRowContext(ctx, "SELECT count(*) FROM snib_users").Scan(&n); err != nil || n != 1 {
				t.Errorf("the program sees %d users, %v", n, err)
			}
			if err := order(conn, made.ID); err != nil {
				return err
			}
			if _, err := tx.UpdateUserAttributes(made.ID, snib.Attributes{"name": "Ada"}); err != nil {
				return err
			}
			return verdict
		})
		if err != verdict {
			t.Fatalf("got %v, want %v", err, verdict)
		}
		_, err = db.GetUser(ctx, made.ID)
		want := 0
		if verdict == nil {
			want = 1
		}
		if n := rows(t, handle); n != want || (err == nil) != (verdict == nil) {
			t.Errorf("verdict %v: %d rows, user %v", verdict, n, err)
		}
		if verdict == nil {
			must(t, db.DeleteUser(ctx, made.ID))
			_, err := handle.Exec("DELETE FROM orders")
			must(t, err)
		}
	}
	must(t, db.View(ctx, func(tx *snib.Tx) error {
		if err := order(snibsqlite.Conn(tx), "usr"); err == nil {
			t.Error("a View wrote")
		}
		return nil
	}))
	var kept *snib.Tx
	must(t, db.Update(ctx, func(tx *snib.Tx) error { kept = tx; return nil }))
	if snibsqlite.Conn(kept) != nil {
		t.Error("a connection after the end")
	}
}

// TestATransactionThatTheProgramEnds: nothing is written outside of it.
func TestATransactionThatTheProgramEnds(t *testing.T) {
	for name, end := range map[string]string{"rollback": "ROLLBACK", "commit": "COMMIT", "conflict": "INSERT OR ROLLBACK INTO only VALUES (1)"} {
		handle := program(t, "")
		_, err := handle.Exec("CREATE TABLE only (n INTEGER UNIQUE); INSERT INTO only VALUES (1)")
		must(t, err)
		db := accounts(t, handle)
		err = db.Update(ctx, func(tx *snib.Tx) error {
			snibsqlite.Conn(tx).ExecContext(ctx, end)
			tx.CreateUser(newUser("ada@example.com"))
			return nil
		})
		if err == nil {
			t.Errorf("%s: acknowledged", name)
		}
		n, users := 0, 0
		must(t, handle.QueryRow("SELECT (SELECT count(*) FROM orders), (SELECT count(*) FROM snib_users)").Scan(&n, &users))
		if n != 0 || users != 0 {
			t.Errorf("%s: %d orders and %d users, want none", name, n, users)
		}
	}
}

// TestTheProgramGoesOn: it reads and writes beside, and gets its connections back.
func TestTheProgramGoesOn(t *testing.T) {
	handle := program(t, "&_pragma=synchronous(1)")
	handle.SetMaxOpenConns(5)
	handle.SetMaxIdleConns(5) // none is closed: each is looked at afterwards
	db := accounts(t, handle)
	done := make(chan error, 4)
	for g := range cap(done) {
		go func() {
			var err error
			for i := range 10 {
				_, failed := handle.Exec("INSERT INTO orders VALUES ('u', 'x')")
				_, made := db.CreateUser(ctx, newUser(fmt.Sprintf("u%d-%d@example.com", g, i)))
				err = errors.Join(err, failed, made)
			}
			done <- err
		}()
	}
	for range cap(done) {
		must(t, <-done)
	}
	if n := rows(t, handle); n != 10*cap(done) {
		t.Errorf("%d rows", n)
	}
	must(t, db.Close())
	must(t, handle.PingContext(ctx))
	for range 6 {
		conn, err := handle.Conn(ctx)
		must(t, err)
		var level, only, n int
		must(t, conn.QueryRowContext(ctx, "PRAGMA synchronous").Scan(&level))
		must(t, conn.QueryRowContext(ctx, "PRAGMA query_only").Scan(&only))
		must(t, conn.QueryRowContext(ctx, "PRAGMA busy_timeout").Scan(&n))
		if level != 1 || only != 0 || n != 120000 {
			t.Errorf("a connection came back with synchronous %d, query_only %d, busy_timeout %d", level, only, n)
		}
		defer conn.Close()
		if handle.Stats().InUse == 5 {
			break
		}
	}
}

// TestNewRefuses: a handle on which a commit could be lost.
func TestNewRefuses(t *testing.T) {
	open := func(handle *sql.DB) error {
		e, err := snibsqlite.New(handle, nil)
		if err != nil {
			return err
		}
		db, err := snib.OpenStore(ctx, e, nil)
		if err == nil {
			db.Close()
		}
		return err
	}
	memory, err := driver.Open("file::memory:")
	must(t, err)
	defer memory.Close()
	few := program(t, "")
	few.SetMaxOpenConns(3)
	deleting := program(t, "")
	_, err = deleting.Exec("PRAGMA journal_mode = DELETE")
	must(t, err)
	for name, handle := range map[string]*sql.DB{
		"in memory": memory, "synchronous=OFF": program(t, "&_pragma=synchronous(0)"), "few connections": few, "no log": deleting,
	} {
		if err := open(handle); !errors.Is(err, snibsqlite.ErrHandle) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestNewLeavesTablesOfOthers: whose names begin like those of the accounts.
func TestNewLeavesTablesOfOthers(t *testing.T) {
	handle := program(t, "")
	_, err := handle.Exec("CREATE TABLE snib_users (mine TEXT)")
	must(t, err)
	e, err := snibsqlite.New(handle, nil)
	must(t, err)
	if _, err := snib.OpenStore(ctx, e, nil); !errors.Is(err, snib.ErrForeignFile) {
		t.Errorf("got %v, want ErrForeignFile", err)
	}
}

// TestUpdatesWithAConnectionShareNoCommit: what the program does to one
// transaction is done to no other.
func TestUpdatesWithAConnectionShareNoCommit(t *testing.T) {
	handle := program(t, "")
	db := accounts(t, handle)
	update := func(i int) error {
		return db.Update(ctx, func(tx *snib.Tx) error {
			u, err := tx.CreateUser(newUser(fmt.Sprintf("u%d@example.com", i)))
			if err != nil {
				return err
			}
			return order(snibsqlite.Conn(tx), u.ID)
		})
	}
	must(t, update(0))
	before, err := db.Stats(ctx)
	must(t, err)
	done := make(chan error, 20)
	for i := range cap(done) {
		go func() { done <- update(i + 1) }()
	}
	for range cap(done) {
		must(t, <-done)
	}
	after, err := db.Stats(ctx)
	must(t, err)
	if n := after.Commits - before.Commits; n < int64(cap(done)) {
		t.Errorf("%d commits of %d updates", n, cap(done))
	}
}

// TestFullDatabase: what removes still succeeds, and all else again with room.
func TestFullDatabase(t *testing.T) {
	handle := program(t, "&_pragma=max_page_count(120)")
	db := accounts(t, handle)
	u, err := db.CreateUser(ctx, newUser("ada@example.com"))
	must(t, err)
	for i := 0; err == nil; i++ {
		if _, err = db.CreateUser(ctx, newUser(fmt.Sprintf("u%d@example.com", i))); i > 10000 {
			t.Fatal("never full")
		}
	}
	if !errors.Is(err, snib.ErrFull) {
		t.Fatalf("got %v, want ErrFull", err)
	}
	must(t, db.DeleteUser(ctx, u.ID))
	if _, err := db.GetUser(ctx, u.ID); !errors.Is(err, snib.ErrUserNotFound) {
		t.Error(err)
	}
}
