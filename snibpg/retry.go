package snibpg

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/snibdb/snib"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/kv/remote"
)

// Beginner begins transactions of the program's own: a *pgxpool.Pool or a *pgx.Conn.
type Beginner interface {
	BeginTx(ctx context.Context, o pgx.TxOptions) (pgx.Tx, error)
}

// Retry runs fn in a SERIALIZABLE transaction of the program's own, which pool begins
// in the database of db, and commits it. fn may [Join] it. When Retry returns
// nil, all of it is stored: on the disk, and on the standby if one is synchronous.
//
// A transaction that lost to another runs again, with fn from its beginning, up to
// Options.BusyTimeout of db (snib.ErrBusy). So fn should have no effect outside of tx.
// It returns the errors that it gets, wrapped at most by %w: that is how a loss is
// told from a failure. One that lost four times runs while no other commits; the
// server ends it if it then sends nothing for a minute. A commit whose answer was
// lost is found again, as those of snib are, or is snib.ErrUnknown. So is one whose wait
// for the standby somebody interrupted, with pg_cancel_backend or a timeout of the
// server: it returns when the standby has it. The notices of the server tell, which
// Retry reads from a trace (pgproto3.Frontend.Trace) in the place of the program's own.
//
// After any other error nothing of fn is stored. fn neither commits nor rolls back,
// which is snib.ErrTxClosed; savepoints, tx.Begin among them, are fine. In fn, methods of db return
// snib.ErrNested: Join instead.
func Retry(ctx context.Context, db *snib.DB, pool Beginner, fn func(tx pgx.Tx) error) error {
	s, err := storeOf(ctx, db)
	switch {
	case err != nil:
		return fmt.Errorf("snibpg: retry: %w", err)
	case pool == nil || fn == nil:
		return fmt.Errorf("snibpg: retry: %w: no pool or no function", snib.ErrInvalidInput)
	}
	leave, err := s.Store.Hold()
	if err != nil {
		return fmt.Errorf("snibpg: retry: %w", err)
	}
	defer leave()
	return s.programs.Apply(context.WithValue(ctx, beginnerKey{}, pool), func(w kv.Tx) error {
		t, ok := remote.SessionOf(w).(*programSession)
		if !ok {
			return fmt.Errorf("snibpg: retry: %w", errNoSession)
		}
		return t.run(fn)
	})
}

// beginnerKey leads to the Beginner of a Retry.
type beginnerKey struct{}

// programs is a remote.Backend of transactions of the program. Their retries, their
// turns and their marks are those of snib's own.
type programs struct{ b *backend }

var _ remote.Backend = programs{}

// Trips implements remote.Backend. The other store of b counts them.
func (p programs) Trips() int64 { return 0 }

// Resolve implements remote.Backend.
func (p programs) Resolve(ctx context.Context, m remote.Mark) (bool, error) {
	return p.b.Resolve(ctx, m)
}

// Close implements remote.Backend. The pool is that of the other store.
func (p programs) Close(marks []remote.Mark) error {
	p.b.forget(marks)
	return nil
}

// Begin implements remote.Backend.
func (p programs) Begin(ctx context.Context, mode remote.Mode) (remote.Session, error) {
	pool, _ := ctx.Value(beginnerKey{}).(Beginner)
	if pool == nil {
		return nil, errNoSession
	}
	if err := p.b.refresh(ctx); err != nil {
		return nil, err
	}
	tx, err := pool.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.Serializable, AccessMode: pgx.ReadWrite})
	if err != nil {
		return nil, fmt.Errorf("%w: begin: %v", remote.ErrUnreachable, err)
	}
	t := &programSession{session: session{b: p.b, n: p.b.names.Load(), conn: tx.Conn(), mode: mode, begun: true, program: tx}}
	if err := t.start(ctx); err != nil {
		t.Rollback()
		return nil, err
	}
	return t, nil
}

