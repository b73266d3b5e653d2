package snibsqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"

	"github.com/snibdb/snib/internal/kv"
)

// A link is one connection, with its prepared statements. It speaks to the
// driver below database/sql, whose checks, locks and copies would cost as much as
// a read. One goroutine at a time uses it.
type link struct {
	c     *sql.Conn
	stmts map[string]driver.Stmt
	held  driver.Rows // the statement whose reading keeps a snapshot
	undo  []string    // statements that put the connection back, for close
}

func newLink(ctx context.Context, db *sql.DB) (*link, error) {
	c, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	return &link{c: c, stmts: map[string]driver.Stmt{}}, nil
}

// close finalizes the statements and gives the connection back.
func (l *link) close() error {
	err := l.release()
	for _, query := range l.undo {
		_, undone := l.exec(query)
		err = errors.Join(err, undone)
	}
	err = errors.Join(err, l.c.Raw(func(any) error {
		var err error
		for _, s := range l.stmts {
			err = errors.Join(err, s.Close())
		}
		return err
	}))
	l.stmts = nil
	return errors.Join(err, l.c.Close())
}

// prepared returns the statement of a text, prepared once.
func (l *link) prepared(conn any, query string) (driver.Stmt, error) {
	if s := l.stmts[query]; s != nil {
		return s, nil
	}
	var s driver.Stmt
	var err error
	if c, ok := conn.(driver.ConnPrepareContext); ok {
		s, err = c.PrepareContext(context.Background(), query)
	} else {
		s, err = conn.(driver.Conn).Prepare(query)
	}
	if err == nil {
		l.stmts[query] = s
	}
	return s, err
}

func named(args []driver.Value) []driver.NamedValue {
	out := make([]driver.NamedValue, len(args))
	for i, a := range args {
		out[i] = driver.NamedValue{Ordinal: i + 1, Value: a}
	}
	return out
}

// exec runs a statement to its end and returns how many rows it has changed. No
// context reaches the driver: a statement that is interrupted would end the
// transaction under others that share it.
func (l *link) exec(query string, args ...driver.Value) (n int64, err error) {
	err = l.c.Raw(func(conn any) error {
		s, err := l.prepared(conn, query)
		if err != nil {
			return err
		}
		var r driver.Result
		if x, ok := s.(driver.StmtExecContext); ok {
			r, err = x.ExecContext(context.Background(), named(args))
		} else {
			r, err = s.Exec(args) //lint:ignore SA1019 drivers without contexts have only this
		}
		if err == nil {
			n, err = r.RowsAffected()
		}
		return err
	})
	return n, err
}

// pragma runs a statement that must not be prepared ahead, because another
// answer is expected each time or it is run once.
func (l *link) pragma(query string) (text string, err error) {
	err = l.c.QueryRowContext(context.Background(), query).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return text, err
}

func (l *link) query(conn any, query string, args []driver.Value) (driver.Rows, error) {
	s, err := l.prepared(conn, query)
	if err != nil {
		return nil, err
	}
	var rows driver.Rows
	if x, ok := s.(driver.StmtQueryContext); ok {
		rows, err = x.QueryContext(context.Background(), named(args))
	} else {
		rows, err = s.Query(args) //lint:ignore SA1019 drivers without contexts have only this
	}
	if err == nil {
		rows.Columns() // Next of some drivers needs it
	}
	return rows, err
}

// each calls visit for each row of a query, inside the driver: visit must not use
// the link, and copies the values that it keeps.
func (l *link) each(visit func(row []driver.Value) error, columns int, query string, args ...driver.Value) error {
	return l.c.Raw(func(conn any) (err error) {
		rows, err := l.query(conn, query, args)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, rows.Close()) }()
		row := make([]driver.Value, columns)
		for {
			switch err := rows.Next(row); {
			case errors.Is(err, io.EOF):
				return nil
			case err != nil:
				return err
			}
			if err := visit(row); err != nil {
				return err
			}
		}
	})
}

// number returns the number that a query counts.
func (l *link) number(query string, args ...driver.Value) (n int64, err error) {
	err = l.each(func(row []driver.Value) error {
		var ok bool
		if n, ok = row[0].(int64); !ok {
			return fmt.Errorf("a count is %T", row[0])
		}
		return nil
	}, 1, query, args...)
	return n, err
}

// hold takes a snapshot and keeps it until release: a statement that has read and
// is not at its end keeps the read transaction open, without a BEGIN and a
// COMMIT of its own. The schema has a row, of our own tables.
func (l *link) hold() error {
	return l.c.Raw(func(conn any) error {
		rows, err := l.query(conn, "SELECT 1 FROM sqlite_schema", nil)
		if err != nil {
			return err
		}
		var row [1]driver.Value
		if err := rows.Next(row[:]); err != nil {
			return errors.Join(err, rows.Close())
		}
		l.held = rows
		return nil
	})
}

func (l *link) release() error {
	if l.held == nil {
		return nil
	}
	rows := l.held
	l.held = nil
	return l.c.Raw(func(any) error { return rows.Close() })
}

// bytesOf returns a copy of a value of a row; an empty one is not nil.
func bytesOf(v driver.Value) ([]byte, error) {
	switch v := v.(type) {
	case []byte:
		return append(make([]byte, 0, len(v)), v...), nil
	case nil:
		return []byte{}, nil // some drivers, of an empty value
	}
	return nil, fmt.Errorf("%w: a value is %T", kv.ErrCorrupt, v)
}

// blob returns an argument that no driver takes for NULL.
func blob(b []byte) driver.Value {
	if b == nil {
		return []byte{}
	}
	return b
}

// once runs a statement that is not worth keeping.
func (l *link) once(query string) error {
	_, err := l.c.ExecContext(context.Background(), query)
	return err
}
