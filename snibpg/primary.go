package snibpg

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// connectTimeout bounds the attempt to connect to one server where the dsn sets
// none. A frozen machine accepts connections and does not answer, and the servers
// behind it in the dsn would not be tried.
const connectTimeout = 5 * time.Second

var errPast = errors.New("the server is an old primary: another has been promoted in its place")

// place is a server in the history of a cluster. A promotion begins a timeline of
// the next number; the primary before it stays on its own, however it comes back.
type place struct {
	system   string // identifies the cluster; "" if the server did not tell
	timeline uint64
}

const placeKey = "snib place"

// placeOf returns the place of the server of a connection, as it connected.
func placeOf(conn *pgconn.PgConn) place {
	p, _ := conn.CustomData()[placeKey].(place)
	return p
}

// history remembers the latest place that a program has connected to. An old
// primary that was frozen, or cut off, does not know of the promotion. A program
// that knows refuses it: its reads are late, and its commits are lost when it is put
// right.
type history struct {
	mu     sync.Mutex
	latest place
}

// behind reports if p is of an earlier timeline than the latest.
func (h *history) behind(p place) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.before(p)
}

func (h *history) before(p place) bool {
	return p.system != "" && p.system == h.latest.system && p.timeline < h.latest.timeline
}

// note takes p for the latest unless it is behind.
func (h *history) note(p place) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.before(p) {
		return errPast
	}
	h.latest = p
	return nil
}

// onlyPrimary refuses a standby, and an old primary, while other servers of the dsn
// may be the primary. Sessions that were revoked would be valid there.
func (e *Engine) onlyPrimary(ctx context.Context, conn *pgconn.PgConn) error {
	rows, err := ask(ctx, conn, "select pg_catalog.pg_is_in_recovery()")
	switch {
	case err != nil:
		return err
	case len(rows) != 1 || rows[0] != "f":
		return errStandby
	}
	// Where the role may not call these functions, the place stays unknown.
	rows, err = ask(ctx, conn, "select system_identifier, pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()) from pg_catalog.pg_control_system()")
	var refused *pgconn.PgError
	switch {
	case errors.As(err, &refused):
		return nil
	case err != nil:
		return err
	case len(rows) != 2 || len(rows[1]) < 8:
		return nil
	}
	timeline, err := strconv.ParseUint(rows[1][:8], 16, 64)
	if err != nil {
		return nil
	}
	p := place{rows[0], timeline}
	conn.CustomData()[placeKey] = p
	return e.history.note(p)
}

// ask returns the columns of a single row as text.
func ask(ctx context.Context, conn *pgconn.PgConn, sql string) (columns []string, err error) {
	r := conn.ExecParams(ctx, sql, nil, nil, nil, nil).Read()
	if r.Err != nil || len(r.Rows) != 1 {
		return nil, r.Err
	}
	for _, c := range r.Rows[0] {
		columns = append(columns, string(c))
	}
	return columns, nil
}

// suspect drops the idle connections after a trip that the server did not answer in
// time. It may be frozen or gone without a word, and each of them would cost another
// such wait; a new one finds the new primary.
func (b *backend) suspect(err error) {
	if !pgconn.Timeout(err) && !errors.Is(err, context.DeadlineExceeded) {
		return
	}
	for _, c := range b.pool.AcquireAllIdle(context.Background()) {
		c.Conn().Close(ended())
		c.Release()
	}
}
