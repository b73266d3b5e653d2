package codec

import "encoding/binary"

// The marks of MessagePack that begin a value.
const (
	markFixMap   = 0x80
	markFixArray = 0x90
	markFixStr   = 0xa0
	markNil      = 0xc0
	markFalse    = 0xc2
	markTrue     = 0xc3
	markBin8     = 0xc4 // and two more, with 2 and 4 bytes of length
	markExt8     = 0xc7
	markFloat64  = 0xcb
	markUint32   = 0xce
	markUint64   = 0xcf
	markInt64    = 0xd3
	markFixExt4  = 0xd6
	markFixExt8  = 0xd7
	markStr8     = 0xd9 // and two more
	markArray16  = 0xdc
	markNegative = 0xe0 // the first of the small negative integers
)

// kind is the kind of value that a mark begins.
type kind uint8

const (
	kindNone kind = iota // 0xc1, which begins nothing
	kindNil
	kindBool
	kindUint
	kindInt // negative, where it is the shortest form
	kindFloat32
	kindFloat64
	kindText
	kindBytes
	kindList
	kindMap
	kindExt
)

// form is how a mark from 0xc0 to 0xdf goes on.
type form struct {
	kind kind
	size uint8  // bytes of the number, or of the length, behind the mark
	min  uint64 // below this, a shorter form would do
	n    uint64 // the length, where the mark implies it
}

var forms = [0x20]form{
	0x00: {kind: kindNil},
	0x02: {kind: kindBool},
	0x03: {kind: kindBool},
	0x04: {kind: kindBytes, size: 1},
	0x05: {kind: kindBytes, size: 2, min: 1 << 8},
	0x06: {kind: kindBytes, size: 4, min: 1 << 16},
	0x07: {kind: kindExt, size: 1},
	0x08: {kind: kindExt, size: 2, min: 1 << 8},
	0x09: {kind: kindExt, size: 4, min: 1 << 16},
	0x0a: {kind: kindFloat32, size: 4},
	0x0b: {kind: kindFloat64, size: 8},
	0x0c: {kind: kindUint, size: 1, min: 1 << 7},
	0x0d: {kind: kindUint, size: 2, min: 1 << 8},
	0x0e: {kind: kindUint, size: 4, min: 1 << 16},
	0x0f: {kind: kindUint, size: 8, min: 1 << 32},
	0x10: {kind: kindInt, size: 1, min: 1 << 5},
	0x11: {kind: kindInt, size: 2, min: 1 << 7},
	0x12: {kind: kindInt, size: 4, min: 1 << 15},
	0x13: {kind: kindInt, size: 8, min: 1 << 31},
	0x14: {kind: kindExt, n: 1},
	0x15: {kind: kindExt, n: 2},
	0x16: {kind: kindExt, n: 4},
	0x17: {kind: kindExt, n: 8},
	0x18: {kind: kindExt, n: 16},
	0x19: {kind: kindText, size: 1, min: 1 << 5},
	0x1a: {kind: kindText, size: 2, min: 1 << 8},
	0x1b: {kind: kindText, size: 4, min: 1 << 16},
	0x1c: {kind: kindList, size: 2, min: 1 << 4},
	0x1d: {kind: kindList, size: 4, min: 1 << 16},
	0x1e: {kind: kindMap, size: 2, min: 1 << 4},
	0x1f: {kind: kindMap, size: 4, min: 1 << 16},
}

// kindOf returns the kind of value that c begins.
func kindOf(c byte) kind {
	switch {
	case c < markFixMap:
		return kindUint
	case c < markFixArray:
		return kindMap
	case c < markFixStr:
		return kindList
	case c < markNil:
		return kindText
	case c >= markNegative:
		return kindInt
	}
	return forms[c-markNil].kind
}

// A head is the beginning of a value: its mark and the number or length
// behind it.
type head struct {
	kind kind
	size int    // bytes of the head itself
	min  uint64 // below this, n would have a shorter form
	n    uint64 // bits of the number; length in bytes, elements or pairs
}

// readHead returns the head of the value that b begins with. ok is false if b
// ends before it does, or if its mark begins nothing.
func readHead(b []byte) (h head, ok bool) {
	if len(b) == 0 {
		return head{}, false
	}
	c := b[0]
	h = head{kind: kindOf(c), size: 1}
	switch {
	case h.kind == kindNone:
		return head{}, false
	case c < markFixMap:
		h.n = uint64(c)
	case c < markFixStr:
		h.n = uint64(c & 0x0f)
	case c < markNil:
		h.n = uint64(c & 0x1f)
	case c < markNegative:
		return readForm(b, h)
	}
	return h, true
}

// readForm completes a head with the number or length behind its mark.
func readForm(b []byte, h head) (head, bool) {
	f := &forms[b[0]-markNil]
	h.size, h.min, h.n = 1+int(f.size), f.min, f.n
	if len(b) < h.size {
		return head{}, false
	}
	switch rest := b[1:]; f.size {
	case 1:
		h.n = uint64(rest[0])
	case 2:
		h.n = uint64(binary.BigEndian.Uint16(rest))
	case 4:
		h.n = uint64(binary.BigEndian.Uint32(rest))
	case 8:
		h.n = binary.BigEndian.Uint64(rest)
	}
	return h, true
}

// skip steps over n values of any MessagePack and returns the rest. It needs no
// memory, however deep they nest, and ends with b, however many they claim to
// be, because every value takes a byte at least.
func skip(b []byte, n int) (rest []byte, ok bool) {
	for open := uint64(n); open > 0; open-- {
		h, ok := readHead(b)
		if !ok {
			return nil, false
		}
		b = b[h.size:]
		bytes := uint64(0)
		switch h.kind {
		case kindText, kindBytes:
			bytes = h.n
		case kindExt:
			bytes = 1 + h.n // its type is one byte more
		case kindList:
			open += h.n
		case kindMap:
			open += 2 * h.n
		}
		if bytes > uint64(len(b)) {
			return nil, false
		}
		b = b[bytes:]
	}
	return b, true
}
