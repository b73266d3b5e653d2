package snib

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/kv"
)

// Bounds of one step of a sweep, so that it is never in anybody's way.
const (
	sweepRead   = 1000 // records read in one snapshot
	sweepDelete = 500  // records deleted in one transaction
)

// sweepAfter is how long something must have been dead before it is removed:
// a clock that was ahead for a while, and made things look dead, has then
// destroyed nothing that a day of life is left in.
const sweepAfter = int64(day / time.Millisecond)

// Sweep removes sessions, refresh tokens and one-time tokens that have been
// dead for a day, and those that EndEverything or ResetClock ended; it returns
// how many. Nothing depends on it but the size of the file: what is dead is
// refused anyway. It reads and writes in small steps, between which others
// have their turn and ctx is looked at; what it has removed stays removed.
// With Options.SweepEvery it runs by itself.
func (db *DB) Sweep(ctx context.Context) (int, error) {
	db.checkClock()
	if err := db.store.InPlace(); err != nil {
		return 0, during("sweep", err)
	}
	n := 0
	for _, s := range sweeps {
		removed, err := db.sweepSpace(ctx, s)
		n += removed
		db.sweeper.swept.Add(int64(removed))
		if err != nil {
			return n, during("sweep", err)
		}
	}
	db.sweeper.sweeps.Add(1)
	if n > 0 {
		db.o.Logger.Info("snib: a sweep has removed what was dead", "records", n)
	}
	return n, nil
}

// A sweepOf is one space to walk: dead decodes a record, and returns its owner
// if it can be removed.
type sweepOf struct {
	owned
	dead func(tx *Tx, key, value []byte) (userID string, dead bool, err error)
}

var sweeps = []sweepOf{
	{ownedSessions, func(tx *Tx, key, value []byte) (string, bool, error) {
		s, err := codec.DecodeSession(key, value)
		return s.UserID, tx.longDead(s.Epoch, s.IdleUntil), err
	}},
	{ownedFamilies, func(tx *Tx, key, value []byte) (string, bool, error) {
		f, err := codec.DecodeFamily(key, value)
		until := f.IdleUntil
		if f.RevokedAt != 0 {
			until = f.AbsoluteUntil // the tombstone's
		}
		return f.UserID, tx.longDead(f.Epoch, until), err
	}},
	{ownedOneTime, func(tx *Tx, key, value []byte) (string, bool, error) {
		t, err := codec.DecodeOneTimeToken(key, value)
		return t.UserID, tx.longDead(t.Epoch, t.ExpiresAt), err
	}},
}

// anyOneTime lets a sweep remove every one-time token.
func anyOneTime(_ *Tx, key, value []byte) (string, bool, error) {
	t, err := codec.DecodeOneTimeToken(key, value)
	return t.UserID, true, err
}

// longDead reports whether what lived until a deadline (0: for ever) in an
// epoch can be removed. Nothing of an earlier epoch can come back.
func (tx *Tx) longDead(epoch uint64, until int64) bool {
	return epoch != tx.state.Epoch || until != 0 && tx.now-until >= sweepAfter
}

// sweepSpace walks one space from the left, past what lives.
func (db *DB) sweepSpace(ctx context.Context, s sweepOf) (int, error) {
	n := 0
	var from []byte
	for {
		var dead []string
		next, err := db.scanPage(ctx, s.records, from, func(tx *Tx, key, value []byte) {
			// A record that cannot be read is left for Check to report.
			if _, is, err := s.dead(tx, key, value); err == nil && is {
				dead = append(dead, string(key))
			}
		})
		if err != nil {
			return n, err
		}
		for len(dead) > 0 {
			batch := dead[:min(len(dead), sweepDelete)]
			dead = dead[len(batch):]
			removed, err := db.sweepBatch(ctx, s, batch)
			n += removed
			if err != nil {
				return n, err
			}
		}
		if next == nil {
			return n, nil
		}
		from = next
	}
}

// scanPage visits the next records of a space in one short snapshot, and
// returns where to go on; nil at the end.
func (db *DB) scanPage(ctx context.Context, space kv.Space, from []byte, visit func(tx *Tx, key, value []byte)) (next []byte, err error) {
	err = db.view(ctx, func(tx *Tx) error {
		n := 0
		next = nil
		return tx.r.Scan(space, from, nil, sweepRead, func(key, value []byte) error {
			visit(tx, key, value)
			if n++; n == sweepRead {
				next = append(slices.Clone(key), 0)
			}
			return nil
		})
	})
	return next, err
}

// sweepBatch removes those of ids that are still dead when the write has its
// turn: one may have been extended since.
func (db *DB) sweepBatch(ctx context.Context, s sweepOf, ids []string) (int, error) {
	return result(ctx, "", db.update, func(tx *Tx) (int, error) {
		n := 0
		for _, id := range ids {
			value, ok, err := tx.get(s.records, id)
			if err != nil {
				return 0, err
			}
			if !ok {
				continue
			}
			userID, dead, err := s.dead(tx, []byte(id), value)
			if err != nil || !dead {
				continue
			}
			if err := tx.deleteOne(s.owned, userID, id); err != nil {
				return 0, err
			}
			n++
		}
		return n, nil
	})
}

// A sweeper is the goroutine that sweeps in the background, and the figures of
// all sweeps.
type sweeper struct {
	sweeps, swept atomic.Int64

	cancel context.CancelFunc
	done   sync.WaitGroup
}

func (db *DB) startSweeper() {
	if db.o.SweepEvery <= 0 {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	db.sweeper.cancel = cancel
	db.sweeper.done.Go(func() {
		ticker := time.NewTicker(db.o.SweepEvery)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			if _, err := db.Sweep(ctx); err != nil && !errors.Is(err, context.Canceled) {
				db.o.Logger.Warn("snib: a sweep did not finish", "error", err)
			}
		}
	})
}

// stopSweeper ends the goroutine and waits for it.
func (db *DB) stopSweeper() {
	if db.sweeper.cancel != nil {
		db.sweeper.cancel()
		db.sweeper.done.Wait()
	}
}
