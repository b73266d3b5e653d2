package snibpg

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/snibdb/snib"
	"github.com/snibdb/snib/internal/kv/remote"
)

// Tx runs statements of the program's own in a transaction of snib. Code that
// sqlc has generated for pgx takes one.
type Tx struct{ t *session }

// Conn returns the transaction under tx, for rows of the program's own: they are
// stored together with the changes to accounts, or not at all. The statements see the earlier
// changes of tx. In Update, taking it counts as writing.
//
// The transaction is SERIALIZABLE, and repeatable read and read-only in a View.
// If it loses to another transaction, the closure runs again, with any
// result. A statement that fails otherwise has ended the transaction: return its
// error, for nothing can be stored any more. Do not begin, commit or roll back;
// SAVEPOINT is fine. Once the closure has returned, all methods fail with
// snib.ErrTxClosed, and so they do if tx is of another engine.
func Conn(tx *snib.Tx) *Tx {
	t, _ := tx.Underlying().(*Tx)
	if t == nil {
		t = &Tx{}
	}
	return t
}

func (c *Tx) usable() error {
	switch {
	case c.t == nil || c.t.ended:
		return fmt.Errorf("snibpg: %w", snib.ErrTxClosed)
	case c.t.over():
		return fmt.Errorf("snibpg: %w", errEndedInside)
	}
	return nil
}

// Exec runs a statement.
func (c *Tx) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	if err := c.usable(); err != nil {
		return pgconn.CommandTag{}, err
	}
	c.t.b.trips.Add(1)
	return c.t.conn.Exec(ctx, sql, args...)
}

// Query runs a query. Close its rows before the next call of anything of the
// transaction.
func (c *Tx) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	if err := c.usable(); err != nil {
		return nil, err
	}
	c.t.b.trips.Add(1)
	return c.t.conn.Query(ctx, sql, args...)
}

// QueryRow runs a query of one row. Errors come from Scan.
func (c *Tx) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	if err := c.usable(); err != nil {
		return failedRow{err}
	}
	c.t.b.trips.Add(1)
	return c.t.conn.QueryRow(ctx, sql, args...)
}

// CopyFrom copies rows into a table.
func (c *Tx) CopyFrom(ctx context.Context, table pgx.Identifier, columns []string, rows pgx.CopyFromSource) (int64, error) {
	if err := c.usable(); err != nil {
		return 0, err
	}
	c.t.b.trips.Add(1)
	return c.t.conn.CopyFrom(ctx, table, columns, rows)
}

// SendBatch runs statements in one trip. Close the results before the next call
// of anything of the transaction.
func (c *Tx) SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults {
	if err := c.usable(); err != nil {
		return failedBatch{err}
	}
	c.t.b.trips.Add(1)
	return c.t.conn.SendBatch(ctx, b)
}

// failedRow is the row of a query that did not run.
type failedRow struct{ err error }

func (r failedRow) Scan(...any) error { return r.err }

// failedBatch is the results of a batch that did not run.
type failedBatch struct{ err error }

func (b failedBatch) Exec() (pgconn.CommandTag, error) { return pgconn.CommandTag{}, b.err }
func (b failedBatch) Query() (pgx.Rows, error)         { return nil, b.err }
func (b failedBatch) QueryRow() pgx.Row                { return failedRow(b) }
func (b failedBatch) Tx() pgx.Tx                       { return nil }
func (b failedBatch) Close() error                     { return b.err }

// Lend implements remote.Lender. The program's statements are planned as usual.
func (t *session) Lend(ctx context.Context) (any, error) {
	if t.lent {
		return &Tx{t}, nil
	}
	var steps []step
	if t.mode != remote.Read {
		steps = append(append(steps, t.guard()), t.withdraw(nil)...)
	}
	for _, name := range []string{"enable_seqscan", "enable_bitmapscan", "enable_hashjoin", "enable_mergejoin", "jit", "lock_timeout"} {
		steps = append(steps, step{sql: "set local " + name + " to default"})
	}
	if err := t.send(ctx, steps...); err != nil {
		return nil, err
	}
	t.lent = true
	return &Tx{t}, nil
}

// Broken implements remote.Lender.
func (t *session) Broken() error {
	conn := t.conn.PgConn()
	switch {
	case t.over():
		return fmt.Errorf("snibpg: %w", errEndedInside)
	case conn.IsClosed():
		return fmt.Errorf("%w: it broke in a statement of the program", remote.ErrUnreachable)
	case conn.IsBusy():
		t.dead = true
		return errors.New("snibpg: the program has left rows or the results of a batch open")
	case conn.TxStatus() == 'T':
		return nil
	case conn.TxStatus() == 'I':
		return errors.New("snibpg: the program has ended the transaction itself")
	}
	c := linkOf(conn).lastFailure()
	if c == serializationFailure || c == deadlock {
		return fmt.Errorf("%w: in a statement of the program", remote.ErrConflict)
	}
	return fmt.Errorf("snibpg: a statement of the program has failed in the transaction (SQLSTATE %s)", c)
}
