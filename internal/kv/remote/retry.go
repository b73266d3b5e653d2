package remote

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/snibdb/snib/internal/kv"
)

const (
	firstWait = time.Millisecond // at most, before the second attempt
	maxWait   = 128 * time.Millisecond
)

// patience bounds the attempts of one call, and says when the next may begin.
type patience struct {
	caller    context.Context
	ctx       context.Context // ends with the caller's, and at the deadline
	end       context.CancelFunc
	attempts  int // that failed
	conflicts int // of these, lost to another transaction
	last      error
}

// patience begins a call that waits at most as long as BusyTimeout says.
func (s *Store) patience(ctx context.Context) *patience {
	p := &patience{caller: ctx, ctx: ctx, end: func() {}}
	if s.o.BusyTimeout > 0 {
		p.ctx, p.end = context.WithTimeout(ctx, s.o.BusyTimeout)
	}
	return p
}

// over returns why there is no time left, with the cause of the wait; nil if
// there is.
func (p *patience) over(cause error) error {
	switch {
	case p.ctx.Err() == nil:
		return nil
	case p.caller.Err() != nil:
		return fmt.Errorf("wait for the database: %w", p.caller.Err())
	case cause == nil:
		return kv.ErrBusy
	}
	return fmt.Errorf("%w: %v", kv.ErrBusy, cause)
}

// again waits before another attempt after one that failed with err. It returns
// the result of the call if there will be no other.
func (p *patience) again(err error) error {
	if !errors.Is(err, kv.ErrAgain) {
		return err
	}
	if errors.Is(err, ErrConflict) {
		p.conflicts++
	}
	p.attempts, p.last = p.attempts+1, err
	rest(p.ctx, p.attempts)
	return p.over(err)
}

// rest waits a random time that may be twice as long each time. Full jitter: two
// that have met do not meet again.
func rest(ctx context.Context, attempts int) {
	most := min(firstWait<<min(attempts-1, 16), maxWait)
	var random [8]byte
	rand.Read(random[:])
	timer := time.NewTimer(time.Duration(binary.LittleEndian.Uint64(random[:]) % uint64(most)))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
