package snibsqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"

	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/records"
)

// The layout of a file: one table a space, named snib_ and the space, shadows
// snib_shadow_ and the space, and the table snib_schema, whose one row names
// the application and the layout. Its version counts layouts of this engine; records have
// versions of their own.
const (
	prefix      = "snib_"
	shadow      = prefix + "shadow_"
	schemaTable = prefix + "schema"

	application   = "snib"
	schemaVersion = 1
	applicationID = 0x736e6962 // "snib" in the header, of files that Open makes
)

// A table is a space: its name, and the text of its statements.
type table struct {
	name string

	get, put, remove                    string
	scan, scanTo, count, countTo        string
	removeFrom, removeTo, create, exist string
}

// tableOf returns that of a space.
func tableOf(spec kv.SpaceSpec) *table {
	name := prefix + spec.Name
	if spec.Shadow {
		name = shadow + spec.Name
	}
	q := `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
	return &table{
		name:       name,
		get:        "SELECT v FROM " + q + " WHERE k = ?1",
		put:        "INSERT INTO " + q + " (k, v) VALUES (?1, ?2) ON CONFLICT (k) DO UPDATE SET v = excluded.v",
		remove:     "DELETE FROM " + q + " WHERE k = ?1",
		scan:       "SELECT k, v FROM " + q + " WHERE k >= ?1 ORDER BY k LIMIT ?2",
		scanTo:     "SELECT k, v FROM " + q + " WHERE k >= ?1 AND k < ?2 ORDER BY k LIMIT ?3",
		count:      "SELECT count(*) FROM (SELECT 1 FROM " + q + " WHERE k >= ?1 LIMIT ?2)",
		countTo:    "SELECT count(*) FROM (SELECT 1 FROM " + q + " WHERE k >= ?1 AND k < ?2 LIMIT ?3)",
		removeFrom: "DELETE FROM " + q + " WHERE k >= ?1",
		removeTo:   "DELETE FROM " + q + " WHERE k >= ?1 AND k < ?2",
		create:     "CREATE TABLE IF NOT EXISTS " + q + " (k BLOB PRIMARY KEY NOT NULL, v BLOB NOT NULL) STRICT, WITHOUT ROWID",
		exist:      "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = ?1",
	}
}

// table returns the table of a space, nil if there is none: of a later program,
// in a file in which it has not written.
func (s *Store) table(l *link, space kv.Space) (*table, error) {
	tables := *s.tables.Load()
	if space < 0 || int(space) >= len(tables) {
		return nil, fmt.Errorf("snibsqlite: no space %d", space)
	}
	t := tables[space]
	if int(space) < s.made {
		return t, nil
	}
	n, err := l.number(t.exist, t.name)
	if err != nil || n == 0 {
		return nil, err
	}
	return t, nil
}

func (s *Store) makeTable(l *link, space kv.Space) (*table, error) {
	t := (*s.tables.Load())[space]
	_, err := l.exec(t.create)
	return t, err
}

// Extend implements kv.Extender.
func (s *Store) Extend(spaces []kv.SpaceSpec) {
	tables := (*s.tables.Load())[:s.made:s.made]
	for _, spec := range spaces[min(s.made, len(spaces)):] {
		tables = append(tables, tableOf(spec))
	}
	s.tables.Store(&tables)
}

// examine reads the row of the file about itself. found is false in one that has
// nothing of ours; empty if it has no table at all.
func examine(l *link) (found, empty bool, err error) {
	all, ours, marked := 0, 0, false
	err = l.each(func(row []driver.Value) error {
		name, _ := row[0].(string)
		if b, ok := row[0].([]byte); ok {
			name = string(b)
		}
		all++
		name = strings.ToLower(name) // as SQLite compares them
		if strings.HasPrefix(name, prefix) {
			ours++
		}
		marked = marked || name == schemaTable
		return nil
	}, 1, "SELECT name FROM sqlite_schema")
	switch {
	case codeOf(err) == codeNotADB:
		return false, false, fmt.Errorf("%w: %w", kv.ErrForeign, err)
	case err != nil:
		return false, false, translate("read the schema", err)
	case !marked && ours > 0:
		return false, false, fmt.Errorf("%w: its tables %s… are another program's", kv.ErrForeign, prefix)
	case !marked:
		return false, all == 0, nil
	}
	rows := 0
	err = l.each(func(row []driver.Value) error {
		rows++
		name, _ := row[0].(string)
		if b, ok := row[0].([]byte); ok {
			name = string(b)
		}
		version, _ := row[1].(int64)
		if name != application {
			return kv.ErrForeign
		}
		if version > schemaVersion {
			return fmt.Errorf("layout %d of the file: %w", version, records.ErrNewerFormat)
		}
		return nil
	}, 2, "SELECT application, version FROM "+schemaTable)
	if err == nil && rows != 1 {
		err = fmt.Errorf("%w: %s has %d rows", kv.ErrCorrupt, schemaTable, rows)
	}
	return err == nil, false, translate("read the schema", err)
}

// errStranger refuses, in Open, a database in which no account was ever kept.
var errStranger = fmt.Errorf("%w: it has tables and none of this library; see New", kv.ErrForeign)

// populate makes the tables that are missing, and the first content of a new
// store, in one transaction.
func (s *Store) populate(ctx context.Context, l *link, setup kv.Setup) (err error) {
	missing := 0
	for _, t := range *s.tables.Load() {
		n, err := l.number(t.exist, t.name)
		if err != nil {
			return translate("read the schema", err)
		}
		if n == 0 {
			missing++
		}
	}
	found, _, err := examine(l)
	if err != nil || found && missing == 0 {
		return err
	}
	if err := s.beginOn(ctx, l, s.deadline()); err != nil {
		return err
	}
	committed := false
	defer func() {
		if !committed { // also if Init panics
			l.exec("ROLLBACK")
		}
	}()
	found, empty, err := examine(l) // another may have been faster
	switch {
	case err != nil:
		return err
	case !found && !empty && s.at.own:
		return errStranger
	}
	for _, t := range *s.tables.Load() {
		if _, err := l.exec(t.create); err != nil {
			return translate("create a table", err)
		}
	}
	if !found {
		if err := s.fill(l, setup, s.at.own && empty); err != nil {
			return err
		}
	}
	_, err = l.exec("COMMIT")
	committed = err == nil
	return translate("create tables", err)
}

// fill writes the first content of a new store.
func (s *Store) fill(l *link, setup kv.Setup, header bool) error {
	statements := []string{
		"CREATE TABLE " + schemaTable + " (application TEXT NOT NULL, version INTEGER NOT NULL) STRICT",
		fmt.Sprintf("INSERT INTO %s VALUES ('%s', %d)", schemaTable, application, schemaVersion),
	}
	if header {
		statements = append(statements, fmt.Sprintf("PRAGMA application_id = %d", applicationID))
	}
	for _, query := range statements {
		if _, err := l.exec(query); err != nil {
			return translate("create tables", err)
		}
	}
	if setup.Init == nil {
		return nil
	}
	t := &tx{reader: reader{s: s, l: l, sticky: true}}
	defer t.end()
	return errors.Join(setup.Init(t), t.err)
}
