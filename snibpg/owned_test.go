package snibpg_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/snibdb/snib"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/kv/dbtest"
	"github.com/snibdb/snib/snibpg"
)

// execute runs statements of the program, in each of which $ is a schema.
func execute(tb testing.TB, schema string, queries ...string) {
	tb.Helper()
	exec(tb, func(conn *pgx.Conn) error {
		for _, query := range queries {
			if _, err := conn.Exec(ctx, strings.ReplaceAll(query, "$.", schema+".")); err != nil {
				return fmt.Errorf("%s: %w", query, err)
			}
		}
		return nil
	})
}

// programSchema makes a schema for tables of the program's.
func programSchema(tb testing.TB) string {
	tb.Helper()
	name := schema(tb)
	execute(tb, name, "create schema "+name)
	return name
}

// owning opens accounts with tables of the program's, whose names have $. for the
// schema.
func owning(tb testing.TB, e *snibpg.Engine, schema string, owned ...string) (*snib.DB, error) {
	tb.Helper()
	names := make([]string, len(owned))
	for i, name := range owned {
		names[i] = strings.ReplaceAll(name, "$.", schema+".")
	}
	db, err := snib.OpenStore(ctx, e, &snib.Options{SweepEvery: -1, Owned: names, BusyTimeout: time.Minute})
	if err == nil {
		tb.Cleanup(func() { must(tb, db.Close()) })
	}
	return db, err
}

func account(tb testing.TB, db *snib.DB, name string) snib.UserID {
	tb.Helper()
	u, err := db.CreateUser(ctx, snib.NewUser{Provider: "username", Identifier: name})
	must(tb, err)
	return u.ID
}

// count counts the rows that a query finds.
func count(tb testing.TB, schema, query string, args ...any) (n int) {
	tb.Helper()
	exec(tb, func(conn *pgx.Conn) error {
		return conn.QueryRow(ctx, "select count(*) from "+strings.ReplaceAll(query, "$.", schema+"."), args...).Scan(&n)
	})
	return n
}

// own are tables for the promises. The second has names that must be quoted and
// holds its rows in two tables below it.
func own(tb testing.TB, e *snibpg.Engine) dbtest.Rows {
	name := programSchema(tb)
	execute(tb, name, "create table $.notes (user_id text not null, body text)", "create index on $.notes (user_id)",
		`create table $."it's ""more""" ("Owner." varchar(128) not null, body text, n bigint generated always as identity) partition by hash (n)`,
		`create index on $."it's ""more""" ("Owner.")`,
		`create table $.p0 partition of $."it's ""more""" for values with (modulus 2, remainder 0)`,
		`create table $.p1 partition of $."it's ""more""" for values with (modulus 2, remainder 1)`)
	type table struct{ name, column string }
	sets := map[string]table{name + ".notes": {name + ".notes", "user_id"}}
	more := name + `."it's ""more"""("Owner.")`
	sets[more] = table{name + `."it's ""more"""`, `"Owner."`}
	return dbtest.Rows{
		Engine: e, Names: [2]string{name + ".notes", more},
		Put: func(tx *snib.Tx, set string, id snib.UserID, n int) error {
			at := sets[set]
			_, err := snibpg.Conn(tx).Exec(ctx, "insert into "+at.name+" ("+at.column+", body) select $1::text, 'row ' || n || ' of ' || $1::text from generate_series(1, $2::int) n", string(id), n)
			return err
		},
		Count: func(tx *snib.Tx, set string) (map[snib.UserID]int, error) {
			at := sets[set]
			rows, err := snibpg.Conn(tx).Query(ctx, "select "+at.column+", count(*) from "+at.name+" group by 1")
			if err != nil {
				return nil, err
			}
			of := map[snib.UserID]int{}
			var id string
			var n int
			_, err = pgx.ForEachRow(rows, []any{&id, &n}, func() error { of[snib.UserID(id)] = n; return nil })
			return of, err
		},
	}
}

