package codec

import (
	"encoding/binary"
	"strings"
)

// Records that belong to a user begin alike. Behind the header:
//
//	offset  9  c4 nn  one byte string with all fields of fixed width
//	       11    32 bytes  hash of a secret
//	       43    uint32    Epoch
//	       47    uint8     Flags
//	       48    …         up to nn bytes
//	           c4 10 + 16 bytes, or text: the user
//	           …
const (
	offFixed   = offFields + 2
	offHash    = offFixed
	offEpoch   = offHash + hashBytes
	offFlags   = offEpoch + 4
	offOwn     = offFlags + 1 // the kind's own fields
	hashBytes  = 32
	ownVersion = 2 // of all owned records; those of format 1 had version 1
)

// appendOwned appends the header and the fields that all owned records begin
// with. The byte string of fixed fields ends at the offset end.
func appendOwned(dst []byte, l layout, end int, hash *[hashBytes]byte, epoch uint32, flags uint8) []byte {
	dst = begin(dst, l)
	dst = append(dst, markBin8, byte(end-offFixed))
	dst = append(dst, hash[:]...)
	dst = binary.BigEndian.AppendUint32(dst, epoch)
	return append(dst, flags)
}

// An ownedView is the part of a view that all owned records share.
type ownedView struct {
	key   OwnedKey
	made  int64  // when the record was created, from the key: every time is relative to it
	value []byte // the caller's
	who   userRef
}

// openOwned verifies the header of an owned record and reads its user. The
// fixed fields end at the offset end, and the reader stands behind the user.
// Errors of structure are left for the reader's finish.
func openOwned(l layout, key, value []byte, end int) (v ownedView, r reader, extra int, err error) {
	if extra, err = open(l, key, value); err != nil {
		return v, r, 0, err
	}
	k, ok := ParseOwnedKey(key)
	if !ok {
		return v, r, 0, errStructure
	}
	r = reader{value: value, off: offFields}
	r.fixed(end - offFixed)
	v = ownedView{key: k, made: k.Time(), value: value, who: r.user()}
	return v, r, extra, nil
}

// Key returns the key of the record.
func (v *ownedView) Key() OwnedKey { return v.key }

// Epoch returns the epoch of the file when the record was made.
func (v *ownedView) Epoch() uint32 { return binary.BigEndian.Uint32(v.value[offEpoch:]) }

// Flags returns the flags of the record.
func (v *ownedView) Flags() uint8 { return v.value[offFlags] }

// IsUser reports whether the record belongs to the user id. Keys alone do not
// tell: two users may share an owner. It hashes and allocates nothing.
func (v *ownedView) IsUser(id string) bool { return v.who.is(v.value, id) }

// UserID returns a copy of the user's id, in one allocation.
func (v *ownedView) UserID() string {
	var buf [madeLength]byte
	return string(v.who.text(v.value, &buf))
}

// AppendUserID appends the user's id to dst, which grows as with append.
func (v *ownedView) AppendUserID(dst []byte) []byte {
	var buf [madeLength]byte
	return append(dst, v.who.text(v.value, &buf)...)
}

// Who returns the user of the record.
func (v *ownedView) Who() Who { return Who{v.value, v.who} }

// A Who is the user that a record names. It shares the memory of the record.
type Who struct {
	value []byte
	ref   userRef
}

// Is reports whether the user is id, without hashing and without an allocation.
func (w Who) Is(id string) bool { return w.ref.is(w.value, id) }

// String returns a copy of the user's id.
func (w Who) String() string {
	var buf [madeLength]byte
	return string(w.ref.text(w.value, &buf))
}

// hash returns the first hash of the record.
func (v *ownedView) hash() [hashBytes]byte { return [hashBytes]byte(v.value[offHash:]) }

// after returns the time at an offset that counts forward.
func (v *ownedView) after(off int) int64 { return timeAfter(v.value[off:], v.made) }

// before returns the time at an offset that counts back.
func (v *ownedView) before(off int) int64 { return timeBefore(v.value[off:], v.made) }

// strings copies the user's id and the bytes of two spans, in one allocation:
// input may be memory that the engine maps and takes back.
func (v *ownedView) strings(p, q span) (user, first, second string) {
	var buf [madeLength]byte
	id := v.who.text(v.value, &buf)
	var b strings.Builder
	b.Grow(len(id) + p.to - p.from + q.to - q.from)
	b.Write(id)
	b.Write(v.value[p.from:p.to])
	b.Write(v.value[q.from:q.to])
	s, n := b.String(), len(id)+p.to-p.from
	return s[:len(id)], s[len(id):n], s[n:]
}

// orNone is a span of attributes without the empty map, which is "" in memory.
func orNone(p span) span {
	if p.to-p.from == 1 {
		return span{}
	}
	return p
}
