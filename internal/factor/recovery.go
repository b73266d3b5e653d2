package factor

import (
	"fmt"
	"io"
	"strings"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/token"
)

// Sizes of recovery codes. 120 bits are not guessed, so that a plain hash is
// enough and wrong ones need no count (NIST SP 800-63B-4, 3.1.2.2).
const (
	RecoveryCodes = 10 // in a list
	recoveryBytes = 15 // of a code
	digits        = recoveryBytes * 8 / 5
	group         = 4 // digits
)

const recoveryLabel = "snib/v1/recovery\x00"

// A Recovery is one recovery code.
type Recovery [recoveryBytes]byte

// NewRecovery draws a recovery code.
func NewRecovery(random io.Reader) (c Recovery, err error) {
	if _, err = io.ReadFull(random, c[:]); err != nil {
		err = fmt.Errorf("reading random bytes: %w", err)
	}
	return c, err
}

// Text is the code for its owner: six groups of four digits of Crockford's base
// 32.
func (c Recovery) Text() string {
	text := string(codec.AppendBase32(nil, c[:]))
	var b strings.Builder
	for i := 0; i < len(text); i += group {
		if i > 0 {
			b.WriteByte('-')
		}
		b.WriteString(text[i : i+group])
	}
	return b.String()
}

// Hash is the stored form of the code.
func (c Recovery) Hash() [32]byte { return token.Hash(recoveryLabel, c[:]) }

// ParseRecovery reads a code: upper and lower case, blanks and hyphens anywhere,
// o for 0 and i or l for 1, which are no digits.
func ParseRecovery(text string) (c Recovery, ok bool) {
	text, ok = squeeze(text)
	if !ok || len(text) != digits {
		return Recovery{}, false
	}
	text = strings.NewReplacer("o", "0", "i", "1", "l", "1").Replace(strings.ToLower(text))
	if len(text) != digits || !codec.DecodeBase32(c[:], text) {
		return Recovery{}, false
	}
	return c, true
}
