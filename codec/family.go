package codec

// Family is a record of the space refresh_families; its key is ID. It is the
// whole of a chain of refresh tokens and is replaced in place at every
// rotation. Times are Unix milliseconds, 0 is unset; a digest of zeros is
// absent.
//
//	offset  9  c4 20 + 32  FamilyHash
//	       43  c4 20 + 32  Current
//	       77  c4 20 + 32  Previous
//	      111  c4 20 + 32  Displaced
//	      145  cf + 8      Epoch
//	      154  cf + 8      Generation
//	      163  d3 + 8      IdleUntil
//	      172  d3 + 8      AbsoluteUntil
//	      181  d3 + 8      CreatedAt
//	      190  d3 + 8      AuthTime
//	      199  d3 + 8      RotatedAt
//	      208  d3 + 8      RevokedAt
//	      217  d9 + n      UserID, then d9 + n SessionID, then Attributes
type Family struct {
	ID            string // the key; not in the value
	UserID        string
	SessionID     string   // the session that the family last gave
	FamilyHash    [32]byte // of the part of the token that stays
	Current       [32]byte // of the part that the next refresh presents
	Previous      [32]byte // of the part before it
	Displaced     [32]byte // of a current part that nobody may have received
	Epoch         uint64   // epoch of the file when the family was made
	Generation    uint64   // rotations so far
	IdleUntil     int64
	AbsoluteUntil int64
	CreatedAt     int64
	AuthTime      int64
	RotatedAt     int64
	RevokedAt     int64  // when a reuse was seen, which ended it; 0 is live
	Attributes    string // as AppendAttributes made them; "" is none
}

const (
	familyFields  = 15
	offFamilyUser = offFields + 4*(2+digestBytes) + 8*9
)

// Append appends the value of r to dst.
func (r *Family) Append(dst []byte) []byte {
	dst = grow(dst, offFamilyUser+len(r.UserID)+len(r.SessionID)+len(r.Attributes)+len(r.ID)+16)
	start := len(dst)
	dst = begin(dst, familyFields)
	dst = appendDigest(dst, &r.FamilyHash)
	dst = appendDigest(dst, &r.Current)
	dst = appendDigest(dst, &r.Previous)
	dst = appendDigest(dst, &r.Displaced)
	dst = appendUint64(dst, r.Epoch)
	dst = appendUint64(dst, r.Generation)
	dst = appendInt64(dst, r.IdleUntil)
	dst = appendInt64(dst, r.AbsoluteUntil)
	dst = appendInt64(dst, r.CreatedAt)
	dst = appendInt64(dst, r.AuthTime)
	dst = appendInt64(dst, r.RotatedAt)
	dst = appendInt64(dst, r.RevokedAt)
	dst = appendText(dst, r.UserID)
	dst = appendText(dst, r.SessionID)
	dst = appendAttributes(dst, r.Attributes)
	return seal(dst, start, seedFamilies, r.ID)
}

// DecodeFamily decodes the value of a family, with one allocation. Errors are
// ErrCorrupt and ErrNewer.
func DecodeFamily(key, value []byte) (Family, error) {
	extra, err := open(seedFamilies, key, value, familyFields)
	if err != nil {
		return Family{}, err
	}
	r := reader{value: value, off: offFields}
	f := Family{
		FamilyHash:    r.digest(),
		Current:       r.digest(),
		Previous:      r.digest(),
		Displaced:     r.digest(),
		Epoch:         r.uint64(),
		Generation:    r.uint64(),
		IdleUntil:     r.int64(),
		AbsoluteUntil: r.int64(),
		CreatedAt:     r.int64(),
		AuthTime:      r.int64(),
		RotatedAt:     r.int64(),
		RevokedAt:     r.int64(),
	}
	user, session, attributes := r.text(), r.text(), r.attributes()
	if !r.finish(extra) {
		return Family{}, errStructure
	}
	t := copyText(key, value, user.from, attributes.to)
	f.ID, f.UserID, f.SessionID, f.Attributes = t.id(), t.at(user), t.at(session), t.attributes(attributes)
	return f, nil
}
