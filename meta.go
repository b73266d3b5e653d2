package snib

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/clock"
	"github.com/snibdb/snib/internal/declare"
	"github.com/snibdb/snib/internal/fold"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/records"
	"github.com/snibdb/snib/internal/seal"
)

// initialise writes the first content of a new file.
func (db *DB) initialise(w kv.Tx) error {
	now, err := db.firstTime(w)
	if err != nil {
		return err
	}
	format := codec.Format{CreatedAt: now, Unicode: fold.UnicodeVersion}
	declared := db.declarations(defaultDeclarations)
	return db.file.WriteMeta(w, format, codec.State{Epoch: 1, Floor: now, Declarations: declared.Version}, declared)
}

// firstTime returns the time at which a new store is made.
func (db *DB) firstTime(w kv.Tx) (int64, error) {
	if timer, ok := kv.As[kv.Timer](w); ok && db.shared {
		return timer.Time()
	}
	return db.clock.Latest(), nil
}

// adopt reads what the file says of itself, refuses it when it is not ours or
// newer, brings an older one to the format of today, and makes it what Options
// declare.
func (db *DB) adopt(ctx context.Context) error {
	format, err := declare.Read(ctx, db.store, func(r kv.Reader) (codec.Format, error) {
		if err := records.Complete(r); err != nil {
			return codec.Format{}, err
		}
		return records.Meta(db.file, r, codec.KeyFormat, codec.DecodeFormat)
	})
	if err == nil {
		err = records.CheckFormat(format)
	}
	if err == nil && format.Version < codec.FormatVersion {
		err = db.upgrade().Run(ctx)
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
	d := db.declaring()
	spaces, err := d.Spaces(ctx)
	if err != nil {
		return err
	}
	db.extend(spaces)
	if db.counts, err = db.startCounts(ctx); err != nil {
		return err
	}
	if err := db.adoptOutbox(ctx); err != nil {
		return err
	}
	if !db.shared { // else another program may be building
		if err := db.dropLeftover(ctx); err != nil {
			return err
		}
	}
	before, err := result(ctx, "", db.view, func(tx *Tx) (codec.Declarations, error) {
		return records.Meta(db.file, tx.rec.R, codec.KeyDeclarations, codec.DecodeDeclarations)
	})
	if err != nil {
		return err
	}
	db.checkClock()
	after := db.declarations(before)
	switch {
	case db.others != nil:
		return db.others.agree(db, ctx, after, before)
	case !declare.Alike(after, before) || !slices.Equal(after.Owned, before.Owned):
		return db.redeclare(ctx, db.declarations)
	}
	return nil
}

// adoptKeys verifies Options.Keys and makes the first the current one.
func (db *DB) adoptKeys(ctx context.Context) error {
	stored, err := declare.Read(ctx, db.store, db.file.SealKeys)
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
		opened, err := k.source.open(keyPlace{db.path(), create && i == 0})
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

// checkClock tells the logger of a wall clock that disagrees. It is called
// where no transaction is open: a logger is the application's.
func (db *DB) checkClock() {
	if behind := db.clock.Behind(); behind > clock.Tolerance {
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
	if f.db.file.Time == records.OfStore {
		return during("reset clock", fmt.Errorf("its clock is its own: %w", ErrUnsupported))
	}
	wall := f.db.clock.Wall()
	if !clock.Believable(wall) {
		return during("reset clock", &InputError{Field: "Options.Now", Code: CodeOutOfRange, Reason: "must be from 2000 to 2199"})
	}
	return during("reset clock", f.db.newEpoch(ctx, func(*Tx) int64 { return wall.UnixMilli() }))
}

// newEpoch raises the file epoch and sets the floor of the clock, in a
// transaction that shares its commit with no other: no call may act on an
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
			tx.rec.By, tx.rec.Written = by, true // the floor is as it must be
			err = tx.rec.Announce("", records.EventEverythingEnded)
		}
		state = tx.rec.State
		return err
	})
	if err == nil {
		db.clock.Now(state.Epoch, state.Floor) // the new epoch's clock runs from here
		db.bell.Ring()
	}
	return err
}
