package snibpg

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/kv/remote"
)

// Rows of the program's own, in tables that Options.Owned of snib names. They are
// removed in the transaction that removes their user, all tables in one statement:
// PostgreSQL checks foreign keys at the end of it, so that those between the tables
// are met in any order.

var _ remote.Tabler = (*session)(nil)

// parseOwn reads a name. No schema is that which is there by default, whatever the
// search path says.
func parseOwn(name string) (t kv.Table, ok bool) {
	if t, ok = kv.ParseTable(name); t.Schema == "" {
		t.Schema = "public"
	}
	return t, ok
}

// ownTable returns the table and the column of a name, as SQL.
func ownTable(t kv.Table) (table, column string) {
	return pgx.Identifier{t.Schema, t.Name}.Sanitize(), "x." + pgx.Identifier{t.Column}.Sanitize()
}

// ofOwner is a condition on a row x: it is of the owner in a parameter. It compares
// bytes as the types of the column do, see FindTable.
func ofOwner(column string, parameter int) string {
	return column + "::text operator(pg_catalog.=) $" + strconv.Itoa(parameter) + "::text"
}

// Reasons of FindTable. The first is of tables that count as empty.
const (
	missingTable  = "there is no such table: names are taken as they are written, and without a schema as of public"
	noTable       = "is no table but a view, a foreign table or something else"
	missingColumn = "the table has no such column: name it behind the table, as in notes(author)"
	notText       = "the column is not of type text or varchar, with a deterministic collation"
	noUsage       = "the role of snib lacks a privilege: GRANT USAGE ON SCHEMA"
	noPrivilege   = "the role of snib lacks a privilege: GRANT SELECT, DELETE ON the table"
	rowSecurity   = "row-level security hides rows from the role of snib: ALTER TABLE … NO FORCE, or give the role BYPASSRLS"
	ownTables     = "is in the schema of the accounts, or of the server"
	notOfForm     = "must be [schema.]table[(column)], with double quotes around other names than letters, digits, _ and $"
)

// facts is a statement about a table.
const facts = `select c.relkind::text, coalesce(t.oid in (25::oid, 1043::oid), false) and coalesce(k.collisdeterministic, true), a.attname is not null,
	pg_catalog.has_schema_privilege(n.oid, 'usage'),
	pg_catalog.has_table_privilege(c.oid, 'select') and pg_catalog.has_table_privilege(c.oid, 'delete'),
	c.relkind in ('r', 'p') and pg_catalog.row_security_active(c.oid),
	exists (select from pg_catalog.pg_index i where i.indrelid = c.oid and i.indisvalid and i.indpred is null and i.indkey[0] = a.attnum)
from pg_catalog.pg_namespace n
	join pg_catalog.pg_class c on c.relnamespace = n.oid
	left join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attname = $3 and a.attnum > 0 and not a.attisdropped
	left join pg_catalog.pg_type d on d.oid = a.atttypid
	left join pg_catalog.pg_type t on t.oid = case d.typtype when 'd' then d.typbasetype else d.oid end
	left join pg_catalog.pg_collation k on k.oid = a.attcollation
where n.nspname = $1 and c.relname = $2`

// find verifies a table.
func (t *session) find(trip remote.Trip, at kv.Table) (unfit string, indexed bool, err error) {
	for _, name := range []string{at.Schema, at.Name, at.Column} {
		if len(name) > 63 { // the server would cut it, and find another
			return missingTable, false, nil
		}
	}
	if at.Schema == t.b.schema || strings.HasPrefix(at.Schema, "pg_") || at.Schema == "information_schema" {
		return ownTables, false, nil
	}
	unfit = missingTable
	read := func(rows pgx.Rows) error {
		for rows.Next() {
			var kind string
			var text, column, usage, may, hidden bool
			if err := rows.Scan(&kind, &text, &column, &usage, &may, &hidden, &indexed); err != nil {
				return err
			}
			switch {
			case kind != "r" && kind != "p":
				unfit = noTable
			case !column:
				unfit = missingColumn
			case !text:
				unfit = notText
			case !usage:
				unfit = noUsage
			case !may:
				unfit = noPrivilege
			case hidden:
				unfit = rowSecurity
			default:
				unfit = ""
			}
		}
		return rows.Err()
	}
	err = trip(func(ctx context.Context) error {
		return t.send(ctx, step{facts, []any{at.Schema, at.Name, at.Column}, read})
	})
	return unfit, indexed, err
}

