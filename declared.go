package snib

import (
	"context"
	"fmt"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/declare"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/lease"
	"github.com/snibdb/snib/internal/records"
	"github.com/snibdb/snib/internal/reindex"
)

// defaultDeclarations are those of a new file, unless Options have others.
var defaultDeclarations = codec.Declarations{
	Providers: []codec.Provider{{Name: "email", Rule: string(Email)}, {Name: "username", Rule: string(Username)}},
	Version:   1,
}

// declarations returns those of Options, and where they are nil the ones of
// before. Sorted by name, so that equal declarations are equal bytes.
func (db *DB) declarations(before codec.Declarations) codec.Declarations {
	return db.o.declare(before)
}

// redeclare rebuilds identities and indexes when other ones are declared than
// the file has. One DB at a time does so in a file.
func (db *DB) redeclare(ctx context.Context, change func(before codec.Declarations) codec.Declarations) error {
	shadows, ok := db.store.(kv.Shadower)
	if !ok {
		return fmt.Errorf("build indexes beside those in force: %w", ErrUnsupported)
	}
	turn, err := db.buildTurn(ctx)
	if err != nil {
		return err
	}
	defer turn.Done()
	path, remove, err := db.workspace()
	if err != nil {
		return err
	}
	defer remove()
	s := db.declaring()
	return s.Rebuild(ctx, func(before codec.Declarations) (codec.Declarations, error) {
		after := change(before)
		if len(after.Owned) > maxDeclared {
			return after, &InputError{Field: "Options.Owned", Code: CodeTooMany, Reason: "must be at most 64, with those that the file declares", Max: maxDeclared}
		}
		return after, nil
	}, func(before uint64, after codec.Declarations) error {
		return reindex.Run(ctx, db.reindexing(shadows, turn, path), before, after)
	})
}

// declaring keeps the declarations in the file.
func (db *DB) declaring() declare.Store { return declare.Store{File: db.file, Store: db.store} }

// reindexing gives a build of indexes access to this package.
func (db *DB) reindexing(shadows kv.Shadower, turn lease.Turn, path string) reindex.Config {
	return reindex.Config{
		File: db.file, Store: db.store, Path: path, Batch: db.batch,
		Log: db.o.Logger, Told: db.o.told("index"), Hold: turn.Hold,
		Swap: func(w kv.Tx) error {
			return shadows.SwapShadows(w, codec.SpaceUsers, codec.SpaceIdentities, codec.SpaceAttributes)
		},
		Drop:       shadows.DropShadows,
		Attributes: func(raw string) map[string]any { return decodeAttributes(raw) },
		Conflict: func(space kv.Space, name, a, b string) error {
			kind := ErrAttributeTaken
			if space == records.SpaceIdentities {
				kind = ErrIdentityTaken
			}
			return &ConflictError{Name: name, Users: [2]UserID{UserID(a), UserID(b)}, kind: kind}
		},
	}
}

// buildTurn waits until no other DB on the handle builds, or no other program on
// the store.
func (db *DB) buildTurn(ctx context.Context) (lease.Turn, error) {
	if db.others != nil {
		return db.others.turn(db, ctx)
	}
	s, err := db.inFile()
	if err != nil {
		return lease.Turn{}, err
	}
	return lease.TurnOfFile(ctx, s.TryBuild)
}

// dropLeftover removes the leftover of a build of indexes that a crash has ended.
func (db *DB) dropLeftover(ctx context.Context) error {
	s, err := db.inFile()
	if err != nil {
		return err
	}
	return lease.DropLeftover(ctx, s, db.o.Logger)
}

// sweepLeftover is dropLeftover for a store of several programs.
func (db *DB) sweepLeftover(ctx context.Context) error {
	if db.others == nil {
		return nil
	}
	return db.others.leftover(db, ctx)
}

// Redeclare puts other Indexes and Providers in force while other programs go on:
// those of [OpenStore], which must declare them alike to open, and those that
// have it open already, which keep every rule of the new ones from the commit
// on. nil keeps the declaration. It takes what a change of Options.Indexes takes;
// temporary files lie in the directory for those. Two at once take turns; the
// second one builds on what the first one has declared.
//
// Errors: [ConflictError] and ErrInvalidInput as those of Open, [ErrUnsupported]
// for a store that cannot build beside what is in force, that of ctx. The
// declarations are then as they were.
func (f File) Redeclare(ctx context.Context, indexes []Index, providers map[string]IdentifierRule) error {
	s, err := (&Options{Indexes: indexes, Providers: providers}).settings()
	if err == nil {
		err = f.db.redeclare(ctx, s.declare)
	}
	return during("redeclare", err)
}
