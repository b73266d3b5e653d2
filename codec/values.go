package codec

import (
	"encoding/binary"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/vmihailenco/msgpack/v5/msgpcode"
)

// Canonical values as MessagePack, each in the one form that [Check] accepts.
// Tests compare every value with the encoder and the decoder of msgpack/v5,
// which programs do not link.

// appendValue appends a canonical value. Others are not given to it.
func appendValue(dst []byte, v any) []byte {
	switch v := v.(type) {
	case bool:
		return appendBool(dst, v)
	case int64:
		return appendInteger(dst, v)
	case float64:
		return binary.BigEndian.AppendUint64(append(dst, msgpcode.Double), math.Float64bits(v))
	case string:
		if len(v) < 32 {
			return append(append(dst, msgpcode.FixedStrLow|byte(len(v))), v...)
		}
		return appendText(dst, v)
	case []byte:
		return appendBinary(dst, v)
	case time.Time:
		return appendTime(dst, v)
	case []any:
		return appendArray(dst, v)
	case map[string]any:
		return appendMap(dst, v)
	}
	return append(dst, msgpcode.Nil)
}

// appendInteger appends the shortest form of n.
func appendInteger(dst []byte, n int64) []byte {
	switch {
	case n >= 0:
		return appendUnsigned(dst, uint64(n))
	case n >= -32:
		return append(dst, byte(n))
	case n >= math.MinInt8:
		return append(dst, msgpcode.Int8, byte(n))
	case n >= math.MinInt16:
		return binary.BigEndian.AppendUint16(append(dst, msgpcode.Int16), uint16(n))
	case n >= math.MinInt32:
		return binary.BigEndian.AppendUint32(append(dst, msgpcode.Int32), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(dst, msgpcode.Int64), uint64(n))
}

func appendUnsigned(dst []byte, n uint64) []byte {
	switch {
	case n <= math.MaxInt8:
		return append(dst, byte(n))
	case n <= math.MaxUint8:
		return append(dst, msgpcode.Uint8, byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(dst, msgpcode.Uint16), uint16(n))
	case n <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(dst, msgpcode.Uint32), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(dst, msgpcode.Uint64), n)
}

// extTime is the type of a timestamp, -1.
const extTime = 0xff

// appendTime appends the timestamp extension in its shortest form.
func appendTime(dst []byte, t time.Time) []byte {
	seconds, nanos := uint64(t.Unix()), uint64(t.Nanosecond())
	switch {
	case seconds>>34 != 0:
		dst = binary.BigEndian.AppendUint32(append(dst, msgpcode.Ext8, 12, extTime), uint32(nanos))
		return binary.BigEndian.AppendUint64(dst, seconds)
	case nanos != 0 || seconds>>32 != 0:
		return binary.BigEndian.AppendUint64(append(dst, msgpcode.FixExt8, extTime), nanos<<34|seconds)
	}
	return binary.BigEndian.AppendUint32(append(dst, msgpcode.FixExt4, extTime), uint32(seconds))
}

func appendArray(dst []byte, list []any) []byte {
	dst = appendLength(dst, msgpcode.FixedArrayLow, msgpcode.Array16, len(list))
	for _, v := range list {
		dst = appendValue(dst, v)
	}
	return dst
}

// appendMap appends a map, its names in order.
func appendMap(dst []byte, m map[string]any) []byte {
	dst = appendLength(dst, msgpcode.FixedMapLow, msgpcode.Map16, len(m))
	for _, name := range slices.Sorted(maps.Keys(m)) {
		dst = appendValue(appendValue(dst, name), m[name])
	}
	return dst
}

// appendLength appends the mark of an array or map of n elements: the short
// one, or that of 16 bits, or the one of 32 bits behind it.
func appendLength(dst []byte, short, mark16 byte, n int) []byte {
	switch {
	case n < 16:
		return append(dst, short|byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(dst, mark16), uint16(n))
	}
	return binary.BigEndian.AppendUint32(append(dst, mark16+1), uint32(n))
}

// decodeValue takes a value that b begins with, and returns the rest. b has
// been checked: lengths are covered, and it nests no deeper than it may.
func decodeValue(b []byte) (v any, rest []byte) {
	h, _ := readHead(b)
	body := b[h.size:]
	switch h.kind {
	case kindBool:
		return b[0] == msgpcode.True, body
	case kindUint:
		return int64(h.n), body
	case kindInt:
		if h.size == 1 {
			return int64(int8(b[0])), body
		}
		shift := 64 - 8*(h.size-1)
		return int64(h.n<<shift) >> shift, body
	case kindFloat64:
		return math.Float64frombits(h.n), body
	case kindText:
		return string(body[:h.n]), body[h.n:]
	case kindBytes:
		return append([]byte{}, body[:h.n]...), body[h.n:]
	case kindExt:
		return decodeTime(body[1:][:h.n]), body[1:][h.n:]
	case kindList:
		out := make([]any, h.n)
		for i := range out {
			out[i], body = decodeValue(body)
		}
		return out, body
	case kindMap:
		return decodeMap(b)
	}
	return nil, body
}

func decodeMap(b []byte) (m map[string]any, rest []byte) {
	h, _ := readHead(b)
	m, rest = make(map[string]any, h.n), b[h.size:]
	for range h.n {
		var name any
		name, rest = decodeValue(rest)
		m[name.(string)], rest = decodeValue(rest)
	}
	return m, rest
}

func decodeTime(b []byte) time.Time {
	switch len(b) {
	case 4:
		return time.Unix(int64(binary.BigEndian.Uint32(b)), 0).UTC()
	case 8:
		n := binary.BigEndian.Uint64(b)
		return time.Unix(int64(n&(1<<34-1)), int64(n>>34)).UTC()
	}
	return time.Unix(int64(binary.BigEndian.Uint64(b[4:])), int64(binary.BigEndian.Uint32(b))).UTC()
}
