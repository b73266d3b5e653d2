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
	LabelSignUp  = "snib/v1/sign-up"           // MAC of the tokens of strangers
	LabelTexts   = "snib/v1/texts"             // texts that are verified without a record
)

// Errors of keys and sealed values. No text contains a value or a secret.
var (
	ErrMalformed = errors.New("sealed value is malformed")
	ErrForged    = errors.New("sealed value does not open in its place")
)

// A Key is a secret and the id by which sealed values name it. It is safe for
// concurrent use and prints as REDACTED. It is an interface so that a program
// which makes no key links no cipher.
type Key interface {
	// ID names the key.
	ID() string

	// Subkey derives 32 bytes from the secret by HKDF-SHA256 with a label as
	// info. Without the secret, subkeys of two labels tell nothing of each
	// other.
	Subkey(label string) [Size]byte

	// Canary is a value by which the key is known again, to be stored in clear.
	Canary() [Size]byte

	// Made reports whether canary is that of this key, in constant time.
	Made(canary [Size]byte) bool

	// Seal returns plain as a sealed value for one place. Its nonce of 24 bytes
	// is always of crypto/rand, so a key may seal any number of values.
	Seal(p Place, plain string) string

	// Open returns the text that was sealed under this key for one place.
	// ErrMalformed; ErrForged if it was sealed under another key, for another
	// place or not at all.
	Open(p Place, sealed string) (string, error)

	// Line is the content of a file for the key, as ParseLine reads it.
	Line() []byte
}

// A Place is where a sealed value lies.
type Place struct {
	Space string // as in docs/FORMAT.md
	Key   string // of the record
	Field string // of the record
	User  string // whose it is
}

// secretKey is the one Key.
type secretKey struct {
	id     string
	secret [Size]byte
	box    aead
}

// aead is the part of cipher.AEAD that is used.
type aead interface {
	Seal(dst, nonce, plaintext, additionalData []byte) []byte
	Open(dst, nonce, ciphertext, additionalData []byte) ([]byte, error)
}

// ValidID reports whether id can name a key: 1–32 of [a-z0-9_-].
func ValidID(id string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789_-"
	return id != "" && len(id) <= 32 && strings.Trim(id, letters) == ""
}

// New returns a key. The id must be valid; the secret has 32 bytes that are
// random, not a text. An error is a phrase that follows the name of the field.
func New(id string, secret []byte) (Key, error) {
	k := &secretKey{id: id}
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
	if k.box, err = chacha20poly1305.NewX(subkey[:]); err != nil {
		return nil, err
	}
	return k, nil
}

// Format implements fmt.Formatter: REDACTED for every verb.
func (k *secretKey) Format(f fmt.State, _ rune) { io.WriteString(f, "REDACTED") }

func (k *secretKey) ID() string { return k.id }

func (k *secretKey) Subkey(label string) (out [Size]byte) {
	derived, err := hkdf.Key(sha256.New, k.secret[:], nil, label, Size)
	if err != nil {
		panic(err) // unreachable: the length is within the bounds of HKDF
	}
	copy(out[:], derived)
	return out
}

func (k *secretKey) Canary() [Size]byte { return k.Subkey(labelCanary + "\x00" + k.id) }

func (k *secretKey) Made(canary [Size]byte) bool {
	own := k.Canary()
	return subtle.ConstantTimeCompare(own[:], canary[:]) == 1
}

// associated is the data that a sealed value is bound to: label, then each part
// behind its length, so that no two places have the same bytes.
func (k *secretKey) associated(p Place) []byte {
	out := []byte("snib/v1/sealed")
	for _, part := range []string{k.id, p.Space, p.Key, p.Field, p.User} {
		out = binary.BigEndian.AppendUint32(out, uint32(len(part)))
		out = append(out, part...)
	}
	return out
}

func (k *secretKey) Seal(p Place, plain string) string {
	box := make([]byte, nonceSize, nonceSize+len(plain)+tagSize)
	rand.Read(box) // never fails
	return format(k.id, k.box.Seal(box, box, []byte(plain), k.associated(p)))
}

func (k *secretKey) Open(p Place, sealed string) (string, error) {
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
