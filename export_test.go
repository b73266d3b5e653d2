package snib

import (
	bolt "go.etcd.io/bbolt"

	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/kv/boltkv"
	"github.com/snibdb/snib/internal/phc"
)

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

// WrapStore puts a store around the one underneath and returns what puts it
// back.
func (db *DB) WrapStore(wrap func(kv.Store) kv.Store) (restore func()) {
	inner := db.store
	db.store = wrapped{Store: wrap(inner), inner: inner}
	return func() { db.store = inner }
}

type wrapped struct {
	kv.Store
	inner store
}

func (w wrapped) Join(btx *bolt.Tx) (kv.Tx, error) { return w.inner.Join(btx) }
func (w wrapped) Stats() boltkv.Stats              { return w.inner.Stats() }

// OpenTwice is Open with an engine that runs every closure that writes twice.
func OpenTwice(path string, opts *Options) (*DB, error) {
	db, err := prepare(opts)
	if err != nil {
		return nil, err
	}
	o := db.o.engine(db.initialise)
	o.Twice = true
	s, err := boltkv.Open(path, o)
	if err != nil {
		return nil, err
	}
	return db.start(s)
}
