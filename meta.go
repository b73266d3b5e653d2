package snib

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"golang.org/x/text/secure/precis"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/clock"
	"github.com/snibdb/snib/internal/kv"
)

// application is what the file says it is of.
const application = "snib"

// initialise writes the first content of a new file.
func (db *DB) initialise(w kv.Tx) error {
	now := db.clock.Latest()
	format := codec.Format{CreatedAt: now, Unicode: precis.UnicodeVersion}
	declared := db.declarations(defaultDeclarations)
	return db.writeMeta(w, format, codec.State{Epoch: 1, Floor: now, Declarations: declared.Version}, declared)
}

// writeMeta writes all records of the space meta, with a new key for owners.
func (db *DB) writeMeta(w kv.Tx, format codec.Format, state codec.State, declared codec.Declarations) error {
	format.Application, format.Version, format.MinReader = application, codec.FormatVersion, codec.FormatVersion
	owners, err := db.newOwnerKey()
	if err != nil {
		return err
	}
	spaces := codec.OwnedSpaces{Names: ownedNames(nil)}
	for _, record := range []struct {
		key   string
		value []byte
	}{
		{codec.KeyFormat, format.Append(nil)},
		{codec.KeyState, state.Append(nil)},
		{codec.KeyDeclarations, declared.Append(nil)},
		{codec.KeyOwners, owners.Append(nil)},
		{codec.KeyOwnedSpaces, spaces.Append(nil)},
	} {
		if err := w.Put(spaceMeta, []byte(record.key), record.value); err != nil {
			return err
		}
	}
	return nil
}

// newOwnerKey draws the key of the owners of a file.
func (db *DB) newOwnerKey() (k codec.OwnerKey, err error) {
	if _, err = io.ReadFull(db.o.Rand, k.Key[:]); err != nil {
		err = fmt.Errorf("reading random bytes: %w", err)
	}
	return k, err
}

// useOwners makes db find the records of users by the key of their owners. The
// key of a file never changes.
func (db *DB) useOwners(k codec.OwnerKey) error {
	switch {
	case db.owners == nil:
		db.owners, db.ownerKey = codec.NewOwners(k.Key), k
	case db.ownerKey != k:
		return &CorruptError{Space: codec.SpaceMeta, Reason: "the key of owners has changed"}
	}
	return nil
}

