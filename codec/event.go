package codec

import "encoding/binary"

// Event is a record of the space events: one thing that happened to a user, or
// several alike of one hour. Its key has a number, the class of the event and two
// random bytes where other owned records have four: see [NewEventID]. Times are
// Unix milliseconds; see [MaxOffset]. The package gives fields no meaning.
//
//	offset  9  c4 nn
//	       11    uint16    Kind
//	       13    uint8     Actor
//	       14    uint16    Methods
//	       16    0, 4 or 10 bytes     Subject
//	             0, or uint32 Count and 5, after: Last
//	           c4 10 + 16, or text: UserID
//	           c4 00, c4 04 + 4 or c4 10 + 16: Client
//	           text: Detail
//
// Most events are of one log-in, whose session has the event's time: Subject is
// the last 4 bytes of its id then, and Count with Last is left out of a single event.
// The length tells which parts there are.
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
	offEventSubject = offEventMethods + 2 // the first of the parts that may be missing

	subjectRandom = OwnIDBytes - timeBytes // Subject without the time, which is the event's
	severalBytes  = 4 + offsetBytes        // Count and Last
)

// SpaceEvents is the space of events, under an [OwnedKey] each.
const SpaceEvents = "events"

var eventLayout = layout{seed(SpaceEvents), ownVersion, 4}

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
	subject, several := r.parts()
	end := offEventSubject + len(subject) + several
	dst = grow(dst, end+len(r.UserID)+len(r.Detail)+OwnedKeyBytes+28)
	start := len(dst)
	dst = begin(dst, eventLayout)
	dst = append(dst, markBin8, byte(end-offEventKind))
	dst = binary.BigEndian.AppendUint16(dst, r.Kind)
	dst = append(dst, r.Actor)
	dst = binary.BigEndian.AppendUint16(dst, r.Methods)
	dst = append(dst, subject...)
	if several > 0 {
		dst = binary.BigEndian.AppendUint32(dst, r.Count)
		dst = appendAfter(dst, r.Key.Time(), r.Last)
	}
	dst = appendUser(dst, r.UserID)
	if client := r.Client[:]; [12]byte(client) == mapped4 {
		dst = appendBinary(dst, client[len(mapped4):])
	} else {
		dst = appendOptional(dst, client)
	}
	dst = appendText(dst, r.Detail)
	return seal(dst, start, eventLayout, r.Key[:])
}

// parts returns Subject as it is written, and how many bytes Count and Last take.
func (r *Event) parts() (subject []byte, several int) {
	switch {
	case r.Subject.IsZero():
	case [timeBytes]byte(r.Subject[:]) == [timeBytes]byte(r.Key[OwnerBytes:]):
		subject = r.Subject[timeBytes:]
	default:
		subject = r.Subject[:]
	}
	if r.Count != 1 || r.Last > r.Key.Time() {
		several = severalBytes
	}
	return subject, several
}

// EventView reads the fields of an event in place, without an allocation. It
// shares the memory of the value, and is of use only as long as that is.
type EventView struct {
	owned          ownedView
	subject        OwnID
	several        int // where Count and Last are; 0 if they are left out
	client, detail span
}

// ViewEvent verifies the whole record under a key: after it, nothing that the
// view returns can fail. Errors are ErrCorrupt and ErrNewer.
func ViewEvent(key, value []byte) (EventView, error) {
	subject, end := eventParts(value)
	owned, r, extra, err := openOwned(eventLayout, key, value, end)
	if err != nil {
		return EventView{}, err
	}
	v := EventView{owned: owned, client: r.client(), detail: r.text()}
	if !r.finish(extra) || !v.setParts(subject, end) {
		return EventView{}, errStructure
	}
	return v, nil
}

// eventParts returns where Subject and all fixed fields end, as their length says;
// of an impossible length, where they end at least.
func eventParts(value []byte) (subject, end int) {
	if len(value) < offEventKind {
		return offEventSubject, offEventSubject
	}
	end = offEventKind + int(value[offEventKind-1])
	for _, n := range [...]int{0, subjectRandom, OwnIDBytes} {
		if subject = offEventSubject + n; end == subject || end == subject+severalBytes {
			return subject, end
		}
	}
	return offEventSubject, offEventSubject
}

// setParts takes the parts that may be missing. It reports whether each is in the
// one form in which this package writes it.
func (v *EventView) setParts(subject, end int) bool {
	value, made := v.owned.value, v.owned.key.OwnID()
	switch n := subject - offEventSubject; n {
	case 0:
	case subjectRandom:
		v.subject = made
		copy(v.subject[timeBytes:], value[offEventSubject:subject])
	default:
		v.subject = OwnID(value[offEventSubject:subject])
		if [timeBytes]byte(v.subject[:]) == [timeBytes]byte(made[:]) {
			return false
		}
	}
	if end > subject {
		v.several = subject
	}
	single := v.count() == 1 && v.Last() == v.owned.made
	return v.subject.IsZero() == (subject == offEventSubject) && single == (end == subject)
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

// count returns [Event].Count.
func (v *EventView) count() uint32 {
	if v.several == 0 {
		return 1
	}
	return binary.BigEndian.Uint32(v.owned.value[v.several:])
}

// Last returns [Event].Last.
func (v *EventView) Last() int64 {
	if v.several == 0 {
		return v.owned.made
	}
	return v.owned.after(v.several + 4)
}

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
		Count:   v.count(),
		Last:    v.Last(),
		Subject: v.subject,
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
