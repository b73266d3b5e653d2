package snibpg

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/kv/remote"
)

// session is a remote.Session on one connection.
//
// In the mode Read it sends single statements, as long as they read keys by name:
// each is a snapshot of its own, and also repeats the reads before it. If those
// have not changed, all are of the last snapshot; else it is ErrAgain. That saves
// BEGIN and COMMIT where one trip is enough, as for the check of a session.
type session struct {
	b      *backend
	n      *names
	conn   *pgx.Conn
	pooled *pgxpool.Conn // nil while the tables are made
	mode   remote.Mode
	begun  bool // in a transaction of the server
	dead   bool // the connection must not be used again
	ended  bool
	lent   bool

	program pgx.Tx // this transaction of the program's own, or nil

	claims  []*claim
	cursors int // that were declared

	once   []kv.Ref // read by single statements
	values []remote.Value

	headed   bool // the head was read
	now      int64
	replaced *names // in force once this transaction has committed
}

var (
	_ remote.Session = (*session)(nil)
	_ remote.Clock   = (*session)(nil)
	_ remote.Batcher = (*session)(nil)
	_ remote.Claimer = (*session)(nil)
	_ remote.Lender  = (*session)(nil)
)

// step is a statement, and the reader of its rows.
type step struct {
	sql  string
	args []any
	read func(pgx.Rows) error // nil: none
}

// lockWait is how long a statement waits for a lock, in milliseconds. That is less
// than a trip may take: the server then answers, and the commit has certainly not
// happened.
const lockWait = "5000"

// idle ends a session that is Alone and whose program has stopped, or is cut off, in
// the middle: the commits of all others wait for it.
const idle = "idle_in_transaction_session_timeout"

// begins are the statements that begin a transaction. The planner must look up
// keys in indexes only: a scan of a table takes a predicate lock on all of it,
// and then every two writers are in each other's way.
func (t *session) begins() []step {
	if t.mode == remote.Read {
		return []step{{sql: "begin isolation level repeatable read read only"}}
	}
	list := []step{{sql: "begin isolation level serializable"}}
	if t.mode == remote.Alone {
		// Before the snapshot, which LOCK does not take. Commits of others wait
		// for it at their mark, and so do not happen between snapshot and commit.
		list = append(list, step{sql: "set local lock_timeout = " + lockWait}, step{sql: "lock table " + t.n.marks() + " in exclusive mode"})
	}
	settings := "select pg_catalog.set_config('enable_seqscan', 'off', true), pg_catalog.set_config('enable_bitmapscan', 'off', true)," +
		" pg_catalog.set_config('enable_hashjoin', 'off', true), pg_catalog.set_config('enable_mergejoin', 'off', true), pg_catalog.set_config('jit', 'off', true)"
	if t.mode == remote.Alone {
		settings += ", case when pg_catalog.current_setting('" + idle + "') = '0' then pg_catalog.set_config('" + idle + "', '1min', true) end"
	} else {
		settings += ", pg_catalog.set_config('lock_timeout', '" + lockWait + "', true)"
	}
	if len(t.claims) > 0 { // before the snapshot, too
		list = append(list, t.guard())
	}
	if t.pooled != nil {
		l := linkOf(t.conn.PgConn())
		if l.lazy {
			settings += ", pg_catalog.set_config('synchronous_commit', 'on', true)"
		}
		if l.quiet {
			settings += ", pg_catalog.set_config('client_min_messages', 'warning', true)"
		}
	}
	return append(list, step{sql: settings})
}

// over reports if the program has ended its transaction by itself. Its connection may
// be another's since. An empty batch sends nothing.
func (t *session) over() bool {
	return t.program != nil && errors.Is(t.program.SendBatch(context.Background(), &pgx.Batch{}).Close(), pgx.ErrTxClosed)
}

// send sends statements in one trip, after BEGIN if that is due.
func (t *session) send(ctx context.Context, steps ...step) error {
	err := t.attempt(ctx, steps)
	return t.failure(err)
}