// TestOwnedPromises: rows of tables leave with their user as rows of a bucket do.
func TestOwnedPromises(t *testing.T) {
	server(t)
	for _, twice := range inVain {
		t.Run(fmt.Sprintf("Twice=%v", twice), func(t *testing.T) {
			dbtest.RunOwned(t, func(tb testing.TB) dbtest.Rows {
				e := engine(tb, snibpg.Options{})
				if twice {
					snibpg.Twice(e)
				}
				return own(tb, e)
			})
		})
	}
}

// TestTablesThatAreNotFit are refused at open, with the reason.
func TestTablesThatAreNotFit(t *testing.T) {
	own, s := schema(t), programSchema(t)
	e, err := snibpg.Open(ctx, server(t), &snibpg.Options{Schema: own})
	must(t, err)
	execute(t, s, "create domain $.who as text", "create table $.notes (user_id text, who $.who, v varchar(40), u uuid, i bigint, b bytea, c char(40), n name)",
		"create view $.seen as select * from $.notes", "create sequence $.seq", "create table $.hidden (user_id text)",
		"alter table $.hidden enable row level security, force row level security",
		"create collation $.loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false)",
		"alter table $.notes add loose text collate $.loose")
	long := s + strings.Repeat("n", 64-len(s)) // the server cuts it
	execute(t, s, "create table public."+long[:63]+" (user_id text)")
	t.Cleanup(func() { execute(t, s, "drop table public."+long[:63]) })
	db, err := owning(t, e, s)
	must(t, err)
	must(t, db.Close())
	for name, reason := range map[string]string{
		"$.missing": "no such table", "$.Notes": "no such table", "notes_of_" + s: "no such table", long: "no such table",
		"$.seen": "is no table", "$.seq": "is no table", "$.notes(nobody)": "no such column", "$.notes(u)": "not of type text",
		"$.notes(i)": "not of type text", "$.notes(b)": "not of type text", "$.notes(c)": "not of type text", "$.notes(n)": "not of type text",
		"$.notes(loose)": "deterministic", own + ".old(tbl)": "of the accounts", "pg_catalog.pg_description(description)": "of the server",
		"$.notes; drop table x": "must be", `$."notes`: "must be", `"$."".notes"" --"`: "no such table",
	} {
		_, err := owning(t, e, s, "$.notes", name)
		in, ok := errors.AsType[*snib.InputError](err)
		if !ok || in.Field != "Options.Owned[1]" || !strings.Contains(in.Reason, reason) {
			t.Errorf("%s: %v, want %q", name, err, reason)
		}
	}
	for _, name := range []string{"$.notes", "$.notes(who)", `"` + s + `"."notes"("v")`} {
		db, err := owning(t, e, s, name)
		must(t, err)
		must(t, db.Close())
	}
}

// limited returns a dsn under a role of its own, with no rights but to make schemas.
func limited(t *testing.T, settings string) (role, as string) {
	t.Helper()
	role = "r" + schema(t)
	execute(t, "", "create role "+role)
	t.Cleanup(func() { execute(t, "", "drop owned by "+role+" cascade", "drop role "+role) })
	exec(t, func(conn *pgx.Conn) error {
		var name string
		if err := conn.QueryRow(ctx, "select current_database()").Scan(&name); err != nil {
			return err
		}
		_, err := conn.Exec(ctx, "grant create on database "+pgx.Identifier{name}.Sanitize()+" to "+role)
		return err
	})
	at := server(t)
	if strings.Contains(at, "?") {
		return role, at + "&role=" + role + settings
	}
	return role, at + "?role=" + role + settings
}

