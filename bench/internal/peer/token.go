package peer

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"time"
)

// Tokens of the contenders without a token format: an id by which the record is
// found, in the order of time as in snib, and a secret of 256 bits of which only
// the SHA-256 is stored.
const (
	IDLength     = 4 + 26
	secretBytes  = 32
	secretLength = 43
	TokenLength  = IDLength + 1 + secretLength
)

// ordered keeps byte order, so that ids sort by their time.
var ordered = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// NewID returns prefix, of four bytes, and 26 characters for 48 bits of
// milliseconds and 80 random ones.
func NewID(prefix string, now time.Time) string {
	var raw [16]byte
	binary.BigEndian.PutUint64(raw[:8], uint64(now.UnixMilli())<<16)
	rand.Read(raw[6:])
	return prefix + ordered.EncodeToString(raw[:])
}

// RandomID returns an id of the same form in no order.
func RandomID(prefix string, _ time.Time) string {
	var raw [16]byte
	rand.Read(raw[:])
	return prefix + ordered.EncodeToString(raw[:])
}

// NewToken returns a token for id and the hash that is stored.
func NewToken(id string) (token string, hash [32]byte) {
	var secret [secretBytes]byte
	rand.Read(secret[:])
	token = id + "." + base64.RawURLEncoding.EncodeToString(secret[:])
	return token, sha256.Sum256(secret[:])
}

// ParseToken takes a token apart and hashes its secret. ok is false for a token
// that NewToken cannot have made.
func ParseToken(token string) (id string, hash [32]byte, ok bool) {
	if len(token) != TokenLength || token[IDLength] != '.' {
		return "", hash, false
	}
	var secret [secretBytes]byte
	n, err := base64.RawURLEncoding.Strict().Decode(secret[:], []byte(token[IDLength+1:]))
	if err != nil || n != secretBytes {
		return "", hash, false
	}
	return token[:IDLength], sha256.Sum256(secret[:]), true
}

// SameHash compares in constant time.
func SameHash(a, b []byte) bool { return subtle.ConstantTimeCompare(a, b) == 1 }
