package snib

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/durable"
)

// declared is what a file declares, in the types of this package.
type declared struct {
	version uint64 // as in codec.State
	indexes []Index
	rules   map[string]IdentifierRule
}

// defaultDeclarations are what a new file declares where Options do not.
var defaultDeclarations = codec.Declarations{
	Providers: []codec.Provider{{Name: "email", Rule: string(Email)}, {Name: "username", Rule: string(Username)}},
	Version:   1,
}

func newDeclared(d codec.Declarations) *declared {
	out := &declared{version: d.Version, rules: make(map[string]IdentifierRule)}
	for _, x := range d.Indexes {
		out.indexes = append(out.indexes, Index(x))
	}
	for _, p := range d.Providers {
		out.rules[p.Name] = IdentifierRule(p.Rule)
	}
	return out
}

// index returns the declaration of an attribute.
func (d *declared) index(name string) (Index, bool) {
	for _, x := range d.indexes {
		if x.Name == name {
			return x, true
		}
	}
	return Index{}, false
}

// identity checks the two parts of an identity and folds the identifier.
func (d *declared) identity(provider, identifier string, now int64) (codec.Identity, error) {
	if !validName(provider) {
		return codec.Identity{}, &InputError{Field: "Provider", Reason: "must be 1–32 of [a-z0-9_-]"}
	}
	key, err := d.rules[provider].fold(identifier)
	if err != nil {
		return codec.Identity{}, err
	}
	return codec.Identity{Provider: provider, Key: key, Identifier: identifier, LinkedAt: now}, nil
}

// declare makes tx use what the file declares in this transaction. Another DB
// on the file may have changed that since this one has read it.
func (tx *Tx) declare() error {
	known := tx.db.declared.Load()
	if known == nil || known.version != tx.state.Declarations {
		d, err := meta(tx.r, codec.KeyDeclarations, codec.DecodeDeclarations)
		if err != nil {
			return err
		}
		last := known
		known = newDeclared(d)
		if tx.w == nil { // what a transaction sees of its own may not be committed
			tx.db.declared.CompareAndSwap(last, known)
		}
	}
	tx.declared = known
	return nil
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
		before, err := result(ctx, "", db.rawView, func(tx *Tx) (d codec.Declarations, err error) {
			if state, err = meta(tx.r, codec.KeyState, codec.DecodeState); err == nil {
				d, err = meta(tx.r, codec.KeyDeclarations, codec.DecodeDeclarations)
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
		if err := db.rebuild(ctx, state.Declarations, after); !errors.Is(err, errOvertaken) {
			return err
		}
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

// dropLeftover removes the shadows and temporary files of a build that a crash
// has ended, unless another DB on the handle is building just now.
func (db *DB) dropLeftover(ctx context.Context) error {
	done, _ := db.store.TryBuild()
	if done == nil {
		return nil
	}
	defer done()
	if err := durable.SweepScratch(db.store.Path()); err != nil {
		db.o.Logger.Warn("snib: temporary files of a crash were not removed", "error", err)
	}
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
