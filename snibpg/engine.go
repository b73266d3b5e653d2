package snibpg

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/kv/remote"
)

// Options of Open. The zero value, and nil, are the defaults.
type Options struct {
	// Schema holds the tables: "snib" by default. Accounts in two schemas have
	// nothing to do with each other.
	Schema string

	// MaxConns bounds the connections of one store: 32 by default, at least 4.
	// Half of them, and no more than 16, are for writes. An Update or a View of
	// the application has one while its closure runs.
	MaxConns int

	// RequireSync makes Open fail, and later connections too, unless the server
	// has a synchronous standby (synchronous_standby_names) and fsync. Without
	// it Open warns.
	RequireSync bool
}

const (
	defaultConns = 32
	minConns     = 4
	maxWriters   = 16
)

// Engine is a database for snib.OpenStore. It holds no connection: each store
// that is opened has its own, until it is closed.
type Engine struct {
	config  *pgxpool.Config // copied for each pool
	o       Options
	history history

	// For tests.
	twice        bool
	trip, settle time.Duration
}

var _ kv.Engine = (*Engine)(nil)

// Open connects once, to check the server, and returns the Engine. dsn is a URL
// or a list of settings as libpq takes them, TLS included; environment variables
// such as PGPASSWORD fill the gaps. opts may be nil.
//
// No error has the dsn in its text. It is about a dsn or an option that is not
// valid, a server that cannot be reached within ctx, is a standby in recovery, is
// older than PostgreSQL 13, or lacks what RequireSync asks for.
func Open(ctx context.Context, dsn string, opts *Options) (*Engine, error) {
	e := &Engine{}
	if opts != nil {
		e.o = *opts
	}
	if e.o.Schema == "" {
		e.o.Schema = "snib"
	}
	if e.o.MaxConns == 0 {
		e.o.MaxConns = defaultConns
	}
	if len(e.o.Schema) > 63 || e.o.MaxConns < minConns || e.o.MaxConns > 10_000 {
		return nil, errors.New("snibpg: open: Schema or MaxConns is out of bounds")
	}
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, errors.New("snibpg: open: the dsn is not valid") // err would quote it
	}
	e.config = config
	e.prepare()
	conn, err := pgx.ConnectConfig(ctx, e.config.ConnConfig)
	if err != nil {
		return nil, fmt.Errorf("snibpg: open: %w", connectFailed(err))
	}
	defer conn.Close(context.WithoutCancel(ctx))
	s, err := e.look(ctx, conn)
	if err != nil {
		return nil, fmt.Errorf("snibpg: open: %w", err)
	}
	if s.pooled {
		e.config.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeExec
	}
	return e, nil
}

// Open implements kv.Engine, for snib.OpenStore.
func (e *Engine) Open(ctx context.Context, setup kv.Setup) (kv.Store, error) {
	if setup.Logger == nil {
		setup.Logger = slog.New(slog.DiscardHandler)
	}
	pool, err := pgxpool.NewWithConfig(ctx, e.config.Copy())
	if err != nil {
		return nil, fmt.Errorf("snibpg: open: %w", connectFailed(err))
	}
	b := newBackend(pool, e.o.Schema, setup)
	b.history = &e.history
	if err := b.open(ctx, setup.Init); err != nil {
		pool.Close()
		return nil, fmt.Errorf("snibpg: open: %w", err)
	}
	o := remote.Options{
		BusyTimeout: setup.BusyTimeout, Logger: setup.Logger,
		Writers: min(maxWriters, e.o.MaxConns/2), Twice: e.twice,
		TripTimeout: e.trip, SettleTimeout: e.settle,
	}
	return &store{b: b, Store: remote.New(b, o), programs: remote.New(programs{b}, o)}, nil
}

// store is a kv.Store with its backend.
type store struct {
	*remote.Store
	b        *backend
	programs *remote.Store // of Retry
}

var (
	_ kv.Store    = (*store)(nil)
	_ kv.Extender = (*store)(nil)
	_ kv.Shadower = (*store)(nil)
)

// Close implements kv.Store.
func (s *store) Close() error {
	leave, err := s.Store.Hold() // refuses inside a closure
	if err != nil {
		return s.Store.Close()
	}
	leave()
	return errors.Join(s.programs.Close(), s.Store.Close())
}

// Extend implements kv.Extender.
func (s *store) Extend(spaces []kv.SpaceSpec) { s.b.extend(spaces) }
