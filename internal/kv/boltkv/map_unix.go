//go:build unix

package boltkv

import (
	"math/bits"
	"syscall"
)

const readOnlyFS = syscall.EROFS

// mapSize is how much bbolt shall map of a file of size bytes. A file that
// outgrows its map waits, and makes all new readers wait, until every open
// reader has ended; so address space is taken ahead. On 64 bits it is free, on
// 32 bits a process has two or three GiB of it.
func mapSize(size int64) int {
	ahead := int64(1 << 30)
	if bits.UintSize < 64 {
		ahead = 64 << 20
	}
	return int(min(max(ahead, 2*size), maxInt))
}

// affordable returns want, halved until the process has room for twice as much,
// or until it is less than the file has: bbolt then maps as much as the file
// needs. The second half is for everything else in the process, which dies if
// its heap cannot grow.
func affordable(want int, size int64) int {
	for int64(want) > size && !fits(2*int64(want)) {
		want /= 2
	}
	return want
}
