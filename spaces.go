package snib

import (
	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/kv"
)

// The spaces of the file, one row of docs/FORMAT.md each.
const (
	spaceMeta kv.Space = iota
	spaceUsers
	spaceIdentities
	spaceAttributes
	spaceSessions
	spaceFamilies
	spaceOneTime
	spaceQuarantine

	// Being built, to take the place of those above: see rebuild.go.
	shadowUsers
	shadowIdentities
	shadowAttributes
)

// spaces describes them. New users come in key order; records of users come in
// the order of their owners, which is none.
var spaces = []kv.SpaceSpec{
	spaceMeta:       {Name: codec.SpaceMeta},
	spaceUsers:      {Name: codec.SpaceUsers, Ascending: true},
	spaceIdentities: {Name: codec.SpaceIdentities},
	spaceAttributes: {Name: codec.SpaceAttributes},
	spaceSessions:   {Name: codec.SpaceSessions},
	spaceFamilies:   {Name: codec.SpaceFamilies},
	spaceOneTime:    {Name: codec.SpaceOneTime},
	spaceQuarantine: {Name: codec.SpaceQuarantine},

	shadowUsers:      {Name: codec.SpaceUsers, Ascending: true, Shadow: true},
	shadowIdentities: {Name: codec.SpaceIdentities, Shadow: true},
	shadowAttributes: {Name: codec.SpaceAttributes, Shadow: true},
}
