// Package token makes and reads ids and tokens as text, and hashes the secrets
// of tokens.
package token

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/snibdb/snib/codec"
)

// The id of a user made here is userPrefix and 26 digits. The id of a record
// that belongs to a user is the prefix of its kind and the 32 digits of its
// key. A token is "sn", an id, ".", the secret and a checksum, so that scanners
// for leaked secrets find it by its beginning.
const (
	userPrefix  = "usr_"
	tokenPrefix = "sn"
	crcDigits   = 7 // of a CRC-32

	prefixBytes = 4
	idLength    = prefixBytes + codec.OwnedKeyDigits
	maxUserID   = 128 // bytes
)

// NewUserID returns an id for a new user: 48 bits of Unix milliseconds and 80
// random bits, the layout of a ULID and of a TypeID's suffix.
func NewUserID(now int64, random io.Reader) (string, error) {
	var b [16]byte
	if _, err := io.ReadFull(random, b[6:]); err != nil {
		return "", fmt.Errorf("reading random bytes: %w", err)
	}
	for i := range 6 {
		b[i] = byte(now >> (40 - 8*i))
	}
	text := append(make([]byte, 0, prefixBytes+26), userPrefix...)
	return string(codec.AppendBase32(text, b[:])), nil
}

// ValidUserID reports whether id could be a user's. One that could not is
// unknown, and is never looked up.
func ValidUserID(id string) bool {
	if len(id) < 1 || len(id) > maxUserID {
		return false
	}
	for _, c := range []byte(id) {
		if c <= ' ' || c > '~' {
			return false
		}
	}
	// A token given where an id belongs would be stored, and shown, as one.
	return !strings.HasPrefix(id, tokenPrefix) || !slices.ContainsFunc(all[:], func(k Kind) bool {
		return strings.HasPrefix(id[len(tokenPrefix):], k.Prefix)
	})
}

// A Kind of token: the prefix of its id, the number of secret bytes and the
// label under which they are hashed. A label keeps a hash of one kind from
// being of use as another's; label and secret fit one block of SHA-256.
type Kind struct {
	Prefix string
	Secret int // bytes
	Label  string
}

// The kinds.
var (
	Session = Kind{"ses_", 32, "snib/v1/session\x00"}
	Family  = Kind{"rft_", 16 + 32, "snib/v1/refresh\x00"}
	OneTime = Kind{"ott_", 32, "snib/v1/one-time\x00"}
	Event   = Kind{Prefix: "evt_"} // an id only
	Device  = Kind{"dev_", 32, "snib/v1/device\x00"}
	APIKey  = Kind{"key_", 32, "snib/v1/api-key\x00"}

	Invitation = Kind{"inv_", 32, "snib/v1/invitation\x00"}

	// Factor has ids only.
	Factor = Kind{Prefix: "fac_"}

	all = [...]Kind{Session, Family, OneTime, Device, APIKey, Factor, Invitation}
)

// FamilyLabel is for the part of a refresh token that stays through the
// family's life.
const FamilyLabel = "snib/v1/family\x00"

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// AppendID appends the public id of the record under key to dst.
func (k Kind) AppendID(dst []byte, key codec.OwnedKey) []byte {
	return key.AppendDigits(append(dst, k.Prefix...))
}

// ID returns the public id of the record under key.
func (k Kind) ID(key codec.OwnedKey) string {
	return string(k.AppendID(make([]byte, 0, idLength), key))
}

// ParseID is the inverse of ID. ok is false for all but the one spelling.
func (k Kind) ParseID(id string) (key codec.OwnedKey, ok bool) {
	if len(id) != idLength || id[:prefixBytes] != k.Prefix {
		return codec.OwnedKey{}, false
	}
	return codec.ParseOwnedKeyDigits(id[prefixBytes:])
}

// Format returns the text of the token of a record: "sn" id "." secret crc.
// The checksum is over all text before it and is no protection: it is for
// typing errors and for scanners.
func (k Kind) Format(key codec.OwnedKey, secret []byte) string {
	text := append(make([]byte, 0, k.length()), tokenPrefix...)
	text = append(k.AppendID(text, key), '.')
	text = codec.AppendBase32(text, secret)
	var crc [4]byte
	binary.BigEndian.PutUint32(crc[:], crc32.Checksum(text, castagnoli))
	return string(codec.AppendBase32(text, crc[:]))
}

// length is the one length that the text of such a token has.
func (k Kind) length() int {
	return len(tokenPrefix) + idLength + 1 + (k.Secret*8+4)/5 + crcDigits
}

// Parse takes a token apart: the key of its record, and the secret into
// secret, which must have k.Secret bytes. Anything but the one spelling of a
// token of this kind is refused, in time bounded by the length of a good one,
// before any lookup.
func (k Kind) Parse(token string, secret []byte) (key codec.OwnedKey, ok bool) {
	const idEnd = len(tokenPrefix) + idLength
	if len(token) != k.length() || token[:len(tokenPrefix)] != tokenPrefix || token[idEnd] != '.' {
		return codec.OwnedKey{}, false
	}
	secretEnd := len(token) - crcDigits
	var crc, want [4]byte
	key, ok = k.ParseID(token[len(tokenPrefix):idEnd])
	if !ok || !codec.DecodeBase32(secret, token[idEnd+1:secretEnd]) || !codec.DecodeBase32(crc[:], token[secretEnd:]) {
		return codec.OwnedKey{}, false
	}
	binary.BigEndian.PutUint32(want[:], checksum(token[:secretEnd]))
	return key, crc == want
}

// checksum returns the CRC-32C of text. It takes a buffer for that from a
// pool, because crc32 wants bytes and lets them escape.
func checksum(text string) uint32 {
	buf := buffers.Get().(*[]byte)
	*buf = append((*buf)[:0], text...)
	crc := crc32.Checksum(*buf, castagnoli)
	clear(*buf) // the text is a secret
	buffers.Put(buf)
	return crc
}

var buffers = sync.Pool{New: func() any { return new([]byte) }}

// Hash returns the stored form of a secret: SHA-256(label ‖ secret). The
// secrets are 256 random bits, so a plain hash is enough: there is nothing to
// guess.
func (k Kind) Hash(secret []byte) [32]byte { return Hash(k.Label, secret) }

// Hash returns SHA-256(label ‖ secret).
func Hash(label string, secret []byte) [32]byte {
	var block [64]byte
	n := copy(block[:], label)
	n += copy(block[n:], secret)
	return sha256.Sum256(block[:n])
}

// Equal compares hashes of secrets in constant time.
func Equal(a, b [32]byte) bool { return subtle.ConstantTimeCompare(a[:], b[:]) == 1 }

// IsSet reports whether there is a hash; an absent one is all zero.
func IsSet(h [32]byte) bool { return h != [32]byte{} }

// NewSecret draws the 32 bytes of a secret.
func NewSecret(random io.Reader) (b [32]byte, err error) {
	if _, err = io.ReadFull(random, b[:]); err != nil {
		err = fmt.Errorf("reading random bytes: %w", err)
	}
	return b, err
}
