// Package faultkv wraps a kv.Store for tests: it makes one chosen operation
// fail, and it overwrites every slice that it handed out as soon as the slice
// expires. Code that ignores an error or keeps a slice too long then fails its
// test.
package faultkv

import (
	"bytes"
	"context"
	"errors"
	"sync/atomic"

	"github.com/snibdb/snib/internal/kv"
)

// ErrInjected is the error of the operation that was made to fail.
var ErrInjected = errors.New("injected failure")

// Never is for Faults.Fail: no operation fails.
const Never = -1

// garbage is the byte that overwrites expired slices.
const garbage = 0xDB

// Faults selects the failures to inject.
type Faults struct {
	// Fail is the number, from 0, of the operation that fails; a negative
	// number fails no operation. Operations are calls of Get, GetMany, Scan,
	// Put, Delete, DeleteRange, ScanRows, DeleteRows and MoveRows, and commits: a commit
	// follows a closure of Update, Apply or Exclusive that returned nil. A closure
	// that is run twice counts twice.
	Fail int64

	// Again makes the error of that operation kv.ErrAgain: closures are run
	// again, and a Snapshot is to be pinned anew.
	Again bool

	// Overwrite makes every slice that was handed out 0xDB throughout when
	// its transaction ends, in a kv.Tx already when the next write returns.
	Overwrite bool
}

// Store is a kv.Store over another one.
//
// A test of how code meets failures runs it with Fail = 0, 1, 2 … on a fresh
// store each, until a run in which Failed is false.
type Store struct {
	kv.Store // for Close
	faults   Faults
	ops      atomic.Int64
}

var _ kv.Store = (*Store)(nil)

// Wrap puts f over s. Closing it closes s.
func Wrap(s kv.Store, f Faults) *Store { return &Store{Store: s, faults: f} }

// Ops returns how many operations have begun.
func (s *Store) Ops() int64 { return s.ops.Load() }

// Failed reports whether the operation that is to fail has been reached.
func (s *Store) Failed() bool { return s.faults.Fail >= 0 && s.ops.Load() > s.faults.Fail }

// operation counts one and fails it if its number has come.
func (s *Store) operation() error {
	switch {
	case s.ops.Add(1)-1 != s.faults.Fail:
		return nil
	case s.faults.Again:
		return kv.ErrAgain
	}
	return ErrInjected
}

// repeat runs a transaction until it does not have to begin anew.
func repeat(run func() error) error {
	for {
		if err := run(); !errors.Is(err, kv.ErrAgain) {
			return err
		}
	}
}

// View implements kv.Store.
func (s *Store) View(ctx context.Context, fn func(kv.Reader) error) error {
	view := func(r kv.Reader) error {
		w := &reader{in: r, s: s}
		defer w.end()
		err := fn(w)
		if w.err != nil {
			return w.err
		}
		return err
	}
	return repeat(func() error { return s.Store.View(ctx, view) })
}

// Update implements kv.Store.
func (s *Store) Update(ctx context.Context, fn func(kv.Tx) error) error {
	return repeat(func() error { return s.Store.Update(ctx, s.wrap(fn)) })
}

// Apply implements kv.Store.
func (s *Store) Apply(ctx context.Context, op func(kv.Tx) error) error {
	return repeat(func() error { return s.Store.Apply(ctx, s.wrap(op)) })
}

// Exclusive implements kv.Store.
func (s *Store) Exclusive(ctx context.Context, fn func(kv.Tx) error) error {
	return repeat(func() error { return s.Store.Exclusive(ctx, s.wrap(fn)) })
}

// wrap makes a closure that runs fn on a wrapped transaction. A failed commit
// is a closure that returns an error at its end: nothing is written.
func (s *Store) wrap(fn func(kv.Tx) error) func(kv.Tx) error {
	return func(t kv.Tx) error {
		w := &tx{reader{in: t, s: s, sticky: true}, t}
		defer w.end()
		err := fn(w)
		switch {
		case w.err != nil:
			return w.err
		case err != nil:
			return err
		}
		return s.operation()
	}
}

// Pin implements kv.Store.
func (s *Store) Pin(ctx context.Context) (kv.Snapshot, error) {
	p, err := s.Store.Pin(ctx)
	if err != nil {
		return nil, err
	}
	return &snapshot{reader{in: p, s: s}, p}, nil
}

