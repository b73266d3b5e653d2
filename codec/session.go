package codec

import "encoding/binary"

// Session is a record of the space sessions. Times are Unix milliseconds; see
// [MaxOffset]. The package gives fields no meaning.
//
//	offset  9  c4 40
//	       11    32 bytes  SecretHash
//	       43    uint32    Epoch
//	       47    uint8     Flags
//	       48    uint16    Methods
//	       50    5, after  ActiveUntil
//	       55    5, after  IdleUntil
//	       60    5, after  AbsoluteUntil
//	       65    5, before AuthTime
//	       70    5, after  LastUsedAt
//	       75  c4 10 + 16, or text: UserID
//	           c4 0a + 10, or c4 00: Family
//	           Attributes
type Session struct {
	Key           OwnedKey // not in the value; its time is that of the creation
	UserID        string
	Family        OwnID    // of the same owner; zero if the session has no refresh family
	SecretHash    [32]byte // of the token's secret
	Epoch         uint32   // epoch of the file when the session was made
	Flags         uint8    // SessionPersistent, SessionOwnLife; other bits are kept
	Methods       uint16   // one bit for each proven method; given no meaning here
	ActiveUntil   int64    // Never, or a deadline
	IdleUntil     int64
	AbsoluteUntil int64
	AuthTime      int64 // of the log-in, not after the creation
	LastUsedAt    int64
	Attributes    string // as AppendAttributes made them; "" is no attributes
}

// The bits of Session.Flags.
const (
	SessionPersistent = 1 // the session outlives the browser
	SessionOwnLife    = 2 // its active and idle life are its own, not the policy's
)

const (
	offSessionMethods = offOwn
	offSessionActive  = offSessionMethods + 2
	offSessionIdle    = offSessionActive + offsetBytes
	offSessionAbs     = offSessionIdle + offsetBytes
	offSessionAuth    = offSessionAbs + offsetBytes
	offSessionUsed    = offSessionAuth + offsetBytes
	offSessionUser    = offSessionUsed + offsetBytes
)

// SpaceSessions is the space of sessions, under an [OwnedKey] each.
const SpaceSessions = "sessions"

var sessionLayout = layout{seed(SpaceSessions), ownVersion, 4}

// Append appends the value of r to dst.
func (r *Session) Append(dst []byte) []byte {
	dst = grow(dst, offSessionUser+len(r.UserID)+len(r.Attributes)+2*OwnedKeyBytes)
	start, made := len(dst), r.Key.Time()
	dst = appendOwned(dst, sessionLayout, offSessionUser, &r.SecretHash, r.Epoch, r.Flags)
	dst = binary.BigEndian.AppendUint16(dst, r.Methods)
	dst = appendAfter(dst, made, r.ActiveUntil)
	dst = appendAfter(dst, made, r.IdleUntil)
	dst = appendAfter(dst, made, r.AbsoluteUntil)
	dst = appendBefore(dst, made, r.AuthTime)
	dst = appendAfter(dst, made, r.LastUsedAt)
	dst = appendUser(dst, r.UserID)
	dst = appendOptional(dst, r.Family[:])
	dst = appendAttributes(dst, r.Attributes)
	return seal(dst, start, sessionLayout, r.Key[:])
}

// SessionView reads the fields of a session in place, without an allocation.
// It shares the memory of the value, and is of use only as long as that is.
type SessionView struct {
	ownedView
	family     OwnID
	attributes span
}

// ViewSession verifies the whole record under a key: after it, nothing that
// the view returns can fail. Errors are ErrCorrupt and ErrNewer.
func ViewSession(key, value []byte) (SessionView, error) {
	v, r, extra, err := openOwned(sessionLayout, key, value, offSessionUser)
	if err != nil {
		return SessionView{}, err
	}
	family, attributes := r.ownID(), r.attributes()
	if !r.finish(extra) || !validBefore(value[offSessionAuth:]) {
		return SessionView{}, errStructure
	}
	return SessionView{v, family, attributes}, nil
}

// SecretHash returns [Session].SecretHash, to be compared in constant time.
func (v *SessionView) SecretHash() [32]byte { return v.hash() }

// Family returns [Session].Family.
func (v *SessionView) Family() OwnID { return v.family }

// ActiveUntil returns [Session].ActiveUntil.
func (v *SessionView) ActiveUntil() int64 { return v.after(offSessionActive) }

// IdleUntil returns [Session].IdleUntil.
func (v *SessionView) IdleUntil() int64 { return v.after(offSessionIdle) }

// AbsoluteUntil returns [Session].AbsoluteUntil.
func (v *SessionView) AbsoluteUntil() int64 { return v.after(offSessionAbs) }

// AuthTime returns [Session].AuthTime.
func (v *SessionView) AuthTime() int64 { return v.before(offSessionAuth) }

// LastUsedAt returns [Session].LastUsedAt.
func (v *SessionView) LastUsedAt() int64 { return v.after(offSessionUsed) }

// Methods returns [Session].Methods.
func (v *SessionView) Methods() uint16 {
	return binary.BigEndian.Uint16(v.value[offSessionMethods:])
}

// Attributes returns [Session].Attributes, in the memory of the value.
func (v *SessionView) Attributes() []byte {
	p := orNone(v.attributes)
	return v.value[p.from:p.to:p.to]
}

// Decode fills s with all fields, in one allocation. They are copies.
func (v *SessionView) Decode(s *Session) {
	user, attributes, _ := v.strings(orNone(v.attributes), span{})
	*s = Session{
		Key:           v.key,
		UserID:        user,
		Family:        v.family,
		SecretHash:    v.hash(),
		Epoch:         v.Epoch(),
		Flags:         v.Flags(),
		Methods:       v.Methods(),
		ActiveUntil:   v.ActiveUntil(),
		IdleUntil:     v.IdleUntil(),
		AbsoluteUntil: v.AbsoluteUntil(),
		AuthTime:      v.AuthTime(),
		LastUsedAt:    v.LastUsedAt(),
		Attributes:    attributes,
	}
}

// DecodeSession decodes the value of a session, in one allocation. Errors are
// ErrCorrupt and ErrNewer.
func DecodeSession(key, value []byte) (s Session, err error) {
	v, err := ViewSession(key, value)
	if err == nil {
		v.Decode(&s)
	}
	return s, err
}
