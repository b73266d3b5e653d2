package codec

import "math"

// Never is the deadline that does not come. It is later than all times.
const Never = math.MaxInt64

// Times of owned records are 5 bytes: milliseconds from the time of the
// record's id, big-endian, without a sign. A field counts in one direction:
// after the id (deadlines, uses) or before it (log-ins of the past). All ones
// is [Never] in a field that counts forward and damage in one that counts back.
const (
	offsetBytes = 5
	noOffset    = 1<<(8*offsetBytes) - 1
	maxOffset   = noOffset - 1
)

// MaxOffset is how far from the time of its id an owned record can name a
// time, in milliseconds: almost 35 years. Append stores a time beyond it, or on
// the wrong side of the id, as the nearest that it can: a deadline comes no
// later, and a log-in further back than 35 years is 35 years old.
const MaxOffset = maxOffset

// appendAfter appends a time t that is not before base.
func appendAfter(dst []byte, base, t int64) []byte {
	if t == Never {
		return appendOffset(dst, noOffset)
	}
	return appendOffset(dst, distance(base, t))
}

// appendBefore appends a time t that is not after base.
func appendBefore(dst []byte, base, t int64) []byte {
	return appendOffset(dst, distance(t, base))
}

// distance returns how much later to is than from, from 0 to maxOffset.
func distance(from, to int64) uint64 {
	if to <= from {
		return 0
	}
	return min(uint64(to)-uint64(from), maxOffset) // the difference fits, unsigned
}

func appendOffset(dst []byte, n uint64) []byte {
	return append(dst, byte(n>>32), byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
}

// offsetAt reads the 5 bytes that b begins with.
func offsetAt(b []byte) int64 {
	_ = b[offsetBytes-1]
	return int64(b[0])<<32 | int64(b[1])<<24 | int64(b[2])<<16 | int64(b[3])<<8 | int64(b[4])
}

// timeAfter is the inverse of appendAfter.
func timeAfter(b []byte, base int64) int64 {
	if n := offsetAt(b); n != noOffset {
		return base + n
	}
	return Never
}

// timeBefore is the inverse of appendBefore. validBefore must have held.
func timeBefore(b []byte, base int64) int64 { return base - offsetAt(b) }

// validBefore reports whether appendBefore writes such bytes.
func validBefore(b []byte) bool { return offsetAt(b) != noOffset }
