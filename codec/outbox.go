package codec

import "encoding/binary"

// OutboxEntry is a row of the space outbox, under its position: what there is of
// an event besides its record, which goes with the user.
//
//	offset  9  c4 17
//	       11    uint16    Kind
//	       13    uint8     Actor
//	       14    20 bytes  Event
//	       34  text: UserID
type OutboxEntry struct {
	Position uint64 // the key
	Kind     uint16
	Actor    uint8
	Event    OwnedKey // of the event; that of no user has zeros for its owner
	UserID   string   // only of a user who is gone, to be told that
}

const (
	outboxFixed   = 2 + 1 + OwnedKeyBytes
	positionBytes = 8
)

var outboxLayout = layout{seed(SpaceOutbox), 1, 2}

// PositionKey is the key of a position in the space outbox. [OutboxHeadKey]
// follows all of them.
func PositionKey(position uint64) [positionBytes]byte {
	var key [positionBytes]byte
	binary.BigEndian.PutUint64(key[:], position)
	return key
}

// ParsePosition is the inverse of PositionKey.
func ParsePosition(key []byte) (position uint64, ok bool) {
	if len(key) != positionBytes {
		return 0, false
	}
	return binary.BigEndian.Uint64(key), true
}

// OutboxHeadKey is the key of [OutboxHead].
const OutboxHeadKey = ^uint64(0)

// Append appends the value of r to dst.
func (r *OutboxEntry) Append(dst []byte) []byte {
	key := PositionKey(r.Position)
	dst = grow(dst, offFields+2+outboxFixed+2+len(r.UserID)+positionBytes)
	start := len(dst)
	dst = begin(dst, outboxLayout)
	dst = append(dst, markBin8, outboxFixed)
	dst = binary.BigEndian.AppendUint16(dst, r.Kind)
	dst = append(dst, r.Actor)
	dst = append(dst, r.Event[:]...)
	dst = appendText(dst, r.UserID)
	return seal(dst, start, outboxLayout, key[:])
}

// DecodeOutboxEntry decodes the value under a key of the space outbox that is
// not OutboxHeadKey. Errors are ErrCorrupt and ErrNewer.
func DecodeOutboxEntry(key, value []byte) (OutboxEntry, error) {
	extra, err := open(outboxLayout, key, value)
	if err != nil {
		return OutboxEntry{}, err
	}
	r := reader{value: value, off: offFields}
	b, user := r.fixed(outboxFixed), r.text()
	position, ok := ParsePosition(key)
	if !r.finish(extra) || !ok || position == OutboxHeadKey {
		return OutboxEntry{}, errStructure
	}
	return OutboxEntry{
		Position: position, Kind: binary.BigEndian.Uint16(b), Actor: b[2], Event: OwnedKey(b[3:]),
		UserID: string(value[user.from:user.to]),
	}, nil
}

// OutboxHead says which positions the space outbox has. It lies behind the last
// of them, so that one more is written to the same page.
//
//	offset  9  cf + 8  First
//	       18  cf + 8  Next
//	       27  ce + 4  Consumers
type OutboxHead struct {
	First     uint64 // the lowest that is there; Next if there is none
	Next      uint64 // of the next event
	Consumers uint32 // how many there are; 0: events are not put here
}

var outboxHeadLayout = layout{seed(SpaceOutbox), 1, 3}

// Append appends the value of r, whose key is OutboxHeadKey, to dst.
func (r *OutboxHead) Append(dst []byte) []byte {
	key := PositionKey(OutboxHeadKey)
	start := len(dst)
	dst = begin(dst, outboxHeadLayout)
	dst = appendUint32(appendUint64(appendUint64(dst, r.First), r.Next), r.Consumers)
	return seal(dst, start, outboxHeadLayout, key[:])
}

// DecodeOutboxHead decodes the value under OutboxHeadKey, without an
// allocation. Errors are ErrCorrupt and ErrNewer.
func DecodeOutboxHead(value []byte) (OutboxHead, error) {
	key := PositionKey(OutboxHeadKey)
	extra, err := open(outboxHeadLayout, key[:], value)
	if err != nil {
		return OutboxHead{}, err
	}
	r := reader{value: value, off: offFields}
	h := OutboxHead{First: r.uint64(), Next: r.uint64(), Consumers: r.uint32()}
	if !r.finish(extra) || h.First == 0 || h.First > h.Next || h.Next == OutboxHeadKey {
		return OutboxHead{}, errStructure
	}
	return h, nil
}
