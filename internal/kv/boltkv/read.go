package boltkv

import (
	"context"
	"errors"

	"github.com/snibdb/snib/internal/kv"
	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// View implements kv.Store.
//
// The transaction is managed by bbolt, so that a closure which takes it with
// [Bolt] cannot end it.
func (s *Store) View(ctx context.Context, fn func(kv.Reader) error) (err error) {
	if err := s.admit(ctx); err != nil {
		return err
	}
	defer s.gate.leave()
	defer faultsPanic()()
	if err := s.intact(); err != nil {
		return err
	}
	began, ended := false, false
	defer func() {
		if ended {
			return
		}
		switch p := recover(); {
		case p == nil: // runtime.Goexit goes on
		case !began:
			err = s.jam(p)
		case isFault(p):
			err = corrupt(p)
		default:
			// The closure's own. Its frames are still on the stack and
			// stay in the trace, because this function has not returned.
			panic(p)
		}
	}()
	var verdict error
	err = s.db.View(func(btx *bolt.Tx) error {
		began = true
		verdict = s.view(btx, fn)
		return nil
	})
	ended = true
	if err != nil {
		return s.beginFailed(err)
	}
	return verdict
}

func (s *Store) view(btx *bolt.Tx, fn func(kv.Reader) error) error {
	s.saw(btx)
	s.readers.Add(1)
	defer s.readers.Add(-1)
	id := s.nest.enter()
	defer s.nest.leave(id)
	r := &viewReader{reader{pages: s.pages(btx)}}
	defer r.end()
	return fn(r)
}

// viewReader is a reader of View: Bolt opens it.
type viewReader struct{ reader }

// jam is for a panic inside bbolt's Begin: it keeps locks that nothing can
// give back, so that no transaction can begin any more.
func (s *Store) jam(p any) error {
	err := corrupt(p)
	s.stuck.Store(true)
	s.poison(err)
	s.gate.poke()
	return err
}

// beginFailed is for an error of bbolt's Begin. A handle that lost its map, as
// it does when a larger one is refused, does not get it back.
func (s *Store) beginFailed(err error) error {
	if errors.Is(err, berrors.ErrInvalidMapping) {
		s.poison(err)
		return s.gate.reason()
	}
	return beginError(err)
}
