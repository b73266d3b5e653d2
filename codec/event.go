package codec

import "encoding/binary"

// Event is a record of the space events: one thing that happened to a user, or
// several alike of one hour. Its key has a number, the class of the event and two
// random bytes where other owned records have four: see [NewEventID]. Times are
// Unix milliseconds; see [MaxOffset]. The package gives fields no meaning.
//
//	offset  9  c4 18
//	       11    uint16    Kind
//	       13    uint8     Actor
//	       14    uint16    Methods
//	       16    uint32    Count
//	       20    5, after  Last
//	       25    10 bytes  Subject
//	       35  c4 10 + 16, or text: UserID
//	           c4 00, c4 04 + 4 or c4 10 + 16: Client
//	           text: Detail
type Event struct {
	Key     OwnedKey // not in the value; its time is that of the first
	UserID  string
	Kind    uint16
	Actor   uint8
	Methods uint16
	Count   uint32   // how many there were
	Last    int64    // when the last one was
	Subject OwnID    // the record that it is about, of the same owner; zero for none
	Client  [16]byte // address, IPv4 mapped into IPv6; zero if it is not known
	Detail  string
}

const (
	offEventKind    = offFields + 2
	offEventActor   = offEventKind + 2
	offEventMethods = offEventActor + 1
	offEventCount   = offEventMethods + 2
	offEventLast    = offEventCount + 4
	offEventSubject = offEventLast + offsetBytes
	offEventUser    = offEventSubject + OwnIDBytes
)

var eventLayout = layout{seed(SpaceEvents), 1, 4}

// NewEventID makes the own id of an event: 48 bits of time, its number among
// those of the millisecond, its class, and two random bytes.
func NewEventID(ms int64, number, class uint8, random [2]byte) OwnID {
	return NewOwnID(ms, [4]byte{number, class, random[0], random[1]})
}

// EventNumber returns the number in the key of an event.
func EventNumber(key OwnedKey) uint8 { return key[OwnerBytes+timeBytes] }

// EventClass returns the class in the key of an event.
func EventClass(key OwnedKey) uint8 { return key[OwnerBytes+timeBytes+1] }

// mapped4 begins an address of IPv4 that is mapped into IPv6.
var mapped4 = [12]byte{10: 0xff, 11: 0xff}

// Append appends the value of r to dst.
func (r *Event) Append(dst []byte) []byte {
	dst = grow(dst, offEventUser+len(r.UserID)+len(r.Detail)+OwnedKeyBytes+28)
	start := len(dst)
	dst = begin(dst, eventLayout)
	dst = append(dst, markBin8, offEventUser-offEventKind)
	dst = binary.BigEndian.AppendUint16(dst, r.Kind)
	dst = append(dst, r.Actor)
	dst = binary.BigEndian.AppendUint16(dst, r.Methods)
	dst = binary.BigEndian.AppendUint32(dst, r.Count)
	dst = appendAfter(dst, r.Key.Time(), r.Last)
	dst = append(dst, r.Subject[:]...)
	dst = appendUser(dst, r.UserID)
	if client := r.Client[:]; [12]byte(client) == mapped4 {
		dst = appendBinary(dst, client[len(mapped4):])
	} else {
		dst = appendOptional(dst, client)
	}
	dst = appendText(dst, r.Detail)
	return seal(dst, start, eventLayout, r.Key[:])
}

// EventView reads the fields of an event in place, without an allocation. It
// shares the memory of the value, and is of use only as long as that is.
type EventView struct {
	owned          ownedView
	client, detail span
}

// ViewEvent verifies the whole record under a key: after it, nothing that the
// view returns can fail. Errors are ErrCorrupt and ErrNewer.
func ViewEvent(key, value []byte) (EventView, error) {
	v, r, extra, err := openOwned(eventLayout, key, value, offEventUser)
	if err != nil {
		return EventView{}, err
	}
	client, detail := r.client(), r.text()
	if !r.finish(extra) {
		return EventView{}, errStructure
	}
	return EventView{v, client, detail}, nil
}

// client takes an address in the shortest of its three forms.
func (r *reader) client() span {
	p := r.binary()
	b := r.value[p.from:p.to]
	switch len(b) {
	case 0, 4:
	case 16:
		r.bad = r.bad || allZero(b) || [12]byte(b) == mapped4
	default:
		r.bad = true
	}
	return p
}

// Key returns the key of the record.
func (v *EventView) Key() OwnedKey { return v.owned.key }

// Who returns the user of the record.
func (v *EventView) Who() Who { return v.owned.Who() }

// Kind returns [Event].Kind.
func (v *EventView) Kind() uint16 { return binary.BigEndian.Uint16(v.owned.value[offEventKind:]) }

// Last returns [Event].Last.
func (v *EventView) Last() int64 { return v.owned.after(offEventLast) }

// Decode fills e with all fields, in one allocation. They are copies.
func (v *EventView) Decode(e *Event) {
	value := v.owned.value
	user, detail, _ := v.owned.strings(v.detail, span{})
	*e = Event{
		Key:     v.Key(),
		UserID:  user,
		Kind:    v.Kind(),
		Actor:   value[offEventActor],
		Methods: binary.BigEndian.Uint16(value[offEventMethods:]),
		Count:   binary.BigEndian.Uint32(value[offEventCount:]),
		Last:    v.Last(),
		Subject: OwnID(value[offEventSubject:offEventUser]),
		Detail:  detail,
	}
	switch client := value[v.client.from:v.client.to]; len(client) {
	case 4:
		copy(e.Client[:], mapped4[:])
		copy(e.Client[len(mapped4):], client)
	case 16:
		e.Client = [16]byte(client)
	}
}

// DecodeEvent decodes the value of an event, in one allocation. Errors are
// ErrCorrupt and ErrNewer.
func DecodeEvent(key, value []byte) (e Event, err error) {
	v, err := ViewEvent(key, value)
	if err == nil {
		v.Decode(&e)
	}
	return e, err
}
