package codec

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"time"
)

// MaxIndexValue is how many bytes an encoded index value has at most.
const MaxIndexValue = 512

// The first byte of an index value: its type, in the order in which types sort.
const (
	tagFalse = 1 + iota
	tagTrue
	tagInt
	tagFloat
	tagText
	tagBytes
	tagTime
)

const (
	signBit    = 1 << 63
	escape     = 0x00 // in text and bytes: the next byte says why it is there
	escapeZero = 0xff // a zero byte
	escapeEnd  = 0x01 // the end
	maxExact   = 1 << 53
)

// AppendIndexValue appends the form of v that keys contain to dst. v is a
// canonical scalar (see [Canonical]). Equal values give equal bytes, other
// values other ones, and no form is the beginning of another. Bytes sort as
// the values do, within a type; types sort in this order:
//
//	01                     false
//	02                     true
//	03 int64               big-endian, sign bit inverted
//	04 float64             big-endian; negative: all bits inverted, else the sign bit
//	05 text 00 01          each 00 in it as 00 ff
//	06 bytes 00 01         likewise
//	07 int64 uint32        Unix seconds as in 03, nanoseconds big-endian
//
// A float64 that is an integer within ±2^53 is encoded as that integer: 5.0 is
// found under 5, and -0 under 0.
//
// The error is a *[ValueError] without a name: nil, lists, maps and other types
// are not indexable, nor are values that take more than [MaxIndexValue] bytes.
// dst comes back as it was then.
func AppendIndexValue(dst []byte, v any) ([]byte, error) {
	switch v := v.(type) {
	case bool:
		if v {
			return append(dst, tagTrue), nil
		}
		return append(dst, tagFalse), nil
	case int64:
		return appendOrdered(append(dst, tagInt), v), nil
	case float64:
		return appendIndexFloat(dst, v)
	case string:
		return appendIndexBytes(dst, tagText, v)
	case []byte:
		return appendIndexBytes(dst, tagBytes, v)
	case time.Time:
		dst = appendOrdered(append(dst, tagTime), v.Unix())
		return binary.BigEndian.AppendUint32(dst, uint32(v.Nanosecond())), nil
	}
	return dst, &ValueError{Code: "unsupported", Reason: "must be a boolean, number, text, bytes or time to be indexed"}
}

// appendOrdered appends n so that negative numbers sort below the others.
func appendOrdered(dst []byte, n int64) []byte {
	return binary.BigEndian.AppendUint64(dst, uint64(n)^signBit)
}

func appendIndexFloat(dst []byte, f float64) ([]byte, error) {
	if !finite(f) {
		return dst, &ValueError{Code: "unsupported", Reason: string(badFloat)}
	}
	if f == math.Trunc(f) && math.Abs(f) <= maxExact {
		return appendOrdered(append(dst, tagInt), int64(f)), nil
	}
	bits := math.Float64bits(f)
	if bits&signBit != 0 {
		bits = ^bits
	} else {
		bits |= signBit
	}
	return binary.BigEndian.AppendUint64(append(dst, tagFloat), bits), nil
}

func appendIndexBytes[T string | []byte](dst []byte, tag byte, s T) ([]byte, error) {
	start := len(dst)
	// Looked at first, lest a huge value be copied only to be refused.
	if len(s) <= MaxIndexValue {
		dst = append(dst, tag)
		for i := range len(s) {
			if dst = append(dst, s[i]); s[i] == escape {
				dst = append(dst, escapeZero)
			}
		}
		if dst = append(dst, escape, escapeEnd); len(dst)-start <= MaxIndexValue {
			return dst, nil
		}
	}
	return dst[:start], &ValueError{Code: "too_long", Max: MaxIndexValue, Reason: fmt.Sprintf("must take at most %d bytes to be indexed", MaxIndexValue)}
}

// indexValueLen returns how long the index value is that b begins with.
func indexValueLen(b []byte) (n int, ok bool) {
	if len(b) == 0 {
		return 0, false
	}
	switch b[0] {
	case tagFalse, tagTrue:
		n = 1
	case tagInt, tagFloat:
		n = 1 + 8
	case tagTime:
		n = 1 + 8 + 4
	case tagText, tagBytes:
		return escapedLen(b)
	}
	return n, n > 0 && n <= len(b)
}

// escapedLen looks for the end of text or bytes.
func escapedLen(b []byte) (n int, ok bool) {
	for n = 1; ; n += 2 {
		i := bytes.IndexByte(b[n:], escape)
		if n += i; i < 0 || n+1 == len(b) {
			return 0, false
		}
		switch b[n+1] {
		case escapeEnd:
			return n + 2, n+2 <= MaxIndexValue
		case escapeZero:
		default:
			return 0, false
		}
	}
}