// FindTable implements remote.Tabler.
func (t *session) FindTable(trip remote.Trip, name string) (unfit string, err error) {
	at, ok := parseOwn(name)
	if !ok {
		return notOfForm, nil
	}
	unfit, indexed, err := t.find(trip, at)
	if err != nil || unfit != "" {
		return unfit, err
	}
	t.b.found.Store(at, true)
	if !indexed {
		t.b.log.Warn("snib: no index begins with the column of a table in Options.Owned: each deletion reads all of it, and is in conflict with its writers", "table", name)
	}
	return "", nil
}

// there reports whether a table that the store declares is there, and fit.
func (t *session) there(trip remote.Trip, name string) (at kv.Table, ok bool, err error) {
	at, ok = parseOwn(name)
	if !ok {
		return at, false, nil
	}
	unfit, _, err := t.find(trip, at)
	switch {
	case err != nil || unfit == missingTable:
		return at, false, err
	case unfit != "":
		return at, false, trip(func(context.Context) error { return &unfitError{name, unfit} })
	}
	return at, true, nil
}

// unfitError is about a table that was fit when it was declared.
type unfitError struct{ name, reason string }

func (e *unfitError) Error() string {
	return fmt.Sprintf("the table %s of Options.Owned: %s", e.name, e.reason)
}

// present returns those of names that are there, each table once. One that was found
// before is not looked for again: if it is gone since, the statement tells. fresh
// reports that all were looked for just now.
func (t *session) present(trip remote.Trip, names []string) (list []ownName, fresh bool, err error) {
	fresh = true
	for _, name := range names {
		at, ok := parseOwn(name)
		if _, found := t.b.found.Load(at); ok && found {
			fresh = false
		} else if at, ok, err = t.there(trip, name); err != nil {
			return nil, false, err
		} else if ok {
			t.b.found.Store(at, true)
		}
		if ok && !slices.ContainsFunc(list, func(x ownName) bool { return x.at == at }) {
			list = append(list, ownName{name, at})
		}
	}
	return list, fresh, nil
}

type ownName struct {
	name string
	at   kv.Table
}

// deleteOwned is a statement that removes rows of owner $1 from tables, at most $2,
// and returns for each its number, how many went, and whether there are more. Rows are
// named by where they lie, in which table below the table that may be.
func deleteOwned(list []ownName) string {
	var with, answer strings.Builder
	spent := "0"
	for i, x := range list {
		table, column := ownTable(x.at)
		n := strconv.Itoa(i)
		if i > 0 {
			with.WriteString(", ")
			answer.WriteString(" union all ")
		}
		with.WriteString("f" + n + " as materialized (select x.tableoid as t, x.ctid as c from " + table + " x where " + ofOwner(column, 1) +
			" limit greatest(0::bigint, $2::bigint - (" + spent + ")))" +
			", g" + n + " as (delete from " + table + " x using f" + n + " f where x.ctid operator(pg_catalog.=) f.c and x.tableoid operator(pg_catalog.=) f.t returning 1)" +
			", m" + n + " as materialized (select pg_catalog.count(*) as n from (select from " + table + " x where " + ofOwner(column, 1) + " limit $2::bigint + 1) s)")
		answer.WriteString("select " + n + "::bigint, (select pg_catalog.count(*) from g" + n + "), (select n from m" + n + ") > (select pg_catalog.count(*) from f" + n + ")")
		spent += " + (select pg_catalog.count(*) from f" + n + ")"
	}
	return "with " + with.String() + " " + answer.String()
}

// DeleteOwned implements remote.Tabler.
func (t *session) DeleteOwned(trip remote.Trip, names []string, owner string, limit int) (n int, left []string, err error) {
	list, fresh, err := t.present(trip, names)
	if err != nil || len(list) == 0 || limit <= 0 {
		return 0, nil, err
	}
	read := func(rows pgx.Rows) error {
		for rows.Next() {
			var i, gone int64
			var more bool
			if err := rows.Scan(&i, &gone, &more); err != nil {
				return err
			}
			if n += int(gone); more {
				left = append(left, list[i].name)
			}
		}
		return rows.Err()
	}
	err = t.change(trip, list, fresh, step{deleteOwned(list), []any{owner, int64(limit)}, read})
	if err != nil {
		return 0, nil, err
	}
	return n, left, nil
}

// change sends statements that change tables of the program's, after the lock that
// a commit takes: see guard.
func (t *session) change(trip remote.Trip, list []ownName, fresh bool, steps ...step) error {
	guarded := false
	guard := t.guard()
	guard.read = func(rows pgx.Rows) error {
		rows.Close()
		guarded = rows.Err() == nil
		return rows.Err()
	}
	return trip(func(ctx context.Context) error {
		err := t.attempt(ctx, append([]step{guard, unhidden(list)}, steps...))
		c := code(err)
		var unfit *unfitError
		switch {
		case errors.As(err, &unfit):
			return unfit
		case !fresh && (c == undefinedTable || c == undefinedColumn): // dropped or renamed since it was found
			for _, x := range list {
				t.b.found.Delete(x.at)
			}
			t.b.stale.Store(true) // or it is the table of the guard that was replaced
			return fmt.Errorf("%w: %v", kv.ErrAgain, err)
		case !guarded:
			return t.failure(err)
		}
		return t.ownFailure(err)
	})
}

