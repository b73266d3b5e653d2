package remote

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/snibdb/snib/internal/kv"
)

// marks are the ids of this store that no commit uses at the moment. There are
// as many as there were commits at once.
type marks struct {
	mu   sync.Mutex
	idle []Mark
}

// take returns the mark of a new transaction. It is taken before the snapshot: the
// commit under the same id before it is in the snapshot then, or a server would
// refuse this one as a concurrent change of the row of the mark.
func (m *marks) take() Mark {
	m.mu.Lock()
	defer m.mu.Unlock()
	if n := len(m.idle); n > 0 {
		mark := m.idle[n-1]
		m.idle = m.idle[:n-1]
		mark.N++
		return mark
	}
	var id [16]byte
	rand.Read(id[:])
	return Mark{ID: hex.EncodeToString(id[:]), N: 1}
}

// give takes back a mark whose commit has been settled.
func (m *marks) give(mark Mark) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.idle = append(m.idle, mark)
}

// commit ends the transaction. Its outcome is certain, unless it is ErrUnknown.
func (s *Store) commit(t *tx) error {
	mark := t.mark
	t.mark = Mark{}
	ctx, cancel := t.trip()
	defer cancel()
	err := t.in.Commit(ctx, t.changes(), mark)
	if lost := (*LostError)(nil); errors.As(err, &lost) {
		err = s.settle(mark, lost.Cause)
	}
	if errors.Is(err, kv.ErrUnknown) {
		return err // its mark is not used again
	}
	s.marks.give(mark)
	if err == nil {
		s.commits.Add(1)
	}
	return err
}

// settle learns the outcome of a commit. The commit may still be on its way:
// Resolve either sees it or fences it off.
func (s *Store) settle(mark Mark, cause error) error {
	ctx, cancel := context.WithTimeout(context.Background(), s.o.SettleTimeout)
	defer cancel()
	for n := 1; ; n++ {
		once, done := context.WithTimeout(ctx, max(s.o.SettleTimeout/6, time.Millisecond))
		happened, err := s.b.Resolve(once, mark)
		done()
		if err == nil {
			s.settled.Add(1)
		}
		switch {
		case err == nil && happened:
			return nil
		case err == nil:
			return fmt.Errorf("%w: %v", ErrUnreachable, cause)
		}
		rest(ctx, n)
		if ctx.Err() != nil {
			s.o.Logger.Error("snib: outcome of a commit is unknown", "cause", cause, "server", err)
			return fmt.Errorf("%w: %v", kv.ErrUnknown, cause)
		}
	}
}
