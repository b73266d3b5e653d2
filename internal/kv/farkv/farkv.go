// Package farkv wraps a kv.Store for tests of how often code would cross a
// network: it counts the trips of an engine that is far away.
package farkv

import (
	"context"
	"strconv"
	"sync/atomic"

	"github.com/snibdb/snib/internal/kv"
)

// Store is a kv.Store over another one. A trip is a read, and the commit of a
// transaction that wrote. A Get of a key that was read before in the
// transaction, or that Want named before the last trip, is none.
type Store struct {
	kv.Store
	trips    atomic.Int64
	versions atomic.Uint64
}

var _ kv.Store = (*Store)(nil)

// Wrap puts a Store over s.
func Wrap(s kv.Store) *Store { return &Store{Store: s} }

// Trips returns how many trips there were since it was called last.
func (s *Store) Trips() int64 { return s.trips.Swap(0) }

// View implements kv.Store.
func (s *Store) View(ctx context.Context, fn func(kv.Reader) error) error {
	return s.Store.View(ctx, func(r kv.Reader) error { return fn(s.reader(r)) })
}

// Pin implements kv.Store.
func (s *Store) Pin(ctx context.Context) (kv.Snapshot, error) {
	p, err := s.Store.Pin(ctx)
	if err != nil {
		return nil, err
	}
	return &snapshot{*s.reader(p), p}, nil
}

// Update implements kv.Store.
func (s *Store) Update(ctx context.Context, fn func(kv.Tx) error) error {
	return s.Store.Update(ctx, s.wrap(fn))
}

// Apply implements kv.Store.
func (s *Store) Apply(ctx context.Context, op func(kv.Tx) error) error {
	return s.Store.Apply(ctx, s.wrap(op))
}

func (s *Store) wrap(fn func(kv.Tx) error) func(kv.Tx) error {
	return func(w kv.Tx) error {
		t := &tx{*s.reader(w), w, false}
		err := fn(t)
		if err == nil && t.written {
			s.trips.Add(1)
		}
		return err
	}
}

func (s *Store) reader(r kv.Reader) *reader { return &reader{Reader: r, s: s, near: map[string]bool{}} }

// reader wraps a kv.Reader.
type reader struct {
	kv.Reader
	s      *Store
	near   map[string]bool // keys that are here
	wanted []string        // keys that come with the next trip
	ranges []span          // that are here, or come with the next trip
}

// Unwrap returns the reader underneath.
func (r *reader) Unwrap() kv.Reader { return r.Reader }

func name(space kv.Space, key []byte) string { return strconv.Itoa(int(space)) + " " + string(key) }

// span is a range that WantScan has named.
type span struct {
	space    kv.Space
	from, to string
	limit    int
	near     bool
}

// WantScan implements kv.ScanWanter.
func (r *reader) WantScan(space kv.Space, from, to []byte, limit int) {
	r.ranges = append(r.ranges, span{space, string(from), string(to), limit, false})
}

// has reports whether the keys in [from, to) are here, at most limit of them.
func (r *reader) has(space kv.Space, from, to string, limit int) bool {
	for _, x := range r.ranges {
		if x.near && x.space == space && x.from <= from && to != "" && to <= x.to && (x.limit <= 0 || limit > 0 && limit <= x.limit && x.from == from) {
			return true
		}
	}
	return false
}

// trip counts one, which brings the wanted keys.
func (r *reader) trip() {
	r.s.trips.Add(1)
	for _, key := range r.wanted {
		r.near[key] = true
	}
	r.wanted = nil
	for i := range r.ranges {
		r.ranges[i].near = true
	}
}

// Want implements kv.Wanter.
func (r *reader) Want(refs []kv.Ref) {
	for _, x := range refs {
		r.wanted = append(r.wanted, name(x.Space, x.Key))
	}
}

// Get implements kv.Reader.
func (r *reader) Get(space kv.Space, key []byte) ([]byte, bool, error) {
	if n := name(space, key); !r.near[n] {
		r.near[n] = true
		if !r.has(space, string(key), string(key)+"\x00", 0) {
			r.trip()
		}
	}
	return r.Reader.Get(space, key)
}

// GetMany implements kv.Reader.
func (r *reader) GetMany(refs []kv.Ref, visit func(i int, value []byte, ok bool) error) error {
	r.Want(refs)
	for _, x := range refs {
		if !r.near[name(x.Space, x.Key)] {
			r.trip()
			break
		}
	}
	return r.Reader.GetMany(refs, visit)
}

// Scan implements kv.Reader.
func (r *reader) Scan(space kv.Space, from, to []byte, limit int, visit func(key, value []byte) error) error {
	if !r.has(space, string(from), string(to), limit) {
		r.trip()
	}
	return r.Reader.Scan(space, from, to, limit, visit)
}

// tx wraps a kv.Tx. Writes travel with the commit; a range is read first.
type tx struct {
	reader
	w       kv.Tx
	written bool
}

// Put implements kv.Tx.
func (t *tx) Put(space kv.Space, key, value []byte) error {
	t.written = true
	t.near[name(space, key)] = true
	return t.w.Put(space, key, value)
}

// Delete implements kv.Tx.
func (t *tx) Delete(space kv.Space, key []byte) error {
	t.written = true
	t.near[name(space, key)] = true
	return t.w.Delete(space, key)
}

// DeleteRange implements kv.Tx.
func (t *tx) DeleteRange(space kv.Space, from, to []byte) (int, error) {
	t.written = true
	if !t.has(space, string(from), string(to), 0) {
		t.trip()
	}
	return t.w.DeleteRange(space, from, to)
}

// snapshot wraps a kv.Snapshot.
type snapshot struct {
	reader
	in kv.Snapshot
}

// Version implements kv.Snapshot. It never repeats: a far engine does not know the
// commits of others.
func (s *snapshot) Version() uint64 { return s.s.versions.Add(1) }

// Release implements kv.Snapshot.
func (s *snapshot) Release(recovered any) error { return s.in.Release(recovered) }
