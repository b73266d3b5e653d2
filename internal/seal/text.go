package seal

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"
)

// A sealed value is text:
//
//	$sealed$ key id $ base64url of: 24 bytes nonce, ciphertext, 16 bytes tag
const (
	prefix    = "$sealed$"
	nonceSize = 24
	tagSize   = 16
)

// Sealed reports whether a stored text is a sealed value, well-formed or not.
// No password hash begins like one.
func Sealed(text string) bool { return strings.HasPrefix(text, prefix) }

// Under reports whether a sealed value, well-formed or not, names the key id.
func Under(sealed, id string) bool { return strings.HasPrefix(sealed, prefix+id+"$") }

// ID returns the id of the key that a sealed value names; ErrMalformed.
func ID(sealed string) (string, error) {
	id, _, err := parse(sealed)
	return id, err
}

func format(id string, box []byte) string {
	return prefix + id + "$" + base64.RawURLEncoding.EncodeToString(box)
}

// parse takes a sealed value apart. Every value has one text.
func parse(sealed string) (id string, box []byte, err error) {
	rest, ok := strings.CutPrefix(sealed, prefix)
	id, digits, found := strings.Cut(rest, "$")
	// The decoder skips line ends.
	if !ok || !found || !ValidID(id) || strings.ContainsAny(digits, "\r\n") {
		return "", nil, ErrMalformed
	}
	if box, err = base64.RawURLEncoding.Strict().DecodeString(digits); err != nil || len(box) < nonceSize+tagSize {
		return "", nil, ErrMalformed
	}
	return id, box, nil
}

// A key file is one line: "snib-key", a space, the key id, a space and 64
// hexadecimal digits in lower case.
const filePrefix = "snib-key "

func (k *secretKey) Line() []byte {
	return []byte(filePrefix + k.id + " " + hex.EncodeToString(k.secret[:]) + "\n")
}

// ParseLine returns the key that Line has written. The newline at the end may
// be missing.
func ParseLine(content []byte) (Key, error) {
	text, ok := strings.CutPrefix(strings.TrimSuffix(string(content), "\n"), filePrefix)
	id, digits, found := strings.Cut(text, " ")
	secret, err := hex.DecodeString(digits)
	if !ok || !found || err != nil || digits != strings.ToLower(digits) {
		return nil, errors.New("is not a key file")
	}
	return New(id, secret)
}
