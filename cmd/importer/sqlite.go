package importer

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// A database is an SQLite file that is only read. The file may come from anywhere:
// its views, triggers and functions are not run, and values are bounded.
type database struct {
	*sql.DB
	conn *sql.Conn
	temp string // folder of a copy, "" without one
	rows int64  // that were read
}

// openSQLite opens a file as it is on the disk, and changes nothing beside it. A
// write-ahead log beside it, of a program that was killed or runs, is a part of the
// database: both are copied then.
func openSQLite(ctx context.Context, path string) (*database, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	d := &database{}
	options := "mode=ro&immutable=1"
	if stat, err := os.Stat(path + "-wal"); err == nil && stat.Size() > 0 {
		if d.temp, err = os.MkdirTemp("", "snib-import-*"); err != nil {
			return nil, err
		}
		if path, err = copyWithLog(path, d.temp); err != nil {
			return nil, errors.Join(err, d.close())
		}
		options = "mode=rw"
	}
	at := url.URL{Scheme: "file", Path: filepath.ToSlash(path), RawQuery: options +
		"&_pragma=trusted_schema(0)&_pragma=cell_size_check(1)&_pragma=query_only(1)&_pragma=cache_size(-8192)"}
	if d.DB, err = sql.Open("sqlite", at.String()); err == nil {
		d.conn, err = d.connect(ctx)
	}
	if err == nil {
		err = d.conn.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema").Scan(new(int64))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("no SQLite database that can be read: %w", err), d.close())
	}
	return d, nil
}

// connect returns a connection that reads values of at most 4 MiB.
func (d *database) connect(ctx context.Context) (*sql.Conn, error) {
	conn, err := d.Conn(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := sqlite.Limit(conn, sqlite3.SQLITE_LIMIT_LENGTH, 4*maxRow); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// copyWithLog copies a database and its log. A change meanwhile is an error, as the
// two would not fit.
func copyWithLog(path, dir string) (string, error) {
	to := filepath.Join(dir, "copy.db")
	before, err := stamps(path)
	if err == nil {
		err = errors.Join(copyFile(path, to), copyFile(path+"-wal", to+"-wal"))
	}
	if err != nil {
		return "", err
	}
	after, err := stamps(path)
	if err == nil && before != after {
		err = errors.New("the database is being written: stop the program that has it open")
	}
	return to, err
}

func stamps(path string) (out [2]string, err error) {
	for i, name := range []string{path, path + "-wal"} {
		stat, err := os.Stat(name)
		if err != nil {
			return out, err
		}
		out[i] = fmt.Sprint(stat.Size(), stat.ModTime().UnixNano())
	}
	return out, nil
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

func (d *database) close() (err error) {
	if d.conn != nil {
		err = d.conn.Close()
	}
	if d.DB != nil {
		err = errors.Join(err, d.DB.Close())
	}
	if d.temp != "" {
		err = errors.Join(err, os.RemoveAll(d.temp))
	}
	return err
}

// columns returns the columns of an ordinary table, nil without such a table. A view could make a query run for ever.
func (d *database) columns(ctx context.Context, table string) (out []string, err error) {
	var name string
	err = d.conn.QueryRowContext(ctx,
		"SELECT name FROM sqlite_schema WHERE type = 'table' AND name = ? COLLATE BINARY AND rootpage > 0", table).Scan(&name)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	rows, err := d.conn.QueryContext(ctx, "SELECT name FROM pragma_table_info(?)", name)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var column string
		if err := rows.Scan(&column); err != nil {
			return nil, err
		}
		out = append(out, column)
	}
	return out, rows.Err()
}

// need is columns of a table that must have some.
func (d *database) need(ctx context.Context, table string, some ...string) ([]string, error) {
	all, err := d.columns(ctx, table)
	if err != nil {
		return nil, err
	}
	if all == nil {
		return nil, fmt.Errorf("the database has no table %q", table)
	}
	for _, name := range some {
		if !slices.Contains(all, name) {
			return nil, fmt.Errorf("table %q has no column %q", table, name)
		}
	}
	return all, nil
}

// A cursor steps through a table in the order of one column.
type cursor struct {
	rows    *sql.Rows
	names   []string
	values  []any
	current map[string]any // nil behind the last row
}

// sorted selects a table in the order of the bytes of a column, and maybe only
// the rows that where allows.
func (d *database) sorted(ctx context.Context, table string, names []string, by, where string, args ...any) (*cursor, error) {
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = quote(name)
	}
	query := "SELECT " + strings.Join(quoted, ", ") + " FROM " + quote(table) + where +
		" ORDER BY CAST(" + quote(by) + " AS TEXT) COLLATE BINARY, rowid"
	rows, err := d.conn.QueryContext(ctx, query, args...)
	if err != nil && strings.Contains(err.Error(), "no such column: rowid") {
		rows, err = d.conn.QueryContext(ctx, strings.TrimSuffix(query, ", rowid"), args...)
	}
	if err != nil {
		return nil, err
	}
	c := &cursor{rows: rows, names: names, values: make([]any, len(names))}
	for i := range c.values {
		c.values[i] = new(any)
	}
	return c, c.next()
}

// next goes to the next row, or sets current to nil.
func (c *cursor) next() error {
	c.current = nil
	if !c.rows.Next() {
		return c.rows.Err()
	}
	if err := c.rows.Scan(c.values...); err != nil {
		return err
	}
	c.current = make(map[string]any, len(c.names))
	for i, name := range c.names {
		c.current[name] = *(c.values[i].(*any))
	}
	return nil
}

// key is the text by which two cursors are merged.
func (c *cursor) key(name string) string {
	text, _ := scalar(c.current[name])
	return text
}

func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// count returns the number of rows.
func (d *database) count(ctx context.Context, table string) (n int64, err error) {
	err = d.conn.QueryRowContext(ctx, "SELECT count(*) FROM "+quote(table)).Scan(&n)
	return n, err
}
