package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	_ "github.com/ncruces/go-sqlite3/driver"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibetcd"
	"github.com/snibdb/snib/snibpg"
	"github.com/snibdb/snib/snibsqlite"
)

// A store holds accounts: a file, or a database behind an engine.
type store struct {
	path   string // of a file, or of SQLite's
	engine snib.Engine
	notes  shelf        // of the program's rows; none on etcd
	close  func() error // after the accounts
}

// storeOf returns the store of a name. That of a server is looked for.
func storeOf(ctx context.Context, name string) (s store, err error) {
	s.close = func() error { return nil }
	scheme, rest, ok := strings.Cut(name, ":")
	if !ok || len(scheme) == 1 { // a drive of Windows
		scheme, rest = "file", name
	}
	if scheme == "postgresql" {
		scheme = "postgres"
	}
	s.notes = shelves[scheme]
	switch scheme {
	case "file":
		s.path = rest
	case "sqlite":
		s.path = rest
		s.engine, err = snibsqlite.Open(rest, nil)
	case "postgres":
		s.engine, err = snibpg.Open(ctx, name, nil)
	case "etcd":
		var client *clientv3.Client
		client, err = clientv3.New(clientv3.Config{
			Endpoints:   strings.Split(strings.Trim(rest, "/"), ","),
			DialTimeout: 5 * time.Second, Logger: zap.NewNop(),
		})
		if err == nil {
			s.close = client.Close
			s.engine, err = snibetcd.Open(client, nil)
		}
	default:
		err = fmt.Errorf("%s is no store that this program knows", scheme)
	}
	return s, err
}

// open opens the accounts, and makes them in a new store.
func (s store) open(ctx context.Context, opts *snib.Options) (*snib.DB, error) {
	if s.engine == nil {
		return snib.OpenContext(ctx, s.path, opts)
	}
	return snib.OpenStore(ctx, s.engine, opts)
}

// An opener opens a store for the other examples, which may do so once more.
type opener struct {
	name string
	opts snib.Options
	last store
}

// open opens the store. A new one declares the indexes, and so must one of several
// programs that was there; a file that was there keeps its own.
func (o *opener) open(ctx context.Context, indexes []snib.Index) (*snib.DB, error) {
	if err := o.close(); err != nil {
		return nil, err
	}
	var err error
	if o.last, err = storeOf(ctx, o.name); err != nil {
		return nil, err
	}
	opts := o.opts
	if _, err := os.Lstat(o.last.path); o.last.engine != nil || errors.Is(err, fs.ErrNotExist) {
		opts.Indexes = indexes
	}
	return o.last.open(ctx, &opts)
}

// close ends the server or the handle of the last open, after the accounts.
func (o *opener) close() error {
	if o.last.close == nil {
		return nil
	}
	return o.last.close()
}

// move copies the accounts of one store into an empty other one. Stop all programs
// on both first: later writes to the old store stay behind.
func move(ctx context.Context, from, to string, opts *snib.Options) (snib.MoveReport, error) {
	old, err := storeOf(ctx, from)
	if err != nil {
		return snib.MoveReport{}, err
	}
	defer old.close()
	if old.path != "" { // a wrong path is no reason to make a file
		if _, err := os.Stat(old.path); err != nil {
			return snib.MoveReport{}, err
		}
	}
	db, err := old.open(ctx, opts)
	if err != nil {
		return snib.MoveReport{}, err
	}
	defer db.Close()
	into, err := storeOf(ctx, to)
	if err != nil {
		return snib.MoveReport{}, err
	}
	defer into.close()
	r, w := io.Pipe()
	defer r.Close() // ends the export of an import that has failed
	go func() {
		_, err := db.File().Export(ctx, w)
		w.CloseWithError(err)
	}()
	if into.engine == nil {
		return snib.ImportFile(ctx, into.path, r, opts)
	}
	return snib.ImportStore(ctx, into.engine, r, opts)
}