// TestTablesOfAnotherRole: the error says what to grant, at open and later.
func TestTablesOfAnotherRole(t *testing.T) {
	s := programSchema(t)
	execute(t, s, "create table $.notes (user_id text, body text)", "create table $.hidden (user_id text)", "alter table $.hidden enable row level security")
	role, as := limited(t, "")
	e, err := snibpg.Open(ctx, as, &snibpg.Options{Schema: schema(t)})
	must(t, err)
	refused := func(name, reason string) {
		t.Helper()
		_, err := owning(t, e, s, name)
		if in, ok := errors.AsType[*snib.InputError](err); !ok || !strings.Contains(in.Reason, reason) {
			t.Errorf("%v, want %q", err, reason)
		}
	}
	refused("$.notes", "GRANT USAGE ON SCHEMA")
	execute(t, s, "grant usage on schema "+s+" to "+role)
	refused("$.notes", "GRANT SELECT, DELETE ON the table")
	execute(t, s, "grant select on $.notes to "+role)
	refused("$.notes", "GRANT SELECT, DELETE ON the table")
	execute(t, s, "grant delete on $.notes to "+role, "grant select, delete on $.hidden to "+role)
	refused("$.hidden", "row-level security")
	db, err := owning(t, e, s, "$.notes")
	must(t, err)
	ada, bob := account(t, db, "ada"), account(t, db, "bob")
	execute(t, s, "insert into $.notes select id from unnest(array['"+string(ada)+"', '"+string(bob)+"']) id")
	must(t, db.DeleteUser(ctx, ada))
	if n := count(t, s, "$.notes"); n != 1 {
		t.Errorf("%d rows, want 1", n)
	}
	execute(t, s, "revoke delete on $.notes from "+role)
	if err := db.DeleteUser(ctx, bob); err == nil || !strings.Contains(err.Error(), "permission denied for table notes") {
		t.Errorf("without the privilege: %v", err)
	}
	if _, err := db.GetUser(ctx, bob); err != nil {
		t.Errorf("the user: %v", err)
	}
}

// TestTablesThatChange: one that is gone is empty, one whose column is gone keeps the
// user, with the reason.
func TestTablesThatChange(t *testing.T) {
	e, s := engine(t, snibpg.Options{}), programSchema(t)
	more := "more_" + s // of the schema public
	t.Cleanup(func() { execute(t, s, "drop table if exists "+more) })
	execute(t, s, "create table $.notes (user_id text)", "create table "+more+" (user_id text)")
	db, err := owning(t, e, s, "$.notes", more)
	must(t, err)
	ids := []snib.UserID{account(t, db, "ada"), account(t, db, "bob"), account(t, db, "eve")}
	put := func(table string, ids ...snib.UserID) {
		t.Helper()
		for _, id := range ids {
			execute(t, s, "insert into "+table+" values ('"+string(id)+"')")
		}
	}
	put("$.notes", ids...)
	execute(t, s, "drop table "+more)
	must(t, db.DeleteUser(ctx, ids[0]))
	execute(t, s, "alter table $.notes rename column user_id to owner", "create table "+more+" (user_id text)")
	put(more, ids[1:]...)
	if err := db.DeleteUser(ctx, ids[1]); err == nil || !strings.Contains(err.Error(), ".notes of Options.Owned: the table has no such column") {
		t.Errorf("without the column: %v", err)
	}
	if _, err := db.GetUser(ctx, ids[1]); err != nil {
		t.Errorf("the user: %v", err)
	}
	execute(t, s, "alter table $.notes rename column owner to user_id")
	must(t, db.DeleteUser(ctx, ids[1]))
	if r, err := db.Check(ctx); err != nil || r.Rows != 2 || r.OrphanRows != 0 {
		t.Errorf("%d rows, %d orphans, %v", r.Rows, r.OrphanRows, err)
	}
}

// TestForeignKeysOfOwnTables: those between the tables hold in any order; one of
// another table keeps the user, or follows.
func TestForeignKeysOfOwnTables(t *testing.T) {
	e, s := engine(t, snibpg.Options{}), programSchema(t)
	execute(t, s, "create table $.b (id int primary key, user_id text)", "create table $.a (id int primary key, user_id text, b int references $.b)",
		"create table $.c (user_id text, a int references $.a)",
		"create table $.follows (b int references $.b on delete cascade)", "create table $.stays (b int references $.b)")
	db, err := owning(t, e, s, "$.a", "$.b", "$.c")
	must(t, err)
	ada := string(account(t, db, "ada"))
	execute(t, s, "insert into $.b values (1, '"+ada+"')", "insert into $.a values (1, '"+ada+"', 1)", "insert into $.c values ('"+ada+"', 1)",
		"insert into $.follows values (1)", "insert into $.stays values (1)")
	if err := db.DeleteUser(ctx, snib.UserID(ada)); err == nil || !strings.Contains(err.Error(), "violates foreign key constraint") {
		t.Errorf("a row that another needs: %v", err)
	}
	if _, err := db.GetUser(ctx, snib.UserID(ada)); err != nil {
		t.Errorf("the user: %v", err)
	}
	execute(t, s, "delete from $.stays")
	must(t, db.DeleteUser(ctx, snib.UserID(ada)))
	for _, table := range []string{"$.a", "$.b", "$.c", "$.follows"} {
		if n := count(t, s, table); n != 0 {
			t.Errorf("%d rows in %s", n, table)
		}
	}
}

