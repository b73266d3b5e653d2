package codec

import (
	"bytes"
	"encoding/binary"
)

// OneTimeToken is a record of the space one_time_tokens. Times are Unix
// milliseconds; see [MaxOffset]. The package gives fields no meaning.
//
//	offset  9  c4 32
//	       11    32 bytes  SecretHash
//	       43    uint32    Epoch
//	       47    uint8     Flags
//	       48    5, after  ExpiresAt
//	       53    uint64    CredentialVersion
//	       61  c4 10 + 16, or text: UserID
//	           text: Purpose
//	           c4 + n: Data
type OneTimeToken struct {
	Key               OwnedKey // not in the value; its time is that of the creation
	UserID            string
	Purpose           string
	SecretHash        [32]byte // of the token's secret
	Epoch             uint32   // epoch of the file when the token was made
	Flags             uint8    // no flag is defined; kept
	ExpiresAt         int64
	CredentialVersion uint64 // of the user when the token was made
	Data              []byte // the application's, opaque; nil without data
}

const (
	offOneTimeExpires = offOwn
	offOneTimeVersion = offOneTimeExpires + offsetBytes
	offOneTimeUser    = offOneTimeVersion + 8
)

// SpaceOneTime is the space of one-time tokens, under an [OwnedKey] each.
const SpaceOneTime = "one_time_tokens"

var oneTimeLayout = layout{seed(SpaceOneTime), ownVersion, 4}

// Append appends the value of r to dst.
func (r *OneTimeToken) Append(dst []byte) []byte {
	dst = grow(dst, offOneTimeUser+len(r.UserID)+len(r.Purpose)+len(r.Data)+2*OwnedKeyBytes)
	start := len(dst)
	dst = appendOwned(dst, oneTimeLayout, offOneTimeUser, &r.SecretHash, r.Epoch, r.Flags)
	dst = appendAfter(dst, r.Key.Time(), r.ExpiresAt)
	dst = binary.BigEndian.AppendUint64(dst, r.CredentialVersion)
	dst = appendUser(dst, r.UserID)
	dst = appendText(dst, r.Purpose)
	dst = appendBinary(dst, r.Data)
	return seal(dst, start, oneTimeLayout, r.Key[:])
}

// OneTimeView reads the fields of a one-time token in place, without an
// allocation. It shares the memory of the value, and is of use only as long as
// that is.
type OneTimeView struct {
	ownedView
	purpose, data span
}

// ViewOneTimeToken verifies the whole record under a key: after it, nothing
// that the view returns can fail. Errors are ErrCorrupt and ErrNewer.
func ViewOneTimeToken(key, value []byte) (OneTimeView, error) {
	v, r, extra, err := openOwned(oneTimeLayout, key, value, offOneTimeUser)
	if err != nil {
		return OneTimeView{}, err
	}
	purpose, data := r.text(), r.binary()
	if !r.finish(extra) {
		return OneTimeView{}, errStructure
	}
	return OneTimeView{v, purpose, data}, nil
}

// SecretHash returns [OneTimeToken].SecretHash, to be compared in constant
// time.
func (v *OneTimeView) SecretHash() [32]byte { return v.hash() }

// ExpiresAt returns [OneTimeToken].ExpiresAt.
func (v *OneTimeView) ExpiresAt() int64 { return v.after(offOneTimeExpires) }

// CredentialVersion returns [OneTimeToken].CredentialVersion.
func (v *OneTimeView) CredentialVersion() uint64 {
	return binary.BigEndian.Uint64(v.value[offOneTimeVersion:])
}

// IsPurpose reports whether the token has that purpose.
func (v *OneTimeView) IsPurpose(purpose string) bool {
	return string(v.value[v.purpose.from:v.purpose.to]) == purpose
}

// Decode fills o with all fields, in one allocation, and another if there is
// Data. They are copies.
func (v *OneTimeView) Decode(o *OneTimeToken) {
	user, purpose, _ := v.strings(v.purpose, span{})
	*o = OneTimeToken{
		Key:               v.key,
		UserID:            user,
		Purpose:           purpose,
		SecretHash:        v.hash(),
		Epoch:             v.Epoch(),
		Flags:             v.Flags(),
		ExpiresAt:         v.ExpiresAt(),
		CredentialVersion: v.CredentialVersion(),
	}
	if v.data.from < v.data.to {
		o.Data = bytes.Clone(v.value[v.data.from:v.data.to])
	}
}

// DecodeOneTimeToken decodes the value of a one-time token, in one allocation,
// and another if there is data. Errors are ErrCorrupt and ErrNewer.
func DecodeOneTimeToken(key, value []byte) (o OneTimeToken, err error) {
	v, err := ViewOneTimeToken(key, value)
	if err == nil {
		v.Decode(&o)
	}
	return o, err
}