// start makes sure that nobody commits meanwhile, if the session is Alone, and that
// it is where the accounts are.
func (t *programSession) start(ctx context.Context) error {
	if t.mode == remote.Alone {
		err := t.send(ctx,
			step{sql: "set local lock_timeout = " + lockWait},
			step{sql: "lock table " + t.n.marks() + " in exclusive mode"}, // before the snapshot
			step{sql: "set local lock_timeout to default"},
			step{sql: "select pg_catalog.set_config('" + idle + "', '1min', true) where pg_catalog.current_setting('" + idle + "') = '0'"})
		if err != nil {
			return err
		}
	}
	var server string
	t.b.trips.Add(1)
	if err := t.program.QueryRow(ctx, "select "+identity).Scan(&server); err != nil {
		return t.failure(err)
	}
	if err := t.b.isHere(ctx, server, t.conn); err != nil {
		return fmt.Errorf("snibpg: retry: %w", err)
	}
	t.conn.PgConn().CustomData()[checkedKey] = t
	return nil
}

// checkedKey marks a connection with the programSession that has found that it is where
// the accounts are.
const checkedKey = "snib checked"

// checked reports if Retry has found so in the transaction that conn is in.
func checked(conn *pgx.Conn) bool {
	t, ok := conn.PgConn().CustomData()[checkedKey].(*programSession)
	return ok && !t.over()
}

// programSession is a transaction of the program that Retry has begun. Nothing is
// read or written through it.
type programSession struct{ session }

// run runs fn, and tells if it lost to others.
func (t *programSession) run(fn func(pgx.Tx) error) error {
	err := fn(t.program)
	switch c := code(err); {
	case err == nil || errors.Is(err, kv.ErrAgain):
		return err
	case c == serializationFailure || c == deadlock:
		return fmt.Errorf("%w: %w", remote.ErrConflict, err)
	case t.conn.IsClosed() && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%w: %w", remote.ErrUnreachable, err)
	}
	return err
}

// Commit implements remote.Session.
func (t *programSession) Commit(ctx context.Context, _ []remote.Change, m remote.Mark) error {
	if err := t.Broken(); err != nil {
		return err
	}
	err := t.send(ctx, step{sql: durably}, step{sql: audibly}, step{sql: t.n.mark(), args: []any{m.ID, m.N}})
	if err != nil {
		return err
	}
	t.ended = true
	delete(t.conn.PgConn().CustomData(), checkedKey)
	t.b.trips.Add(1)
	at := placeOf(t.conn.PgConn())
	said := listen(t.conn.PgConn().Frontend())
	err = t.program.Commit(ctx) // and the pool may give the connection to others
	if err == nil && t.b.history.behind(at) {
		return &remote.LostError{Cause: errPast}
	}
	switch c := code(err); {
	case err == nil && (said.heard || ctx.Err() != nil):
		// Somebody has ended the wait for the standby: an operator, a timeout of the
		// server, or a connection that cancels what takes too long.
		return &remote.LostError{Cause: errInterrupted}
	case err == nil:
		return nil
	case errors.Is(err, pgx.ErrTxCommitRollback), c == serializationFailure, c == deadlock:
		return fmt.Errorf("%w: %v", remote.ErrConflict, err)
	case c == "" || c == unknownCompletion || fatal(err):
		t.b.suspect(err)
		return &remote.LostError{Cause: err}
	}
	return fmt.Errorf("PostgreSQL: %w", err) // such as a deferred constraint
}

// fatal reports if the server has ended the connection with an error. It may have
// committed before.
func fatal(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.SeverityUnlocalized != "ERROR"
}

// Rollback implements remote.Session.
func (t *programSession) Rollback() {
	if t.ended {
		return
	}
	t.ended = true
	if t.over() {
		return
	}
	delete(t.conn.PgConn().CustomData(), checkedKey)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	t.program.Rollback(ctx)
}
