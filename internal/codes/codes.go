// Package codes draws and compares the digits that are mailed to prove an address,
// and the handles without which they are worth nothing. A code is a one-time token in
// the file, with an HMAC of the digits under its handle.
package codes

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"time"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/clock"
	"github.com/snibdb/snib/internal/records"
	"github.com/snibdb/snib/internal/token"
)

const (
	life       = 10 * time.Minute
	maxTries   = 5
	digitRange = 100_000_000 // 8 digits

	maskPurpose = "snib:code:" // before what a mask is derived from

	tried = sha256.Size // where the wrong tries are in Data, behind the sum
)

// A Drawn code is not in the file yet.
type Drawn struct {
	Handle, Digits string
	ExpiresAt      int64 // Unix milliseconds

	key    codec.OwnedKey
	secret []byte
	sum    []byte
}

// Draw draws a code for a user. The id may be "": then it opens nothing. All that is
// slow is done here, so that the time does not tell whether there is a user.
func Draw(tx *records.Tx, user string) (d Drawn, err error) {
	if d.key, err = tx.NewKey(records.OneTimeTokens, user); err != nil {
		return d, err
	}
	secret, err := token.NewSecret(tx.Rand)
	if err != nil {
		return d, err
	}
	d.secret = secret[:]
	if d.Digits, err = drawDigits(tx.Rand); err != nil {
		return d, err
	}
	d.ExpiresAt, d.sum = clock.After(tx.Now, life), sum(d.secret, d.Digits)
	d.Handle = token.OneTime.Format(masked(tx, d.key, d.secret), d.secret)
	return d, nil
}

// Record is the record of a code of u.
func (d *Drawn) Record(tx *records.Tx, u *codec.User, purpose string) codec.OneTimeToken {
	return codec.OneTimeToken{
		Key: d.key, UserID: u.ID, Purpose: purpose, SecretHash: token.OneTime.Hash(d.secret),
		Epoch: tx.State.Epoch, ExpiresAt: d.ExpiresAt, CredentialVersion: u.CredentialVersion, Data: append(d.sum, 0),
	}
}

// Parse returns the key of the record of a handle, and the secret of the handle. ok
// is false for a text that is no handle.
func Parse(tx *records.Tx, handle string) (key codec.OwnedKey, secret []byte, ok bool) {
	secret = make([]byte, 32)
	if key, ok = token.OneTime.Parse(handle, secret); !ok {
		return key, nil, false
	}
	return masked(tx, key, secret), secret, true
}

// Is reports whether a one-time token can be a code.
func Is(t *codec.OneTimeToken) bool { return len(t.Data) > tried }

// Right compares digits with those of a code.
func Right(t *codec.OneTimeToken, secret []byte, digits string) bool {
	return hmac.Equal(sum(secret, digits), t.Data[:tried])
}

// Missed counts a wrong try in the record, which ends with the last one.
func Missed(tx *records.Tx, t *codec.OneTimeToken) error {
	if t.Data[tried]++; t.Data[tried] >= maxTries {
		return tx.DeleteOwned(records.OneTimeTokens, t.Key)
	}
	return tx.PutOwned(records.OneTimeTokens, t.Key, t.Append(nil))
}

// masked hides a key in a handle, and finds it again: two handles of one user
// have nothing in common that a stranger with both could see.
func masked(tx *records.Tx, key codec.OwnedKey, secret []byte) codec.OwnedKey {
	mask := sha256.Sum256(secret)
	owner := tx.Owner(maskPurpose + string(mask[:]))
	more := tx.Owner(maskPurpose + "id" + string(mask[:]))
	for i := range owner {
		key[i] ^= owner[i]
		key[len(owner)+i] ^= more[i]
	}
	return key
}

func drawDigits(random io.Reader) (string, error) {
	var b [4]byte
	for {
		if _, err := io.ReadFull(random, b[:]); err != nil {
			return "", fmt.Errorf("reading random bytes: %w", err)
		}
		if n := binary.BigEndian.Uint32(b[:]); n < 42*digitRange { // else the low codes were likelier
			return fmt.Sprintf("%08d", n%digitRange), nil
		}
	}
}

func sum(secret []byte, digits string) []byte {
	h := hmac.New(sha256.New, secret)
	io.WriteString(h, digits)
	return h.Sum(nil)
}
