package frozen

import "bytes"

// Pair returns the key of b in an index by a: both, with a zero byte between.
func Pair(a, b string) []byte {
	key := append(make([]byte, 0, len(a)+1+len(b)), a...)
	return append(append(key, 0), b...)
}

// PairRange returns the range [from, to) of the pairs of a.
func PairRange(a string) (from, to []byte) {
	return append([]byte(a), 0), append([]byte(a), 1)
}

// Second returns b of a pair, in the memory of key.
func Second(key []byte) []byte {
	_, b, _ := bytes.Cut(key, []byte{0})
	return b
}
