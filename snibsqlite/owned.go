package snibsqlite

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/snibdb/snib/internal/kv"
)

// Rows of the program's own, in tables that Options.Owned of snib names. They are
// removed in the transaction that removes their user.

var (
	_ kv.Tables     = (*reader)(nil)
	_ kv.TableMover = (*reader)(nil)
	_ kv.Tables     = (*tx)(nil)
	_ kv.TableMover = (*tx)(nil)
)

// ownTable is a table of the program's, in SQL.
type ownTable struct {
	name, column string
	key          []string // names a row: a name of the row id, or the primary key
	columns      []string // those that have values, not quoted
	indexed      bool     // an index begins with the column
}

// Reasons of FindTable. The first is of tables that count as empty.
const (
	missingTable  = "there is no such table"
	noTable       = "is no table but a view, a virtual table or something else"
	missingColumn = "the table has no such column: name it behind the table, as in notes(author)"
	notText       = "the column is not declared as TEXT: other types change user ids, or compare them as numbers"
	noRowID       = "the table hides its row id behind columns named rowid, _rowid_ and oid"
	ownTables     = "is a table of the accounts, or of SQLite"
	otherSchema   = "is not in this database: leave the schema away"
	notOfForm     = "must be table or table(column), with double quotes around other names than letters, digits, _ and $"
)

