package remote

import (
	"context"

	"github.com/snibdb/snib/internal/kv"
)

// A Trip runs a trip to the server under a bounded context, and dooms the
// transaction if it fails.
type Trip func(func(context.Context) error) error

// Tabler is a Session for kv.Tables, which its methods implement in trips. Those that
// read call visit between trips. What DeleteOwned and MoveOwned have done is part of
// the transaction at once, and not held back: the Session is committed even if
// nothing else is written.
type Tabler interface {
	FindTable(trip Trip, name string) (unfit string, err error)
	CountOwners(trip Trip, name string, visit func(owner string, rows int) error) error
	ReadOwned(trip Trip, name, owner string, visit func(row []kv.Column) error) error
	DeleteOwned(trip Trip, names []string, owner string, limit int) (n int, left []string, err error)
	MoveOwned(trip Trip, names []string, from, to string, limit int) (n int, err error)
}

// tabled is a tx of a server that has tables of the application's.
type tabled struct {
	kv.Reader
	t *tx
}

var (
	_ kv.Tables     = tabled{}
	_ kv.TableMover = tabled{}
)

// tables returns the tables of a Session that is a Tabler, or nil.
func (t *tx) tables() kv.Reader {
	if _, ok := t.in.(Tabler); ok {
		return tabled{t, t}
	}
	return nil
}

// FindTable implements kv.Tables.
func (r tabled) FindTable(name string) (unfit string, err error) {
	if err := r.t.usable(); err != nil {
		return "", err
	}
	return r.t.in.(Tabler).FindTable(r.t.ask, name)
}

// CountOwners implements kv.Tables.
func (r tabled) CountOwners(name string, visit func(owner string, rows int) error) error {
	if err := r.t.usable(); err != nil {
		return err
	}
	return r.t.in.(Tabler).CountOwners(r.t.ask, name, visit)
}

// ReadOwned implements kv.Tables.
func (r tabled) ReadOwned(name, owner string, visit func(row []kv.Column) error) error {
	if err := r.t.usable(); err != nil {
		return err
	}
	return r.t.in.(Tabler).ReadOwned(r.t.ask, name, owner, visit)
}

// DeleteOwned implements kv.Tables.
func (r tabled) DeleteOwned(names []string, owner string, limit int) (n int, left []string, err error) {
	if err := r.t.writable(); err != nil {
		return 0, nil, err
	}
	n, left, err = r.t.in.(Tabler).DeleteOwned(r.t.ask, names, owner, limit)
	r.t.flushed = r.t.flushed || n > 0
	return n, left, err
}

// MoveOwned implements kv.TableMover.
func (r tabled) MoveOwned(names []string, from, to string, limit int) (n int, err error) {
	if err := r.t.writable(); err != nil {
		return 0, err
	}
	n, err = r.t.in.(Tabler).MoveOwned(r.t.ask, names, from, to, limit)
	r.t.flushed = r.t.flushed || n > 0
	return n, err
}
