package snibpg

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/snibdb/snib/internal/kv/remote"
)

// writes are the statements of a write set, two for a space at most.
func (t *session) writes(changes []remote.Change) (steps []step, err error) {
	for len(changes) > 0 {
		s := changes[0].Space
		var keys, values, gone [][]byte
		for len(changes) > 0 && changes[0].Space == s {
			if c := changes[0]; c.Delete {
				gone = append(gone, c.Key)
			} else {
				keys, values = append(keys, c.Key), append(values, c.Value)
			}
			changes = changes[1:]
		}
		if t.n.of(s) == "" {
			if len(keys) > 0 {
				return nil, fmt.Errorf("a space of a later program, without a table: %w", errors.ErrUnsupported)
			}
			continue
		}
		if len(keys) > 0 {
			steps = append(steps, step{sql: t.n.put(s), args: []any{keys, values}})
		}
		if len(gone) > 0 {
			steps = append(steps, step{sql: t.n.remove(s), args: []any{gone}})
		}
	}
	return steps, nil
}

// guard takes the lock that a commit takes with its mark: one that runs alone
// waits for this transaction from now on, and no longer for its rows.
func (t *session) guard() step {
	return step{sql: "lock table " + t.n.marks() + " in row exclusive mode"}
}

// Flush implements remote.Session.
func (t *session) Flush(ctx context.Context, changes []remote.Change) error {
	steps, err := t.flushing(changes)
	if err != nil {
		return err
	}
	return t.send(ctx, steps...)
}

// flushing are the statements of a Flush.
func (t *session) flushing(changes []remote.Change) ([]step, error) {
	steps, err := t.writes(changes)
	if err != nil {
		return nil, err
	}
	steps = append(t.withdraw(changes), steps...)
	if t.pooled != nil || t.program != nil {
		steps = append([]step{t.guard()}, steps...)
	}
	return steps, nil
}

// Commit implements remote.Session. The mark comes first: where another runs
// alone, this waits there before it has locked a row.
func (t *session) Commit(ctx context.Context, changes []remote.Change, m remote.Mark) error {
	steps, err := t.writes(changes)
	if err != nil {
		return err
	}
	steps = append(t.withdraw(changes), steps...)
	var tag pgconn.CommandTag
	steps = append([]step{{sql: t.n.mark(), args: []any{m.ID, m.N}}}, steps...)
	if t.lent { // the program may have changed it
		steps = append(steps, step{sql: audibly})
	}
	steps = append(steps, step{sql: "commit", read: func(rows pgx.Rows) error { rows.Close(); tag = rows.CommandTag(); return rows.Err() }})
	l := linkOf(t.conn.PgConn())
	l.expect()
	err = t.attempt(ctx, steps)
	switch {
	case err == nil && tag.String() != "COMMIT":
		return fmt.Errorf("%w: the server answered %s", remote.ErrConflict, tag)
	case err == nil && l.doubtful():
		t.dead = true
		return &remote.LostError{Cause: errInterrupted}
	case err == nil:
		t.committed()
		return nil
	case t.conn.IsClosed() || code(err) == "" || code(err) == unknownCompletion:
		t.dead = true
		t.b.suspect(err)
		return &remote.LostError{Cause: err}
	}
	return t.failure(err) // refused by the server, which goes on
}

// committed puts other tables in force, if the transaction was about that.
func (t *session) committed() {
	if t.replaced == nil {
		return
	}
	t.b.stale.Store(true)
	t.b.names.Store(t.replaced)
	t.b.sweep(context.Background(), t.conn)
}
