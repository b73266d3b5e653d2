package codec

import "encoding/binary"

// OwnIDBytes is the length of an [OwnID].
const OwnIDBytes = 10

// OwnID names a record among those of its owner and kind: 48 bits of Unix
// milliseconds, big-endian, and 4 random bytes. Ids of one owner sort by time.
// All zero is no id.
type OwnID [OwnIDBytes]byte

const timeBytes = 6

// NewOwnID makes an id of a time in Unix milliseconds, of which it keeps the
// lower 48 bits (until the year 10889), and random bytes. Two ids of one
// millisecond are equal once in 2^32: before a record is created, its key must
// be looked up, and the random bytes drawn again if it is taken.
func NewOwnID(ms int64, random [4]byte) (id OwnID) {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(ms)<<16)
	copy(id[:], b[:timeBytes])
	copy(id[timeBytes:], random[:])
	return id
}

// Time returns when the id was made, in Unix milliseconds.
func (id OwnID) Time() int64 { return unixMilli(id[:]) }

func unixMilli(b []byte) int64 {
	return int64(binary.BigEndian.Uint32(b))<<16 | int64(binary.BigEndian.Uint16(b[4:]))
}

// IsZero reports whether id is zero, which is no id.
func (id OwnID) IsZero() bool { return id == OwnID{} }

// Lengths of an [OwnedKey].
const (
	OwnedKeyBytes  = OwnerBytes + OwnIDBytes // as a key
	OwnedKeyDigits = OwnedKeyBytes * 8 / 5   // as text
)

// OwnedKey is the key of a record that belongs to a user: owner, then own id.
// It is also, as 32 digits, the public id of the record behind its prefix
// ("ses_" and the like), which is no part of it. So ids of one user begin
// alike.
type OwnedKey [OwnedKeyBytes]byte

// MakeOwnedKey joins an owner and an id.
func MakeOwnedKey(owner Owner, id OwnID) (k OwnedKey) {
	copy(k[:], owner[:])
	copy(k[OwnerBytes:], id[:])
	return k
}

// ParseOwnedKey takes a key as it stands in a space. ok is false unless it has
// 20 bytes. The bytes are copied.
func ParseOwnedKey(key []byte) (k OwnedKey, ok bool) {
	if len(key) != OwnedKeyBytes {
		return OwnedKey{}, false
	}
	return OwnedKey(key), true
}

// Owner returns the first half.
func (k OwnedKey) Owner() Owner { return Owner(k[:OwnerBytes]) }

// OwnID returns the second half.
func (k OwnedKey) OwnID() OwnID { return OwnID(k[OwnerBytes:]) }

// Time returns when the record was created, in Unix milliseconds.
func (k OwnedKey) Time() int64 { return unixMilli(k[OwnerBytes:]) }

// With returns the key of another record of the same owner.
func (k OwnedKey) With(id OwnID) OwnedKey { return MakeOwnedKey(k.Owner(), id) }

// AppendDigits appends the 32 digits of k to dst: lower-case Crockford base 32.
// It allocates only if dst has no room.
func (k OwnedKey) AppendDigits(dst []byte) []byte { return AppendBase32(dst, k[:]) }

// ParseOwnedKeyDigits is the inverse of AppendDigits. ok is false for
// everything but the one spelling of a key: 32 digits, lower case, no aliases.
// It allocates nothing.
func ParseOwnedKeyDigits(text string) (k OwnedKey, ok bool) {
	if !DecodeBase32(k[:], text) {
		return OwnedKey{}, false
	}
	return k, true
}

// ownID takes an id; zero if the record has no id there.
func (r *reader) ownID() (id OwnID) {
	copy(id[:], r.optional(OwnIDBytes))
	return id
}
