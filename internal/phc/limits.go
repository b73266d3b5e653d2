package phc

import (
	"fmt"
	"math"
	"math/bits"
)

// Bounds that hold for every string, under any [Limits].
const (
	maxString = 1 << 10 // bytes in a stored or foreign string
	minSalt   = 1       // bytes; our own salts have 16
	maxSalt   = 256
	minKey    = 16 // bytes; a shorter one could be hit by chance
	maxKey    = 128
	maxNumber = math.MaxUint32 // any parameter

	maxIterations = 5_000_000 // PBKDF2, over all blocks of the key
	maxCost       = 16        // bcrypt
)

// Limits bound the cost of a single hash string. They are checked before any
// work is done and before anything is allocated for it. Zero fields mean the
// defaults.
type Limits struct {
	// MemoryBytes bounds the memory of one computation: m KiB for Argon2,
	// 128·r·(N+p) bytes for scrypt. Default 256 MiB. Never more than half of
	// the address space.
	MemoryBytes uint64

	// Work bounds m·t of Argon2 (KiB times passes) and N·r·p of scrypt. Default
	// 2 Mi (2,097,152), which takes seconds on one core, and twice that where
	// the form of the password is not known. The other schemes have fixed
	// bounds of the same order. An import is bounded by time besides, see
	// [Config.ImportTime].
	Work uint64
}

// withDefaults returns l with its zero fields filled in.
func (l Limits) withDefaults() Limits {
	if l.MemoryBytes == 0 {
		l.MemoryBytes = 256 << 20
	}
	if l.Work == 0 {
		l.Work = 2 << 20
	}
	// Above this, Go could not even count the bytes of one slice, and an error
	// would become a panic (386, arm).
	l.MemoryBytes = min(l.MemoryBytes, math.MaxInt/2)
	return l
}

// allow reports whether a computation stays within l.
func (l Limits) allow(memory, work uint64) error {
	l = l.withDefaults()
	if memory > l.MemoryBytes {
		return beyond(fmt.Sprintf("memory, %d MiB", memory>>20))
	}
	if work > l.Work {
		return beyond("work")
	}
	return nil
}

// mul multiplies, and sticks at the largest number where the product does not
// fit, so that no hostile parameter can wrap around to a small cost.
func mul(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	if hi != 0 {
		return math.MaxUint64
	}
	return lo
}

// Params are the cost of Argon2id for hashes that are made here. The salt has
// 16 bytes and the key 32.
type Params struct {
	MemoryKiB   uint32 // at least 8 times Parallelism
	Time        uint32 // passes over the memory, at least 1
	Parallelism uint8  // lanes, at least 1; each may use a core of its own
}

// Default is the minimum of the OWASP Password Storage Cheat Sheet: 19 MiB, two
// passes, one lane. One lane keeps the time of a hash the same on a machine
// with one core.
var Default = Params{MemoryKiB: 19456, Time: 2, Parallelism: 1}

// check reports the first field that cannot be used under l, by name.
func (p Params) check(l Limits) error {
	l = l.withDefaults()
	switch {
	case p.Parallelism < 1:
		return fmt.Errorf("phc: Params.Parallelism is 0, must be at least 1")
	case p.Time < 1:
		return fmt.Errorf("phc: Params.Time is 0, must be at least 1")
	case p.MemoryKiB < 8*uint32(p.Parallelism):
		return fmt.Errorf("phc: Params.MemoryKiB is %d, must be at least 8 for each lane", p.MemoryKiB)
	case uint64(p.MemoryKiB)<<10 > l.MemoryBytes:
		return fmt.Errorf("phc: Params.MemoryKiB is %d, above Limits.MemoryBytes", p.MemoryKiB)
	case mul(uint64(p.MemoryKiB), uint64(p.Time)) > l.Work:
		return fmt.Errorf("phc: Params.Time is %d, MemoryKiB times Time is above Limits.Work", p.Time)
	}
	return nil
}