func (t *session) attempt(ctx context.Context, steps []step) error {
	if t.over() {
		return errEndedInside
	}
	if t.program != nil && t.conn.PgConn().TxStatus() != 'T' {
		return errEnded
	}
	if !t.begun {
		steps = append(t.begins(), append(t.repeat(), steps...)...)
	}
	batch := &pgx.Batch{}
	for _, s := range steps {
		batch.Queue(s.sql, s.args...)
	}
	t.b.trips.Add(1)
	var results pgx.BatchResults
	if t.program != nil { // it knows if it has ended, and the connection is another's
		results = t.program.SendBatch(ctx, batch)
	} else {
		results = t.conn.SendBatch(ctx, batch)
	}
	t.begun = true // or it will be found closed, or in no transaction
	var err error
	for _, s := range steps {
		if err = s.run(results); err != nil {
			break
		}
	}
	if err = errors.Join(err, results.Close()); err == nil && t.b.past(t.conn) {
		return errPast
	}
	return err
}

func (s *step) run(results pgx.BatchResults) error {
	rows, err := results.Query()
	if err != nil {
		return err
	}
	defer rows.Close()
	if s.read != nil {
		if err := s.read(rows); err != nil {
			return err
		}
	}
	rows.Close()
	return rows.Err()
}

// repeat does the reads of the single statements once more, in the transaction
// that takes their place.
func (t *session) repeat() []step {
	if !t.headed {
		return nil
	}
	out := make([]remote.Value, len(t.once))
	return []step{t.readStep("", t.once, out, func() error { return t.unchanged(out) })}
}

// readStep reads refs into out, and calls then.
func (t *session) readStep(tag string, refs []kv.Ref, out []remote.Value, then func() error) step {
	sql, args := t.n.read(tag, refs)
	return step{sql, args, func(rows pgx.Rows) error {
		for rows.Next() {
			var i int
			var v []byte
			if err := rows.Scan(&i, &v); err != nil {
				return err
			}
			if i >= 0 {
				out[i] = remote.Value{Bytes: v, OK: true}
			} else if err := t.head(v); err != nil {
				return err
			}
		}
		if err := rows.Err(); err != nil {
			return err
		}
		return then()
	}}
}

// head takes the generation and the time.
func (t *session) head(v []byte) error {
	if len(v) != 16 {
		return fmt.Errorf("%w: head of %d bytes", kv.ErrCorrupt, len(v))
	}
	if gen := int64(binary.BigEndian.Uint64(v)); gen != t.n.gen {
		t.b.stale.Store(true)
		return fmt.Errorf("%w: tables were replaced", kv.ErrAgain)
	}
	if !t.headed {
		t.headed, t.now = true, int64(binary.BigEndian.Uint64(v[8:]))
	}
	return nil
}

// unchanged compares values with the earlier ones.
func (t *session) unchanged(now []remote.Value) error {
	for i, v := range t.values {
		if now[i].OK != v.OK || string(now[i].Bytes) != string(v.Bytes) {
			return fmt.Errorf("%w: changed between two reads", kv.ErrAgain)
		}
	}
	return nil
}

func nothing() error { return nil }

// Get implements remote.Session.
func (t *session) Get(ctx context.Context, refs []kv.Ref) ([]remote.Value, error) {
	if t.mode == remote.Read && !t.begun && len(t.once)+len(refs) <= maxUnion {
		return t.getOnce(ctx, refs)
	}
	values, _, err := t.Batch(ctx, refs, nil)
	return values, err
}

// Batch implements remote.Batcher.
func (t *session) Batch(ctx context.Context, refs []kv.Ref, ranges []remote.Range) ([]remote.Value, [][]remote.Pair, error) {
	values, pairs := make([]remote.Value, len(refs)), make([][]remote.Pair, len(ranges))
	steps := t.uncover(ranges)
	claims, refs := t.take(refs, values)
	if few := len(refs) <= maxUnion; few && len(refs) > 0 {
		steps = append(steps, t.readStep("", refs, values, nothing))
	} else {
		if !t.headed {
			steps = append(steps, t.readStep("", nil, nil, nothing))
		}
		if !few {
			steps = append(steps, t.readMany(refs, values)...)
		}
	}
	steps = append(steps, claims...)
	for i, r := range ranges {
		if t.n.of(r.Space) != "" {
			steps = append(steps, t.scanStep(r, &pairs[i]))
		}
	}
	if len(steps) == 0 {
		return values, pairs, nil
	}
	return values, pairs, t.send(ctx, steps...)
}

