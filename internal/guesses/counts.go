// Package guesses keeps failed log-ins and other guesses in the
// file: the blocks of counts that a throttle.Keeper stores in the background, and
// with them the events of the users.
package guesses

import (
	"context"
	"crypto/sha256"
	"errors"
	"log/slog"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/records"
	"github.com/snibdb/snib/internal/throttle"
)

// Config is for Start. All fields are required.
type Config struct {
	Owners codec.OwnerKey // of the file, from which the key of the counts is made
	Now    func() int64   // Unix milliseconds
	View   func(context.Context, func(kv.Reader) error) error
	Update func(context.Context, func(*records.Tx) error) error
	Shared bool // other programs count in the same store
	Log    *slog.Logger
}

// Counts are the counts of failed guesses of one file.
type Counts struct {
	*throttle.Keeper
	Config
	LogIns LogIns
}

// Start loads the counts. A block that cannot be read is as an empty one; Check
// tells of it.
func Start(ctx context.Context, config Config) (*Counts, error) {
	key := sha256.Sum256(append([]byte("snib throttle\x00"), config.Owners.Key[:]...))
	c := &Counts{Config: config}
	c.Keeper = throttle.NewKeeper(throttle.New(key), throttle.KeeperConfig{
		Now: config.Now, Store: c.store,
		Refused: func(n int) { c.Log.Warn("snib: attempts are throttled", "refused", n) },
		Failed: func(err error) {
			if !errors.Is(err, kv.ErrReadOnly) && !errors.Is(err, kv.ErrClosed) {
				c.Log.Warn("snib: counts of failed log-ins were not stored", "error", err)
			}
		},
	})
	if c.Shared {
		c.Share()
	}
	blocks, err := c.read(ctx)
	for _, b := range blocks {
		c.Load(b)
	}
	if errors.Is(err, kv.ErrCorrupt) {
		c.Log.Error("snib: counts of failed log-ins cannot be read", "error", err)
		err = nil
	}
	return c, err
}

// FollowOthers reads the counts of other programs on the store now and then.
func (c *Counts) FollowOthers() {
	if c.Shared {
		c.Follow(c.read)
	}
}

// StoreLogIns stores the events that wait.
func (c *Counts) StoreLogIns(ctx context.Context) error { return c.store(ctx, nil) }

// Stop stores all that is left. A failure is not worth failing Close for.
func (c *Counts) Stop(ctx context.Context) {
	c.Keeper.Stop(ctx)
	if c.LogIns.Users() > 0 {
		if err := c.StoreLogIns(ctx); err != nil {
			c.Failed(err)
		}
	}
}

// read returns the blocks that are stored and can be read.
func (c *Counts) read(ctx context.Context) (out []throttle.Record, err error) {
	err = c.View(ctx, func(r kv.Reader) error {
		out = nil
		return r.Scan(records.SpaceThrottle, nil, nil, 0, func(key, value []byte) error {
			if b, err := codec.DecodeThrottle(key, value); err == nil {
				out = append(out, stored(b))
			}
			return nil
		})
	})
	return out, err
}

func stored(b codec.Throttle) throttle.Record {
	r := throttle.Record{Block: b.Block, Faded: b.Faded}
	for _, cell := range b.Cells {
		r.Cells = append(r.Cells, throttle.Cell(cell))
	}
	return r
}

// store stores blocks in one transaction.
func (c *Counts) store(ctx context.Context, blocks []throttle.Record) error {
	failed := c.LogIns.take()
	err := c.storeWith(ctx, blocks, failed)
	switch {
	case len(failed) == 0:
	case errors.Is(err, kv.ErrCorrupt): // the counts must not be lost with the events
		err = c.storeWith(ctx, blocks, nil)
	case err != nil:
		c.LogIns.back(failed)
	}
	return err
}

// storeWith stores blocks and the events of failed log-ins in one transaction.
func (c *Counts) storeWith(ctx context.Context, blocks []throttle.Record, failed map[string]failure) error {
	var written []throttle.Record
	err := c.Update(ctx, func(tx *records.Tx) error {
		written = nil
		for user, f := range failed {
			if err := noteFailure(tx, user, &f); err != nil {
				return err
			}
		}
		for _, r := range blocks {
			if c.Shared {
				var err error
				if r, err = merged(tx, r); err != nil {
					return err
				}
				written = append(written, r)
			}
			b := codec.Throttle{Block: r.Block, Faded: r.Faded}
			for _, cell := range r.Cells {
				b.Cells = append(b.Cells, codec.ThrottleCell(cell))
			}
			err := tx.Put(records.SpaceThrottle, string(b.Key()), b.Append(nil))
			if err != nil {
				return err
			}
		}
		return nil
	})
	for i := range written {
		if err == nil {
			c.Stored(blocks[i], written[i])
		}
	}
	return err
}

// merged returns a block with the counts of other programs. One that
// cannot be read is as an empty one.
func merged(tx *records.Tx, r throttle.Record) (throttle.Record, error) {
	value := codec.Throttle{Block: r.Block}
	key := value.Key()
	raw, ok, err := tx.R.Get(records.SpaceThrottle, key)
	if err != nil || !ok {
		return r.On(nil), err
	}
	b, err := codec.DecodeThrottle(key, raw)
	if err != nil {
		return r.On(nil), nil
	}
	there := stored(b)
	return r.On(&there), nil
}

// noteFailure writes the events of the failures of one user.
func noteFailure(tx *records.Tx, user string, f *failure) error {
	if len(f.notes) > 0 {
		if _, err := tx.User(user); err == nil {
			for _, n := range f.notes {
				if err := tx.Note(user, n.Kind, n.About); err != nil {
					return err
				}
			}
		}
	}
	if f.n == 0 {
		return nil
	}
	return tx.NoteFailures(user, records.EventLogInFailed, f.n, f.last, f.from)
}
