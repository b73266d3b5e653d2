package boltkv

import (
	"context"

	"github.com/snibdb/snib/internal/kv"
	bolt "go.etcd.io/bbolt"
)

// Pin implements kv.Store, with a transaction from the pool.
func (s *Store) Pin(ctx context.Context) (kv.Snapshot, error) {
	p, err := s.pin(ctx)
	if err != nil {
		return nil, err
	}
	p.pages, p.done, p.err = p.held.pages, false, nil
	return p, nil
}

// pin returns a slot, locked and with faults on, whose transaction sees every
// commit acknowledged so far.
func (s *Store) pin(ctx context.Context) (*slot, error) {
	if err := s.mayBegin(ctx); err != nil {
		return nil, err
	}
	// Once bbolt is stuck, all slots may be: so this is asked before, too.
	if err := s.gate.Reason(); err != nil {
		return nil, err
	}
	p := s.pool.lock()
	p.faultsOn()
	err := s.gate.Reason()
	if err == nil && !p.held.current() {
		err = p.refill()
	}
	if err != nil {
		p.faultsOff()
		p.unlock()
		return nil, err
	}
	return p, nil
}

func (s *Store) beginRead() (btx *bolt.Tx, number uint64, err error) {
	if err := s.intact(); err != nil {
		return nil, 0, err
	}
	defer func() {
		if p := recover(); p != nil {
			err = s.jam(p)
		}
	}()
	btx, h, err := s.db.begin()
	if err != nil {
		return nil, 0, s.beginFailed(err)
	}
	s.saw(btx)
	return btx, h.number, nil
}

// Version implements kv.Snapshot: bbolt numbers its commits, in each file that
// Compact makes anew.
func (p *slot) Version() uint64 { return p.held.version() }

func (t *readTx) version() uint64 { return t.number<<48 | t.id }

// Release implements kv.Snapshot. A second Release does nothing, as long as no
// other caller has the slot.
func (p *slot) Release(recovered any) error {
	if p.done {
		return nil
	}
	p.end()
	p.faultsOff()
	if recovered != nil {
		p.empty() // its lookups so far may be wrong
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
