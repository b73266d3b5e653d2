package snibsqlite_test

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"errors"
	"log/slog"
	"reflect"
	"strings"
	"testing"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/kv/dbtest"
	"github.com/snibdb/snib/snibsqlite"
)

// execute runs statements of the program.
func execute(tb testing.TB, handle *sql.DB, queries ...string) {
	tb.Helper()
	for _, query := range queries {
		if _, err := handle.Exec(query); err != nil {
			tb.Fatalf("%s: %v", query, err)
		}
	}
}

// put puts rows of a user into a table with the columns of its name.
func put(tx *snib.Tx, table, column string, id snib.UserID, n int) error {
	_, err := snibsqlite.Conn(tx).ExecContext(ctx, "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < ?2)"+
		" INSERT INTO "+table+" ("+column+", body) SELECT ?1, 'row ' || n || ' of ' || ?1 FROM c", string(id), n)
	return err
}

func countOf(tx *snib.Tx, table, column string) (map[snib.UserID]int, error) {
	rows, err := snibsqlite.Conn(tx).QueryContext(ctx, "SELECT "+column+", count(*) FROM "+table+" GROUP BY "+column+" COLLATE BINARY")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	of := map[snib.UserID]int{}
	for rows.Next() {
		var id string
		var n int
		if err := rows.Scan(&id, &n); err != nil {
			return nil, err
		}
		of[snib.UserID(id)] = n
	}
	return of, rows.Err()
}

// TestOwnedPromises: rows of tables leave with their user as rows of a bucket do.
func TestOwnedPromises(t *testing.T) {
	sets := map[string][2]string{"notes": {"notes", "user_id"}, `"its ""more"""(Owner)`: {`"its ""more"""`, "Owner"}}
	dbtest.RunOwned(t, func(tb testing.TB) dbtest.Rows {
		handle := program(tb, "")
		execute(tb, handle,
			"CREATE TABLE notes (id INTEGER PRIMARY KEY, user_id TEXT NOT NULL, body TEXT)", "CREATE INDEX notes_user ON notes (user_id)",
			// Without a row id, and with a collation of which ids know nothing.
			`CREATE TABLE "its ""more""" (Owner VARCHAR(128) NOT NULL COLLATE NOCASE, body TEXT, n INT DEFAULT (random()), PRIMARY KEY (Owner, n)) WITHOUT ROWID`)
		e, err := snibsqlite.New(handle, nil)
		must(tb, err)
		return dbtest.Rows{
			Engine: e, Names: [2]string{"notes", `"its ""more"""(Owner)`},
			Put: func(tx *snib.Tx, set string, id snib.UserID, n int) error {
				return put(tx, sets[set][0], sets[set][1], id, n)
			},
			Count: func(tx *snib.Tx, set string) (map[snib.UserID]int, error) {
				return countOf(tx, sets[set][0], sets[set][1])
			},
		}
	})
}

// owning opens accounts with tables of the program's.
func owning(tb testing.TB, handle *sql.DB, owned ...string) (*snib.DB, error) {
	tb.Helper()
	e, err := snibsqlite.New(handle, nil)
	must(tb, err)
	db, err := snib.OpenStore(ctx, e, &snib.Options{SweepEvery: -1, Owned: owned})
	if err == nil {
		tb.Cleanup(func() { must(tb, db.Close()) })
	}
	return db, err
}

// TestTablesThatAreNotFit are refused at open, with the reason.
func TestTablesThatAreNotFit(t *testing.T) {
	handle := program(t, "")
	execute(t, handle,
		"CREATE TABLE notes (user_id TEXT, author INT, who BLOB, x, points POINT TEXT)", "CREATE VIEW seen AS SELECT * FROM notes",
		"CREATE TABLE hidden (user_id TEXT, rowid TEXT, _rowid_ TEXT, oid TEXT)")
	for name, reason := range map[string]string{
		"missing": "no such table", "seen": "is no table", "notes(nobody)": "no such column",
		"notes(author)": "TEXT", "notes(who)": "TEXT", "notes(x)": "TEXT", "notes(points)": "TEXT", "hidden": "hides its row id",
		"snib_users(k)": "of the accounts", "SNIB_schema(application)": "of the accounts", "sqlite_schema(name)": "of SQLite",
		"other.notes": "leave the schema away", "notes; drop table notes": "must be", `notes"`: "must be", `"notes"" WHERE 1 --"`: "no such table",
	} {
		_, err := owning(t, handle, "notes", name)
		in, ok := errors.AsType[*snib.InputError](err)
		if !ok || in.Field != "Options.Owned[1]" || !strings.Contains(in.Reason, reason) {
			t.Errorf("%s: %v, want %q", name, err, reason)
		}
	}
	for _, name := range []string{"notes", `main."NOTES"(User_ID)`} {
		db, err := owning(t, handle, name)
		must(t, err)
		must(t, db.Close())
	}
}

