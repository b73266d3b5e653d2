// Package seal encrypts single values of records under keys that the program
// keeps apart from the file: XChaCha20-Poly1305, with the place of the value as
// associated data, so that a value moved to another record, field or user does
// not open.
//
// A sealed value names its key. It is opened with that key or with none: the
// cipher does not commit to its key, so trying one key after another could open
// a forgery.
package seal

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"

	"golang.org/x/crypto/chacha20poly1305"
)

// Size is the length of a secret and of every key derived from it, in bytes.
const Size = 32

// Labels of subkeys. A label is never used for two purposes.
const (
	labelSeal   = "snib/v1/seal"
	labelCanary = "snib/v1/canary"

	LabelRefresh = "snib/v1/refresh-successor" // successors of refresh tokens
)

// Errors of keys and sealed values. No text contains a value or a secret.
var (
	ErrMalformed = errors.New("sealed value is malformed")
	ErrForged    = errors.New("sealed value does not open in its place")
)

// aead is the part of cipher.AEAD that is used. Only New names a cipher, so a
// program that makes no key does not link one.
type aead interface {
	Seal(dst, nonce, plaintext, additionalData []byte) []byte
	Open(dst, nonce, ciphertext, additionalData []byte) ([]byte, error)
}

// A Key is a secret and the id by which sealed values name it. It is safe for
// concurrent use and prints as REDACTED.
type Key struct {
	id     string
	secret [Size]byte
	box    aead
}

// ValidID reports whether id can name a key: 1–32 of [a-z0-9_-].
func ValidID(id string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789_-"
	return id != "" && len(id) <= 32 && strings.Trim(id, letters) == ""
}

// New returns a key. The id must be valid; the secret has 32 bytes that are
// random, not a text. An error is a phrase that follows the name of the field.
func New(id string, secret []byte) (*Key, error) {
	k := &Key{id: id}
	copy(k.secret[:], secret)
	switch {
	case !ValidID(id):
		return nil, errors.New("must have an id of 1–32 of [a-z0-9_-]")
	case len(secret) != Size:
		return nil, errors.New("must have a secret of 32 bytes")
	case k.secret == [Size]byte{}:
		return nil, errors.New("must have a secret that is not all zero")
	}
	subkey := k.Subkey(labelSeal)
	var err error
	k.box, err = chacha20poly1305.NewX(subkey[:])
	return k, err
}

// Format implements fmt.Formatter: REDACTED for every verb.
func (k *Key) Format(f fmt.State, _ rune) { io.WriteString(f, "REDACTED") }

// ID names the key.
func (k *Key) ID() string { return k.id }

// Subkey derives 32 bytes from the secret by HKDF-SHA256 with a label as info.
// Without the secret, subkeys of two labels tell nothing of each other.
func (k *Key) Subkey(label string) (out [Size]byte) {
	derived, err := hkdf.Key(sha256.New, k.secret[:], nil, label, Size)
	if err != nil {
		panic(err) // unreachable: the length is within the bounds of HKDF
	}
	copy(out[:], derived)
	return out
}

// Canary is a value by which the key is known again, to be stored in clear.
func (k *Key) Canary() [Size]byte { return k.Subkey(labelCanary + "\x00" + k.id) }

// Made reports whether canary is that of k, in constant time.
func (k *Key) Made(canary [Size]byte) bool {
	own := k.Canary()
	return subtle.ConstantTimeCompare(own[:], canary[:]) == 1
}

// A Place is where a sealed value lies.
type Place struct {
	Space string // as in docs/FORMAT.md
	Key   string // of the record
	Field string // of the record
	User  string // whose it is
}

// associated is the data that a sealed value is bound to: label, then each part
// behind its length, so that no two places have the same bytes.
func (k *Key) associated(p Place) []byte {
	out := []byte("snib/v1/sealed")
	for _, part := range []string{k.id, p.Space, p.Key, p.Field, p.User} {
		out = binary.BigEndian.AppendUint32(out, uint32(len(part)))
		out = append(out, part...)
	}
	return out
}

// Seal returns plain as a sealed value for one place. Its nonce of 24 bytes is
// always of crypto/rand, so a key may seal any number of values.
func (k *Key) Seal(p Place, plain string) string {
	box := make([]byte, nonceSize, nonceSize+len(plain)+tagSize)
	rand.Read(box) // never fails
	return format(k.id, k.box.Seal(box, box, []byte(plain), k.associated(p)))
}

// Open returns the text that was sealed under k for one place. ErrMalformed;
// ErrForged if it was sealed under another key, for another place or not at all.
func (k *Key) Open(p Place, sealed string) (string, error) {
	id, box, err := parse(sealed)
	switch {
	case err != nil:
		return "", err
	case id != k.id:
		return "", ErrForged
	}
	plain, err := k.box.Open(nil, box[:nonceSize], box[nonceSize:], k.associated(p))
	if err != nil {
		return "", ErrForged
	}
	return string(plain), nil
}
