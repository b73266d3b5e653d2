package ticket

import (
	"encoding/binary"

	"github.com/snibdb/snib/internal/records"
)

// challengeLife is how long a challenge may be answered, in milliseconds: the
// longest time-out that WebAuthn (15.1) recommends.
const challengeLife = 10 * 60_000

const challengeFixed = 1 + 4 + 8 + 8

// challenges are signed by authenticators. Nobody makes one for another user or
// purpose.
var challenges = sealed{prefix: "snpkc_", space: "passkey", field: "challenge", owner: "\x00passkey", max: 1 << 10}

// SealChallenge makes the n-th challenge of this handle, for a user; "" is for any.
func SealChallenge(tx *records.Tx, purpose byte, user string, n uint32) (string, error) {
	b := binary.BigEndian.AppendUint32([]byte{purpose}, tx.State.Epoch)
	b = binary.BigEndian.AppendUint64(b, uint64(tx.Now+challengeLife))
	b = binary.BigEndian.AppendUint64(b, records.ChallengeNumber(tx.Now, n))
	return challenges.seal(tx, string(append(b, user...)))
}

// OpenChallenge returns the number of the live challenge of a text for a purpose and
// a user, or with anyone for any user. ok is false for all other texts.
func OpenChallenge(tx *records.Tx, text string, purpose byte, user string, anyone bool) (number uint64, ok bool) {
	plain, ok := challenges.open(tx, text)
	if !ok || len(plain) < challengeFixed {
		return 0, false
	}
	b, of := []byte(plain), plain[challengeFixed:]
	switch {
	case b[0] != purpose, binary.BigEndian.Uint32(b[1:]) != tx.State.Epoch, tx.Now >= int64(binary.BigEndian.Uint64(b[5:])),
		of != user && (of != "" || !anyone):
		return 0, false
	}
	return binary.BigEndian.Uint64(b[13:]), true
}
