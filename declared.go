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
	return out
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
		if slices.Equal(after.Indexes, before.Indexes) && slices.Equal(after.Providers, before.Providers) {
			return nil // another DB was first
		}
		after.Version = max(before.Version, state.Declarations) + 1 // of a damaged file, they differ
		if err := reindex.Run(ctx, db.reindexing(), state.Declarations, after); !errors.Is(err, reindex.ErrOvertaken) {
			return err
		}
	}
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
