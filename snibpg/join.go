package snibpg

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/snibdb/snib"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/kv/remote"
)

var (
	errOtherStore  = errors.New("the accounts are not opened by this package")
	errOtherServer = errors.New("the transaction is in another database than the accounts")
	errIsolation   = errors.New("the transaction is not SERIALIZABLE")
	errEnded       = fmt.Errorf("%w, or a statement has failed in it", snib.ErrTxClosed)
	errEndedInside = fmt.Errorf("%w: the program has committed it, or rolled it back", snib.ErrTxClosed)
)

// Join runs fn with a Tx of db inside tx, a transaction of the program's own on a
// connection of its own to the same database. When it returns nil, all that fn has
// done is in tx, to be seen by its later statements, and is stored when the program
// commits tx, and not before. After an error, and a panic, nothing of fn is in tx,
// which goes on, unless fn has left rows open: then its connection is closed. fn neither
// commits nor rolls back: that is snib.ErrTxClosed, and a commit has stored what fn had
// sent.
//
// tx must be SERIALIZABLE: uniqueness and limits rest on that. Such transactions lose
// to each other, so begin tx with [Retry], which also brings the other promises of
// snib. A program that begins and commits by itself owes them:
//
//   - An error of Join or of the commit with SQLSTATE 40001 or 40P01: roll back, and
//     run everything again, from the first read on.
//   - A commit whose answer was lost may have happened.
//   - A commit that is canceled while it waits for a synchronous standby is acknowledged,
//     with a WARNING, and lost in a fail-over.
//   - A load of others can keep tx from its commit for as long as it lasts.
//
// The role of tx needs usage of the schema of snib, and select, insert, update and
// delete on its tables, also on those that Redeclare will make.
//
// Until tx ends, others wait for the users that fn has changed, and so do writes by
// db itself, up to snib.ErrBusy. A count of wrong codes that success would reset stays
// as it is, since the commit is not seen. Events reach the consumers of an outbox
// within 5 s of it.
//
// Errors are those of fn; ErrNested inside a closure of db; ErrClosed; one for a db
// that is not of this package, and for a tx of another database, of another isolation,
// or that has ended. If tx is read-only, writing methods fail with snib.ErrReadOnly.
func Join(ctx context.Context, db *snib.DB, tx pgx.Tx, fn func(tx *snib.Tx) error) error {
	s, err := storeOf(ctx, db)
	switch {
	case err != nil:
		return fmt.Errorf("snibpg: join: %w", err)
	case tx == nil || fn == nil:
		return fmt.Errorf("snibpg: join: %w: no transaction or no function", snib.ErrInvalidInput)
	}
	err = db.Update(context.WithValue(ctx, joinKey{}, &joining{s, tx}), fn)
	switch {
	case errors.Is(err, remote.ErrJoined):
		return nil
	case errors.Is(err, kv.ErrAgain):
		// For programs that look for the SQLSTATE.
		return fmt.Errorf("snibpg: join: %w (%w)", err, &pgconn.PgError{Severity: "ERROR", Code: serializationFailure, Message: "run the transaction again"})
	}
	return err
}

// joinKey leads through a context to the transaction that an Update is to join. Join
// alone makes such a context, and the closure does not get it.
type joinKey struct{}

type joining struct {
	s  *store
	tx pgx.Tx
}

// askKey leads to the place for the store of a DB.
type askKey struct{}

// storeOf returns the store under db.
func storeOf(ctx context.Context, db *snib.DB) (*store, error) {
	var s *store
	if db != nil {
		err := db.View(context.WithValue(ctx, askKey{}, &s), func(*snib.Tx) error { return errOtherStore })
		if err != nil {
			return nil, err
		}
	}
	if s == nil {
		return nil, errOtherStore
	}
	return s, nil
}

// View implements kv.Store, and answers storeOf.
func (s *store) View(ctx context.Context, fn func(kv.Reader) error) error {
	if to, ok := ctx.Value(askKey{}).(**store); ok {
		*to = s
		return nil
	}
	return s.Store.View(ctx, fn)
}

// Update implements kv.Store, in a transaction of the program if there is one.
func (s *store) Update(ctx context.Context, fn func(kv.Tx) error) error {
	j, ok := ctx.Value(joinKey{}).(*joining)
	if !ok || j.s != s {
		return s.Store.Update(ctx, fn)
	}
	return s.Store.Inside(ctx, func(ctx context.Context) (remote.Joined, remote.Mode, error) {
		in, err := s.b.join(ctx, j.tx)
		if err != nil {
			return nil, remote.Read, fmt.Errorf("snibpg: join: %w", err)
		}
		return in, in.mode, nil
	}, fn)
}

// joined is a session in a transaction of the program, behind a savepoint.
type joined struct {
	session
	settings [][2]string // of the program, which Keep puts back
	opened   bool        // the savepoint is there
	kept     bool
}

var (
	_ remote.Joined = (*joined)(nil)
	_ remote.Lender = (*joined)(nil)
)

const savepoint = "snib_join"

// planner are the settings that reads of keys need, as begins has them.
var planner = [...]string{"enable_seqscan", "enable_bitmapscan", "enable_hashjoin", "enable_mergejoin", "jit"}

