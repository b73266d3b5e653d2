package frozen

// Family is a record of the space of refresh families under its ID.
type Family struct {
	ID, UserID, SessionID                                               string
	Hash, Current, Previous, Displaced                                  [32]byte
	Epoch, Generation                                                   uint64
	IdleUntil, AbsoluteUntil, CreatedAt, AuthTime, RotatedAt, RevokedAt int64
}

const (
	familyFields  = 15
	offFamilyUser = offFields + 4*34 + 8*9
)

// Encode returns the value of the record.
func (f *Family) Encode() []byte {
	b := begin(familyFields, offFamilyUser+len(f.UserID)+len(f.SessionID)+len(f.ID)+16)
	for _, d := range []*[32]byte{&f.Hash, &f.Current, &f.Previous, &f.Displaced} {
		b = appendDigest(b, d)
	}
	b = appendUint(appendUint(b, f.Epoch), f.Generation)
	b = appendTimes(b, f.IdleUntil, f.AbsoluteUntil, f.CreatedAt, f.AuthTime, f.RotatedAt, f.RevokedAt)
	b = append(appendText(appendText(b, f.UserID), f.SessionID), markMap) // no attributes
	return seal(b, seedFamilies, f.ID)
}

// DecodeFamily verifies and decodes a value. It makes one allocation.
func DecodeFamily(key, value []byte) (f Family, err error) {
	r, err := open(seedFamilies, key, value, familyFields)
	if err != nil {
		return f, err
	}
	for _, d := range []*[32]byte{&f.Hash, &f.Current, &f.Previous, &f.Displaced} {
		*d = r.digest()
	}
	f.Epoch, f.Generation = r.uint(), r.uint()
	for _, t := range []*int64{&f.IdleUntil, &f.AbsoluteUntil, &f.CreatedAt, &f.AuthTime, &f.RotatedAt, &f.RevokedAt} {
		*t = r.time()
	}
	user, session := r.text(), r.text()
	if r.take(markMap, 0); r.bad || r.off != len(value) {
		return Family{}, ErrDamaged
	}
	t := copyText(key, value, user.from)
	f.ID, f.UserID, f.SessionID = t.id(), t.at(user), t.at(session)
	return f, nil
}