// TestRowsInTablesBelow: rows of two users lie at the same places of different
// tables. A part of one user's goes, and nothing of the other's.
func TestRowsInTablesBelow(t *testing.T) {
	e, s := engine(t, snibpg.Options{}), programSchema(t)
	execute(t, s, "create table $.notes (user_id text)", "create table $.more () inherits ($.notes)")
	db, err := owning(t, e, s, "$.notes")
	must(t, err)
	ada, bob := string(account(t, db, "ada")), string(account(t, db, "bob"))
	execute(t, s, "insert into $.notes select '"+ada+"' from generate_series(1, 10005)", "insert into $.more select '"+bob+"' from generate_series(1, 10005)")
	must(t, db.DeleteUser(ctx, snib.UserID(ada)))
	if n, m := count(t, s, "$.notes where user_id = $1", ada), count(t, s, "$.notes where user_id = $1", bob); n != 5 || m != 10005 {
		t.Errorf("%d and %d rows, want 5 and 10,005", n, m)
	}
}

// TestAnOperatorThatFitsBetter, which another role has made first in the search path,
// compares nothing here.
func TestAnOperatorThatFitsBetter(t *testing.T) {
	evil, s := programSchema(t), programSchema(t)
	execute(t, evil, "create function $.yes(varchar, varchar) returns boolean language sql as 'select true'",
		"create function $.yes(varchar, text) returns boolean language sql as 'select true'",
		"create function $.yes(text, text) returns boolean language sql as 'select true'",
		"create operator $.= (function = $.yes, leftarg = varchar, rightarg = varchar)",
		"create operator $.= (function = $.yes, leftarg = varchar, rightarg = text)",
		"create operator $.= (function = $.yes, leftarg = text, rightarg = text)",
		"create function $.count(text) returns bigint language sql as 'select 7::bigint'",
		"create table "+s+".notes (user_id varchar(128))")
	role, as := limited(t, "&search_path="+evil+",pg_catalog")
	execute(t, s, "grant usage on schema "+s+", "+evil+" to "+role, "grant select, delete on $.notes to "+role)
	e, err := snibpg.Open(ctx, as, &snibpg.Options{Schema: schema(t)})
	must(t, err)
	db, err := owning(t, e, s, "$.notes")
	must(t, err)
	ada, bob := account(t, db, "ada"), account(t, db, "bob")
	execute(t, s, "insert into $.notes values ('"+string(ada)+"'), ('"+string(bob)+"')")
	var out bytes.Buffer
	must(t, db.ExportUser(ctx, ada, &out))
	if strings.Contains(out.String(), string(bob)) {
		t.Error("an export has another's row")
	}
	must(t, db.DeleteUser(ctx, ada))
	if n := count(t, s, "$.notes"); n != 1 {
		t.Errorf("%d rows, want 1", n)
	}
}