// TestTablesThatChange: one that is gone is empty, one whose column is gone keeps the
// user, with the reason.
func TestTablesThatChange(t *testing.T) {
	handle := program(t, "")
	execute(t, handle, "CREATE TABLE notes (user_id TEXT, body TEXT)", "CREATE TABLE more (user_id TEXT, body TEXT)")
	db, err := owning(t, handle, "notes", "more")
	must(t, err)
	u := make([]snib.User, 3)
	for i := range u {
		u[i], err = db.CreateUser(ctx, snib.NewUser{Provider: "username", Identifier: "user" + string(rune('a'+i))})
		must(t, err)
		must(t, db.Update(ctx, func(tx *snib.Tx) error { return put(tx, "notes", "user_id", u[i].ID, 2) }))
	}
	execute(t, handle, "DROP TABLE more")
	must(t, db.DeleteUser(ctx, u[0].ID))
	execute(t, handle, "ALTER TABLE notes RENAME COLUMN user_id TO owner")
	if err := db.DeleteUser(ctx, u[1].ID); err == nil || !strings.Contains(err.Error(), "the table notes of Options.Owned: the table has no such column") {
		t.Errorf("without the column: %v", err)
	}
	if _, err := db.GetUser(ctx, u[1].ID); err != nil {
		t.Errorf("the user: %v", err)
	}
	execute(t, handle, "ALTER TABLE notes RENAME COLUMN owner TO user_id", "CREATE TABLE more (user_id TEXT, body TEXT)")
	must(t, db.Update(ctx, func(tx *snib.Tx) error { return put(tx, "more", "user_id", u[1].ID, 2) }))
	must(t, db.DeleteUser(ctx, u[1].ID))
	if r, err := db.Check(ctx); err != nil || r.Rows != 2 || r.OrphanRows != 0 {
		t.Errorf("%d rows, %d orphans, %v", r.Rows, r.OrphanRows, err)
	}
}

// TestForeignKeysOfOwnTables: those between the tables hold in any order; one of
// another table keeps the user, or follows.
func TestForeignKeysOfOwnTables(t *testing.T) {
	handle := program(t, "&_pragma=foreign_keys(1)")
	execute(t, handle,
		"CREATE TABLE b (id INTEGER PRIMARY KEY, user_id TEXT, body TEXT)",
		"CREATE TABLE a (id INTEGER PRIMARY KEY, user_id TEXT, body TEXT, b INT REFERENCES b)",
		"CREATE TABLE c (id INTEGER PRIMARY KEY, user_id TEXT, body TEXT, a INT REFERENCES a)",
		"CREATE TABLE follows (b INT REFERENCES b ON DELETE CASCADE)", "CREATE TABLE stays (b INT REFERENCES b)")
	db, err := owning(t, handle, "a", "b", "c")
	must(t, err)
	u, err := db.CreateUser(ctx, snib.NewUser{Provider: "username", Identifier: "ada"})
	must(t, err)
	execute(t, handle, "INSERT INTO b VALUES (1, '"+string(u.ID)+"', '')", "INSERT INTO a VALUES (1, '"+string(u.ID)+"', '', 1)",
		"INSERT INTO c VALUES (1, '"+string(u.ID)+"', '', 1)", "INSERT INTO follows VALUES (1)", "INSERT INTO stays VALUES (1)")
	if err := db.DeleteUser(ctx, u.ID); err == nil || !strings.Contains(err.Error(), "FOREIGN KEY") {
		t.Errorf("a row that another needs: %v", err)
	}
	if _, err := db.GetUser(ctx, u.ID); err != nil {
		t.Errorf("the user: %v", err)
	}
	execute(t, handle, "DELETE FROM stays")
	must(t, db.DeleteUser(ctx, u.ID))
	for _, table := range []string{"a", "b", "c", "follows"} {
		var n int
		must(t, handle.QueryRow("SELECT count(*) FROM "+table).Scan(&n))
		if n != 0 {
			t.Errorf("%d rows in %s", n, table)
		}
	}
	if _, err := handle.Exec("INSERT INTO stays VALUES (9)"); err == nil {
		t.Error("foreign keys are off")
	}
}

