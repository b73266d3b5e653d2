package snib

import "github.com/snibdb/snib/internal/phc"

// SetVerified sets the hook between the verification of a password and the
// transaction that relies on it.
func (db *DB) SetVerified(f func()) { db.verified = f }

// ObserveHashes replaces the hasher by one that tells each pass it computes.
func (db *DB) ObserveHashes(observe func(class string)) error {
	p := db.o.Passwords
	hasher, err := phc.NewHasher(phc.Config{
		Params:  phc.Params{MemoryKiB: p.MemoryKiB, Time: p.Time, Parallelism: p.Parallelism},
		Observe: observe,
	})
	if err == nil {
		db.o.hasher = hasher
	}
	return err
}
