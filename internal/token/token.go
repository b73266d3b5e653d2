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
	"sync"
)

// Prefixes of the ids made here. A token is "sn", its id, ".", the secret and
// a checksum, so that scanners for leaked secrets find it by its beginning.
const (
	User    = "usr_"
	Session = "ses_"
	Family  = "rft_"
	OneTime = "ott_"

	IDLength    = 4 + 26
	tokenPrefix = "sn"
	crcLength   = 7 // base 32 digits of a CRC-32
)

// digits is Crockford's base 32 in lower case. It keeps byte order, so that
// ids sort by the time they were made.
const digits = "0123456789abcdefghjkmnpqrstvwxyz"

// digitValues is the inverse of digits; 0xff for everything else, upper case
// and Crockford's aliases included: a token has one spelling.
var digitValues = func() (v [256]byte) {
	for i := range v {
		v[i] = 0xff
	}
	for i, d := range []byte(digits) {
		v[d] = byte(i)
	}
	return v
}()

// appendBase32 appends src in base 32, most significant bit first; the spare
// bits of the last digit are zero.
func appendBase32(dst, src []byte) []byte {
	var bits, n uint
	for _, b := range src {
		bits, n = bits<<8|uint(b), n+8
		for n >= 5 {
			n -= 5
			dst = append(dst, digits[bits>>n&31])
		}
	}
	if n > 0 {
		dst = append(dst, digits[bits<<(5-n)&31])
	}
	return dst
}

// decodeBase32 fills dst from text, which must have exactly the digits that
// dst needs, with the spare bits zero.
func decodeBase32(dst []byte, text string) bool {
	var all byte // the digits' values or-ed: above 31 if one was none
	for ; len(text) >= 8 && len(dst) >= 5; text, dst = text[8:], dst[5:] {
		var bits uint64
		for i := range 8 { // eight digits are five bytes
			v := digitValues[text[i]]
			all |= v
			bits = bits<<5 | uint64(v)
		}
		dst[0], dst[1], dst[2], dst[3], dst[4] =
			byte(bits>>32), byte(bits>>24), byte(bits>>16), byte(bits>>8), byte(bits)
	}
	var bits, n uint
	for i := range len(text) {
		v := digitValues[text[i]]
		all |= v
		bits, n = bits<<5|uint(v), n+5
		if n >= 8 {
			n -= 8
			dst[0], dst = byte(bits>>n), dst[1:]
		}
	}
	return all < 32 && bits&(1<<n-1) == 0
}

// NewID returns prefix and 26 digits: 48 bits of Unix milliseconds and 80
// random bits, the layout of a ULID and of a TypeID's suffix.
func NewID(prefix string, now int64, random io.Reader) (string, error) {
	var b [16]byte
	if _, err := io.ReadFull(random, b[6:]); err != nil {
		return "", fmt.Errorf("reading random bytes: %w", err)
	}
	for i := range 6 {
		b[i] = byte(now >> (40 - 8*i))
	}
	text := make([]byte, 0, IDLength)
	text = append(text, prefix...)
	text = appendBase32(text, b[:])
	return string(text), nil
}

// ValidUserID reports whether id could be a user's. One that could not is
// unknown, and is never looked up.
func ValidUserID(id string) bool {
	if len(id) < 1 || len(id) > 64 {
		return false
	}
	for _, c := range []byte(id) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '_', c == '.', c == ':', c == '-':
		default:
			return false
		}
	}
	return true
}

// ValidID reports whether id could be one made by NewID(prefix, …).
func ValidID(prefix, id string) bool {
	if len(id) != IDLength || id[:len(prefix)] != prefix {
		return false
	}
	var all byte // as in decodeBase32
	for _, c := range []byte(id[len(prefix):]) {
		all |= digitValues[c]
	}
	return all < 32
}

// A Kind of token: its id's prefix, the number of secret bytes and the label
// under which they are hashed. A label keeps a hash of one kind from being of
// use as another's; label and secret fit one block of SHA-256.
type Kind struct {
	Prefix string
	Secret int // bytes
	Label  string
}

// The kinds.
var (
	OfSession = Kind{Session, 32, "snib/v1/session\x00"}
	OfFamily  = Kind{Family, 16 + 32, "snib/v1/refresh\x00"}
	OfOneTime = Kind{OneTime, 32, "snib/v1/one-time\x00"}
)

// FamilyLabel is for the part of a refresh token that stays through the
// family's life.
const FamilyLabel = "snib/v1/family\x00"

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Format returns the text of the token of id: "sn" id "." secret crc. The
// checksum is over all text before it and is no protection: it is for typing
// errors and for scanners.
func (k Kind) Format(id string, secret []byte) string {
	text := make([]byte, 0, k.Length())
	text = append(text, tokenPrefix...)
	text = append(text, id...)
	text = append(text, '.')
	text = appendBase32(text, secret)
	var crc [4]byte
	binary.BigEndian.PutUint32(crc[:], crc32.Checksum(text, castagnoli))
	return string(appendBase32(text, crc[:]))
}

// Length is the one length that the text of such a token has.
func (k Kind) Length() int {
	return len(tokenPrefix) + IDLength + 1 + (k.Secret*8+4)/5 + crcLength
}

// Parse takes a token apart: its id, which shares the token's memory, and the
// secret into secret, which must have k.Secret bytes. Anything but the one
// spelling of a token of this kind is refused, in time bounded by the length
// of a good one, before any look-up.
func (k Kind) Parse(token string, secret []byte) (id string, ok bool) {
	if len(token) != k.Length() || token[:len(tokenPrefix)] != tokenPrefix {
		return "", false
	}
	id, rest := token[len(tokenPrefix):len(tokenPrefix)+IDLength], token[len(tokenPrefix)+IDLength:]
	digitsEnd := len(rest) - crcLength
	var crc, want [4]byte
	if rest[0] != '.' || !ValidID(k.Prefix, id) ||
		!decodeBase32(secret, rest[1:digitsEnd]) || !decodeBase32(crc[:], rest[digitsEnd:]) {
		return "", false
	}
	binary.BigEndian.PutUint32(want[:], checksum(token[:len(token)-crcLength]))
	return id, crc == want
}

// checksum returns the CRC-32C of text. It takes a buffer for that from a
// pool, because crc32 wants bytes and lets them escape.
func checksum(text string) uint32 {
	buf := spareText.Get().(*[]byte)
	*buf = append((*buf)[:0], text...)
	crc := crc32.Checksum(*buf, castagnoli)
	clear(*buf) // the text is a secret
	spareText.Put(buf)
	return crc
}

var spareText = sync.Pool{New: func() any { return new([]byte) }}

// Hash returns what is stored of a secret: SHA-256(label ‖ secret). The
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
