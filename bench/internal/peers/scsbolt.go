package peers

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/snibdb/snib/bench/internal/peer"
)

var scsBolt = peer.Peer{
	Name:        "scs-bbolt",
	Note:        "scs with a store on bbolt written for this harness, as its boltstore is; it has no users",
	Modules:     []string{"github.com/alexedwards/scs/v2", "go.etcd.io/bbolt"},
	Durability:  peer.Synced,
	OwnClock:    true,
	MaxSessions: 100_000,
	Open: func(dir string, o peer.Options) (peer.Store, error) {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
		db, err := bolt.Open(filepath.Join(dir, "scs.db"), 0o600, &bolt.Options{
			Timeout: time.Second, NoSync: o.NoSync, InitialMmapSize: 1 << 30,
		})
		if err != nil {
			return nil, err
		}
		s := newSCS(&scsBoltStore{db})
		s.close = db.Close
		return s, db.Update(func(tx *bolt.Tx) error {
			_, err := tx.CreateBucketIfNotExists(scsBucket)
			return err
		})
	},
}

var scsBucket = []byte("sessions")

// scsBoltStore implements scs.Store. A value is the deadline in nanoseconds
// and the data. Unlike boltstore it copies the data before the transaction
// ends: after that another transaction may overwrite the bytes.
type scsBoltStore struct{ db *bolt.DB }

func (s *scsBoltStore) Find(token string) (data []byte, found bool, err error) {
	err = s.db.View(func(tx *bolt.Tx) error {
		value := tx.Bucket(scsBucket).Get([]byte(token))
		if len(value) >= 8 && int64(binary.BigEndian.Uint64(value)) > time.Now().UnixNano() {
			data, found = bytes.Clone(value[8:]), true
		}
		return nil
	})
	return data, found, err
}

func (s *scsBoltStore) Commit(token string, data []byte, expiry time.Time) error {
	value := binary.BigEndian.AppendUint64(make([]byte, 0, 8+len(data)), uint64(expiry.UnixNano()))
	return s.db.Update(func(tx *bolt.Tx) error {
		return tx.Bucket(scsBucket).Put([]byte(token), append(value, data...))
	})
}

func (s *scsBoltStore) Delete(token string) error {
	return s.db.Update(func(tx *bolt.Tx) error { return tx.Bucket(scsBucket).Delete([]byte(token)) })
}
