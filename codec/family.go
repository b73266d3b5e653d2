package codec

import "encoding/binary"

// Family is a record of the space refresh_families: the whole of a chain of
// refresh tokens, replaced in place at every rotation. Times are Unix
// milliseconds; see [MaxOffset]. Byte arrays that are all zero are absent. The
// package gives fields no meaning.
//
//	offset  9  c4 69
//	       11    32 bytes  FamilyHash
//	       43    uint32    Epoch
//	       47    uint8     Flags
//	       48    uint16    Methods
//	       50    32 bytes  Current
//	       82    uint64    Generation
//	       90    5, after  IdleUntil
//	       95    5, after  AbsoluteUntil
//	      100    5, before AuthTime
//	      105    5, after  RotatedAt
//	      110    5, after  RevokedAt
//	      115    uint8     ForeignRun
//	      116  c4 10 + 16, or text: UserID
//	           c4 0a + 10, or c4 00: Session
//	           c4 20 + 32, or c4 00: Previous
//	           Attributes
//	           ce + 4: Repeats
//	           c4 10 + 16, or c4 00: Nonce
//	           text: KeyID
//	           c4 08 + 8, or c4 00: Client
type Family struct {
	Key           OwnedKey // not in the value; its time is that of the creation
	UserID        string
	Session       OwnID    // of the same owner: given by the last rotation; zero: no session
	FamilyHash    [32]byte // of the part of the token that stays
	Current       [32]byte // of the part that the next refresh presents
	Previous      [32]byte // of the part before it
	Epoch         uint32   // epoch of the file when the family was made
	Flags         uint8    // SessionPersistent, for the sessions, and FamilyForeign; other bits are kept
	Methods       uint16   // as in Session, for the sessions
	Generation    uint64   // rotations so far
	IdleUntil     int64    // Never, or a deadline
	AbsoluteUntil int64
	AuthTime      int64  // of the log-in, not after the creation
	RotatedAt     int64  // of the last rotation
	RevokedAt     int64  // when a reuse was seen; Never if the family lives
	Attributes    string // as AppendAttributes made them; "" is no attributes

	ForeignRun uint8    // generations in a row that were repeated to another client, see FamilyForeign
	Repeats    uint32   // answers that were repeated, in all
	Nonce      [16]byte // random bytes of the last rotation
	KeyID      string   // the key that the last rotation used; "" without one
	Client     [8]byte  // hash of the client's prefix at the last rotation
}

// FamilyForeign is the bit of Family.Flags for a family whose present
// generation ForeignRun counts.
const FamilyForeign = 0x80

const (
	offFamilyMethods    = offOwn
	offFamilyCurrent    = offFamilyMethods + 2
	offFamilyGeneration = offFamilyCurrent + hashBytes
	offFamilyIdle       = offFamilyGeneration + 8
	offFamilyAbs        = offFamilyIdle + offsetBytes
	offFamilyAuth       = offFamilyAbs + offsetBytes
	offFamilyRotated    = offFamilyAuth + offsetBytes
	offFamilyRevoked    = offFamilyRotated + offsetBytes
	offFamilyRun        = offFamilyRevoked + offsetBytes
	offFamilyUser       = offFamilyRun + 1

	familyNonce  = 16
	familyClient = 8
	familyRest   = 2 + hashBytes + 5 + (2 + familyNonce) + (2 + familyClient) // and texts
)

// SpaceFamilies is the space of refresh families, under an [OwnedKey] each.
const SpaceFamilies = "refresh_families"

var familyLayout = layout{seed(SpaceFamilies), ownVersion, 9}

