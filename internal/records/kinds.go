package records

import (
	"slices"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/kv"
)

// Kinds is the table. Sessions come before refresh tokens: Repair decides about
// a family by its session.
var Kinds = []*Kind{Sessions, Families, OneTimeTokens, Events, Devices, APIKeys, Factors}

// KindOf returns the kind whose records a space holds, or nil.
func KindOf(space kv.Space) *Kind {
	for _, k := range Kinds {
		if k.Space == space {
			return k
		}
	}
	return nil
}

// OwnedNames returns the names of the spaces of kinds and others, sorted.
func OwnedNames(others []string) []string {
	names := slices.Clone(others)
	for _, k := range Kinds {
		names = append(names, Spaces[k.Space].Name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// WriteMeta writes all records of the space meta, with a new key for owners.
func (f *File) WriteMeta(w kv.Tx, format codec.Format, state codec.State, declared codec.Declarations) error {
	format.Application, format.Version, format.MinReader = Application, codec.FormatVersion, codec.FormatVersion
	owners, err := f.NewOwnerKey()
	if err != nil {
		return err
	}
	return putMeta(w, format, state, declared, owners, codec.OwnedSpaces{Names: OwnedNames(nil)})
}
