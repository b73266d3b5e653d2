// Package ticket makes the texts that a bearer carries from one step to the next: a
// log-in that waits for its second factor, the challenge of a passkey, a sign-up, an
// identity to be linked. They are sealed, or have a MAC, so that nothing is stored for
// them and a stranger fills no table by asking for many.
package ticket

import (
	"crypto/hmac"
	"crypto/sha256"
	"io"
	"strings"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/records"
	"github.com/snibdb/snib/internal/seal"
)

// sealed is what a kind of sealed text has in common.
type sealed struct {
	prefix       string
	space, field string // its place
	owner        string // an id that no user has: it binds a text to this file and its copies
	max          int    // bytes of text
}

// sealPrefix is before the id of the key in a sealed text, and not in a ticket.
const sealPrefix = "$sealed$"

// place does not tell the user: that is not known before the text is opened. Keys
// may be shared with another file, whose user has the same id.
func (s *sealed) place(tx *records.Tx) seal.Place {
	file := tx.Owner(s.owner)
	return seal.Place{Space: s.space, Key: string(file[:]), Field: s.field}
}

// seal seals a text under the current key.
func (s *sealed) seal(tx *records.Tx, plain string) (string, error) {
	key, err := tx.CurrentKey()
	if err != nil {
		return "", err
	}
	id, box, _ := strings.Cut(strings.TrimPrefix(key.Seal(s.place(tx), plain), sealPrefix), "$")
	return s.prefix + id + "." + box, nil
}

// open opens a text with the key that it names, and with no other.
func (s *sealed) open(tx *records.Tx, text string) (plain string, ok bool) {
	body, ok := strings.CutPrefix(text, s.prefix)
	id, box, found := strings.Cut(body, ".")
	if !ok || !found || len(text) > s.max {
		return "", false
	}
	key, err := tx.KeyOf(id)
	if err != nil {
		return "", false
	}
	plain, err = key.Open(s.place(tx), sealPrefix+id+"$"+box)
	return plain, err == nil
}

// Claim is a text for a role: nothing but a MAC over it. No user has the id that binds it
// to this file, as the key may be that of other stores too.
func Claim(tx *records.Tx, key []byte, role string) string {
	sum := mac(key, "snib claim", tx.Owner("\x00claim"), []byte(role))
	return "snclm_" + string(codec.AppendBase32(nil, sum))
}

// maxSigned is how many digits a text with a MAC has at most.
const maxSigned = 1024

// signed returns b behind its MAC, as digits.
func signed(key []byte, label string, owner codec.Owner, b []byte) string {
	return string(codec.AppendBase32(nil, append(mac(key, label, owner, b), b...)))
}

// decodeSigned returns the MAC and the bytes behind it, at least n. ok is false for a
// text of another form.
func decodeSigned(digits string, n int) (sum, b []byte, ok bool) {
	raw := make([]byte, min(len(digits), maxSigned)*5/8)
	if len(digits) > maxSigned || len(raw) < sha256.Size+n || !codec.DecodeBase32(raw, digits) {
		return nil, nil, false
	}
	return raw[:sha256.Size], raw[sha256.Size:], true
}

func mac(key []byte, label string, owner codec.Owner, b []byte) []byte {
	h := hmac.New(sha256.New, key)
	io.WriteString(h, label+"\x00")
	h.Write(owner[:])
	h.Write(b)
	return h.Sum(nil)
}
