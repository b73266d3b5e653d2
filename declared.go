package snib

import (
	"context"
	"maps"
	"slices"
	"sort"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/records"
)

// defaultDeclarations are what a new file declares where Options do not.
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
// than the file does.
func (db *DB) redeclare(ctx context.Context) error {
	return db.store.Exclusive(ctx, func(w kv.Tx) error {
		before, err := records.Meta(db.file, w, codec.KeyDeclarations, codec.DecodeDeclarations)
		if err != nil {
			return err
		}
		after := db.declarations(before)
		if slices.Equal(after.Indexes, before.Indexes) && slices.Equal(after.Providers, before.Providers) {
			return nil // another DB was first
		}
		after.Version++
		return db.rebuild(ctx, w, after)
	})
}
