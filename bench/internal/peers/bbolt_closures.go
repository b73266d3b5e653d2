package peers

import (
	"io"

	bolt "go.etcd.io/bbolt"

	"github.com/snibdb/snib/bench/internal/peer"
)

// The program's own row, which closures write beside accounts.
var (
	ownBucket = []byte("own")
	ownKey    = []byte("row")
	ownValue  = make([]byte, 100)
)

func putOwn(tx *bolt.Tx) error {
	b, err := tx.CreateBucketIfNotExists(ownBucket)
	if err != nil {
		return err
	}
	return b.Put(ownKey, ownValue)
}

// Update implements peer.Closures.
func (s *boltStore) Update(fn func(write func() error) error) error {
	return s.db.Update(func(tx *bolt.Tx) error { return fn(func() error { return putOwn(tx) }) })
}

// View implements peer.Closures.
func (s *boltStore) View(fn func() error) error {
	return s.db.View(func(*bolt.Tx) error { return fn() })
}

// ViewUser implements peer.Closures.
func (s *boltStore) ViewUser(userID string) error {
	return s.db.View(func(tx *bolt.Tx) error {
		if tx.Bucket(boltBuckets[users]).Get([]byte(userID)) == nil {
			return peer.ErrRefused
		}
		return nil
	})
}

// Backup implements peer.Closures.
func (s *boltStore) Backup(w io.Writer) error {
	return s.db.View(func(tx *bolt.Tx) error {
		_, err := tx.WriteTo(w)
		return err
	})
}