// TestExportOfColumns: values as the server makes JSON of them, bytes in base64.
func TestExportOfColumns(t *testing.T) {
	e, s := engine(t, snibpg.Options{}), programSchema(t)
	execute(t, s, "create domain $.raw as bytea",
		`create table $.notes (user_id text, "a ""b""" bigint, gone int, at timestamptz, ok boolean, x bytea, r $.raw, y double precision, z jsonb, l text[], n numeric, nothing text)`,
		"alter table $.notes drop column gone")
	db, err := owning(t, e, s, "$.notes")
	must(t, err)
	ada := account(t, db, "ada")
	execute(t, s, "insert into $.notes values ('"+string(ada)+`', 9007199254740993, '2026-01-02 03:04:05+00', true, decode(repeat('00ff0a', 40), 'hex'), '\x00', 'infinity', '{"a": [1]}', array['ü', null], 1.50)`)
	var out bytes.Buffer
	must(t, db.ExportUser(ctx, ada, &out))
	var got struct{ Rows map[string][]map[string]any }
	d := json.NewDecoder(&out)
	d.UseNumber()
	must(t, d.Decode(&got))
	want := []map[string]any{{
		"user_id": string(ada), `a "b"`: json.Number("9007199254740993"), "at": "2026-01-02T03:04:05+00:00", "ok": true,
		"x": strings.Repeat("AP8K", 40), "r": "AA==", "y": "Infinity", "z": map[string]any{"a": []any{json.Number("1")}},
		"l": []any{"ü", nil}, "n": json.Number("1.50"), "nothing": nil,
	}}
	if !reflect.DeepEqual(got.Rows[s+".notes"], want) {
		t.Errorf("got %v, want %v", got.Rows, want)
	}
}

// TestRowsWithoutAUser are counted as those of no id.
func TestRowsWithoutAUser(t *testing.T) {
	e, s := engine(t, snibpg.Options{}), programSchema(t)
	execute(t, s, "create table $.notes (user_id text)", "insert into $.notes values (null), (null), (''), ('two words'), ('gone'), ('gone')",
		"insert into $.notes select 'u' || n from generate_series(1, 2500) n")
	db, err := owning(t, e, s, "$.notes")
	must(t, err)
	r, err := db.Check(ctx)
	must(t, err)
	none, gone := 0, 0
	for _, o := range r.Orphans {
		switch o.UserID {
		case "":
			none += o.Rows
		case "gone":
			gone += o.Rows
		}
	}
	if r.Rows != 2506 || r.OrphanRows != 2506 || len(r.Orphans) != 1000 || none != 4 || gone != 2 {
		t.Errorf("%d rows, %d orphans in %d places, %d of no id, %d of one", r.Rows, r.OrphanRows, len(r.Orphans), none, gone)
	}
}

// TestAWriterInTheWay: a deletion that meets a row which another transaction has
// changed runs again.
func TestAWriterInTheWay(t *testing.T) {
	w, s := &snibpg.Watched{Engine: engine(t, snibpg.Options{})}, programSchema(t)
	execute(t, s, "create table $.notes (user_id text, body text)", "create index on $.notes (user_id)")
	db, err := snib.OpenStore(ctx, w, &snib.Options{SweepEvery: -1, Owned: []string{s + ".notes"}, BusyTimeout: 2 * time.Minute})
	must(t, err)
	defer func() { must(t, db.Close()) }()
	ada := account(t, db, "ada")
	execute(t, s, "insert into $.notes values ('"+string(ada)+"', '')")
	conn, err := pgx.Connect(ctx, server(t))
	must(t, err)
	defer conn.Close(ctx)
	tx, err := conn.Begin(ctx)
	must(t, err)
	_, err = tx.Exec(ctx, "update "+s+".notes set body = 'changed'")
	must(t, err)
	deleted := make(chan error, 1)
	go func() { deleted <- db.DeleteUser(ctx, ada) }()
	waits := "pg_stat_activity where wait_event_type = 'Lock' and query like '%" + s + "%'"
	for end := time.Now().Add(time.Minute); count(t, s, waits) == 0 && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
	must(t, tx.Commit(ctx))
	must(t, <-deleted)
	if f, _ := w.Figures(); f.Replays == 0 || count(t, s, "$.notes") != 0 {
		t.Errorf("%d replays, %d rows", f.Replays, count(t, s, "$.notes"))
	}
}

// TestTripsWithOwnTables: all tables cost a deletion one trip together.
func TestTripsWithOwnTables(t *testing.T) {
	w, s := &snibpg.Watched{Engine: engine(t, snibpg.Options{})}, programSchema(t)
	execute(t, s, "create table $.a (user_id text)", "create table $.b (user_id text)", "create table $.c (user_id text)")
	db, err := snib.OpenStore(ctx, w, &snib.Options{SweepEvery: -1, Owned: []string{s + ".a", s + ".b", s + ".c"}})
	must(t, err)
	defer func() { must(t, db.Close()) }()
	ada := account(t, db, "ada")
	for _, table := range []string{"$.a", "$.b", "$.c"} {
		execute(t, s, "insert into "+table+" values ('"+string(ada)+"')")
	}
	before, _ := w.Figures()
	must(t, db.DeleteUser(ctx, ada))
	after, _ := w.Figures()
	if trips := after.Trips - before.Trips; trips > 3 {
		t.Errorf("%d trips, want 3", trips)
	}
	if n := count(t, s, "$.a") + count(t, s, "$.b") + count(t, s, "$.c"); n != 0 {
		t.Errorf("%d rows are left", n)
	}
}

