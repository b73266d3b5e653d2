package snib

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/clock"
	"github.com/snibdb/snib/internal/fold"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/records"
	"github.com/snibdb/snib/internal/seal"
)

// initialise writes the first content of a new file.
func (db *DB) initialise(w kv.Tx) error {
	now := db.clock.Latest()
	format := codec.Format{CreatedAt: now, Unicode: fold.UnicodeVersion}
	declared := db.declarations(defaultDeclarations)
	return db.file.WriteMeta(w, format, codec.State{Epoch: 1, Floor: now, Declarations: declared.Version}, declared)
}

// adopt reads what the file says of itself, refuses it when it is not ours or
// newer, brings an older one to the format of today, and makes it what Options
// declare.
func (db *DB) adopt(ctx context.Context) error {
	format, err := rawView(ctx, db, func(r kv.Reader) (codec.Format, error) {
		return records.Meta(db.file, r, codec.KeyFormat, codec.DecodeFormat)
	})
	if err == nil {
		err = records.CheckFormat(format)
	}
	if err == nil && format.Version < codec.FormatVersion {
		err = db.upgrade(ctx)
	}
	if err != nil {
		return err
	}
	if format.Unicode != fold.UnicodeVersion {
		db.o.Logger.Warn("snib: the file was indexed with other Unicode tables",
			"file", format.Unicode, "program", fold.UnicodeVersion)
	}
	if len(db.o.Keys) > 0 {
		if err := db.o.Keys[0].source.adopt(db, ctx); err != nil {
			return err
		}
	}
	if err := db.adoptOwned(ctx); err != nil {
		return err
	}
	if err := db.startCounts(ctx); err != nil {
		return err
	}
	if err := db.adoptOutbox(ctx); err != nil {
		return err
	}
	if err := db.dropLeftover(ctx); err != nil {
		return err
	}
	before, err := result(ctx, "", db.view, func(tx *Tx) (codec.Declarations, error) {
		return records.Meta(db.file, tx.rec.R, codec.KeyDeclarations, codec.DecodeDeclarations)
	})
	if err != nil {
		return err
	}
	db.checkClock()
	after := db.declarations(before)
	if !builtAlike(after, before) || !slices.Equal(after.Owned, before.Owned) {
		return db.redeclare(ctx)
	}
	return nil
}

// rawView reads from a file that may be of another format.
func rawView[T any](ctx context.Context, db *DB, fn func(kv.Reader) (T, error)) (out T, err error) {
	err = db.store.View(ctx, func(r kv.Reader) (err error) {
		out, err = fn(r)
		return err
	})
	return out, err
}

// adoptKeys verifies Options.Keys and makes the first the current one.
func (db *DB) adoptKeys(ctx context.Context) error {
	stored, err := rawView(ctx, db, db.file.SealKeys)
	if err != nil {
		return err
	}
	known := len(stored.Keys) > 0
	if !known && db.o.keysAsTheyAre {
		return nil
	}
	if err := db.openKeys(!known); err != nil {
		return err
	}
	if err := db.file.VerifyKeys(stored); err != nil {
		return err
	}
	if db.o.keysAsTheyAre {
		return nil
	}
	err = db.store.Exclusive(ctx, func(w kv.Tx) error {
		tx, err := db.begin(w, w)
		if err != nil {
			return err
		}
		return tx.rec.AdoptKeys()
	})
	if err != nil && !errors.Is(err, ErrReadOnly) {
		return err
	}
	if err = db.passwordKeys(ctx); errors.Is(err, ErrNoKey) {
		db.o.Logger.Error("snib: passwords cannot be verified: see Options.Keys", "error", err)
		return nil
	}
	return err
}

// openKeys opens Options.Keys. The first may be created if the file has no keys.
func (db *DB) openKeys(create bool) error {
	var keys []seal.Key
	ids := map[string]bool{}
	for i, k := range db.o.Keys {
		opened, err := k.source.open(keyPlace{db.store.Path(), create && i == 0})
		if err != nil {
			return fmt.Errorf("Options.Keys[%d]: %w", i, err)
		}
		if ids[opened.ID()] {
			return errOneKeyTwice
		}
		ids[opened.ID()] = true
		keys = append(keys, opened)
	}
	db.file.Ring = records.NewRing(keys)
	return nil
}