// unhidden fails if row-level security hides rows of a table from the role of now. It
// may have come since the table was found, and a transaction of the program's is of
// another role.
func unhidden(list []ownName) step {
	var hidden []string
	var names []any
	for i, x := range list {
		table, _ := ownTable(x.at)
		names = append(names, table)
		hidden = append(hidden, "pg_catalog.row_security_active($"+strconv.Itoa(i+1)+"::text)")
	}
	return step{"select array[" + strings.Join(hidden, ", ") + "]", names, func(rows pgx.Rows) error {
		for rows.Next() {
			var hides []bool
			if err := rows.Scan(&hides); err != nil {
				return err
			}
			if i := slices.Index(hides, true); i >= 0 {
				return &unfitError{list[i].name, rowSecurity}
			}
		}
		return rows.Err()
	}}
}

// ownFailure is failure of a statement on tables of the program's. It runs their
// triggers, too.
func (t *session) ownFailure(err error) error {
	switch c := code(err); {
	case err == nil:
		return nil
	case len(c) == 5 && (c[:2] == "23" || c[:2] == "42"):
		return fmt.Errorf("rows of Options.Owned: PostgreSQL: %w", err)
	}
	return t.failure(err)
}

// CountOwners implements remote.Tabler.
func (t *session) CountOwners(trip remote.Trip, name string, visit func(owner string, rows int) error) error {
	at, ok, err := t.there(trip, name)
	if err != nil || !ok {
		return err
	}
	table, column := ownTable(at)
	return t.cursor(trip, "select "+column+"::text, pg_catalog.count(*)::text from "+table+" x group by "+column+" order by "+column, nil, func(row []*string) error {
		n, err := strconv.Atoi(*row[1])
		if err != nil {
			return fmt.Errorf("%w: a count: %v", kv.ErrCorrupt, err)
		}
		owner := ""
		if row[0] != nil {
			owner = *row[0]
		}
		return visit(owner, n)
	})
}

// columns are the names of a table's columns, and the expressions that make JSON of
// them: bytes in base64, as in the rest of an export.
func (t *session) columns(trip remote.Trip, at kv.Table) (names, exprs []string, err error) {
	const columns = `select a.attname::text, case d.typtype when 'd' then d.typbasetype else d.oid end = 17::oid
from pg_catalog.pg_namespace n
	join pg_catalog.pg_class c on c.relnamespace = n.oid
	join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
	join pg_catalog.pg_type d on d.oid = a.atttypid
where n.nspname = $1 and c.relname = $2 order by a.attnum`
	read := func(rows pgx.Rows) error {
		names, exprs = nil, nil
		for rows.Next() {
			var name string
			var bytes bool
			if err := rows.Scan(&name, &bytes); err != nil {
				return err
			}
			expr := "x." + pgx.Identifier{name}.Sanitize()
			if bytes {
				expr = "pg_catalog.translate(pg_catalog.encode(" + expr + "::bytea, 'base64'), E'\\n', '')"
			}
			names, exprs = append(names, name), append(exprs, "pg_catalog.to_json("+expr+")::text")
		}
		return rows.Err()
	}
	err = trip(func(ctx context.Context) error {
		return t.send(ctx, step{columns, []any{at.Schema, at.Name}, read})
	})
	return names, exprs, err
}

// ReadOwned implements remote.Tabler.
func (t *session) ReadOwned(trip remote.Trip, name, owner string, visit func(row []kv.Column) error) error {
	at, ok, err := t.there(trip, name)
	if err != nil || !ok {
		return err
	}
	names, exprs, err := t.columns(trip, at)
	if err != nil {
		return err
	}
	table, column := ownTable(at)
	sql := "select " + strings.Join(exprs, ", ") + " from " + table + " x where " + ofOwner(column, 1)
	return t.cursor(trip, sql, []any{owner}, func(row []*string) error {
		out := make([]kv.Column, len(row))
		for i, v := range row {
			if out[i].Name = names[i]; v != nil {
				out[i].Value = kv.JSON(*v)
			}
		}
		return visit(out)
	})
}

// Bounds of what a cursor brings in one trip. A page holds one row more than its
// bytes, which may be large.
const (
	cursorRows  = 1000
	cursorBytes = 1 << 20
)