// TestMoveOwned: all rows of one owner, or none.
func TestMoveOwned(t *testing.T) {
	s := programSchema(t)
	execute(t, s, "create table $.a (user_id text)", "create table $.b (user_id text primary key)",
		"insert into $.a values ('ada'), ('ada'), ('bob')", "insert into $.b values ('ada')")
	st := store(t, schema(t), true, []kv.SpaceSpec{{Name: "one"}})
	names := []string{s + ".a", s + ".b", s + ".missing"}
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
	if n, err := move("ada", "bob", 2); !errors.Is(err, kv.ErrTooLarge) || n != 0 {
		t.Errorf("more than the limit: %d, %v", n, err)
	}
	if n, err := move("ada", "bob", 3); err != nil || n != 3 {
		t.Errorf("moved %d, %v", n, err)
	}
	if n := count(t, s, "$.a where user_id = 'bob'") + count(t, s, "$.b where user_id = 'bob'"); n != 4 {
		t.Errorf("%d rows of bob's, want 4", n)
	}
	execute(t, s, "insert into $.a values ('eve')", "insert into $.b values ('eve')")
	if n, err := move("eve", "bob", 9); !errors.Is(err, kv.ErrRowTaken) || n != 0 {
		t.Errorf("a row of both: %d, %v", n, err)
	}
	if n := count(t, s, "$.a where user_id = 'eve'"); n != 1 {
		t.Errorf("%d rows of eve's, want 1", n)
	}
	err := st.View(ctx, func(r kv.Reader) error {
		mover, _ := kv.As[kv.TableMover](r)
		_, err := mover.MoveOwned(names, "bob", "ada", 9)
		return err
	})
	if !errors.Is(err, kv.ErrReadOnly) {
		t.Errorf("in a View: %v", err)
	}
}

// mergeOf returns the merge of a new guest, to whom a statement gives rows, into a new
// account, to whom another does.
func mergeOf(t *testing.T, db *snib.DB, s, ofGuest, ofAccount string) (id snib.UserID, merge func(*snib.Tx) (snib.Merged, error)) {
	t.Helper()
	u, err := db.CreateUser(ctx, snib.NewUser{Provider: "username", Identifier: "ada" + schema(t)})
	must(t, err)
	stays, err := db.CreateSession(ctx, u, snib.SessionOptions{Methods: snib.MethodPassword})
	must(t, err)
	goes, guest, err := db.Identities().CreateGuest(ctx, snib.SessionOptions{})
	must(t, err)
	execute(t, s, strings.ReplaceAll(ofGuest, "?", "'"+string(guest.ID)+"'"), strings.ReplaceAll(ofAccount, "?", "'"+string(u.ID)+"'"))
	return u.ID, func(tx *snib.Tx) (snib.Merged, error) {
		return tx.Identities().Merge(ctx, stays.Token.Reveal(), goes.Token.Reveal())
	}
}

