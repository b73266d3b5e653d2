package boltkv

import (
	"context"
	"errors"
	"runtime/debug"

	"github.com/snibdb/snib/internal/kv"
	berrors "go.etcd.io/bbolt/errors"
)

// View implements kv.Store, with a transaction from the pool that is the
// closure's until it returns.
func (s *Store) View(ctx context.Context, fn func(kv.Reader) error) (err error) {
	home, err := s.pin(ctx)
	if err != nil {
		return err
	}
	t, panicked := home.take(), home.panicked
	home.mu.Unlock()
	defer debug.SetPanicOnFault(panicked)
	v := &viewReader{reader: reader{pages: t.pages}, version: t.version()}
	s.readers.Add(1)
	id, returned := s.nest.Enter(), false
	defer func() {
		s.nest.Leave(id)
		s.readers.Add(-1)
		v.end()
		if returned && !v.lent {
			home.giveBack(t)
			return
		}
		s.pool.end(t) // what was found in it may be wrong, or known to the application
		if returned {
			return
		}
		switch p := recover(); {
		case p == nil: // runtime.Goexit goes on
		case isFault(p):
			err = corrupt(p)
		default:
			// The closure's own. Its frames are still on the stack and
			// stay in the trace, because this function has not returned.
			panic(p)
		}
	}()
	if err = fn(v); err == nil {
		err = v.usable() // the closure may have ended the transaction
	}
	returned = true
	return err
}

// viewReader is a reader of View: Bolt opens it.
type viewReader struct {
	reader
	version uint64
}

// Version implements kv.Versioned.
func (v *viewReader) Version() uint64 { return v.version }

// jam is for a panic inside bbolt's Begin: it keeps locks that nothing can
// give back, so that no transaction can begin any more.
func (s *Store) jam(p any) error {
	err := corrupt(p)
	s.stuck.Store(true)
	s.poison(err)
	s.gate.Poke()
	return err
}

// beginFailed is for an error of bbolt's Begin. A handle that lost its map, as
// it does when a larger one is refused, does not get it back.
func (s *Store) beginFailed(err error) error {
	if errors.Is(err, berrors.ErrInvalidMapping) {
		s.poison(err)
		return s.gate.Reason()
	}
	return beginError(err)
}
