package boltkv

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	bolt "go.etcd.io/bbolt"

	"github.com/snibdb/snib/internal/kv"
)

// ErrGone is why a store of Open serves no more when its file has lost its
// name, or its path leads to another file. Commits would go to a file that
// nobody finds, beside a second one that others take for the first.
var ErrGone = kv.ErrGone

// intact looks at the open file before a transaction begins; the ones that the pool
// keeps have begun at most 5 ms ago, or are in use. Reading and, worse,
// writing a file that was cut would fail at random places, one of them inside
// bbolt with its locks held. A file without a name is ErrGone.
func (s *Store) intact() error {
	h := s.db.enter()
	defer h.entering.Add(-1)
	if h.file == nil {
		return nil
	}
	// The mark first: the file may grow, and the mark with it, after we have
	// looked at the length.
	high := h.high.Load()
	now, err := factsOf(h.file)
	switch {
	case err != nil:
		return fmt.Errorf("look at the file: %w", err)
	case now.size < high:
		err := fmt.Errorf("%w: the file has %d bytes and had %d", kv.ErrCorrupt, now.size, high)
		s.poison(err)
		return err
	case now.links == 0 && h.linked && !h.leaving.Load():
		return s.gone("it has no name any more")
	}
	return nil
}

// InPlace is ErrGone, and the end of service, unless the path that was given
// to Open still leads to the file. Every write transaction and copy asks this
// first; reads ask the file alone.
func (s *Store) InPlace() error {
	if err := s.gate.Enter(); err != nil {
		return err
	}
	defer s.gate.Leave()
	return s.inPlace()
}

// inPlace is InPlace for callers that keep the file open.
func (s *Store) inPlace() error {
	if err := s.intact(); err != nil {
		return err
	}
	if seen := s.displaced(); seen != "" {
		return s.gone(seen)
	}
	return nil
}

// displaced describes the thing at the path instead of the file; "" if that is
// the file. A path that cannot be looked at proves nothing.
func (s *Store) displaced() string {
	h := s.db.enter()
	defer h.entering.Add(-1)
	if h.file == nil || s.path == "" {
		return ""
	}
	there, errThere := factsAt(s.path)
	mine, err := factsOf(h.file)
	switch {
	case h.leaving.Load():
		return ""
	case errors.Is(errThere, fs.ErrNotExist), errors.Is(errThere, syscall.ENOTDIR):
		return "nothing is at its path"
	case err == nil && errThere == nil && (there.dev != mine.dev || there.ino != mine.ino):
		return "another file is at its path"
	}
	return ""
}

// gone ends the service, because of seen, and returns the reason why it has
// ended.
func (s *Store) gone(seen string) error {
	s.poison(fmt.Errorf("%w: %s", ErrGone, seen))
	return s.gate.Reason()
}

// saw notes how long the file is at least, now that a transaction has begun.
func (s *Store) saw(btx *bolt.Tx) {
	h := s.db.at()
	if h.DB != btx.DB() {
		return // of the file before Compact
	}
	for size := btx.Size(); ; {
		high := h.high.Load()
		if size <= high || h.high.CompareAndSwap(high, size) {
			return
		}
	}
}
