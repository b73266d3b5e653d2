package snibetcd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/kv/remote"
)

// Options of Open. The zero value, and nil, are the defaults.
type Options struct {
	// Prefix begins all keys: "/snib/" by default, 1–64 bytes. Accounts under two
	// prefixes, of which neither begins the other, have nothing to do with each
	// other.
	Prefix string

	// MaxTxnOps is the --max-txn-ops of the members: 128 by default, as
	// theirs, at least 16. More saves nested transactions and nothing else.
	MaxTxnOps int
}

// Engine is a cluster for snib.OpenStore.
type Engine struct {
	client *clientv3.Client
	o      Options
	twice  bool          // for tests
	settle time.Duration // likewise
	trip   time.Duration // likewise
}

var _ kv.Engine = (*Engine)(nil)

// Open returns the engine of a cluster. It asks the cluster nothing. client stays
// the caller's, to be closed after each snib.DB; its namespaces, credentials and
// TLS hold. opts may be nil. It is an error if an option is out of bounds.
func Open(client *clientv3.Client, opts *Options) (*Engine, error) {
	e := &Engine{client: client}
	if opts != nil {
		e.o = *opts
	}
	if e.o.Prefix == "" {
		e.o.Prefix = "/snib/"
	}
	if e.o.MaxTxnOps == 0 {
		e.o.MaxTxnOps = 128
	}
	switch {
	case client == nil:
		return nil, errors.New("snibetcd: open: no client")
	case len(e.o.Prefix) > 64 || e.o.MaxTxnOps < 16:
		return nil, errors.New("snibetcd: open: Prefix or MaxTxnOps is out of bounds")
	}
	return e, nil
}

// Open implements kv.Engine, for snib.OpenStore.
func (e *Engine) Open(ctx context.Context, setup kv.Setup) (kv.Store, error) {
	if setup.Logger == nil {
		setup.Logger = slog.New(slog.DiscardHandler)
	}
	b := &backend{c: e.client, o: e.o, log: setup.Logger}
	b.extend(setup.Spaces)
	if err := b.initialise(ctx, setup.Init); err != nil {
		return nil, fmt.Errorf("snibetcd: open: %w", err)
	}
	return &store{b: b, Store: remote.New(b, remote.Options{
		BusyTimeout: setup.BusyTimeout, SettleTimeout: e.settle, TripTimeout: e.trip, Logger: setup.Logger, Twice: e.twice,
	})}, nil
}

// store is a kv.Store with its backend.
type store struct {
	*remote.Store
	b *backend
}

var (
	_ kv.Store    = (*store)(nil)
	_ kv.Extender = (*store)(nil)
)

// Extend implements kv.Extender.
func (s *store) Extend(spaces []kv.SpaceSpec) { s.b.extend(spaces) }

// layout is the arrangement of keys that this package writes.
const layout = "snib 1"

// initialise fills an empty prefix, in one transaction of which many may be tried
// at once, and refuses one that is filled with something else.
func (b *backend) initialise(ctx context.Context, fill func(kv.Tx) error) error {
	for range 10 {
		found, err := b.c.Get(ctx, b.o.Prefix, clientv3.WithPrefix(), clientv3.WithLimit(1), clientv3.WithSort(clientv3.SortByKey, clientv3.SortAscend))
		if err != nil {
			return failure(err)
		}
		if len(found.Kvs) > 0 {
			return b.recognise(ctx)
		}
		t := &session{b: b, mode: remote.Alone, init: true, gets: map[string]int64{}}
		if fill != nil {
			if err := remote.Fill(ctx, t, fill); err != nil {
				return err
			}
		}
		ops := append(b.writes(t.stash), clientv3.OpPut(b.layoutKey(), layout))
		ifs := []clientv3.Cmp{clientv3.Compare(clientv3.CreateRevision(b.layoutKey()), "=", 0)}
		// The answer may be lost: the next look tells.
		b.txn(ctx, ifs, ops)
	}
	return errors.New("the cluster does not take the first commit")
}

func (b *backend) recognise(ctx context.Context) error {
	r, err := b.c.Get(ctx, b.layoutKey())
	switch {
	case err != nil:
		return failure(err)
	case len(r.Kvs) == 0 || !strings.HasPrefix(string(r.Kvs[0].Value), "snib "):
		return kv.ErrForeign
	case string(r.Kvs[0].Value) != layout:
		return fmt.Errorf("keys are arranged as %q, by a newer version", r.Kvs[0].Value)
	}
	return nil
}