// TestAMergeWithARowInTheWay is refused, and the transaction around it goes on, of
// snib's or of the program's.
func TestAMergeWithARowInTheWay(t *testing.T) {
	e, s := engine(t, snibpg.Options{}), programSchema(t)
	execute(t, s, "create table $.notes (user_id text, n int)", "create table $.carts (user_id text primary key)", "create table $.done (n int)")
	db, err := owning(t, e, s, "$.notes", "$.carts")
	must(t, err)
	id, merge := mergeOf(t, db, s, "with c as (insert into $.carts values (?)) insert into $.notes values (?, 1), (?, 2)", "insert into $.carts values (?)")
	done := "insert into " + s + ".done values (1)"
	refused := func(tx *snib.Tx) error {
		_, err := merge(tx)
		if e, ok := errors.AsType[*snib.MergeError](err); !ok || e.Code != snib.MergeRowTaken {
			t.Errorf("got %v", err)
		}
		_, err = snibpg.Conn(tx).Exec(ctx, done)
		return err
	}
	must(t, db.Update(ctx, refused))
	must(t, snibpg.Retry(ctx, db, ownPool(t), func(tx pgx.Tx) error { return snibpg.Join(ctx, db, tx, refused) }))
	if n, m := count(t, s, "$.done"), count(t, s, "$.notes where user_id = $1", string(id)); n != 2 || m != 0 {
		t.Errorf("%d went on, %d rows were moved", n, m)
	}
	execute(t, s, "delete from $.carts where user_id = '"+string(id)+"'")
	var m snib.Merged
	must(t, snibpg.Retry(ctx, db, ownPool(t), func(tx pgx.Tx) error {
		return snibpg.Join(ctx, db, tx, func(tx *snib.Tx) (err error) { m, err = merge(tx); return err })
	}))
	if n := count(t, s, "$.notes where user_id = $1", string(id)); n != 2 || m.Rows != 3 {
		t.Errorf("%d rows, %d moved, want 2 and 3", n, m.Rows)
	}
}

// TestAMergeOfRowsThatATriggerKeeps fails: they would leave with the account.
func TestAMergeOfRowsThatATriggerKeeps(t *testing.T) {
	e, s := engine(t, snibpg.Options{}), programSchema(t)
	execute(t, s, "create table $.notes (user_id text, n int)",
		"create function $.keep() returns trigger language plpgsql as 'begin if old.n = 1 then return null; end if; return new; end'",
		"create trigger keep before update on $.notes for each row execute function $.keep()")
	db, err := owning(t, e, s, "$.notes")
	must(t, err)
	id, merge := mergeOf(t, db, s, "insert into $.notes values (?, 1), (?, 2)", "")
	if err := db.Update(ctx, func(tx *snib.Tx) error { merge(tx); return nil }); err == nil {
		t.Error("it is committed")
	}
	if n := count(t, s, "$.notes where user_id <> $1", string(id)); n != 2 {
		t.Errorf("%d rows of the guest, want 2", n)
	}
}

// cutOutput is an output that calls cut once it has begun.
type cutOutput struct {
	bytes.Buffer
	cut func()
}

func (c *cutOutput) Write(p []byte) (int, error) {
	if c.Len() == 0 {
		c.cut()
	}
	return c.Buffer.Write(p)
}

// TestAnExportThatIsCut does not begin anew behind what is written.
func TestAnExportThatIsCut(t *testing.T) {
	s, name := programSchema(t), schema(t)
	execute(t, s, "create table $.notes (user_id text, body text)")
	at := server(t)
	if strings.Contains(at, "?") {
		at += "&application_name=" + name
	} else {
		at += "?application_name=" + name
	}
	e, err := snibpg.Open(ctx, at, &snibpg.Options{Schema: name})
	must(t, err)
	db, err := owning(t, e, s, "$.notes")
	must(t, err)
	ada := account(t, db, "ada")
	execute(t, s, "insert into $.notes select '"+string(ada)+"', repeat('x', 1000) from generate_series(1, 5000)")
	out := &cutOutput{cut: func() {
		if n := count(t, s, "(select pg_terminate_backend(pid) from pg_stat_activity where application_name = $1) x", name); n == 0 {
			t.Error("no connection was cut")
		}
	}}
	if err := db.ExportUser(ctx, ada, out); !errors.Is(err, snib.ErrBusy) || strings.Count(out.String(), `"exported_at"`) != 1 {
		t.Errorf("%v, begun %d times", err, strings.Count(out.String(), `"exported_at"`))
	}
	var whole bytes.Buffer
	must(t, db.ExportUser(ctx, ada, &whole))
	if !json.Valid(whole.Bytes()) || strings.Count(whole.String(), `"body"`) != 5000 {
		t.Errorf("the next one has %d rows", strings.Count(whole.String(), `"body"`))
	}
}