// ownedNames returns the names of the spaces of kinds and others, sorted.
func ownedNames(others []string) []string {
	names := slices.Clone(others)
	for _, k := range kinds {
		names = append(names, spaces[k.space].Name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// meta reads one record of the space meta with one of the codec's decoders.
func meta[T any](r kv.Reader, key string, decode func([]byte) (T, error)) (T, error) {
	var zero T
	value, ok, err := r.Get(spaceMeta, []byte(key))
	if err != nil {
		return zero, err
	}
	if !ok && key == codec.KeyFormat {
		return zero, ErrForeignFile // a bucket of our name that says nothing of itself
	}
	if !ok {
		return zero, &CorruptError{Space: codec.SpaceMeta, Reason: key + " is missing"}
	}
	record, err := decode(value)
	if err != nil {
		return zero, damaged(spaceMeta, err)
	}
	return record, nil
}

// adopt reads what the file says of itself, refuses it when it is not ours or
// newer, brings an older one to the format of today, and makes it what Options
// declare.
func (db *DB) adopt(ctx context.Context) error {
	format, err := result(ctx, "", db.rawView, func(tx *Tx) (codec.Format, error) {
		return meta(tx.r, codec.KeyFormat, codec.DecodeFormat)
	})
	if err == nil {
		err = checkFormat(format)
	}
	if err == nil && format.Version < codec.FormatVersion {
		err = db.upgrade(ctx)
	}
	if err != nil {
		return err
	}
	if format.Unicode != precis.UnicodeVersion {
		db.o.Logger.Warn("snib: the file was indexed with other Unicode tables",
			"file", format.Unicode, "program", precis.UnicodeVersion)
	}
	if err := db.adoptOwned(ctx); err != nil {
		return err
	}
	if err := db.dropLeftover(ctx); err != nil {
		return err
	}
	before, err := result(ctx, "", db.view, func(tx *Tx) (codec.Declarations, error) {
		return meta(tx.r, codec.KeyDeclarations, codec.DecodeDeclarations)
	})
	if err != nil {
		return err
	}
	db.checkClock()
	after := db.declarations(before)
	if !slices.Equal(after.Indexes, before.Indexes) || !slices.Equal(after.Providers, before.Providers) {
		return db.redeclare(ctx)
	}
	return nil
}

// rawView runs fn on a snapshot of a file that may be of another format: tx
// has nothing but its reader.
func (db *DB) rawView(ctx context.Context, fn func(*Tx) error) error {
	return db.store.View(ctx, func(r kv.Reader) error { return fn(&Tx{db: db, r: r}) })
}

// adoptOwned reads how the file keeps the records of users: the key of their
// owners, and the spaces, to which it adds those of this program.
func (db *DB) adoptOwned(ctx context.Context) error {
	var listed codec.OwnedSpaces
	err := db.rawView(ctx, func(tx *Tx) error {
		key, err := meta(tx.r, codec.KeyOwners, codec.DecodeOwnerKey)
		if err != nil {
			return err
		}
		if err := db.useOwners(key); err != nil {
			return err
		}
		listed, err = meta(tx.r, codec.KeyOwnedSpaces, codec.DecodeOwnedSpaces)
		return err
	})
	if err != nil {
		return err
	}
	all := codec.OwnedSpaces{Names: ownedNames(listed.Names)}
	if !slices.Equal(all.Names, listed.Names) {
		err = db.store.Exclusive(ctx, func(w kv.Tx) error {
			return w.Put(spaceMeta, []byte(codec.KeyOwnedSpaces), all.Append(nil))
		})
		if err != nil && !errors.Is(err, ErrReadOnly) {
			return err
		}
	}
	db.useOwned(all.Names)
	return nil
}

// useOwned makes the cascades of db go through the owned spaces of the file.
func (db *DB) useOwned(names []string) {
	db.spaces, db.ownedSpaces = slices.Clone(spaces), nil
	for _, name := range names {
		i := slices.IndexFunc(spaces, func(s kv.SpaceSpec) bool { return s.Name == name })
		if i < 0 { // of a later program
			i = len(db.spaces)
			db.spaces = append(db.spaces, kv.SpaceSpec{Name: name})
		}
		db.ownedSpaces = append(db.ownedSpaces, kv.Space(i))
	}
	db.store.Extend(db.spaces)
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

func checkFormat(f codec.Format) error {
	if f.Application != application {
		return ErrForeignFile
	}
	if f.MinReader > codec.FormatVersion {
		return fmt.Errorf("format %d: %w", f.Version, ErrNewerFormat)
	}
	return nil
}

// storeFloor persists the clock at Close, so that no time passes unseen. A
// failure is not worth failing Close for: the floor is that of the last
// commits, and the reason (full, poisoned) has been told.
func (db *DB) storeFloor() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	err := db.update(ctx, func(tx *Tx) error {
		if tx.now <= tx.state.Floor {
			return nil
		}
		return tx.changeState(func(s *codec.State) { s.Floor = tx.now })
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

// EndEverything ends all sessions, refresh tokens and one-time tokens of all
// users, in one small durable write: after a file was restored from a copy, or
// when a leak of tokens is suspected. Log-ins work at once. A sweep removes
// the records.
func (db *DB) EndEverything(ctx context.Context) error {
	return during("end everything", db.newEpoch(ctx, func(tx *Tx) int64 { return tx.now }))
}

// ResetClock believes the wall clock (Options.Now) again after it, or the
// file's, had been ahead by mistake: Stats.ClockBehind says by how much. As
// what is dead must not revive, it ends everything that EndEverything does.
// ErrInvalidInput (Options.Now) for a wall clock that is not believed.
func (db *DB) ResetClock(ctx context.Context) error {
	wall := db.clock.Wall()
	if !clock.Believable(wall) {
		return during("reset clock", &InputError{Field: "Options.Now", Reason: "must be from 2000 to 2199"})
	}
	return during("reset clock", db.newEpoch(ctx, func(*Tx) int64 { return wall.UnixMilli() }))
}

// newEpoch raises the file epoch and sets the floor of the clock, in a
// transaction that shares its commit with no other: nobody may act on an
// epoch that is not durable yet.
func (db *DB) newEpoch(ctx context.Context, floor func(*Tx) int64) error {
	var state codec.State
	err := db.store.Exclusive(ctx, func(w kv.Tx) error {
		tx, err := db.begin(w, w)
		if err != nil {
			return err
		}
		err = tx.changeState(func(s *codec.State) {
			s.Epoch++
			s.Floor = floor(tx)
		})
		state = tx.state
		return err
	})
	if err == nil {
		db.clock.Now(state.Epoch, state.Floor) // the new epoch's clock runs from here
	}
	return err
}
