package codec

import "encoding/binary"

// Session is a record of the space sessions; its key is ID. Times are Unix
// milliseconds, 0 is unset. The package gives fields no meaning.
//
//	offset  9  c4 20 + 32  SecretHash
//	       43  cf + 8      Epoch
//	       52  d3 + 8      ActiveUntil
//	       61  d3 + 8      IdleUntil
//	       70  d3 + 8      AbsoluteUntil
//	       79  d3 + 8      CreatedAt
//	       88  d3 + 8      AuthTime
//	       97  d3 + 8      LastUsedAt
//	      106  d9 + n      UserID, then d9 + n FamilyID, then Attributes
type Session struct {
	ID            string // the key; not in the value
	UserID        string
	FamilyID      string   // "" if the session belongs to no refresh family
	SecretHash    [32]byte // what is stored of the token's secret
	Epoch         uint64   // epoch of the file when the session was made
	ActiveUntil   int64
	IdleUntil     int64
	AbsoluteUntil int64
	CreatedAt     int64
	AuthTime      int64 // when the user last gave a password
	LastUsedAt    int64
	Attributes    string // as AppendAttributes made them; "" is none
}

// Offsets of the fields that have one.
const (
	offSessionSecret = offFields
	offSessionEpoch  = offSessionSecret + 2 + digestBytes
	offSessionActive = offSessionEpoch + 9
	offSessionIdle   = offSessionActive + 9
	offSessionAbs    = offSessionIdle + 9
	offSessionMade   = offSessionAbs + 9
	offSessionAuth   = offSessionMade + 9
	offSessionUsed   = offSessionAuth + 9
	offSessionUser   = offSessionUsed + 9
	sessionFields    = 11
)

// Append appends the value of r to dst.
func (r *Session) Append(dst []byte) []byte {
	dst = grow(dst, offSessionUser+len(r.UserID)+len(r.FamilyID)+len(r.Attributes)+len(r.ID)+16)
	start := len(dst)
	dst = begin(dst, sessionFields)
	dst = appendDigest(dst, &r.SecretHash)
	dst = appendUint64(dst, r.Epoch)
	dst = appendInt64(dst, r.ActiveUntil)
	dst = appendInt64(dst, r.IdleUntil)
	dst = appendInt64(dst, r.AbsoluteUntil)
	dst = appendInt64(dst, r.CreatedAt)
	dst = appendInt64(dst, r.AuthTime)
	dst = appendInt64(dst, r.LastUsedAt)
	dst = appendText(dst, r.UserID)
	dst = appendText(dst, r.FamilyID)
	dst = appendAttributes(dst, r.Attributes)
	return seal(dst, start, seedSessions, r.ID)
}

// DecodeSession decodes the value of a session. It is on the path of every
// validated request: one allocation, for the strings. Errors are ErrCorrupt
// and ErrNewer.
func DecodeSession(key, value []byte) (Session, error) {
	var s Session
	err := s.Decode(key, value)
	return s, err
}

// Decode is DecodeSession into s, which an error leaves as it is.
func (s *Session) Decode(key, value []byte) error {
	extra, err := open(seedSessions, key, value, sessionFields)
	if err != nil {
		return err
	}
	if !sessionMarks(value) {
		return errStructure
	}
	r := reader{value: value, off: offSessionUser}
	user, family, attributes := r.text(), r.text(), r.attributes()
	if !r.finish(extra) {
		return errStructure
	}
	t := copyText(key, value, user.from, attributes.to)
	*s = Session{
		ID:            t.id(),
		UserID:        t.at(user),
		FamilyID:      t.at(family),
		SecretHash:    [digestBytes]byte(value[offSessionSecret+2:]),
		Epoch:         binary.BigEndian.Uint64(value[offSessionEpoch+1:]),
		ActiveUntil:   timeAt(value, offSessionActive),
		IdleUntil:     timeAt(value, offSessionIdle),
		AbsoluteUntil: timeAt(value, offSessionAbs),
		CreatedAt:     timeAt(value, offSessionMade),
		AuthTime:      timeAt(value, offSessionAuth),
		LastUsedAt:    timeAt(value, offSessionUsed),
		Attributes:    t.attributes(attributes),
	}
	return nil
}

// sessionMarks reports whether the fields of fixed width are there.
func sessionMarks(v []byte) bool {
	return len(v) >= offSessionUser &&
		v[offSessionSecret] == markBin8 && v[offSessionSecret+1] == digestBytes &&
		v[offSessionEpoch] == markUint64 &&
		v[offSessionActive] == markInt64 &&
		v[offSessionIdle] == markInt64 &&
		v[offSessionAbs] == markInt64 &&
		v[offSessionMade] == markInt64 &&
		v[offSessionAuth] == markInt64 &&
		v[offSessionUsed] == markInt64
}

// timeAt returns the time whose mark is at off.
func timeAt(value []byte, off int) int64 {
	return int64(binary.BigEndian.Uint64(value[off+1:]))
}
