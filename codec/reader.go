package codec

import (
	"encoding/binary"
)

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

func (r *reader) uint32() uint32 {
	if b := r.marked(markUint32, 4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

// fixed takes a byte string of n bytes, at most 255.
func (r *reader) fixed(n int) []byte {
	b := r.marked(markBin8, 1+n)
	if b == nil || b[0] != byte(n) {
		r.bad = true
		return nil
	}
	return b[1:]
}

// optional takes a byte string of n bytes that are not all zero, or an empty
// one, which stands for all zero. It returns nil for an empty one.
func (r *reader) optional(n int) []byte {
	rest := r.value[r.off:]
	if !r.bad && len(rest) >= 2 && rest[0] == markBin8 && rest[1] == 0 {
		r.off += 2
		return nil
	}
	b := r.fixed(n)
	if allZero(b) {
		r.bad = true
		return nil
	}
	return b
}

func allZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
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

// isBinary reports whether a byte string comes next.
func (r *reader) isBinary() bool {
	return !r.bad && r.off < len(r.value) && r.value[r.off] >= markBin8 && r.value[r.off] <= markBin8+2
}

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
		// Cut to the maximum of an int of 32 bits: more than any value has.
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

// longer takes the head of an element of a list that has n parts or one more,
// and reports whether it is the latter.
func (r *reader) longer(n int) bool {
	more := !r.bad && r.off < len(r.value) && r.value[r.off] == markFixArray|byte(n+1)
	if more {
		n++
	}
	r.tuple(n)
	return more
}

// finish skips the elements appended by a newer program, and reports whether
// everything was as it must be, to the last byte.
func (r *reader) finish(extra int) bool {
	if r.bad {
		return false
	}
	rest, ok := skip(r.value[r.off:], extra)
	return ok && len(rest) == 0
}