// adoptOwned reads how the file keeps the records of users: the key of their
// owners, and the spaces, to which it adds those of this program.
func (db *DB) adoptOwned(ctx context.Context) error {
	listed, err := rawView(ctx, db, func(r kv.Reader) (codec.OwnedSpaces, error) {
		key, err := records.Meta(db.file, r, codec.KeyOwners, codec.DecodeOwnerKey)
		if err == nil {
			err = db.file.UseOwners(key)
		}
		if err != nil {
			return codec.OwnedSpaces{}, err
		}
		return records.Meta(db.file, r, codec.KeyOwnedSpaces, codec.DecodeOwnedSpaces)
	})
	if err != nil {
		return err
	}
	all := codec.OwnedSpaces{Names: records.OwnedNames(listed.Names)}
	if !slices.Equal(all.Names, listed.Names) {
		err = db.store.Exclusive(ctx, func(w kv.Tx) error {
			return w.Put(records.SpaceMeta, []byte(codec.KeyOwnedSpaces), all.Append(nil))
		})
		if err != nil && !errors.Is(err, ErrReadOnly) {
			return err
		}
	}
	db.store.Extend(db.file.UseOwned(all.Names))
	return nil
}

// adoptDamaged is adoptOwned for RepairFile: spaces of a later program are known
// if the file still lists them, and the key of owners is for the repair to read.
func (db *DB) adoptDamaged(ctx context.Context) error {
	listed, err := rawView(ctx, db, func(r kv.Reader) (codec.OwnedSpaces, error) {
		return records.Meta(db.file, r, codec.KeyOwnedSpaces, codec.DecodeOwnedSpaces)
	})
	if err != nil && !errors.Is(err, ErrCorrupt) {
		return err
	}
	db.store.Extend(db.file.UseOwned(records.OwnedNames(listed.Names)))
	return nil
}

// clockTolerance is how much the clocks may differ before it is an event.
const clockTolerance = 5 * time.Minute

// checkClock tells the logger of a wall clock that disagrees. It is called
// where no transaction is open: a logger is the application's.
func (db *DB) checkClock() {
	if behind := db.clock.Behind(); behind > clockTolerance {
		db.o.Logger.Warn("snib: the wall clock is behind the file's", "behind", behind)
	}
}

// storeFloor persists the clock at Close, so that no time passes unseen. A
// failure is not worth failing Close for: the floor is that of the last
// commits, and the reason (full, poisoned) has been told.
func (db *DB) storeFloor() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	err := db.update(ctx, func(tx *Tx) error {
		if tx.rec.Now <= tx.rec.State.Floor {
			return nil
		}
		return tx.rec.ChangeState(func(s *codec.State) { s.Floor = tx.rec.Now })
	})
	switch {
	case err == nil, errors.Is(err, ErrReadOnly), errors.Is(err, ErrClosed), errors.Is(err, ErrNested):
	default:
		db.o.Logger.Warn("snib: the clock was not stored", "error", err)
	}
	return err
}

// closeTimeout bounds the last write of the clock, which is not worth more.
const closeTimeout = time.Second

// EndEverything ends all sessions, refresh tokens, one-time tokens and API keys
// of all users, in one small durable write: after a file was restored from a
// copy, or when a leak of tokens is suspected. Log-ins work at once. A sweep
// removes the records.
func (db *DB) EndEverything(ctx context.Context) error {
	return during("end everything", db.newEpoch(ctx, func(tx *Tx) int64 { return tx.rec.Now }))
}

// ResetClock believes the wall clock (Options.Now) again after it, or the
// file's, had been ahead by mistake: Stats.ClockBehind says by how much. As
// what is dead must not revive, it ends everything that EndEverything does.
// ErrInvalidInput (Options.Now) for a wall clock that is not believed.
func (f File) ResetClock(ctx context.Context) error {
	wall := f.db.clock.Wall()
	if !clock.Believable(wall) {
		return during("reset clock", &InputError{Field: "Options.Now", Code: CodeOutOfRange, Reason: "must be from 2000 to 2199"})
	}
	return during("reset clock", f.db.newEpoch(ctx, func(*Tx) int64 { return wall.UnixMilli() }))
}

// newEpoch raises the file epoch and sets the floor of the clock, in a
// transaction that shares its commit with no other: nobody may act on an
// epoch that is not durable yet.
func (db *DB) newEpoch(ctx context.Context, floor func(*Tx) int64) error {
	var state codec.State
	by := by(ctx)
	err := db.store.Exclusive(ctx, func(w kv.Tx) error {
		tx, err := db.begin(w, w)
		if err != nil {
			return err
		}
		err = tx.rec.ChangeState(func(s *codec.State) {
			s.Epoch++
			s.Floor = floor(tx)
		})
		if err == nil {
			tx.rec.By, tx.rec.Written = by, true // the floor is what it must be
			err = tx.rec.Announce("", records.EventEverythingEnded)
		}
		state = tx.rec.State
		return err
	})
	if err == nil {
		db.clock.Now(state.Epoch, state.Floor) // the new epoch's clock runs from here
		db.bell.ring()
	}
	return err
}