func quoted(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// textOf returns a text of the schema.
func textOf(v driver.Value) string {
	switch v := v.(type) {
	case string:
		return v
	case []byte:
		return string(v)
	}
	return ""
}

// find reads the schema of a table, which is unfit for a reason or is as it says.
func (l *link) find(at kv.Table) (t ownTable, unfit string, err error) {
	lower := strings.ToLower(at.Name) // SQLite compares names so
	switch {
	case at.Schema != "" && !strings.EqualFold(at.Schema, "main"):
		return t, otherSchema, nil
	case strings.HasPrefix(lower, prefix) || strings.HasPrefix(lower, "sqlite_"):
		return t, ownTables, nil
	}
	kind, rowless := "", false
	err = l.each(func(row []driver.Value) error {
		n, _ := row[1].(int64)
		kind, rowless = textOf(row[0]), n != 0
		return nil
	}, 2, "SELECT type, wr FROM pragma_table_list(?1) WHERE schema = 'main'", at.Name)
	switch {
	case err != nil:
		return t, "", err
	case kind == "":
		return t, missingTable, nil
	case kind != "table":
		return t, noTable, nil
	}
	t = ownTable{name: "main." + quoted(at.Name), column: quoted(at.Column)}
	found, text := false, false
	aliases := []string{"rowid", "_rowid_", "oid"}
	err = l.each(func(row []driver.Value) error {
		name, declared := textOf(row[0]), strings.ToUpper(textOf(row[1]))
		if strings.EqualFold(name, at.Column) {
			found, text = true, isText(declared)
		}
		if pk, _ := row[2].(int64); rowless && pk > 0 {
			t.key = append(t.key, quoted(name))
		}
		t.columns = append(t.columns, name)
		aliases = slices.DeleteFunc(aliases, func(alias string) bool { return strings.EqualFold(alias, name) })
		return nil
	}, 3, "SELECT name, type, pk FROM pragma_table_xinfo(?1, 'main') WHERE hidden <> 1 ORDER BY cid", at.Name)
	switch {
	case err != nil:
		return t, "", err
	case !found:
		return t, missingColumn, nil
	case !text:
		return t, notText, nil
	case !rowless && len(aliases) == 0:
		return t, noRowID, nil
	case !rowless:
		t.key = aliases[:1]
	}
	n, err := l.number("SELECT count(*) FROM pragma_index_list(?1, 'main') AS l JOIN pragma_index_info(l.name, 'main') AS i"+
		" WHERE i.seqno = 0 AND lower(i.name) = lower(?2) AND l.partial = 0", at.Name, at.Column)
	t.indexed = n > 0
	return t, "", err
}

// isText reports whether a declared type keeps text as it is and compares it as text.
func isText(declared string) bool {
	if strings.Contains(declared, "INT") { // SQLite asks for this first
		return false
	}
	return strings.Contains(declared, "CHAR") || strings.Contains(declared, "CLOB") || strings.Contains(declared, "TEXT")
}

// ofOwner is the condition that a row is of owner ?1, and of no other id that the
// column's own collation takes for equal.
func (t *ownTable) ofOwner() string { return t.column + " = ?1 COLLATE BINARY" }

// byKey names a row.
func (t *ownTable) byKey() string { return strings.Join(t.key, ", ") }

// there finds a table that the store declares. It is looked for each time: the
// schema is in memory.
func (r *reader) there(name string) (t ownTable, ok bool, err error) {
	at, ok := kv.ParseTable(name)
	if !ok {
		return t, false, nil
	}
	t, unfit, err := r.l.find(at)
	switch {
	case err == nil && unfit == missingTable:
		return t, false, nil
	case err == nil && unfit != "":
		err = fmt.Errorf("the table %s of Options.Owned: %s", name, unfit)
	}
	if err != nil {
		return t, false, r.fail("find a table", err)
	}
	return t, true, nil
}

// FindTable implements kv.Tables.
func (r *reader) FindTable(name string) (unfit string, err error) {
	if err := r.usable(); err != nil {
		return "", err
	}
	at, ok := kv.ParseTable(name)
	if !ok {
		return notOfForm, nil
	}
	t, unfit, err := r.l.find(at)
	if err != nil {
		return "", r.fail("find a table", err)
	}
	if unfit == "" && !t.indexed {
		r.s.opt.Logger.Warn("snib: no index begins with the column of a table in Options.Owned: each deletion reads all of it", "table", name)
	}
	return unfit, nil
}

// CountOwners implements kv.Tables.
func (r *reader) CountOwners(name string, visit func(owner string, rows int) error) error {
	if err := r.usable(); err != nil {
		return err
	}
	t, ok, err := r.there(name)
	if err != nil || !ok {
		return err
	}
	r.scans++
	defer func() { r.scans-- }()
	// Behind all text lies what a program has stored as bytes.
	n, err := r.l.number("SELECT count(*) FROM " + t.name + " WHERE " + t.column + " IS NULL OR " + t.column + " = '' OR " + t.column + " >= x''")
	if err != nil {
		return r.fail("count rows", err)
	}
	if n > 0 {
		if err := visit("", int(n)); err != nil {
			return err
		}
	}
	type count struct {
		owner string
		rows  int
	}
	query := "SELECT " + t.column + " || '', count(*) FROM " + t.name + " WHERE " + t.column + " > ?1 COLLATE BINARY AND " + t.column + " < x''" +
		" GROUP BY " + t.column + " COLLATE BINARY ORDER BY " + t.column + " COLLATE BINARY LIMIT ?2"
	for after := ""; ; {
		var page []count
		err := r.l.each(func(row []driver.Value) error {
			n, _ := row[1].(int64)
			page = append(page, count{textOf(row[0]), int(n)})
			return nil
		}, 2, query, after, int64(mostRows))
		if err != nil {
			return r.fail("count rows", err)
		}
		for _, c := range page {
			if err := visit(c.owner, c.rows); err != nil {
				return err
			}
		}
		if len(page) < mostRows {
			return nil
		}
		after = page[len(page)-1].owner
	}
}

// ReadOwned implements kv.Tables. It reads in pages, as Scan does.
func (r *reader) ReadOwned(name, owner string, visit func(row []kv.Column) error) error {
	if err := r.usable(); err != nil {
		return err
	}
	t, ok, err := r.there(name)
	if err != nil || !ok {
		return err
	}
	r.scans++
	defer func() { r.scans-- }()
	var after []driver.Value
	for n := 1; ; n = min(2*n, mostRows) {
		page, next, whole, err := r.ownPage(&t, owner, after, n)
		if err != nil {
			return r.fail("read rows", err)
		}
		for _, row := range page {
			if err := visit(row); err != nil {
				return err
			}
		}
		if whole {
			return nil
		}
		after = next
	}
}

// ownPage reads the next rows of an owner, at most n, in the order of their keys.
// next is the key of the last; whole reports that there are no more.
func (r *reader) ownPage(t *ownTable, owner string, after []driver.Value, n int) (page [][]kv.Column, next []driver.Value, whole bool, err error) {
	var list []string // of expressions: drivers make no time of them, whatever a column is declared as
	for _, k := range t.key {
		list = append(list, "+"+k)
	}
	for _, c := range t.columns {
		list = append(list, "+"+quoted(c))
	}
	args := []driver.Value{owner, int64(n)}
	query := "SELECT " + strings.Join(list, ", ") + " FROM " + t.name + " WHERE " + t.ofOwner()
	if after != nil {
		var marks []string
		for i := range t.key {
			marks = append(marks, fmt.Sprintf("?%d", i+3))
		}
		query += " AND (" + t.byKey() + ") > (" + strings.Join(marks, ", ") + ")"
		args = append(args, after...)
	}
	query += " ORDER BY " + t.byKey() + " LIMIT ?2"
	size := 0
	err = r.l.each(func(row []driver.Value) error {
		next = next[:0]
		for _, v := range row[:len(t.key)] {
			if v = kept(v); v == nil { // a key is not null: some drivers, of no bytes
				v = []byte{}
			}
			next = append(next, v)
		}
		out := make([]kv.Column, len(t.columns))
		for i, v := range row[len(t.key):] {
			out[i] = kv.Column{Name: t.columns[i], Value: exported(kept(v))}
			switch v := v.(type) {
			case string:
				size += len(v)
			case []byte:
				size += len(v)
			}
		}
		if page = append(page, out); size >= mostBytes {
			return errPageFull
		}
		return nil
	}, len(list), query, args...)
	if errors.Is(err, errPageFull) {
		return page, next, false, nil
	}
	return page, next, len(page) < n, err
}

// kept returns a value that outlives its row.
func kept(v driver.Value) driver.Value {
	if b, ok := v.([]byte); ok {
		return append([]byte{}, b...)
	}
	return v
}

// exported returns a value as kv.Column has it. JSON has no infinity.
func exported(v driver.Value) any {
	if f, ok := v.(float64); ok && math.IsInf(f, 0) {
		return map[bool]string{true: "Infinity", false: "-Infinity"}[f > 0]
	}
	return v
}

// DeleteOwned implements kv.Tables.
func (r *reader) DeleteOwned([]string, string, int) (int, []string, error) {
	if err := r.usable(); err != nil {
		return 0, nil, err
	}
	return 0, nil, kv.ErrReadOnly
}

// MoveOwned implements kv.TableMover.
func (r *reader) MoveOwned([]string, string, string, int) (int, error) {
	if err := r.usable(); err != nil {
		return 0, err
	}
	return 0, kv.ErrReadOnly
}

// own finds those of names that are there, each once. Foreign keys wait for the commit
// from then on, so that those between the tables are met in any order.
func (t *tx) own(names []string) (list []ownTable, found []string, err error) {
	if err := t.writable(); err != nil {
		return nil, nil, err
	}
	for _, name := range names {
		at, ok, err := t.there(name)
		if err != nil {
			return nil, nil, err
		}
		same := func(x ownTable) bool {
			return strings.EqualFold(x.name, at.name) && strings.EqualFold(x.column, at.column)
		}
		if ok && !slices.ContainsFunc(list, same) {
			list, found = append(list, at), append(found, name)
		}
	}
	if len(list) > 0 {
		if err := t.l.once("PRAGMA defer_foreign_keys = ON"); err != nil {
			return nil, nil, t.fail("defer foreign keys", err)
		}
	}
	return list, found, nil
}

// change runs a statement on a table of the program's, and its triggers.
func (t *tx) change(query string, args ...driver.Value) (int, error) {
	n, err := t.l.exec(query, args...)
	t.touched = t.touched || n > 0 || err != nil
	if err != nil {
		return 0, t.fail("rows of Options.Owned", err)
	}
	return int(n), nil
}

// holds reports whether there is a row of an owner, counting up to limit.
func (t *tx) holds(at *ownTable, owner string, limit int) (int, error) {
	n, err := t.l.number("SELECT count(*) FROM (SELECT 1 FROM "+at.name+" WHERE "+at.ofOwner()+" LIMIT ?2)", owner, int64(limit))
	if err != nil {
		return 0, t.fail("count rows", err)
	}
	return int(n), nil
}

// DeleteOwned implements kv.Tables.
func (t *tx) DeleteOwned(names []string, owner string, limit int) (n int, left []string, err error) {
	list, found, err := t.own(names)
	if err != nil {
		return 0, nil, err
	}
	for i, at := range list {
		more := 0
		if n < limit {
			gone, err := t.change("DELETE FROM "+at.name+" WHERE ("+at.byKey()+") IN (SELECT "+at.byKey()+" FROM "+at.name+
				" WHERE "+at.ofOwner()+" LIMIT ?2)", owner, int64(limit-n))
			if err != nil {
				return 0, nil, err
			}
			n += gone
		}
		if n >= limit {
			if more, err = t.holds(&at, owner, 1); err != nil {
				return 0, nil, err
			}
		}
		if more > 0 {
			left = append(left, found[i])
		}
	}
	return n, left, nil
}

// MoveOwned implements kv.TableMover.
func (t *tx) MoveOwned(names []string, from, to string, limit int) (n int, err error) {
	list, _, err := t.own(names)
	if err != nil || len(list) == 0 {
		return 0, err
	}
	rows := make([]int, len(list))
	for i, at := range list {
		if rows[i], err = t.holds(&at, from, limit-n+1); err != nil {
			return 0, err
		}
		if n += rows[i]; n > limit {
			return 0, fmt.Errorf("%w: more than %d rows", kv.ErrTooLarge, limit)
		}
	}
	if err := t.savepoint("SAVEPOINT snib_move"); err != nil {
		return 0, err
	}
	for i, at := range list {
		moved, err := t.moveTable(&at, from, to, rows[i])
		if err != nil {
			return 0, err
		}
		if !moved {
			return 0, errors.Join(kv.ErrRowTaken, t.savepoint("ROLLBACK TO snib_move"), t.savepoint("RELEASE snib_move"))
		}
	}
	return n, t.savepoint("RELEASE snib_move")
}

// savepoint runs a statement about one.
func (t *tx) savepoint(query string) error {
	if _, err := t.l.exec(query); err != nil {
		return t.fail("move rows", err)
	}
	return nil
}

// moveTable moves the n rows of an owner in one table. It reports false if one was in
// the way, also where the table says ON CONFLICT REPLACE or IGNORE, by which one of
// the two is lost.
func (t *tx) moveTable(at *ownTable, from, to string, n int) (moved bool, err error) {
	before, err := t.holds(at, to, math.MaxInt)
	if err != nil {
		return false, err
	}
	_, err = t.l.exec("UPDATE "+at.name+" SET "+at.column+" = ?2 WHERE "+at.ofOwner(), from, to)
	t.touched = t.touched || n > 0
	switch {
	case err != nil && codeOf(err) == codeConstraint && strings.Contains(err.Error(), "UNIQUE"):
		return false, nil
	case err != nil:
		return false, t.fail("rows of Options.Owned", err)
	}
	after, err := t.holds(at, to, math.MaxInt)
	return after == before+n, err
}
