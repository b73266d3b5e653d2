package boltkv

import (
	"context"
	"runtime/debug"

	"github.com/snibdb/snib/internal/kv"
	bolt "go.etcd.io/bbolt"
)

// snapshot implements kv.Snapshot with a bolt transaction of its own.
type snapshot struct {
	reader
	s        *Store
	panicked bool // what debug.SetPanicOnFault was before
}

// Pin implements kv.Store.
func (s *Store) Pin(ctx context.Context) (kv.Snapshot, error) {
	if err := s.admit(ctx); err != nil {
		return nil, err
	}
	p := &snapshot{s: s, panicked: debug.SetPanicOnFault(true)}
	btx, err := s.beginRead()
	if err != nil {
		debug.SetPanicOnFault(p.panicked)
		s.gate.leave()
		return nil, err
	}
	p.pages = newPages(btx, &s.opt)
	s.readers.Add(1)
	return p, nil
}

func (s *Store) beginRead() (btx *bolt.Tx, err error) {
	if err := s.intact(); err != nil {
		return nil, err
	}
	defer func() {
		if p := recover(); p != nil {
			err = s.jam(p)
		}
	}()
	btx, err = s.db.Begin(false)
	if err != nil {
		return nil, s.beginFailed(err)
	}
	s.saw(btx)
	return btx, nil
}

// Release implements kv.Snapshot. A second Release does nothing.
func (p *snapshot) Release(errp *error) {
	if p.done {
		return
	}
	p.end()
	defer p.s.gate.leave()
	defer debug.SetPanicOnFault(p.panicked)
	defer p.s.readers.Add(-1)
	defer p.btx.Rollback()
	if errp == nil {
		return
	}
	// recover works because Release itself is what was deferred.
	switch f := recover(); {
	case f == nil:
	case isFault(f):
		*errp = corrupt(f)
	default:
		panic(f) // not ours: it goes on, with the frames it came from
	}
}
