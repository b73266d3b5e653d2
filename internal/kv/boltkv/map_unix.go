//go:build unix

package boltkv

import (
	"math/bits"
	"syscall"
)

const readOnlyFS = syscall.EROFS

// mapSize is how much bbolt shall map of a file of size bytes. A file that
// outgrows its map waits, and makes all new readers wait, until every open
// reader has ended; so address space, which is free, is taken ahead. On 32
// bits it is scarce: bbolt's default.
func mapSize(size int64) int {
	if bits.UintSize < 64 {
		return 0
	}
	return int(max(1<<30, 2*size))
}
