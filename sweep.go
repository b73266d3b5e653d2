package snib

import (
	"context"
	"encoding/binary"
	"errors"
	"time"

	"github.com/snibdb/snib/internal/passes"
)

// Sweep removes sessions, refresh tokens, one-time tokens and API keys that have
// been dead for a day, second factors that were not confirmed, guests that were not seen for 30 days, all that
// EndEverything or ResetClock ended, invitations, and the rows
// that deleted users have left in the buckets of Options.Owned; it returns
// how many. It writes the last uses of API keys, and the events of those that end
// within 14 days. Nothing else depends on it but the size of the file: dead tokens are
// refused anyway. It reads and writes in small steps, and in a file rests for three
// quarters of the time, so that others have their turn; an interrupted sweep keeps the
// removals made so far. It runs by itself every Options.SweepEvery.
func (db *DB) Sweep(ctx context.Context) (int, error) {
	db.checkClock()
	if err := db.inPlace(); err != nil {
		return 0, during("sweep", err)
	}
	s := passes.Sweep{
		Runner: db.steps().Paced(), Protected: db.o.Roles.Protected, Uses: &db.keyUses,
		Removed: func(n int) { db.sweeper.swept.Add(int64(n)) }, Leftover: db.sweepLeftover,
	}
	n, err := s.Run(ctx)
	if err != nil {
		return n, during("sweep", err)
	}
	db.sweeper.sweeps.Add(1)
	if n > 0 {
		db.o.Logger.Info("snib: a sweep has removed what was dead", "records", n)
	}
	return n, nil
}

func (db *DB) storeKeyUses(ctx context.Context) error {
	r := db.steps()
	return r.StoreUses(ctx, &db.keyUses)
}

// stopKeyUses stores the last uses that are left. A failure is not worth failing
// Close for.
func (db *DB) stopKeyUses() {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	if err := db.storeKeyUses(ctx); err != nil && !errors.Is(err, ErrReadOnly) {
		db.o.Logger.Warn("snib: the last uses of API keys were not stored", "error", err)
	}
}

func (db *DB) startSweeper() {
	every := db.o.SweepEvery
	if every <= 0 {
		return
	}
	if db.shared { // programs that were started together do not come together
		every += time.Duration(binary.BigEndian.Uint16(db.holder[:])) * (every / 10) >> 16
	}
	ctx, cancel := context.WithCancel(context.Background())
	db.sweeper.cancel = cancel
	db.sweeper.done.Go(func() {
		passes.Every(ctx, every, func() {
			err := db.sweepInTurn(ctx)
			if err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, ErrReadOnly) {
				db.o.Logger.Warn("snib: a sweep did not finish", "error", err)
			}
		})
	})
}

// sweepInTurn is a Sweep, unless another program on the store has had one less
// than SweepEvery ago.
func (db *DB) sweepInTurn(ctx context.Context) error {
	if db.others != nil {
		turn, err := db.others.sweeps(db, ctx)
		if err != nil || !turn {
			return errors.Join(err, db.storeKeyUses(ctx))
		}
	}
	_, err := db.Sweep(ctx)
	return err
}

// stopSweeper ends the goroutine and waits for it.
func (db *DB) stopSweeper() {
	if db.sweeper.cancel != nil {
		db.sweeper.cancel()
		db.sweeper.done.Wait()
	}
}
