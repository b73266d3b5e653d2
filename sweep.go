package snib

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/records"
)

// Bounds of one step of a sweep, so that it is never in anybody's way.
const (
	sweepRead   = 1000 // records read in one snapshot
	sweepDelete = 500  // records deleted, or written, in one transaction
	sweepRows   = 2000 // rows of the application's, likewise: they lie together
)

// Sweep removes sessions, refresh tokens, one-time tokens and API keys that have
// been dead for a day, second factors that were not confirmed, all that
// EndEverything or ResetClock ended, and the rows
// that deleted users have left in the buckets of Options.Owned; it returns
// how many. It writes the last uses of API keys. Nothing else depends on it but the size of the file: dead tokens are
// refused anyway. It reads and writes in small steps, between which others have
// their turn and ctx is looked at; an interrupted sweep keeps the removals made
// so far. It runs by itself every Options.SweepEvery.
func (db *DB) Sweep(ctx context.Context) (int, error) {
	db.checkClock()
	if err := db.store.InPlace(); err != nil {
		return 0, during("sweep", err)
	}
	n := 0
	for _, k := range records.Kinds {
		removed, err := db.sweepKind(ctx, k, (*records.Tx).LongDead)
		n += removed
		db.sweeper.swept.Add(int64(removed))
		if err != nil {
			return n, during("sweep", err)
		}
	}
	removed, err := db.sweepLeaving(ctx)
	n += removed
	db.sweeper.swept.Add(int64(removed))
	if err == nil {
		err = errors.Join(db.sweepQuarantine(ctx), db.sweepOutbox(ctx))
	}
	if err != nil {
		return n, during("sweep", err)
	}
	if err := db.storeKeyUses(ctx); err != nil {
		return n, during("sweep", err)
	}
	db.sweeper.sweeps.Add(1)
	if n > 0 {
		db.o.Logger.Info("snib: a sweep has removed what was dead", "records", n)
	}
	return n, nil
}

// sweepKind walks the records of a kind from the left, past the live ones, and
// removes the records that dead selects.
func (db *DB) sweepKind(ctx context.Context, k *records.Kind, dead func(*records.Tx, records.Life) bool) (int, error) {
	n := 0
	var from []byte
	for {
		var found []codec.OwnedKey
		next, err := db.scanPage(ctx, k.Space, from, func(tx *Tx, key, value []byte) {
			// A record that cannot be read is left for Check to report.
			if l, err := k.Life(key, value); err == nil && dead(&tx.rec, l) {
				found = append(found, codec.OwnedKey(key))
			}
		})
		if err != nil {
			return n, err
		}
		for len(found) > 0 {
			batch := found[:min(len(found), sweepDelete)]
			found = found[len(batch):]
			removed, err := db.sweepBatch(ctx, k, batch, dead)
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
		return tx.rec.R.Scan(space, from, nil, sweepRead, func(key, value []byte) error {
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
func (db *DB) sweepBatch(ctx context.Context, k *records.Kind, keys []codec.OwnedKey, dead func(*records.Tx, records.Life) bool) (int, error) {
	return result(ctx, "", db.update, func(tx *Tx) (int, error) {
		n := 0
		for _, key := range keys {
			value, err := tx.rec.OwnedValue(k, key)
			if errors.Is(err, k.Missing) {
				continue
			}
			if err != nil {
				return 0, err
			}
			l, err := k.Life(key[:], value)
			if err != nil || !dead(&tx.rec, l) {
				continue
			}
			if err := tx.rec.DeleteOwned(k, key); err != nil {
				return 0, err
			}
			n++
		}
		return n, nil
	})
}

// sweepLeaving removes the rows of users who are gone, as many in one step as
// take a few milliseconds.
func (db *DB) sweepLeaving(ctx context.Context) (int, error) {
	n := 0
	var from []byte
	for {
		var ids []string
		next, err := db.scanPage(ctx, records.SpaceLeaving, from, func(_ *Tx, key, _ []byte) {
			ids = append(ids, string(key))
		})
		for _, id := range ids {
			for done := false; err == nil && !done; {
				var removed int
				removed, err = result(ctx, "", db.update, func(tx *Tx) (n int, err error) {
					n, done, err = tx.rec.SweepLeaving(id, sweepRows)
					return n, err
				})
				n += removed
			}
		}
		if err != nil || next == nil {
			return n, err
		}
		from = next
	}
}

// sweepQuarantine removes records that have been in quarantine for 30 days. Keys
// are in the order of owners, so it reads them all.
func (db *DB) sweepQuarantine(ctx context.Context) error {
	var from []byte
	for {
		var old [][]byte
		next, err := db.scanPage(ctx, records.SpaceQuarantine, from, func(tx *Tx, key, value []byte) {
			if quarantineOver(tx, value) {
				old = append(old, slices.Clone(key))
			}
		})
		if err == nil && len(old) > 0 {
			err = db.endQuarantine(ctx, old)
		}
		if err != nil || next == nil {
			return err
		}
		from = next
	}
}

// endQuarantine removes those keys whose time is still over: a repair may have
// put another value there since.
func (db *DB) endQuarantine(ctx context.Context, keys [][]byte) error {
	return db.update(ctx, func(tx *Tx) error {
		for _, key := range keys {
			value, ok, err := tx.rec.R.Get(records.SpaceQuarantine, key)
			if err == nil && ok && quarantineOver(tx, value) {
				err = tx.rec.Delete(records.SpaceQuarantine, string(key))
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// quarantineOver reports whether a value has been in quarantine for long enough.
func quarantineOver(tx *Tx, value []byte) bool {
	at, _, ok := codec.SplitQuarantineValue(value)
	return !ok || tx.rec.Now-at >= records.QuarantineAge
}

// storeKeyUses writes the last uses that are in memory. Those that could not be
// written stay there.
func (db *DB) storeKeyUses(ctx context.Context) error {
	uses := db.keyUses.Take()
	for len(uses) > 0 {
		batch := make(map[codec.OwnedKey]int64, min(len(uses), sweepDelete))
		for key, at := range uses {
			if batch[key] = at; len(batch) == sweepDelete {
				break
			}
		}
		if err := db.update(ctx, func(tx *Tx) error { return tx.rec.PutKeyUses(batch) }); err != nil {
			db.keyUses.Return(uses)
			return err
		}
		maps.DeleteFunc(uses, func(key codec.OwnedKey, _ int64) bool { _, done := batch[key]; return done })
	}
	return nil
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
			_, err := db.Sweep(ctx)
			if err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, ErrReadOnly) {
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