// TestExportOfColumns: values as they are, bytes in base64.
func TestExportOfColumns(t *testing.T) {
	handle := program(t, "")
	execute(t, handle, `CREATE TABLE notes (user_id TEXT, "a ""b""" INT, at DATETIME, ok BOOLEAN, x BLOB, y REAL, z, twice INT AS (2 * "a ""b"""))`)
	db, err := owning(t, handle, "notes")
	must(t, err)
	u, err := db.CreateUser(ctx, snib.NewUser{Provider: "username", Identifier: "ada"})
	must(t, err)
	_, err = handle.Exec("INSERT INTO notes VALUES (?, 9007199254740993, '2026-01-02 03:04:05', 1, x'00ff0a', 9e999, ?)", string(u.ID), "ü\n\"")
	must(t, err)
	var out bytes.Buffer
	must(t, db.ExportUser(ctx, u.ID, &out))
	var got struct {
		Rows struct{ Notes []map[string]any }
	}
	d := json.NewDecoder(&out)
	d.UseNumber()
	must(t, d.Decode(&got))
	want := []map[string]any{{
		"user_id": string(u.ID), `a "b"`: json.Number("9007199254740993"), "at": "2026-01-02 03:04:05", "ok": json.Number("1"),
		"x": "AP8K", "y": "Infinity", "z": "ü\n\"", "twice": json.Number("18014398509481986"),
	}}
	if !reflect.DeepEqual(got.Rows.Notes, want) {
		t.Errorf("got %v, want %v", got.Rows.Notes, want)
	}
}

// TestRowsWithoutAUser are counted as those of no id: null, empty, bytes.
func TestRowsWithoutAUser(t *testing.T) {
	handle := program(t, "")
	execute(t, handle, "CREATE TABLE notes (user_id TEXT, body TEXT)",
		"INSERT INTO notes VALUES (NULL, ''), ('', ''), (x'61', ''), ('two words', ''), ('gone', ''), ('gone', ''), (7, '')")
	db, err := owning(t, handle, "notes")
	must(t, err)
	r, err := db.Check(ctx)
	must(t, err)
	got := map[snib.UserID]int{}
	for _, o := range r.Orphans {
		got[o.UserID] = o.Rows
	}
	if want := map[snib.UserID]int{"": 4, "gone": 2, "7": 1}; r.Rows != 7 || r.OrphanRows != 7 || !reflect.DeepEqual(got, want) {
		t.Errorf("%d rows, %d orphans, %v, want %v", r.Rows, r.OrphanRows, got, want)
	}
}

