package ticket

import (
	"crypto/hmac"
	"encoding/binary"
	"strings"

	"github.com/snibdb/snib/internal/records"
)

const (
	linkPrefix = "snlnk_"
	linkLabel  = "snib link"
)

// linkLife is how long an identity may take to be linked, in milliseconds.
const linkLife = 10 * 60_000

// Link is a text that OpenLink takes for this user: a deadline, the identity, and a
// MAC over them and the user.
func Link(tx *records.Tx, key []byte, user, provider, subject string) string {
	b := binary.BigEndian.AppendUint64(nil, uint64(tx.Now+linkLife))
	b = append(b, provider+"\x00"+subject...)
	return linkPrefix + signed(key, linkLabel, tx.Owner(user), b)
}

// OpenLink returns the identity in a text. ok is false for one that is malformed,
// expired, or of another user.
func OpenLink(tx *records.Tx, key []byte, user, text string) (provider, subject string, ok bool) {
	digits, ok := strings.CutPrefix(text, linkPrefix)
	if !ok {
		return "", "", false
	}
	sum, b, ok := decodeSigned(digits, 8)
	if !ok || !hmac.Equal(sum, mac(key, linkLabel, tx.Owner(user), b)) || tx.Now >= int64(binary.BigEndian.Uint64(b)) {
		return "", "", false
	}
	return strings.Cut(string(b[8:]), "\x00")
}
