package frozen

import "encoding/binary"

// Session is a record of the space sessions under its ID.
type Session struct {
	ID, UserID, FamilyID string

	SecretHash [32]byte
	Epoch      uint64

	ActiveUntil, IdleUntil, AbsoluteUntil int64
	CreatedAt, AuthTime, LastUsedAt       int64
}

// Offsets of the fields that have one. The user's id begins at OffSessionUser
// of every session.
const (
	offSecret      = offFields
	offEpoch       = offSecret + 2 + 32
	offTimes       = offEpoch + 9 // six, nine bytes each
	offUser        = offTimes + 6*9
	OffSessionUser = offUser + 2
	sessionFields  = 11
)

// Encode returns the value of the record.
func (s *Session) Encode() []byte {
	b := begin(sessionFields, offUser+len(s.UserID)+len(s.FamilyID)+len(s.ID)+16)
	b = appendUint(appendDigest(b, &s.SecretHash), s.Epoch)
	b = appendTimes(b, s.ActiveUntil, s.IdleUntil, s.AbsoluteUntil, s.CreatedAt, s.AuthTime, s.LastUsedAt)
	b = append(appendText(appendText(b, s.UserID), s.FamilyID), markMap) // no attributes
	return seal(b, seedSessions, s.ID)
}

// DecodeSession verifies and decodes a value. It makes one allocation, and
// finds fields of a fixed width where they are: it is what the same checks on
// bbolt cost.
func DecodeSession(key, value []byte) (s Session, err error) {
	r, err := open(seedSessions, key, value, sessionFields)
	if err != nil {
		return s, err
	}
	if !sessionMarks(value) {
		return s, ErrDamaged
	}
	r.off = offUser
	user, family := r.text(), r.text()
	if r.take(markMap, 0); r.bad || r.off != len(value) {
		return s, ErrDamaged
	}
	t := copyText(key, value, user.from)
	return Session{
		ID: t.id(), UserID: t.at(user), FamilyID: t.at(family),
		SecretHash:  [32]byte(value[offSecret+2:]),
		Epoch:       binary.BigEndian.Uint64(value[offEpoch+1:]),
		ActiveUntil: timeAt(value, 0), IdleUntil: timeAt(value, 1), AbsoluteUntil: timeAt(value, 2),
		CreatedAt: timeAt(value, 3), AuthTime: timeAt(value, 4), LastUsedAt: timeAt(value, 5),
	}, nil
}

// sessionMarks reports whether the fields of a fixed width are there.
func sessionMarks(v []byte) bool {
	if len(v) < offUser || v[offSecret] != markBytes8 || v[offSecret+1] != 32 || v[offEpoch] != markUint64 {
		return false
	}
	for off := offTimes; off < offUser; off += 9 {
		if v[off] != markInt64 {
			return false
		}
	}
	return true
}

func timeAt(value []byte, i int) int64 {
	return int64(binary.BigEndian.Uint64(value[offTimes+9*i+1:]))
}
