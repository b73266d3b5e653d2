package records

import (
	"slices"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/kv"
)

// Bucket is the one top-level bucket of a file that is the library's.
const Bucket = "snib"

// The spaces of the file, one row of docs/FORMAT.md each.
const (
	SpaceMeta kv.Space = iota
	SpaceUsers
	SpaceIdentities
	SpaceAttributes
	SpaceSessions
	SpaceFamilies
	SpaceOneTime
	SpaceQuarantine
	SpaceThrottle
	SpaceAPIKeys
	SpaceRoles
	SpaceLeaving
	SpaceEvents
	SpaceOutbox
	SpaceCursors
	SpaceDevices
	SpaceFactors
	SpaceInvitations
	SpacePasskeys

	// Built to take the place of those above: see internal/reindex.
	ShadowUsers
	ShadowIdentities
	ShadowAttributes
)

// Spaces describes them. New users come in key order; records of users come in
// the order of their owners, which is random.
var Spaces = []kv.SpaceSpec{
	SpaceMeta:       {Name: codec.SpaceMeta},
	SpaceUsers:      {Name: codec.SpaceUsers, Ascending: true},
	SpaceIdentities: {Name: codec.SpaceIdentities},
	SpaceAttributes: {Name: codec.SpaceAttributes},
	SpaceSessions:   {Name: codec.SpaceSessions},
	SpaceFamilies:   {Name: codec.SpaceFamilies},
	SpaceOneTime:    {Name: codec.SpaceOneTime},
	SpaceQuarantine: {Name: codec.SpaceQuarantine},
	SpaceThrottle:   {Name: codec.SpaceThrottle},
	SpaceAPIKeys:    {Name: codec.SpaceAPIKeys},
	SpaceRoles:      {Name: codec.SpaceRoles},
	SpaceLeaving:    {Name: codec.SpaceLeaving},
	SpaceEvents:     {Name: codec.SpaceEvents},
	SpaceOutbox:     {Name: codec.SpaceOutbox, Ascending: true},
	SpaceCursors:    {Name: codec.SpaceCursors},
	SpaceDevices:    {Name: codec.SpaceDevices},
	SpaceFactors:    {Name: codec.SpaceFactors},
	SpacePasskeys:   {Name: codec.SpacePasskeys},

	SpaceInvitations: {Name: codec.SpaceInvitations},

	ShadowUsers:      {Name: codec.SpaceUsers, Ascending: true, Shadow: true},
	ShadowIdentities: {Name: codec.SpaceIdentities, Shadow: true},
	ShadowAttributes: {Name: codec.SpaceAttributes, Shadow: true},
}

// Known reports whether a space of that name is one of [Spaces].
func Known(name string) bool {
	return slices.ContainsFunc(Spaces, func(s kv.SpaceSpec) bool { return s.Name == name })
}

// Shared are the spaces that belong to no user alone: their entries go with the
// user's record, or are not of users at all.
var Shared = map[kv.Space]string{
	SpaceMeta:       "what the file says of itself",
	SpaceUsers:      "the user",
	SpaceIdentities: "leads to the user, whose record lists it",
	SpaceAttributes: "leads to the user, whose record lists it",
	SpaceRoles:      "leads to the user, whose record lists it",
	SpaceQuarantine: "what Repair could not read",
	SpaceThrottle:   "counts of failed guesses, which name nobody",
	SpaceLeaving:    "a deleted user, until the last row is removed",
	SpaceOutbox:     "positions of events, whose records go with the user",
	SpaceCursors:    "the consumers of the outbox",

	SpaceInvitations: "of an identity, which has no user yet",
	SpacePasskeys:    "leads to the user, one of whose factors it names",
}
