package boltkv

import (
	"context"

	"github.com/snibdb/snib/internal/kv"
	bolt "go.etcd.io/bbolt"
)

// Pin implements kv.Store, with a transaction from the pool.
func (s *Store) Pin(ctx context.Context) (kv.Snapshot, error) {
	if err := s.mayBegin(ctx); err != nil {
		return nil, err
	}
	// Once bbolt is stuck, all slots may be: so this is asked before, too.
	if err := s.gate.reason(); err != nil {
		return nil, err
	}
	p := s.pool.lock()
	p.faultsOn()
	err := s.gate.reason()
	if err == nil && !p.current() {
		err = p.refill()
	}
	if err != nil {
		p.faultsOff()
		p.unlock()
		return nil, err
	}
	p.done, p.err = false, nil
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

// Version implements kv.Snapshot: bbolt numbers its commits.
func (p *slot) Version() uint64 { return p.id }

// Release implements kv.Snapshot. A second Release does nothing, as long as
// nobody else has the slot.
func (p *slot) Release(recovered any) error {
	if p.done {
		return nil
	}
	p.end()
	p.faultsOff()
	if recovered != nil {
		p.empty() // what it found so far may be wrong
	}
	p.unlock()
	switch {
	case recovered == nil:
		return nil
	case isFault(recovered):
		return corrupt(recovered)
	}
	// Not ours. The frames it came from are still on the stack, because the
	// function that deferred has not returned.
	panic(recovered)
}