// Append appends the value of r to dst.
func (r *Family) Append(dst []byte) []byte {
	dst = grow(dst, offFamilyUser+familyRest+len(r.UserID)+len(r.Attributes)+len(r.KeyID)+2*OwnedKeyBytes)
	start, made := len(dst), r.Key.Time()
	dst = appendOwned(dst, familyLayout, offFamilyUser, &r.FamilyHash, r.Epoch, r.Flags)
	dst = binary.BigEndian.AppendUint16(dst, r.Methods)
	dst = append(dst, r.Current[:]...)
	dst = binary.BigEndian.AppendUint64(dst, r.Generation)
	dst = appendAfter(dst, made, r.IdleUntil)
	dst = appendAfter(dst, made, r.AbsoluteUntil)
	dst = appendBefore(dst, made, r.AuthTime)
	dst = appendAfter(dst, made, r.RotatedAt)
	dst = appendAfter(dst, made, r.RevokedAt)
	dst = append(dst, r.ForeignRun)
	dst = appendUser(dst, r.UserID)
	dst = appendOptional(dst, r.Session[:])
	dst = appendOptional(dst, r.Previous[:])
	dst = appendAttributes(dst, r.Attributes)
	dst = appendUint32(dst, r.Repeats)
	dst = appendOptional(dst, r.Nonce[:])
	dst = appendText(dst, r.KeyID)
	dst = appendOptional(dst, r.Client[:])
	return seal(dst, start, familyLayout, r.Key[:])
}

// FamilyView reads the fields of a family in place, without an allocation. It
// shares the memory of the value, and is of use only as long as that is.
type FamilyView struct {
	ownedView
	session    OwnID
	previous   [hashBytes]byte
	attributes span
	repeats    uint32
	nonce      [familyNonce]byte
	keyID      span
	client     [familyClient]byte
}

// ViewFamily verifies the whole record under a key: after it, nothing that the
// view returns can fail. Errors are ErrCorrupt and ErrNewer.
func ViewFamily(key, value []byte) (FamilyView, error) {
	o, r, extra, err := openOwned(familyLayout, key, value, offFamilyUser)
	if err != nil {
		return FamilyView{}, err
	}
	v := FamilyView{ownedView: o, session: r.ownID()}
	copy(v.previous[:], r.optional(hashBytes))
	v.attributes, v.repeats = r.attributes(), r.uint32()
	copy(v.nonce[:], r.optional(familyNonce))
	v.keyID = r.text()
	copy(v.client[:], r.optional(familyClient))
	if !r.finish(extra) || !validBefore(value[offFamilyAuth:]) {
		return FamilyView{}, errStructure
	}
	return v, nil
}

// FamilyHash returns [Family].FamilyHash, to be compared in constant time.
func (v *FamilyView) FamilyHash() [32]byte { return v.hash() }

// Session returns [Family].Session.
func (v *FamilyView) Session() OwnID { return v.session }

// IdleUntil returns [Family].IdleUntil.
func (v *FamilyView) IdleUntil() int64 { return v.after(offFamilyIdle) }

// AbsoluteUntil returns [Family].AbsoluteUntil.
func (v *FamilyView) AbsoluteUntil() int64 { return v.after(offFamilyAbs) }

// RevokedAt returns [Family].RevokedAt.
func (v *FamilyView) RevokedAt() int64 { return v.after(offFamilyRevoked) }

// RotatedAt returns [Family].RotatedAt.
func (v *FamilyView) RotatedAt() int64 { return v.after(offFamilyRotated) }

// Decode fills f with all fields, in one allocation. They are copies.
func (v *FamilyView) Decode(f *Family) {
	user, attributes, keyID := v.strings(orNone(v.attributes), v.keyID)
	*f = Family{
		Key:           v.key,
		UserID:        user,
		Session:       v.session,
		FamilyHash:    v.hash(),
		Current:       [hashBytes]byte(v.value[offFamilyCurrent:]),
		Previous:      v.previous,
		Epoch:         v.Epoch(),
		Flags:         v.Flags(),
		Methods:       binary.BigEndian.Uint16(v.value[offFamilyMethods:]),
		Generation:    binary.BigEndian.Uint64(v.value[offFamilyGeneration:]),
		IdleUntil:     v.IdleUntil(),
		AbsoluteUntil: v.AbsoluteUntil(),
		AuthTime:      v.before(offFamilyAuth),
		RotatedAt:     v.after(offFamilyRotated),
		RevokedAt:     v.RevokedAt(),
		Attributes:    attributes,
		ForeignRun:    v.value[offFamilyRun],
		Repeats:       v.repeats,
		Nonce:         v.nonce,
		KeyID:         keyID,
		Client:        v.client,
	}
}

// DecodeFamily decodes the value of a family, in one allocation. Errors are
// ErrCorrupt and ErrNewer.
func DecodeFamily(key, value []byte) (f Family, err error) {
	v, err := ViewFamily(key, value)
	if err == nil {
		v.Decode(&f)
	}
	return f, err
}
