package ticket

import (
	"crypto/hmac"
	"encoding/binary"
	"errors"
	"strings"

	"github.com/snibdb/snib/internal/records"
	"github.com/snibdb/snib/internal/seal"
)

const (
	signUpPrefix = "snsup_"
	signUpLabel  = "snib sign-up"
	signUpOwner  = "\x00sign-up" // no user has such an id: it binds a text to this file and its copies, as keys may be shared with another one
	signUpFixed  = 8 + 4
)

// SignUp is a text that OpenSignUp takes: the id of a key, a MAC, a deadline, the
// epoch of the file and an identity. The key is the current one, or in a program
// without keys that of the process.
func SignUp(tx *records.Tx, process []byte, provider, identifier string, until int64) (string, error) {
	id, key := "", process
	if tx.Ring != nil {
		current, err := tx.CurrentKey()
		if err != nil {
			return "", err
		}
		id, key = current.ID(), signUpKey(current)
	}
	b := binary.BigEndian.AppendUint64(nil, uint64(until))
	b = binary.BigEndian.AppendUint32(b, tx.State.Epoch)
	b = append(b, provider+"\x00"+identifier...)
	return signUpPrefix + id + "." + signed(key, signUpLabel, tx.Owner(signUpOwner), b), nil
}

func signUpKey(k seal.Key) []byte {
	key := k.Subkey(seal.LabelSignUp)
	return key[:]
}

// OpenSignUp opens a text with the key that it names, and with no other.
// ErrInvalidOneTimeToken; ErrNoKey for a key of the file that is not given.
func OpenSignUp(tx *records.Tx, process []byte, text string) (provider, identifier string, err error) {
	body, ok := strings.CutPrefix(text, signUpPrefix)
	id, digits, found := strings.Cut(body, ".")
	if !ok || !found {
		return "", "", records.ErrInvalidOneTimeToken
	}
	sum, b, ok := decodeSigned(digits, signUpFixed)
	if !ok {
		return "", "", records.ErrInvalidOneTimeToken
	}
	key := process
	if id != "" {
		named, err := tx.KeyOf(id)
		switch {
		case errors.Is(err, records.ErrNoKey) && tx.Ring != nil:
			return "", "", err
		case err != nil:
			return "", "", records.ErrInvalidOneTimeToken // retired, or never of this file
		}
		key = signUpKey(named)
	}
	until, epoch := int64(binary.BigEndian.Uint64(b)), binary.BigEndian.Uint32(b[8:])
	provider, identifier, ok = strings.Cut(string(b[signUpFixed:]), "\x00")
	if !hmac.Equal(sum, mac(key, signUpLabel, tx.Owner(signUpOwner), b)) || !ok || tx.Now >= until || epoch != tx.State.Epoch {
		return "", "", records.ErrInvalidOneTimeToken
	}
	return provider, identifier, nil
}
