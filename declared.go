package snib

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sort"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/records"
	"github.com/snibdb/snib/internal/reindex"
)

// defaultDeclarations are those of a new file, where Options have none.
var defaultDeclarations = codec.Declarations{
	Providers: []codec.Provider{{Name: "email", Rule: string(Email)}, {Name: "username", Rule: string(Username)}},
	Version:   1,
}

// declarations returns what Options declare, and where they are nil what was
// declared before. Sorted by name, so that equal declarations are equal bytes.
func (db *DB) declarations(before codec.Declarations) codec.Declarations {
	out := before
	if db.o.Indexes != nil {
		out.Indexes = nil
		for _, x := range db.o.Indexes {
			out.Indexes = append(out.Indexes, codec.Index(x))
		}
		sort.SliceStable(out.Indexes, func(i, j int) bool { return out.Indexes[i].Name < out.Indexes[j].Name })
	}
	if db.o.Providers != nil {
		out.Providers = nil
		for _, name := range slices.Sorted(maps.Keys(db.o.Providers)) {
			out.Providers = append(out.Providers, codec.Provider{Name: name, Rule: string(db.o.Providers[name])})
		}
	}
	// Rows are users' in every program, whichever buckets it knows.
	out.Owned = records.MergeNames(before.Owned, db.o.Owned)
	return out
}

// builtAlike reports whether identities and indexes are the same by both.
func builtAlike(a, b codec.Declarations) bool {
	return slices.Equal(a.Indexes, b.Indexes) && slices.Equal(a.Providers, b.Providers)
}

// redeclare rebuilds identities and indexes when Options declare other ones
// than the file does. One DB at a time does so in a file.
func (db *DB) redeclare(ctx context.Context) error {
	done, err := db.buildTurn(ctx)
	if err != nil {
		return err
	}
	defer done()
	for {
		var state codec.State
		before, err := rawView(ctx, db, func(r kv.Reader) (d codec.Declarations, err error) {
			if state, err = records.Meta(db.file, r, codec.KeyState, codec.DecodeState); err == nil {
				d, err = records.Meta(db.file, r, codec.KeyDeclarations, codec.DecodeDeclarations)
			}
			return d, err
		})
		if err != nil {
			return err
		}
		after := db.declarations(before)
		if len(after.Owned) > maxDeclared {
			return &InputError{Field: "Options.Owned", Code: CodeTooMany, Reason: "must be at most 64, with those that the file declares", Max: maxDeclared}
		}
		if builtAlike(after, before) {
			return db.declareOwned(ctx) // or another DB was first
		}
		after.Version = max(before.Version, state.Declarations) + 1 // of a damaged file, they differ
		if err := reindex.Run(ctx, db.reindexing(), state.Declarations, after); !errors.Is(err, reindex.ErrOvertaken) {
			return err
		}
	}
}

// declareOwned adds Options.Owned to the declarations of the file, which are not
// to change otherwise: this DB has the turn to build.
func (db *DB) declareOwned(ctx context.Context) error {
	return db.store.Exclusive(ctx, func(w kv.Tx) error {
		tx, err := db.begin(w, w)
		if err != nil {
			return err
		}
		declared, err := records.Meta(db.file, w, codec.KeyDeclarations, codec.DecodeDeclarations)
		if err != nil {
			return err
		}
		owned := records.MergeNames(declared.Owned, db.o.Owned)
		if slices.Equal(owned, declared.Owned) {
			return nil
		}
		declared.Owned, declared.Version = owned, max(declared.Version, tx.rec.State.Declarations)+1
		if err := tx.rec.ChangeState(func(s *codec.State) { s.Declarations = declared.Version }); err != nil {
			return err
		}
		return w.Put(records.SpaceMeta, []byte(codec.KeyDeclarations), declared.Append(nil))
	})
}

// reindexing gives a build of indexes access to this package.
func (db *DB) reindexing() reindex.Config {
	return reindex.Config{
		File: db.file, Store: db.store, Path: db.store.Path(), Batch: db.batch,
		Log: db.o.Logger, Told: db.o.told("index"), Swap: swapTrees, Drop: dropShadows,
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

// buildTurn waits until no other DB on the handle builds.
func (db *DB) buildTurn(ctx context.Context) (done func(), err error) {
	for {
		done, busy := db.store.TryBuild()
		if done != nil {
			return done, nil
		}
		select {
		case <-busy:
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for another build of indexes: %w", ctx.Err())
		}
	}
}

// dropLeftover removes the shadows of a build that a crash has ended, unless
// another DB on the handle is building just now.
func (db *DB) dropLeftover(ctx context.Context) error {
	done, _ := db.store.TryBuild()
	if done == nil {
		return nil
	}
	defer done()
	left, err := db.store.Shadowed(ctx)
	if err != nil || !left {
		return err
	}
	err = db.store.Exclusive(ctx, dropShadows)
	switch {
	case errors.Is(err, ErrReadOnly):
		return nil
	case err == nil:
		db.o.Logger.Info("snib: removed what a crash had left of building indexes")
	}
	return err
}