// readMany reads refs by one statement a space.
func (t *session) readMany(refs []kv.Ref, out []remote.Value) (steps []step) {
	keys, where := map[kv.Space][][]byte{}, map[kv.Space]map[string]int{}
	for i, r := range refs {
		if where[r.Space] == nil {
			where[r.Space] = map[string]int{}
		}
		keys[r.Space] = append(keys[r.Space], r.Key)
		where[r.Space][string(r.Key)] = i // remote asks for no key twice
	}
	for s, list := range keys {
		if t.n.of(s) == "" {
			continue
		}
		steps = append(steps, step{t.n.many(s), []any{list}, func(rows pgx.Rows) error {
			for rows.Next() {
				var k, v []byte
				if err := rows.Scan(&k, &v); err != nil {
					return err
				}
				if i, ok := where[s][string(k)]; ok {
					out[i] = remote.Value{Bytes: v, OK: true}
				}
			}
			return rows.Err()
		}})
	}
	return steps
}

// getOnce reads in one statement the keys of before and those of now.
func (t *session) getOnce(ctx context.Context, refs []kv.Ref) ([]remote.Value, error) {
	all := append(t.once[:len(t.once):len(t.once)], refs...)
	out := make([]remote.Value, len(all))
	s := t.readStep("/* once */ ", all, out, func() error { return t.unchanged(out) })
	t.b.trips.Add(1)
	rows, err := t.conn.Query(ctx, s.sql, s.args...)
	if err == nil {
		err = s.read(rows)
		rows.Close()
	}
	if err == nil && t.b.past(t.conn) {
		err = errPast
	}
	if err != nil {
		return nil, t.failure(err)
	}
	t.once, t.values = all, out
	return out[len(all)-len(refs):], nil
}

// scanStep reads a range into out.
func (t *session) scanStep(r remote.Range, out *[]remote.Pair) step {
	args := []any{append([]byte{}, r.From...)}
	if r.To != nil {
		args = append(args, r.To)
	}
	return step{t.n.scan(r.Space, r.To != nil, r.KeysOnly), append(args, int64(r.Limit)), func(rows pgx.Rows) error {
		for rows.Next() {
			var p remote.Pair
			if err := rows.Scan(&p.Key, &p.Value); err != nil {
				return err
			}
			*out = append(*out, p)
		}
		return rows.Err()
	}}
}

// Scan implements remote.Session.
func (t *session) Scan(ctx context.Context, r remote.Range) ([]remote.Pair, error) {
	_, pairs, err := t.Batch(ctx, nil, []remote.Range{r})
	if err != nil {
		return nil, err
	}
	return pairs[0], nil
}

// Time implements remote.Clock.
func (t *session) Time(ctx context.Context) (int64, error) {
	if !t.headed {
		if _, err := t.Get(ctx, nil); err != nil {
			return 0, err
		}
	}
	return t.now, nil
}

// Rollback implements remote.Session.
func (t *session) Rollback() {
	t.ended = true
	if t.pooled == nil {
		return
	}
	if t.dead {
		t.conn.Close(ended()) // the pool makes another
	}
	if t.conn.IsClosed() || t.conn.PgConn().TxStatus() == 'I' {
		t.pooled.Release()
		return
	}
	if t.mode == remote.Alone {
		t.finish() // the others wait for it
	} else {
		go t.finish()
	}
}

// finish ends the transaction of the server.
func (t *session) finish() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	t.conn.Exec(ctx, "rollback")
	t.pooled.Release() // closed if that has failed
}

// ended is a context that is over: a connection is closed without a farewell.
func ended() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}
