package codec

import "hash/crc32"

// Names of the spaces. A name is part of the checksum of every record in its
// space, so that a record moved to another space is refused there.
const (
	SpaceMeta         = "meta"                  // KeyFormat, KeyState, KeyDeclarations
	SpaceUsers        = "users"                 // user id: [User]
	SpaceIdentities   = "identities"            // pair (provider, folded identifier): [UserRef]
	SpaceAttributes   = "attributes"            // unique key: [UserRef]; entry key: empty
	SpaceSessions     = "sessions"              // session id: [Session]
	SpaceUserSessions = "user_sessions"         // pair (user id, session id): empty
	SpaceFamilies     = "refresh_families"      // family id: [Family]
	SpaceUserFamilies = "user_refresh_families" // pair (user id, family id): empty
	SpaceOneTime      = "one_time_tokens"       // token id: [OneTimeToken]
	SpaceUserOneTime  = "user_one_time_tokens"  // pair (user id, token id): empty
	SpaceQuarantine   = "quarantine"            // pair (space, key): what was found there, no record
)

// Keys of the space meta.
const (
	KeyFormat       = "format"       // [Format]
	KeyState        = "state"        // [State]
	KeyDeclarations = "declarations" // [Declarations]
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// seed returns the checksum of what precedes the key in a record's checksum:
// the space's name and a zero byte, which no name contains.
func seed(space string) uint32 {
	return crc32.Checksum(append([]byte(space), 0), castagnoli)
}

// Seeds of the records that are read often, computed once because the
// checksum function makes its argument escape.
var (
	seedUsers        = seed(SpaceUsers)
	seedIdentities   = seed(SpaceIdentities)
	seedAttributes   = seed(SpaceAttributes)
	seedSessions     = seed(SpaceSessions)
	seedFamilies     = seed(SpaceFamilies)
	seedOneTime      = seed(SpaceOneTime)
	seedFormat       = seedMeta(KeyFormat)
	seedState        = seedMeta(KeyState)
	seedDeclarations = seedMeta(KeyDeclarations)
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