// TestMoveOwned: all rows of one owner, or none.
func TestMoveOwned(t *testing.T) {
	handle := program(t, "")
	execute(t, handle, "CREATE TABLE a (user_id TEXT)", "CREATE TABLE b (user_id TEXT PRIMARY KEY)",
		"INSERT INTO a VALUES ('ada'), ('ada'), ('bob')", "INSERT INTO b VALUES ('ada')")
	e, err := snibsqlite.New(handle, nil)
	must(t, err)
	st, err := e.Open(ctx, kv.Setup{Spaces: []kv.SpaceSpec{{Name: "one"}}, Logger: slog.New(slog.DiscardHandler)})
	must(t, err)
	defer func() { must(t, st.Close()) }()
	names := []string{"a", "b", "missing"}
	move := func(from, to string, limit int) (n int, err error) {
		err = st.Apply(ctx, func(w kv.Tx) (err error) {
			mover, ok := kv.As[kv.TableMover](w)
			if !ok {
				return errors.ErrUnsupported
			}
			n, err = mover.MoveOwned(names, from, to, limit)
			return err
		})
		return n, err
	}
	of := func(table, id string) (n int) {
		t.Helper()
		must(t, handle.QueryRow("SELECT count(*) FROM "+table+" WHERE user_id = ?", id).Scan(&n))
		return n
	}
	if n, err := move("ada", "bob", 2); !errors.Is(err, kv.ErrTooLarge) || n != 0 {
		t.Errorf("more than the limit: %d, %v", n, err)
	}
	if n, err := move("ada", "bob", 3); err != nil || n != 3 || of("a", "bob") != 3 || of("b", "bob") != 1 {
		t.Errorf("moved %d, %v", n, err)
	}
	execute(t, handle, "INSERT INTO a VALUES ('eve')", "INSERT INTO b VALUES ('eve')")
	if n, err := move("eve", "bob", 9); !errors.Is(err, kv.ErrRowTaken) || n != 0 || of("a", "eve") != 1 {
		t.Errorf("a row of both: %d, %v", n, err)
	}
	for _, rule := range []string{"REPLACE", "IGNORE"} { // by which one of two rows is lost
		execute(t, handle, "DROP TABLE b", "CREATE TABLE b (user_id TEXT, n INT, UNIQUE (user_id, n) ON CONFLICT "+rule+")",
			"INSERT INTO b VALUES ('eve', 1), ('eve', 2), ('bob', 2), ('bob', 3)")
		if n, err := move("eve", "bob", 9); !errors.Is(err, kv.ErrRowTaken) || n != 0 || of("a", "eve") != 1 || of("b", "eve") != 2 || of("b", "bob") != 2 {
			t.Errorf("on conflict %s: %d, %v, %d and %d rows", rule, n, err, of("b", "eve"), of("b", "bob"))
		}
	}
	err = st.View(ctx, func(r kv.Reader) error {
		mover, _ := kv.As[kv.TableMover](r)
		_, err := mover.MoveOwned(names, "bob", "ada", 9)
		return err
	})
	if !errors.Is(err, kv.ErrReadOnly) {
		t.Errorf("in a View: %v", err)
	}
}

// TestAMergeWithARowInTheWay is refused, and the transaction around it goes on.
func TestAMergeWithARowInTheWay(t *testing.T) {
	handle := program(t, "")
	execute(t, handle, "CREATE TABLE notes (user_id TEXT, body TEXT)", "CREATE TABLE carts (user_id TEXT PRIMARY KEY, body TEXT)")
	db, err := owning(t, handle, "notes", "carts")
	must(t, err)
	u, err := db.CreateUser(ctx, snib.NewUser{Provider: "username", Identifier: "ada"})
	must(t, err)
	stays, err := db.CreateSession(ctx, u, snib.SessionOptions{Methods: snib.MethodPassword})
	must(t, err)
	goes, guest, err := db.Identities().CreateGuest(ctx, snib.SessionOptions{})
	must(t, err)
	must(t, db.Update(ctx, func(tx *snib.Tx) error {
		return errors.Join(put(tx, "notes", "user_id", guest.ID, 2), put(tx, "carts", "user_id", guest.ID, 1), put(tx, "carts", "user_id", u.ID, 1))
	}))
	var m snib.Merged
	must(t, db.Update(ctx, func(tx *snib.Tx) error {
		_, err := tx.Identities().Merge(ctx, stays.Token.Reveal(), goes.Token.Reveal())
		if e, ok := errors.AsType[*snib.MergeError](err); !ok || e.Code != snib.MergeRowTaken {
			t.Errorf("got %v", err)
		}
		if of, err := countOf(tx, "notes", "user_id"); err != nil || of[guest.ID] != 2 || len(of) != 1 {
			t.Errorf("rows %v, %v", of, err)
		}
		if _, err := snibsqlite.Conn(tx).ExecContext(ctx, "DELETE FROM carts WHERE user_id = ?", string(u.ID)); err != nil {
			return err
		}
		m, err = tx.Identities().Merge(ctx, stays.Token.Reveal(), goes.Token.Reveal())
		return err
	}))
	of := map[snib.UserID]int{}
	must(t, db.View(ctx, func(tx *snib.Tx) (err error) { of, err = countOf(tx, "notes", "user_id"); return err }))
	if m.Rows != 3 || of[u.ID] != 2 || len(of) != 1 {
		t.Errorf("%d rows moved, %v", m.Rows, of)
	}
}
