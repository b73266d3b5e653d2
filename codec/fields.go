package codec

import (
	"encoding/binary"
	"strings"
)

// A text is the one copy that a decoder makes: the key and, behind it, the
// value from some offset on. All strings of the decoded record share it, as
// input may be memory that the engine maps and takes back.
type text struct {
	s     string
	key   int // length of the key
	shift int // added to an offset in the value
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

// The forms of fields. Numbers have a fixed width. Records have many fields,
// and a commit does not wait for their encoding: inlined, these functions would
// add 16 KB to every program.

//go:noinline
func appendUint64(dst []byte, n uint64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, markUint64), n)
}

//go:noinline
func appendInt64(dst []byte, n int64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, markInt64), uint64(n))
}

//go:noinline
func appendUint32(dst []byte, n uint32) []byte {
	return binary.BigEndian.AppendUint32(append(dst, markUint32), n)
}

// appendOptional appends a byte string, or an empty one if it is all zero.
//
//go:noinline
func appendOptional(dst, b []byte) []byte {
	if allZero(b) {
		b = nil
	}
	return appendBinary(dst, b)
}

func appendBool(dst []byte, b bool) []byte {
	if b {
		return append(dst, markTrue)
	}
	return append(dst, markFalse)
}

//go:noinline
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

// appendAttributes appends the output of AppendAttributes; "" is the empty map.
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
