package snib

import (
	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/kv"
)

// The spaces of the file, one row of docs/FORMAT.md each. Primary spaces hold
// records; the others lead to them and can be rebuilt.
const (
	spaceMeta kv.Space = iota
	spaceUsers
	spaceIdentities
	spaceAttributes
	spaceSessions
	spaceUserSessions
	spaceFamilies
	spaceUserFamilies
	spaceOneTime
	spaceUserOneTime
	spaceQuarantine
)

var spaces = []kv.SpaceSpec{
	spaceMeta:         {Name: codec.SpaceMeta},
	spaceUsers:        {Name: codec.SpaceUsers, Ascending: true},
	spaceIdentities:   {Name: codec.SpaceIdentities},
	spaceAttributes:   {Name: codec.SpaceAttributes},
	spaceSessions:     {Name: codec.SpaceSessions, Ascending: true},
	spaceUserSessions: {Name: codec.SpaceUserSessions},
	spaceFamilies:     {Name: codec.SpaceFamilies, Ascending: true},
	spaceUserFamilies: {Name: codec.SpaceUserFamilies},
	spaceOneTime:      {Name: codec.SpaceOneTime, Ascending: true},
	spaceUserOneTime:  {Name: codec.SpaceUserOneTime},
	spaceQuarantine:   {Name: codec.SpaceQuarantine},
}
