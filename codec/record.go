package codec

import (
	"encoding/binary"
	"hash/crc32"
	"strings"
)

// Version is the version of every record that this package writes, and the
// newest that it reads.
const Version = 1

// Offsets in the header that all records share.
const (
	offCount    = 1 // uint16: how many elements the array has
	offCRCMark  = 3
	offCRC      = 4 // uint32
	offVersion  = 8 // first byte that the checksum covers again
	offFields   = 9
	headFields  = 2 // elements of the header: checksum and version
	maxVersion  = 0x7f
	digestBytes = 32
)

// grow makes room for n more bytes, in one allocation if any.
func grow(dst []byte, n int) []byte {
	if cap(dst)-len(dst) >= n {
		return dst
	}
	return append(make([]byte, 0, len(dst)+n), dst...)
}

// begin appends the header of a record with so many elements after it. The
// checksum stays open until seal.
func begin(dst []byte, fields int) []byte {
	dst = append(dst, markArray16)
	dst = binary.BigEndian.AppendUint16(dst, uint16(headFields+fields))
	return append(dst, markUint32, 0, 0, 0, 0, Version)
}

// seal puts the checksum into the record that begins at start and ends dst.
//
// The key is appended for a moment, because the checksum function takes bytes
// and would make a converted copy escape; it is cut off again.
func seal[K string | []byte](dst []byte, start int, seed uint32, key K) []byte {
	end := len(dst)
	dst = append(dst, key...)
	crc := checksum(seed, dst[end:], dst[start:end])
	dst = dst[:end]
	binary.BigEndian.PutUint32(dst[start+offCRC:], crc)
	return dst
}

// checksum covers the space's name and a zero byte (in seed), the key, and of
// the value everything but the element that holds the checksum.
func checksum(seed uint32, key, value []byte) uint32 {
	crc := crc32.Update(seed, castagnoli, key)
	crc = crc32.Update(crc, castagnoli, value[:offCRCMark])
	return crc32.Update(crc, castagnoli, value[offVersion:])
}

// open verifies the header of a record: checksum first, then version and
// number of elements. It returns how many elements follow the known fields,
// which a newer program of the same version may have appended.
func open(seed uint32, key, value []byte, fields int) (extra int, err error) {
	if len(value) < offFields || value[0] != markArray16 || value[offCRCMark] != markUint32 {
		return 0, errStructure
	}
	if binary.BigEndian.Uint32(value[offCRC:]) != checksum(seed, key, value) {
		return 0, errChecksum
	}
	switch v := value[offVersion]; {
	case v > Version && v <= maxVersion:
		return 0, ErrNewer
	case v != Version:
		return 0, errStructure
	}
	count := int(binary.BigEndian.Uint16(value[offCount:]))
	if count < headFields+fields {
		return 0, errStructure
	}
	return count - headFields - fields, nil
}

// A span is where something lies in a value.
type span struct{ from, to int }

// A reader takes the elements of a value one after the other. It fails once
// and for all: after a wrong element everything reads as zero and finish
// returns false, so that decoders need to look only there.
type reader struct {
	value []byte
	off   int // of the next element
	bad   bool
}

// marked takes a mark and the n bytes behind it; nil if it is another mark.
func (r *reader) marked(mark byte, n int) []byte {
	rest := r.value[r.off:]
	if r.bad || len(rest) <= n || rest[0] != mark {
		r.bad = true
		return nil
	}
	r.off += 1 + n
	return rest[1 : 1+n]
}

