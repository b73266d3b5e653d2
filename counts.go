package snib

import (
	"context"
	"crypto/sha256"
	"errors"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/records"
	"github.com/snibdb/snib/internal/throttle"
)

// startCounts loads the counts of failed guesses. A block that cannot be read is
// as an empty one; Check tells of it.
func (db *DB) startCounts(ctx context.Context) error {
	key := sha256.Sum256(append([]byte("snib throttle\x00"), db.file.OwnerKey.Key[:]...))
	db.counts = throttle.NewKeeper(throttle.New(key), throttle.KeeperConfig{
		Now: db.clock.Latest, Store: db.storeCounts,
		Refused: func(n int) { db.o.Logger.Warn("snib: attempts are throttled", "refused", n) },
		Failed: func(err error) {
			if !errors.Is(err, ErrReadOnly) && !errors.Is(err, ErrClosed) {
				db.o.Logger.Warn("snib: counts of failed log-ins were not stored", "error", err)
			}
		},
	})
	err := db.store.View(ctx, func(r kv.Reader) error {
		return r.Scan(records.SpaceThrottle, nil, nil, 0, func(key, value []byte) error {
			if b, err := codec.DecodeThrottle(key, value); err == nil {
				db.counts.Load(stored(b))
			}
			return nil
		})
	})
	if errors.Is(err, ErrCorrupt) {
		db.o.Logger.Error("snib: counts of failed log-ins cannot be read", "error", err)
		return nil
	}
	return err
}

func stored(b codec.Throttle) throttle.Record {
	r := throttle.Record{Block: b.Block, Faded: b.Faded}
	for _, c := range b.Cells {
		r.Cells = append(r.Cells, throttle.Cell(c))
	}
	return r
}

// storeCounts stores blocks in one transaction.
func (db *DB) storeCounts(ctx context.Context, blocks []throttle.Record) error {
	failed := db.failed.take()
	err := db.storeFailed(ctx, blocks, failed)
	switch {
	case len(failed) == 0:
	case errors.Is(err, ErrCorrupt): // the counts must not be lost with the events
		err = db.storeFailed(ctx, blocks, nil)
	case err != nil:
		db.failed.back(failed)
	}
	return err
}

// storeFailed stores blocks and the events of failed log-ins in one transaction.
func (db *DB) storeFailed(ctx context.Context, blocks []throttle.Record, failed map[string]failure) error {
	return db.update(ctx, func(tx *Tx) error {
		for user, f := range failed {
			if err := tx.rec.NoteFailures(user, records.EventLogInFailed, f.n, f.last, f.from); err != nil {
				return err
			}
		}
		for _, r := range blocks {
			b := codec.Throttle{Block: r.Block, Faded: r.Faded}
			for _, c := range r.Cells {
				b.Cells = append(b.Cells, codec.ThrottleCell(c))
			}
			err := tx.rec.Put(records.SpaceThrottle, string(b.Key()), b.Append(nil))
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// stopCounts stores all that is left. A failure is not worth failing Close for.
func (db *DB) stopCounts() {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	db.counts.Stop(ctx)
	if db.failed.some() {
		if err := db.storeCounts(ctx, nil); err != nil {
			db.counts.Failed(err)
		}
	}
}
