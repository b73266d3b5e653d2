package snib

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"github.com/snibdb/snib/internal/clock"
	"maps"
	"slices"
	"time"

	"golang.org/x/text/secure/precis"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/kv"
)

// What the file says of itself.
const (
	application   = "snib"
	formatVersion = 1 // of the whole file; docs/FORMAT.md says what each means
)

// initialise writes the first content of a new file.
func (db *DB) initialise(w kv.Tx) error {
	now := db.clock.Latest()
	format := codec.Format{
		Application: application,
		Version:     formatVersion,
		MinReader:   formatVersion,
		CreatedAt:   now,
		Unicode:     precis.UnicodeVersion,
	}
	if err := w.Put(spaceMeta, []byte(codec.KeyFormat), format.Append(nil)); err != nil {
		return err
	}
	state := codec.State{Epoch: 1, Floor: now}
	if err := w.Put(spaceMeta, []byte(codec.KeyState), state.Append(nil)); err != nil {
		return err
	}
	declared := db.declared(defaultDeclarations)
	return w.Put(spaceMeta, []byte(codec.KeyDeclarations), declared.Append(nil))
}

// defaultDeclarations are what a new file declares where Options do not.
var defaultDeclarations = codec.Declarations{
	Providers: []codec.Provider{{Name: "email", Rule: string(Email)}, {Name: "username", Rule: string(Username)}},
}

// declared returns what Options declare, and where they are nil what was
// declared before. Sorted by name, so that equal declarations are equal bytes.
func (db *DB) declared(before codec.Declarations) codec.Declarations {
	out := before
	if db.o.Indexes != nil {
		out.Indexes = nil
		for _, x := range db.o.Indexes {
			out.Indexes = append(out.Indexes, codec.Index(x))
		}
		slices.SortStableFunc(out.Indexes, func(a, b codec.Index) int { return cmp.Compare(a.Name, b.Name) })
	}
	if db.o.Providers != nil {
		out.Providers = nil
		for _, name := range slices.Sorted(maps.Keys(db.o.Providers)) {
			out.Providers = append(out.Providers, codec.Provider{Name: name, Rule: string(db.o.Providers[name])})
		}
	}
	return out
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
// newer, and makes it what Options declare.
func (db *DB) adopt() error {
	var (
		format codec.Format
		state  codec.State
		before codec.Declarations
	)
	err := db.store.View(context.Background(), func(r kv.Reader) (err error) {
		if format, err = meta(r, codec.KeyFormat, codec.DecodeFormat); err != nil {
			return err
		}
		if err := checkFormat(format); err != nil {
			return err
		}
		if state, err = meta(r, codec.KeyState, codec.DecodeState); err != nil {
			return err
		}
		before, err = meta(r, codec.KeyDeclarations, codec.DecodeDeclarations)
		return err
	})
	if err != nil {
		return err
	}
	if format.Unicode != precis.UnicodeVersion {
		db.o.Logger.Warn("snib: the file was indexed with other Unicode tables",
			"file", format.Unicode, "program", precis.UnicodeVersion)
	}
	db.clock.Now(state.Epoch, state.Floor)
	db.checkClock()
	return db.redeclare(before)
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
	if f.MinReader > formatVersion {
		return fmt.Errorf("format %d: %w", f.Version, ErrNewerFormat)
	}
	return nil
}

// redeclare rebuilds identities and indexes when Options declare other ones
// than the file does, and keeps in db what is declared then.
func (db *DB) redeclare(before codec.Declarations) error {
	declared := db.declared(before)
	if !slices.Equal(declared.Indexes, before.Indexes) || !slices.Equal(declared.Providers, before.Providers) {
		if err := db.store.Exclusive(context.Background(), func(w kv.Tx) error {
			return rebuild(w, declared)
		}); err != nil {
			return err
		}
	}
	db.o.Indexes, db.o.Providers = declarations(declared)
	return nil
}

// declarations returns what a file declares in the types of this package.
func declarations(d codec.Declarations) ([]Index, map[string]IdentifierRule) {
	var indexes []Index
	for _, x := range d.Indexes {
		indexes = append(indexes, Index(x))
	}
	rules := make(map[string]IdentifierRule)
	for _, p := range d.Providers {
		rules[p.Name] = IdentifierRule(p.Rule)
	}
	return indexes, rules
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