// cursor visits the rows of a query, all of whose columns are text, in pages. A
// cursor lasts as long as the transaction, so that its name is used once.
func (t *session) cursor(trip remote.Trip, sql string, args []any, visit func(row []*string) error) error {
	t.cursors++
	name := "snib_" + strconv.Itoa(t.cursors)
	declare := append([]any{pgx.QueryExecModeExec}, args...)
	err := trip(func(ctx context.Context) error {
		if !t.begun {
			return errors.New("snibpg: a cursor without a transaction") // unreachable: there was a find
		}
		t.b.trips.Add(1)
		_, err := t.conn.Exec(ctx, "declare "+name+" no scroll cursor without hold for "+sql, declare...)
		return t.ownFailure(err)
	})
	if err != nil {
		return err
	}
	for n := 1; ; {
		var page [][]*string
		size := 0
		err := trip(func(ctx context.Context) (err error) {
			page, size, err = t.fetch(ctx, name, n)
			return t.ownFailure(err)
		})
		if err != nil {
			return err
		}
		for _, row := range page {
			if err := visit(row); err != nil {
				return err
			}
		}
		switch {
		case len(page) < n:
			return nil
		case size < cursorBytes/4:
			n = min(2*n, cursorRows)
		default:
			n = max(1, n/2)
		}
	}
}

// fetch reads the next n rows of a cursor.
func (t *session) fetch(ctx context.Context, cursor string, n int) (page [][]*string, size int, err error) {
	t.b.trips.Add(1)
	// Not prepared: it would be of the columns of an earlier cursor.
	rows, err := t.conn.Query(ctx, "fetch "+strconv.Itoa(n)+" from "+cursor, pgx.QueryExecModeExec)
	if err != nil {
		return nil, 0, err
	}
	defer rows.Close()
	for rows.Next() {
		row := make([]*string, len(rows.FieldDescriptions()))
		for i, v := range rows.RawValues() {
			if v != nil {
				text := string(v)
				row[i] = &text
				size += len(text)
			}
		}
		page = append(page, row)
	}
	return page, size, rows.Err()
}

// moveOwned is a statement that gives the rows of owner $1 to $2, unless there are
// more than $3 of them: a row of how many there are, at most one more than $3, and how
// many were moved.
func moveOwned(list []ownName) string {
	var count, change, moved []string
	for i, x := range list {
		table, column := ownTable(x.at)
		count = append(count, "(select pg_catalog.count(*) from (select from "+table+" x where "+ofOwner(column, 1)+" limit $3::bigint + 1) s)")
		change = append(change, ", u"+strconv.Itoa(i)+" as (update "+table+" x set "+strings.TrimPrefix(column, "x.")+" = $2::text where "+ofOwner(column, 1)+" and (select n from m) <= $3::bigint returning 1)")
		moved = append(moved, "(select pg_catalog.count(*) from u"+strconv.Itoa(i)+")")
	}
	return "with m as materialized (select " + strings.Join(count, " + ") + " as n)" + strings.Join(change, "") + " select n, " + strings.Join(moved, " + ") + " from m"
}

// MoveOwned implements remote.Tabler.
func (t *session) MoveOwned(trip remote.Trip, names []string, from, to string, limit int) (n int, err error) {
	list, fresh, err := t.present(trip, names)
	if err != nil || len(list) == 0 {
		return 0, err
	}
	moved := 0
	read := func(rows pgx.Rows) error {
		for rows.Next() {
			if err := rows.Scan(&n, &moved); err != nil {
				return err
			}
		}
		return rows.Err()
	}
	taken := false
	err = t.change(func(do func(context.Context) error) error {
		return trip(func(ctx context.Context) error {
			err := do(ctx)
			if c := code(err); c != uniqueViolation && c != exclusionViolation {
				return err
			}
			taken = true
			for _, sql := range []string{"rollback to savepoint " + moving, "release savepoint " + moving} {
				if _, err := t.conn.Exec(ctx, sql); err != nil {
					return t.failure(err)
				}
			}
			return nil
		})
	}, list, fresh, step{sql: "savepoint " + moving}, step{moveOwned(list), []any{from, to, int64(limit)}, read}, step{sql: "release savepoint " + moving})
	switch {
	case err != nil:
		return 0, err
	case taken:
		return 0, kv.ErrRowTaken
	case n > limit:
		return 0, fmt.Errorf("%w: more than %d rows", kv.ErrTooLarge, limit)
	case moved != n: // a trigger has kept some
		return 0, fmt.Errorf("rows of Options.Owned: %d of %d were moved", moved, n)
	}
	return n, nil
}

// moving is the savepoint of MoveOwned.
const moving = "snib_move"