// join begins a session in tx.
func (b *backend) join(ctx context.Context, tx pgx.Tx) (*joined, error) {
	if err := b.refresh(ctx); err != nil {
		return nil, err
	}
	t := &joined{session: session{b: b, n: b.names.Load(), conn: tx.Conn(), mode: remote.Write, begun: true, program: tx}}
	var values []string
	var server string
	steps := []step{t.settingsStep(&values, &server), {sql: "savepoint " + savepoint}}
	for _, name := range planner {
		steps = append(steps, step{sql: "set local " + name + " = off"})
	}
	steps = append(steps, step{sql: durably}) // the commit, which is the program's
	err := t.send(ctx, steps...)
	if err != nil {
		t.Rollback()
		return nil, err
	}
	t.opened = true
	switch {
	case values[0] != "serializable":
		err = errIsolation
	case !checked(t.conn):
		err = b.isHere(ctx, server, t.conn)
	}
	if err != nil {
		t.Rollback()
		return nil, err
	}
	if values[1] == "on" {
		t.mode = remote.Read
	}
	return t, nil
}

// settingsStep reads isolation and access, and the identity of the server. It keeps
// the planner settings for restore.
func (t *joined) settingsStep(values *[]string, server *string) step {
	names := append([]string{"transaction_isolation", "transaction_read_only"}, planner[:]...)
	var list []string
	for _, name := range names {
		list = append(list, "pg_catalog.current_setting('"+name+"')")
	}
	return step{sql: "select array[" + strings.Join(list, ", ") + "], " + identity, read: func(rows pgx.Rows) error {
		for rows.Next() {
			if err := rows.Scan(values, server); err != nil {
				return err
			}
		}
		if err := rows.Err(); err != nil || len(*values) != len(names) {
			return errors.Join(err, errEnded)
		}
		for i, name := range planner {
			t.settings = append(t.settings, [2]string{name, (*values)[len(names)-len(planner)+i]})
		}
		return nil
	}}
}

// audibly makes the server say if the wait for the standby was interrupted.
const audibly = "select pg_catalog.set_config('client_min_messages', 'warning', true) where pg_catalog.current_setting('client_min_messages') = 'error'"

// durably makes the commit wait for the disk, and for a standby that is configured.
const durably = "select pg_catalog.set_config('synchronous_commit', 'on', true) where pg_catalog.current_setting('synchronous_commit') in ('off', 'local')"

// restore puts the settings of the program back.
func (t *joined) restore() (steps []step) {
	for _, s := range t.settings {
		steps = append(steps, step{sql: "select pg_catalog.set_config($1, $2, true)", args: []any{s[0], s[1]}})
	}
	return steps
}

// Keep implements remote.Joined.
func (t *joined) Keep(ctx context.Context, changes []remote.Change) (err error) {
	var steps []step
	if len(changes) > 0 {
		if steps, err = t.flushing(changes); err != nil {
			return err
		}
	}
	steps = append(append(steps, t.restore()...), step{sql: "release savepoint " + savepoint})
	if err := t.send(ctx, steps...); err != nil {
		return err
	}
	t.kept = true
	return nil
}

// Rollback implements remote.Session.
func (t *joined) Rollback() {
	t.ended = true
	if t.over() {
		return
	}
	if busy := t.conn.PgConn().IsBusy(); t.kept || busy {
		if busy && t.opened && !t.kept { // the program has left rows open: no statement can undo it
			t.conn.Close(ended())
		}
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	for _, sql := range []string{"rollback to savepoint " + savepoint, "release savepoint " + savepoint} {
		if _, err := t.program.Exec(ctx, sql); err != nil { // it has ended
			return
		}
	}
}

// Lend implements remote.Lender.
func (t *joined) Lend(ctx context.Context) (any, error) {
	if !t.lent {
		if err := t.send(ctx, t.restore()...); err != nil {
			return nil, err
		}
		t.lent = true
	}
	return &Tx{&t.session}, nil
}

// identity is the server and the database of a connection.
const identity = "(pg_catalog.date_part('epoch', pg_catalog.pg_postmaster_start_time()) * 1000000::float8)::bigint::text" +
	" || ' ' || (select d.oid::text from pg_catalog.pg_database d where d.datname = pg_catalog.current_database())"

// isHere reports if server, to which program leads, is where the accounts are now. The
// answer is of a connection of snib's, which does not go back to an old primary. Its
// place is that of program, too: see past.
func (b *backend) isHere(ctx context.Context, server string, program *pgx.Conn) error {
	conn, err := b.acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	var now string
	b.trips.Add(1)
	err = conn.QueryRow(ctx, "select "+identity).Scan(&now)
	switch {
	case err != nil:
		return fmt.Errorf("%w: %v", remote.ErrUnreachable, err)
	case now != server:
		return errOtherServer
	case b.past(conn.Conn()):
		return fmt.Errorf("%w: %v", remote.ErrUnreachable, errPast)
	}
	program.PgConn().CustomData()[placeKey] = placeOf(conn.Conn().PgConn())
	return nil
}
