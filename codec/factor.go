package codec

import (
	"bytes"
	"encoding/binary"
)

// Factor is a record of the space factors. Times are Unix milliseconds; see
// [MaxOffset]. The package gives fields no meaning.
//
//	offset  9  c4 38
//	       11    32 bytes  Hash
//	       43    uint32    Epoch
//	       47    uint8     Flags
//	       48    uint8     Type
//	       49    uint64    Counter
//	       57    5, after  ExpiresAt
//	       62    5, after  UsedAt
//	       67  c4 10 + 16, or text: UserID
//	           text: Name
//	           text: Secret
//	           c4 + n: Codes
//	           c4 + n: Passkey, if there is one
type Factor struct {
	Key       OwnedKey // not in the value; its time is that of the creation
	UserID    string
	Hash      [32]byte // zero, or of what a factor of this type is found by
	Epoch     uint32   // epoch of the file when the factor was made
	Flags     uint8    // no flag is defined; kept
	Type      uint8    // given no meaning here
	Counter   uint64   // rises with each use
	ExpiresAt int64    // Never, or when it stops waiting to be confirmed
	UsedAt    int64    // the last time; that of the creation: never
	Name      string   // the user's
	Secret    string   // sealed; "" if the type has none
	Codes     []byte   // hashes of 32 bytes, one after the other; nil without
	Passkey   []byte   // as [Passkey] made them; nil without
}

const (
	offFactorType    = offOwn
	offFactorCounter = offFactorType + 1
	offFactorExpires = offFactorCounter + 8
	offFactorUsed    = offFactorExpires + offsetBytes
	offFactorUser    = offFactorUsed + offsetBytes
)

// SpaceFactors is the space of second factors, under an [OwnedKey] each.
const SpaceFactors = "factors"

var factorLayout = layout{seed(SpaceFactors), ownVersion, 5}

// Append appends the value of r to dst.
func (r *Factor) Append(dst []byte) []byte {
	dst = grow(dst, offFactorUser+len(r.UserID)+len(r.Name)+len(r.Secret)+len(r.Codes)+len(r.Passkey)+2*OwnedKeyBytes)
	start, made, l := len(dst), r.Key.Time(), factorLayout
	if len(r.Passkey) > 0 {
		l.fields++
	}
	dst = appendOwned(dst, l, offFactorUser, &r.Hash, r.Epoch, r.Flags)
	dst = append(dst, r.Type)
	dst = binary.BigEndian.AppendUint64(dst, r.Counter)
	dst = appendAfter(dst, made, r.ExpiresAt)
	dst = appendAfter(dst, made, r.UsedAt)
	dst = appendUser(dst, r.UserID)
	dst = appendText(dst, r.Name)
	dst = appendText(dst, r.Secret)
	dst = appendBinary(dst, r.Codes)
	if len(r.Passkey) > 0 {
		dst = appendBinary(dst, r.Passkey)
	}
	return seal(dst, start, l, r.Key[:])
}

// FactorView reads the fields of a factor in place, without an allocation. It
// shares the memory of the value, and is of use only as long as that is.
type FactorView struct {
	ownedView
	name, secret, codes, passkey span
}

// ViewFactor verifies the whole record under a key: after it, nothing that the
// view returns can fail. Errors are ErrCorrupt and ErrNewer.
func ViewFactor(key, value []byte) (FactorView, error) {
	v, r, extra, err := openOwned(factorLayout, key, value, offFactorUser)
	if err != nil {
		return FactorView{}, err
	}
	name, secret, codes := r.text(), r.text(), r.binary()
	var passkey span
	if extra > 0 && r.isBinary() {
		passkey = r.binary()
		extra--
	}
	if !r.finish(extra) || (codes.to-codes.from)%hashBytes != 0 {
		return FactorView{}, errStructure
	}
	return FactorView{v, name, secret, codes, passkey}, nil
}

// Type returns [Factor].Type.
func (v *FactorView) Type() uint8 { return v.value[offFactorType] }

// ExpiresAt returns [Factor].ExpiresAt.
func (v *FactorView) ExpiresAt() int64 { return v.after(offFactorExpires) }

// UsedAt returns [Factor].UsedAt.
func (v *FactorView) UsedAt() int64 { return v.after(offFactorUsed) }

// Codes returns how many hashes [Factor].Codes has.
func (v *FactorView) Codes() int { return (v.codes.to - v.codes.from) / hashBytes }

// Decode fills f with all fields, in one allocation, and another for Codes and
// for Passkey if there are some. They are copies.
func (v *FactorView) Decode(f *Factor) {
	user, name, secret := v.strings(v.name, v.secret)
	*f = Factor{
		Key:       v.key,
		UserID:    user,
		Hash:      v.hash(),
		Epoch:     v.Epoch(),
		Flags:     v.Flags(),
		Type:      v.Type(),
		Counter:   binary.BigEndian.Uint64(v.value[offFactorCounter:]),
		ExpiresAt: v.ExpiresAt(),
		UsedAt:    v.UsedAt(),
		Name:      name,
		Secret:    secret,
	}
	if v.codes.from < v.codes.to {
		f.Codes = bytes.Clone(v.value[v.codes.from:v.codes.to])
	}
	if v.passkey.from < v.passkey.to {
		f.Passkey = bytes.Clone(v.value[v.passkey.from:v.passkey.to])
	}
}

// DecodeFactor decodes the value of a factor. Errors are ErrCorrupt and
// ErrNewer.
func DecodeFactor(key, value []byte) (f Factor, err error) {
	v, err := ViewFactor(key, value)
	if err == nil {
		v.Decode(&f)
	}
	return f, err
}
