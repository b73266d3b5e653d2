package snibpg

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// minVersion is PostgreSQL 13.
const minVersion = 130000

var (
	errStandby = errors.New("the server is a standby in recovery")
	errNoSync  = errors.New("the server has no synchronous standby, or fsync is off: a fail-over or a power cut loses commits")
	// The commit is on the primary, and visible. Neither is it acknowledged, nor may it
	// be run again, before the standby has it.
	errInterrupted = errors.New("the wait for the standby was interrupted")

	errPooled = errors.New("a pooler stands before this server, and did not when the database was opened")
)

// link holds the facts about a connection.
type link struct {
	mu     sync.Mutex
	failed string // SQLSTATE of the last error
	warned bool   // since the last commit began

	pooled bool // the server process is another one from time to time
	sync   bool // a standby confirms commits, and they are flushed
	lazy   bool // commits do not wait for the disk unless told to
	quiet  bool // warnings are not sent unless asked for
}

const linkKey = "snib"

// linkOf returns the link of a connection of this package's pools.
func linkOf(conn *pgconn.PgConn) *link {
	l, _ := conn.CustomData()[linkKey].(*link)
	return l
}

// prepare completes the configuration.
func (e *Engine) prepare() {
	c := e.config
	c.MaxConns = int32(e.o.MaxConns)
	c.ShouldPing = func(context.Context, pgxpool.ShouldPingParams) bool { return false } // a trip; the first read tells as well
	c.ConnConfig.ValidateConnect = e.onlyPrimary
	if c.ConnConfig.ConnectTimeout == 0 {
		c.ConnConfig.ConnectTimeout = connectTimeout
	}
	c.PrepareConn = func(_ context.Context, conn *pgx.Conn) (bool, error) {
		return !e.history.behind(placeOf(conn.PgConn())), nil
	}
	c.ConnConfig.OnPgError = func(conn *pgconn.PgConn, err *pgconn.PgError) bool {
		if l := linkOf(conn); l != nil {
			l.mu.Lock()
			l.failed = err.Code
			l.mu.Unlock()
		}
		return err.SeverityUnlocalized != "FATAL"
	}
	c.ConnConfig.OnNotice = func(conn *pgconn.PgConn, n *pgconn.Notice) {
		if l := linkOf(conn); l != nil && n.SeverityUnlocalized == "WARNING" {
			l.mu.Lock()
			l.warned = true
			l.mu.Unlock()
		}
	}
	c.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		// The timeout of a connection ends before this; the pool adds none.
		ctx, cancel := context.WithTimeout(ctx, c.ConnConfig.ConnectTimeout)
		defer cancel()
		l, err := e.look(ctx, conn)
		if err != nil {
			return err
		}
		if l.pooled && c.ConnConfig.DefaultQueryExecMode != pgx.QueryExecModeExec {
			return errPooled
		}
		conn.PgConn().CustomData()[linkKey] = l
		return nil
	}
}

// look asks the server for its version and settings.
func (e *Engine) look(ctx context.Context, conn *pgx.Conn) (*link, error) {
	var pid uint32
	var version int
	var standbys, commits, fsync, messages string
	err := conn.QueryRow(ctx, `select pg_catalog.pg_backend_pid(), pg_catalog.current_setting('server_version_num')::int,
		pg_catalog.current_setting('synchronous_standby_names'), pg_catalog.current_setting('synchronous_commit'), pg_catalog.current_setting('fsync'),
		pg_catalog.current_setting('client_min_messages')`,
		pgx.QueryExecModeExec).Scan(&pid, &version, &standbys, &commits, &fsync, &messages)
	if err != nil {
		return nil, connectFailed(err)
	}
	if version < minVersion {
		return nil, fmt.Errorf("the server is PostgreSQL %d, older than 13", version/10000)
	}
	l := &link{
		// A pooler names a process of its own when it greets.
		pooled: pid != conn.PgConn().PID(),
		sync:   standbys != "" && fsync == "on",
		lazy:   commits == "off" || commits == "local",
		quiet:  messages == "error",
	}
	if e.o.RequireSync && !l.sync {
		return nil, errNoSync
	}
	return l, nil
}

// connectFailed leaves out of an error the settings that it was met with.
func connectFailed(err error) error {
	var pg *pgconn.PgError
	switch {
	case errors.Is(err, errStandby):
		return errStandby
	case errors.Is(err, errPast):
		return errPast
	case errors.Is(err, errNoSync):
		return errNoSync
	case errors.Is(err, errPooled):
		return errPooled
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("connect to the server: %w", err)
	case errors.As(err, &pg):
		return fmt.Errorf("connect to the server: %w", pg)
	}
	if inner := errors.Unwrap(err); inner != nil {
		err = inner
	}
	return fmt.Errorf("connect to the server: %w", err)
}
