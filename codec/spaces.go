package codec

import "hash/crc32"

// Names of the spaces; those of kinds are beside their records. A name is part of the
// checksum of every record in its space, so that a record moved to another space is
// refused there.
const (
	SpaceMeta       = "meta"       // the six keys below
	SpaceUsers      = "users"      // user id: [User]
	SpaceIdentities = "identities" // pair (provider, folded identifier): [UserRef]
	SpaceAttributes = "attributes" // unique key: [UserRef]; entry key: empty
	SpaceRoles      = "roles"      // pair (role, user id): empty
	SpacePasskeys   = "passkeys"   // hash of a credential id: [UserRef]
	SpaceQuarantine = "quarantine" // see [AppendQuarantineKey]
	SpaceThrottle   = "throttle"   // number of a block: [Throttle]
	SpaceLeaving    = "leaving"    // user id: [Leaving]
	SpaceOutbox     = "outbox"     // position: [OutboxEntry]; OutboxHeadKey: [OutboxHead]
	SpaceCursors    = "cursors"    // name of a consumer: [Cursor]
)

// SpaceInvitations is the space of invitations: [OwnedKey] of an identity: [Invitation].
const SpaceInvitations = "invitations"

// Keys of the space meta.
const (
	KeyFormat       = "format"       // [Format]
	KeyState        = "state"        // [State]
	KeyDeclarations = "declarations" // [Declarations]
	KeyOwners       = "owner_key"    // [OwnerKey]
	KeyOwnedSpaces  = "owned_spaces" // [OwnedSpaces]
	KeySealKeys     = "seal_keys"    // [SealKeys]; only of a file with keys
	KeySweepLease   = "sweep_lease"  // [Lease]; only of a store of several programs
	KeyBuildLease   = "build_lease"  // [Lease]; likewise
	KeyMoving       = "moving"       // [Moving]; only of an import that has not ended
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// seed returns the checksum of the bytes before the key in a record's checksum:
// the space's name and a zero byte, which no name contains.
func seed(space string) uint32 {
	return crc32.Checksum(append([]byte(space), 0), castagnoli)
}

// Seeds of the spaces that hold a UserRef, computed once because the checksum
// function makes its argument escape. Layouts hold those of other records.
var (
	seedIdentities = seed(SpaceIdentities)
	seedAttributes = seed(SpaceAttributes)
)

// seedMeta returns the seed of one record of the space meta, its key included.
func seedMeta(key string) uint32 {
	return crc32.Update(seed(SpaceMeta), castagnoli, []byte(key))
}

// seedOf is seed, without an allocation for the spaces that hold a UserRef.
func seedOf(space string) uint32 {
	switch space {
	case SpaceIdentities:
		return seedIdentities
	case SpaceAttributes:
		return seedAttributes
	}
	return seed(space)
}