func (r *reader) uint64() uint64 {
	if b := r.marked(markUint64, 8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (r *reader) int64() int64 {
	if b := r.marked(markInt64, 8); b != nil {
		return int64(binary.BigEndian.Uint64(b))
	}
	return 0
}

func (r *reader) digest() (d [digestBytes]byte) {
	b := r.marked(markBin8, 1+digestBytes)
	if b != nil && b[0] == digestBytes {
		return [digestBytes]byte(b[1:])
	}
	r.bad = true
	return d
}

func (r *reader) bool() bool {
	rest := r.value[r.off:]
	if r.bad || len(rest) < 1 || rest[0] != markFalse && rest[0] != markTrue {
		r.bad = true
		return false
	}
	r.off++
	return rest[0] == markTrue
}

// text takes a string, binary a byte string, in the one form in which this
// package writes it.
func (r *reader) text() span   { return r.sized(markStr8) }
func (r *reader) binary() span { return r.sized(markBin8) }

// sized takes the shortest of the three forms that begin at mark.
func (r *reader) sized(mark byte) span {
	n, head := sizeOf(r.value[r.off:], mark)
	from := r.off + head
	if r.bad || head == 0 || n > len(r.value)-from {
		r.bad = true
		return span{}
	}
	r.off = from + n
	return span{from, r.off}
}

// sizeOf reads one of the three marks from mark on, and the length behind it,
// of 1, 2 or 4 bytes. It returns the length and how long mark and length are
// themselves; 0 if they are wrong, or longer than they need be.
func sizeOf(b []byte, mark byte) (n, head int) {
	switch {
	case len(b) >= 2 && b[0] == mark:
		return int(b[1]), 2
	case len(b) >= 3 && b[0] == mark+1:
		if n = int(binary.BigEndian.Uint16(b[1:])); n >= 1<<8 {
			return n, 3
		}
	case len(b) >= 5 && b[0] == mark+2:
		// Cut to what an int of 32 bits holds: more than any value has.
		if n = int(min(binary.BigEndian.Uint32(b[1:]), 1<<31-1)); n >= 1<<16 {
			return n, 5
		}
	}
	return 0, 0
}

// attributes takes encoded attributes, checked to be decodable.
func (r *reader) attributes() span {
	if r.bad {
		return span{}
	}
	n, ok := attributesLen(r.value[r.off:])
	if !ok {
		r.bad = true
		return span{}
	}
	from := r.off
	r.off += n
	return span{from, r.off}
}

// list takes the head of a list and returns its length, which the bytes left
// can hold if each element takes at least size.
func (r *reader) list(size int) int {
	b := r.marked(markArray16, 2)
	if b == nil {
		return 0
	}
	n := int(binary.BigEndian.Uint16(b))
	if n*size > len(r.value)-r.off {
		r.bad = true
		return 0
	}
	return n
}

// tuple takes the head of an element of a list that has n parts.
func (r *reader) tuple(n int) { r.marked(markFixArray|byte(n), 0) }

// finish skips the elements appended by a newer program, and reports whether
// everything was as it must be, to the last byte.
func (r *reader) finish(extra int) bool {
	if r.bad {
		return false
	}
	rest, ok := skip(r.value[r.off:], extra)
	return ok && len(rest) == 0
}

// A text is the one copy that a decoder makes: the key and, behind it, the
// value from some offset on. All strings of the decoded record share it, as
// input may be memory that the engine maps and takes back.
type text struct {
	s     string
	key   int // length of the key
	shift int // what to add to an offset in the value
}

// copyText copies key and value[from:to] in one allocation.
func copyText(key, value []byte, from, to int) text {
	var b strings.Builder
	b.Grow(len(key) + to - from)
	b.Write(key)
	b.Write(value[from:to])
	return text{s: b.String(), key: len(key), shift: len(key) - from}
}

func (t text) id() string { return t.s[:t.key] }

// at returns the string of a span; "" for the empty span of a failed read too.
func (t text) at(p span) string {
	if p.from == p.to {
		return ""
	}
	return t.s[p.from+t.shift : p.to+t.shift]
}

// attributes returns encoded attributes. The empty map, one byte, is "" in
// memory, so that it has one form there.
func (t text) attributes(p span) string {
	if p.to-p.from == 1 {
		return ""
	}
	return t.at(p)
}

// The forms of fields. Numbers and digests have a fixed width, so that the
// fields of validation lie at fixed offsets.

func appendUint64(dst []byte, n uint64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, markUint64), n)
}

func appendInt64(dst []byte, n int64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, markInt64), uint64(n))
}

func appendDigest(dst []byte, d *[digestBytes]byte) []byte {
	return append(append(dst, markBin8, digestBytes), d[:]...)
}

func appendBool(dst []byte, b bool) []byte {
	if b {
		return append(dst, markTrue)
	}
	return append(dst, markFalse)
}

func appendText(dst []byte, s string) []byte {
	return append(appendSize(dst, markStr8, len(s)), s...)
}

func appendBinary[T string | []byte](dst []byte, b T) []byte {
	return append(appendSize(dst, markBin8, len(b)), b...)
}

// appendSize appends the shortest of the three marks that begin at mark.
func appendSize(dst []byte, mark byte, n int) []byte {
	switch {
	case n < 1<<8:
		return append(dst, mark, byte(n))
	case n < 1<<16:
		return binary.BigEndian.AppendUint16(append(dst, mark+1), uint16(n))
	}
	return binary.BigEndian.AppendUint32(append(dst, mark+2), uint32(n))
}

// appendAttributes appends what AppendAttributes made; "" is the empty map.
func appendAttributes(dst []byte, raw string) []byte {
	if raw == "" {
		return append(dst, markFixMap)
	}
	return append(dst, raw...)
}

func appendList(dst []byte, n int) []byte {
	return binary.BigEndian.AppendUint16(append(dst, markArray16), uint16(n))
}

func appendTuple(dst []byte, n int) []byte { return append(dst, markFixArray|byte(n)) }
