// Package declare keeps the declarations of a program in the file: the spaces of kinds,
// providers and indexes, and the buckets that have rows of users.
package declare

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/records"
	"github.com/snibdb/snib/internal/reindex"
)

// A Store is that of one file.
type Store struct {
	File  *records.File
	Store kv.Store
}

// Read reads from a file that may be of another format.
func Read[T any](ctx context.Context, s kv.Store, fn func(kv.Reader) (T, error)) (out T, err error) {
	err = s.View(ctx, func(r kv.Reader) (err error) {
		out, err = fn(r)
		return err
	})
	return out, err
}

// Spaces reads how the file keeps the records of users: the key of their owners,
// and the spaces, to which it adds those of this program. It returns all of them.
func (s *Store) Spaces(ctx context.Context) ([]kv.SpaceSpec, error) {
	listed, err := Read(ctx, s.Store, func(r kv.Reader) (codec.OwnedSpaces, error) {
		key, err := records.Meta(s.File, r, codec.KeyOwners, codec.DecodeOwnerKey)
		if err == nil {
			err = s.File.UseOwners(key)
		}
		if err != nil {
			return codec.OwnedSpaces{}, err
		}
		listed, err := s.listed(r)
		if err == nil {
			err = named(r, listed)
		}
		return listed, err
	})
	if err != nil {
		return nil, err
	}
	all := codec.OwnedSpaces{Names: records.OwnedNames(listed.Names)}
	if !slices.Equal(all.Names, listed.Names) {
		err = s.Store.Exclusive(ctx, func(w kv.Tx) error {
			return w.Put(records.SpaceMeta, []byte(codec.KeyOwnedSpaces), all.Append(nil))
		})
		if err != nil && !errors.Is(err, kv.ErrReadOnly) {
			return nil, err
		}
	}
	return s.File.UseOwned(all.Names), nil
}

// Damaged is Spaces for a file that is to be repaired, whose key of owners is for
// the repair to read. Where the file cannot tell its owned spaces, those of a later
// program are the ones that are unknown.
func (s *Store) Damaged(ctx context.Context) ([]kv.SpaceSpec, error) {
	names, err := Read(ctx, s.Store, func(r kv.Reader) ([]string, error) {
		listed, err := s.listed(r)
		if errors.Is(err, kv.ErrCorrupt) {
			return unlisted(r, listed)
		}
		if err == nil {
			err = named(r, listed)
		}
		return listed.Names, err
	})
	if err != nil {
		return nil, err
	}
	return s.File.UseOwned(records.OwnedNames(names)), nil
}

// listed reads the owned spaces that the file lists.
func (s *Store) listed(r kv.Reader) (codec.OwnedSpaces, error) {
	return records.Meta(s.File, r, codec.KeyOwnedSpaces, codec.DecodeOwnedSpaces)
}

// named requires that no space is unlisted: it would have lost its name by damage,
// all that is in it would be absent, and new records would take its place.
func named(r kv.Reader, listed codec.OwnedSpaces) error {
	lost, err := unlisted(r, listed)
	if len(lost) > 0 {
		return fmt.Errorf("%w: space %q is none of this file's", kv.ErrCorrupt, lost[0])
	}
	return err
}

// unlisted returns the names of spaces that are neither listed nor of
// [records.Spaces]. A later program lists those that it adds.
func unlisted(r kv.Reader, listed codec.OwnedSpaces) ([]string, error) {
	lister, ok := r.(kv.Lister)
	if !ok {
		return nil, nil
	}
	names, err := lister.SpaceNames()
	return slices.DeleteFunc(names, func(name string) bool {
		return slices.Contains(listed.Names, name) || records.Known(name)
	}), err
}

// Rebuild puts other declarations in force, which build derives identities and
// indexes from. declare returns them, given the present ones; if another one
// changes these meanwhile, it begins anew.
func (s *Store) Rebuild(ctx context.Context, declare func(before codec.Declarations) (codec.Declarations, error), build func(before uint64, after codec.Declarations) error) error {
	for {
		var state codec.State
		before, err := Read(ctx, s.Store, func(r kv.Reader) (d codec.Declarations, err error) {
			if state, err = records.Meta(s.File, r, codec.KeyState, codec.DecodeState); err == nil {
				d, err = records.Meta(s.File, r, codec.KeyDeclarations, codec.DecodeDeclarations)
			}
			return d, err
		})
		if err != nil {
			return err
		}
		after, err := declare(before)
		if err != nil {
			return err
		}
		if Alike(after, before) {
			return s.AddOwned(ctx, after.Owned) // or another DB was first
		}
		after.Version = max(before.Version, state.Declarations) + 1 // of a damaged file, they differ
		if err := build(state.Declarations, after); !errors.Is(err, reindex.ErrOvertaken) {
			return err
		}
	}
}

// AddOwned adds buckets to the declarations of the file, which do not change
// otherwise.
func (s *Store) AddOwned(ctx context.Context, more []string) error {
	return s.Store.Exclusive(ctx, func(w kv.Tx) error {
		var tx records.Tx
		if err := tx.Begin(s.File, w, w); err != nil {
			return err
		}
		declared, err := records.Meta(s.File, w, codec.KeyDeclarations, codec.DecodeDeclarations)
		if err != nil {
			return err
		}
		owned := records.MergeNames(declared.Owned, more)
		if slices.Equal(owned, declared.Owned) {
			return nil
		}
		declared.Owned, declared.Version = owned, max(declared.Version, tx.State.Declarations)+1
		if err := tx.ChangeState(func(state *codec.State) { state.Declarations = declared.Version }); err != nil {
			return err
		}
		return w.Put(records.SpaceMeta, []byte(codec.KeyDeclarations), declared.Append(nil))
	})
}

// Alike reports whether identities and indexes are the same by both.
func Alike(a, b codec.Declarations) bool {
	return slices.Equal(a.Indexes, b.Indexes) && slices.Equal(a.Providers, b.Providers)
}

// DifferingIndex returns the name of an index that is not in both.
func DifferingIndex(a, b codec.Declarations) (string, bool) {
	return differing(a.Indexes, b.Indexes, func(x codec.Index) string { return x.Name })
}

// DifferingProvider returns the name of a provider that is not in both.
func DifferingProvider(a, b codec.Declarations) (string, bool) {
	return differing(a.Providers, b.Providers, func(x codec.Provider) string { return x.Name })
}

// differing returns the name of an element that is not in both lists.
func differing[T comparable](a, b []T, name func(T) string) (string, bool) {
	for _, lists := range [][2][]T{{a, b}, {b, a}} {
		for _, x := range lists[0] {
			if !slices.Contains(lists[1], x) {
				return name(x), true
			}
		}
	}
	return "", false
}
