package snib

import (
	"context"
	"time"
)

// PasswordPolicy is the cost of hashing: argon2id (RFC 9106) with the
// parameters below, by default those that OWASP's Password Storage Cheat
// Sheet lists first. A change is taken up by users at their next log-in where
// it is stronger, never where it is weaker.
type PasswordPolicy struct {
	// MinLength is the least number of code points of a new password, 8–64.
	// Default 8; NIST SP 800-63B-4 asks for 15 where there is no second factor.
	MinLength int

	// Blocklist refuses common passwords when they are set. Package blocklist
	// has one; nil refuses none.
	Blocklist Blocklist

	// Names are not passwords either: that of the program, of the company. They
	// are compared whole, without case, like the user's own identifiers, which
	// are always refused.
	Names []string

	MemoryKiB   uint32 // default 19456 (19 MiB); at least 8 a lane, at most MaxHashMemory
	Time        uint32 // passes; default 2, at least 1; times MemoryKiB at most 2,097,152
	Parallelism uint8  // lanes; default 1

	// MaxHashMemory bounds, in bytes, the memory that one hash may ask for,
	// imported ones too. Default 256 MiB. A stored hash above it refuses
	// every password.
	MaxHashMemory uint64

	// MaxImportTime is how long, on one core of this machine, verifying an
	// imported hash may take: ImportUser refuses a slower hash, by an estimate
	// that counts both forms of a password where the other system's is not
	// known. Default 1 s; negative: only the fixed bounds hold. Until their
	// users have logged in, strangers can make the program verify these.
	MaxImportTime time.Duration

	// ForeignPeppers are secrets of other systems that followed the passwords
	// when these were hashed, as Devise's config.pepper, by names of 1–32 of
	// [a-z0-9-] that UserImport.PasswordPepper uses. The file has the names
	// only. One that is missing later refuses the passwords of its users, and
	// is logged. At most 16, of 1,024 bytes.
	ForeignPeppers map[string]string

	// ForeignVerifier verifies passwords of users whose hashes were imported
	// under a source of the application's own, "x-…": it tells whether
	// password is the one that hash was made from. A right one is hashed anew
	// and the function is not called again for that user. It gets the
	// password as it came in, 1–1,024 bytes of UTF-8.
	//
	// It is called with a turn at the gate, from several goroutines, and must
	// compare in constant time. ctx ends after 10 s; a call that has not
	// returned by then keeps its turn and refuses the password. So does one
	// that fails or panics; its error is logged and must not hold the
	// password. nil: there are no such hashes.
	ForeignVerifier func(ctx context.Context, source, hash, password string) (bool, error)

	// ResetKeepsAPIKeys lets API keys outlive a password that is set or removed
	// without the old one. Without it a reset ends them, as it ends sessions: of
	// an account that was taken over, a key may be the intruder's.
	ResetKeepsAPIKeys bool

	// Seal stores finished hashes sealed under the current one of Options.Keys:
	// from a copy of the file without the key, no password can be tried. Hashes
	// that are there are sealed at the next log-in, all at once by [File.Reseal].
	// Without Seal, sealed hashes stay sealed until the password is set anew, or
	// hashed anew at a log-in.
	Seal bool

	// GateMemory is how much memory, in bytes, hashing may use at once. Further
	// calls wait, and turns go from caller to caller: users by [WithProof],
	// operators, networks by [WithClient]. Default GOMAXPROCS times the memory
	// of one hash, at least 32 MiB each. Never more than GOMAXPROCS run at once.
	// Hashes that take more memory, or four times as long, as one made here
	// share half of it; one that needs more than that runs alone in that half
	// and takes what it needs, up to MaxHashMemory.
	GateMemory uint64

	// Queue is how many calls may wait. One more takes the place of the last of
	// the caller who has most calls waiting, or is ErrBusy at once. Default 64
	// times GOMAXPROCS; negative: no call may wait.
	Queue int

	// QueueTime is how long a call may wait before it is ErrBusy; by an
	// estimate, at once. Default 2 s; negative: as long as ctx allows.
	QueueTime time.Duration
}

// Blocklist tells common passwords.
type Blocklist interface {
	// Common reports whether a password must not be set. It is given in the
	// form NFKC, with case folded, and is called concurrently.
	Common(folded string) bool
}
