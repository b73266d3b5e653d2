package codec

import (
	"bytes"
	"encoding/binary"
	"math"
	"unicode"
	"unicode/utf8"
)

// maxCheckDepth bounds the recursion of Check, for any depth that its caller
// asks for.
const maxCheckDepth = 128

// Check returns nil if b is exactly one value in the form in which this
// package writes attributes, nested at most maxDepth deep (a scalar is 1 deep,
// at most 128 count) and of at most maxItems values, names in maps included.
// Otherwise it returns ErrCorrupt. It allocates nothing.
//
// The form is a subset of MessagePack: nil, booleans, integers that fit an
// int64, finite float64, strings of valid UTF-8, byte strings, timestamps
// (extension -1), arrays, and maps whose names are strings of valid UTF-8 of at
// most [MaxAttributeName] bytes in strictly ascending order. Everything is as
// short as MessagePack can write it. So equal values are equal bytes, no name
// can occur twice, and every length is covered by bytes that are there.
//
// That last point makes it safe to hand b to a MessagePack decoder: many
// allocate a claimed length before they look for the bytes, and recurse as deep
// as the input says.
func Check(b []byte, maxDepth, maxItems int) error {
	c := checker{items: maxItems}
	rest, ok := c.value(b, min(maxDepth, maxCheckDepth))
	if !ok || len(rest) != 0 {
		return errAttributes
	}
	return nil
}

// attributesLen returns how many of the bytes at the beginning of b are encoded
// attributes: bytes that AppendAttributes writes and DecodeAttributes reads
// without an error.
func attributesLen(b []byte) (n int, ok bool) {
	h, ok := readHead(b)
	if !ok || h.kind != kindMap || h.n < h.min || h.n > MaxAttributes {
		return 0, false
	}
	c := checker{items: MaxAttributeBytes, top: true}
	rest, ok := c.names(b[h.size:], h.n, MaxAttributeDepth)
	n = len(b) - len(rest)
	return n, ok && n <= MaxAttributeBytes
}

// A checker walks a value, whose parts its methods take from the beginning of
// b, returning the rest.
type checker struct {
	items int  // how many more values there may be
	top   bool // the map walked next is that of the attributes themselves
}

func (c *checker) value(b []byte, depth int) (rest []byte, ok bool) {
	if c.items--; c.items < 0 || depth < 1 {
		return nil, false
	}
	h, ok := readHead(b)
	if !ok {
		return nil, false
	}
	rest = b[h.size:]
	switch h.kind {
	case kindNil, kindBool:
		return rest, true
	case kindUint:
		return rest, h.n >= h.min && h.n <= math.MaxInt64
	case kindInt:
		return rest, shortInt(b[0], h)
	case kindFloat64:
		return rest, finite(math.Float64frombits(h.n))
	case kindText, kindBytes:
		return sized(rest, h)
	case kindExt:
		return timestamp(b)
	case kindList:
		return c.list(rest, h, depth-1)
	case kindMap:
		if h.n < h.min {
			return nil, false
		}
		return c.names(rest, h.n, depth-1)
	}
	return nil, false // float32 and no value at all
}

// shortInt reports whether a signed integer is negative and in its shortest
// form.
func shortInt(mark byte, h head) bool {
	if mark >= markNegative {
		return true
	}
	unused := 64 - 8*(h.size-1)
	n := int64(h.n<<unused) >> unused // its sign extended
	return n < 0 && uint64(^n) >= h.min
}

func finite(f float64) bool { return !math.IsNaN(f) && !math.IsInf(f, 0) }

// sized takes the bytes of a string or a byte string.
func sized(b []byte, h head) (rest []byte, ok bool) {
	if h.n < h.min || h.n > uint64(len(b)) {
		return nil, false
	}
	if h.kind == kindText && !utf8.Valid(b[:h.n]) {
		return nil, false
	}
	return b[h.n:], true
}

// timestamp takes a timestamp in its shortest form: 4 bytes of seconds; or 30
// bits of nanoseconds and 34 of seconds; or 4 bytes of nanoseconds and 8 of
// seconds.
func timestamp(b []byte) (rest []byte, ok bool) {
	const (
		second = 1_000_000_000 // in nanoseconds
		secs   = 34            // bits
		minus1 = 0xff
	)
	switch {
	case len(b) >= 6 && b[0] == markFixExt4 && b[1] == minus1:
		return b[6:], true
	case len(b) >= 10 && b[0] == markFixExt8 && b[1] == minus1:
		n := binary.BigEndian.Uint64(b[2:])
		return b[10:], n > math.MaxUint32 && n>>secs < second
	case len(b) >= 15 && b[0] == markExt8 && b[1] == 12 && b[2] == minus1:
		ns, s := binary.BigEndian.Uint32(b[3:]), binary.BigEndian.Uint64(b[7:])
		return b[15:], ns < second && s>>secs != 0
	}
	return nil, false
}

func (c *checker) list(b []byte, h head, depth int) (rest []byte, ok bool) {
	if h.n < h.min {
		return nil, false
	}
	for range h.n { // ends with b, for any claim of h
		if b, ok = c.value(b, depth); !ok {
			return nil, false
		}
	}
	return b, true
}

// names takes the n pairs of a map, the values of which may nest depth deep.
func (c *checker) names(b []byte, n uint64, depth int) (rest []byte, ok bool) {
	top := c.top
	c.top = false
	var last []byte
	for i := range n {
		h, ok := readHead(b)
		if !ok || h.kind != kindText || h.n > MaxAttributeName {
			return nil, false
		}
		c.items-- // the value behind the name looks whether this was too many
		rest, ok := sized(b[h.size:], h)
		if !ok {
			return nil, false
		}
		name := b[h.size : h.size+int(h.n)]
		if i > 0 && bytes.Compare(last, name) >= 0 || top && !plainName(name) {
			return nil, false
		}
		last = name
		if b, ok = c.value(rest, depth); !ok {
			return nil, false
		}
	}
	return b, true
}

// plainName reports whether a name of valid UTF-8 can be that of an attribute
// at the top level.
func plainName(name []byte) bool {
	for _, c := range name {
		if c < ' ' || c > '~' { // hardly ever
			return !bytes.ContainsFunc(name, unicode.IsControl)
		}
	}
	return len(name) > 0
}
