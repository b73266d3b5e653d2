package snibpg

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/kv/remote"
)

// backend is a remote.Backend on one pool of connections.
type backend struct {
	pool    *pgxpool.Pool
	schema  string
	log     *slog.Logger
	names   atomic.Pointer[names]
	stale   atomic.Bool // the names are to be read again
	trips   atomic.Int64
	history *history
	found   sync.Map // the tables of the program's that were found, as kv.Table

	mu    sync.Mutex
	specs []kv.SpaceSpec
}

var _ remote.Backend = (*backend)(nil)

func newBackend(pool *pgxpool.Pool, schema string, setup kv.Setup) *backend {
	return &backend{pool: pool, schema: schema, log: setup.Logger, specs: append([]kv.SpaceSpec{}, setup.Spaces...)}
}

// extend takes all spaces: behind those of this program are those of a later one,
// which has made their tables.
func (b *backend) extend(spaces []kv.SpaceSpec) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.specs = append([]kv.SpaceSpec{}, spaces...)
	n := b.names.Load()
	b.names.Store(newNames(b.schema, n.gen, n.table, b.specs))
}

// Trips implements remote.Backend.
func (b *backend) Trips() int64 { return b.trips.Load() }

// Begin implements remote.Backend. BEGIN travels with the first statement.
func (b *backend) Begin(ctx context.Context, mode remote.Mode) (remote.Session, error) {
	conn, err := b.acquire(ctx)
	if err != nil {
		return nil, err
	}
	return &session{b: b, n: b.names.Load(), conn: conn.Conn(), pooled: conn, mode: mode}, nil
}

// acquire takes a connection, and sees to it that the names are those of now.
func (b *backend) acquire(ctx context.Context) (*pgxpool.Conn, error) {
	conn, err := b.pool.Acquire(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", remote.ErrUnreachable, connectFailed(err))
	}
	if b.stale.Swap(false) {
		ctx, cancel := context.WithTimeout(ctx, b.pool.Config().ConnConfig.ConnectTimeout)
		n, _, err := b.load(ctx, conn)
		cancel()
		b.trips.Add(1)
		if err != nil {
			b.stale.Store(true)
			conn.Release()
			return nil, fmt.Errorf("%w: %v", remote.ErrUnreachable, err)
		}
		b.names.Store(n)
	}
	return conn, nil
}

// refresh sees to it that the names are those of now.
func (b *backend) refresh(ctx context.Context) error {
	if !b.stale.Load() {
		return nil
	}
	conn, err := b.acquire(ctx)
	if err == nil {
		conn.Release()
	}
	return err
}

// past reports if another primary has taken the place of that of a connection since.
// An answer that comes from there all the same may be late, or is of a commit that
// will be lost.
func (b *backend) past(conn *pgx.Conn) bool { return b.history.behind(placeOf(conn.PgConn())) }

// Resolve implements remote.Backend.
func (b *backend) Resolve(ctx context.Context, m remote.Mark) (bool, error) {
	conn, err := b.acquire(ctx)
	if err != nil {
		return false, err
	}
	defer conn.Release()
	l := linkOf(conn.Conn().PgConn())
	l.expect()
	var fenced bool
	b.trips.Add(1)
	err = pgx.BeginFunc(ctx, conn.Conn(), func(tx pgx.Tx) error {
		if l.lazy || l.quiet {
			if _, err := tx.Exec(ctx, "set local synchronous_commit = on; set local client_min_messages = warning"); err != nil {
				return err
			}
		}
		return tx.QueryRow(ctx, b.names.Load().resolve(), m.ID, m.N).Scan(&fenced)
	})
	switch {
	case err != nil:
		if code(err) == undefinedTable {
			b.stale.Store(true)
		}
		b.suspect(err)
		return false, err
	case l.doubtful():
		return false, fmt.Errorf("the standby has not confirmed")
	case b.past(conn.Conn()):
		return false, errPast
	}
	return !fenced, nil
}

// Close implements remote.Backend.
func (b *backend) Close(marks []remote.Mark) error {
	defer b.pool.Close()
	b.forget(marks)
	return nil
}

// forget removes marks, as far as the server can be reached.
func (b *backend) forget(marks []remote.Mark) {
	if len(marks) == 0 {
		return
	}
	ids := make([]string, len(marks))
	for i, m := range marks {
		ids[i] = m.ID
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if _, err := b.pool.Exec(ctx, "delete from "+b.names.Load().marks()+" where id = any($1)", ids); err != nil {
		b.log.Debug("snib: marks were left to be swept", "error", err)
	}
}