// reader wraps a kv.Reader.
type reader struct {
	in     kv.Reader
	s      *Store
	sticky bool  // an injected failure stays: a kv.Tx; kv.ErrAgain always does
	err    error // the one that stayed
	out    [][]byte
}

// Unwrap returns the reader underneath.
func (r *reader) Unwrap() kv.Reader { return r.in }

func (r *reader) begin() error {
	if r.err != nil {
		return r.err
	}
	err := r.s.operation()
	if r.sticky || errors.Is(err, kv.ErrAgain) {
		r.err = err
	}
	return err
}

// hand returns b, or the copy of b to give to the caller under
// Faults.Overwrite.
func (r *reader) hand(b []byte) []byte {
	if !r.s.faults.Overwrite {
		return b
	}
	b = bytes.Clone(b)
	r.out = append(r.out, b)
	return b
}

// end overwrites the slices that were handed out.
func (r *reader) end() {
	for _, b := range r.out {
		for i := range b {
			b[i] = garbage
		}
	}
	r.out = nil
}

// Get implements kv.Reader.
func (r *reader) Get(space kv.Space, key []byte) ([]byte, bool, error) {
	if err := r.begin(); err != nil {
		return nil, false, err
	}
	v, ok, err := r.in.Get(space, key)
	return r.hand(v), ok, err
}

// GetMany implements kv.Reader.
func (r *reader) GetMany(refs []kv.Ref, visit func(i int, value []byte, ok bool) error) error {
	if err := r.begin(); err != nil {
		return err
	}
	return r.in.GetMany(refs, func(i int, value []byte, ok bool) error {
		return visit(i, r.hand(value), ok)
	})
}

// Scan implements kv.Reader.
func (r *reader) Scan(space kv.Space, from, to []byte, limit int, visit func(key, value []byte) error) error {
	if err := r.begin(); err != nil {
		return err
	}
	return r.in.Scan(space, from, to, limit, func(key, value []byte) error {
		return visit(r.hand(key), r.hand(value))
	})
}

// ScanRows implements kv.Rows, if the engine does.
func (r *reader) ScanRows(path []string, from, to []byte, limit int, visit func(key, value []byte) error) error {
	rows, err := kv.RowsOf(r.in)
	if err == nil {
		err = r.begin()
	}
	if err != nil {
		return err
	}
	return rows.ScanRows(path, from, to, limit, func(key, value []byte) error {
		return visit(r.hand(key), r.hand(value))
	})
}

// DeleteRows implements kv.Rows, if the engine does.
func (r *reader) DeleteRows(set string, from, to []byte, limit int) (int, error) {
	rows, err := kv.RowsOf(r.in)
	if err == nil {
		err = r.begin()
	}
	if err != nil {
		return 0, err
	}
	defer r.end()
	return rows.DeleteRows(set, from, to, limit)
}

// MoveRows implements kv.Rows, if the engine does.
func (r *reader) MoveRows(set string, from, to []byte) (int, error) {
	rows, err := kv.RowsOf(r.in)
	if err == nil {
		err = r.begin()
	}
	if err != nil {
		return 0, err
	}
	defer r.end()
	return rows.MoveRows(set, from, to)
}

// tx wraps a kv.Tx.
type tx struct {
	reader
	in kv.Tx
}

// A write overwrites earlier slices only when it returns: its arguments may be
// among them.

// Put implements kv.Tx.
func (t *tx) Put(space kv.Space, key, value []byte) error {
	if err := t.begin(); err != nil {
		return err
	}
	defer t.end()
	return t.in.Put(space, key, value)
}

// Delete implements kv.Tx.
func (t *tx) Delete(space kv.Space, key []byte) error {
	if err := t.begin(); err != nil {
		return err
	}
	defer t.end()
	return t.in.Delete(space, key)
}

// DeleteRange implements kv.Tx.
func (t *tx) DeleteRange(space kv.Space, from, to []byte) (int, error) {
	if err := t.begin(); err != nil {
		return 0, err
	}
	defer t.end()
	return t.in.DeleteRange(space, from, to)
}

// snapshot wraps a kv.Snapshot.
type snapshot struct {
	reader
	in kv.Snapshot
}

// Version implements kv.Snapshot.
func (s *snapshot) Version() uint64 { return s.in.Version() }

// Release implements kv.Snapshot.
func (s *snapshot) Release(recovered any) error {
	s.end()
	return s.in.Release(recovered)
}
