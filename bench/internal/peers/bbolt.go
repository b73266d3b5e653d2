package peers

import (
	"bytes"
	"os"
	"path/filepath"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/snibdb/snib/bench/internal/frozen"
	"github.com/snibdb/snib/bench/internal/peer"
)

var bboltModule = []string{"go.etcd.io/bbolt"}

// The floor: the cost of a program that gets the same record by its key and
// believes it, and writes the same records in a transaction each.
var bboltFloor = peer.Peer{
	Name:       Floor,
	Note:       "the floor: View and Get of the record by its key, nothing checked; one Update for each write",
	Modules:    bboltModule,
	Durability: peer.Synced,
	Bare:       true,
	Open: func(dir string, o peer.Options) (peer.Store, error) {
		e, err := openBolt(dir, o, false)
		if err != nil {
			return nil, err
		}
		return &bareStore{boltStore{newRecordStore(e, o), e.db}}, nil
	},
}

var bboltBatch = peer.Peer{
	Name:       "bbolt-batch",
	Note:       "Batch with bbolt's defaults (10 ms, 1,000 calls) for each write",
	Modules:    bboltModule,
	Durability: peer.Synced,
	WritesOnly: true,
	Open: func(dir string, o peer.Options) (peer.Store, error) {
		e, err := openBolt(dir, o, !o.NoSync)
		if err != nil {
			return nil, err
		}
		return &boltStore{newRecordStore(e, o), e.db}, nil
	},
}

// The cost of a careful program on bbolt: the same bytes, every check that snib
// makes of them.
var bboltChecks = peer.Peer{
	Name: Checked,
	Note: "the same checks on bbolt: View and Get of a record of the same fields, checksum, hash of the secret, epoch, deadlines by the clock, " +
		"user present and enabled; one Update for each write",
	Modules:    bboltModule,
	Durability: peer.Synced,
	Open: func(dir string, o peer.Options) (peer.Store, error) {
		e, err := openBolt(dir, o, false)
		if err != nil {
			return nil, err
		}
		return &boltStore{newRecordStore(e, o), e.db}, nil
	},
}

// boltStore is a recordStore whose handle of bbolt is at hand.
type boltStore struct {
	*recordStore
	db *bolt.DB
}

// bareStore reads without any check.
type bareStore struct{ boltStore }

func (s *bareStore) Validate(token string) (string, error) {
	if len(token) < peer.IDLength {
		return "", peer.ErrRefused
	}
	key := []byte(token[:peer.IDLength])
	err := s.db.View(func(tx *bolt.Tx) error {
		if tx.Bucket(boltBuckets[sessions]).Get(key) == nil {
			return peer.ErrRefused
		}
		return nil
	})
	return "", err
}

// ValidateUser is the two Gets. Where the user's id stands in the session's
// record is known, so nothing is decoded.
func (s *bareStore) ValidateUser(token string) (string, error) {
	if len(token) < peer.IDLength {
		return "", peer.ErrRefused
	}
	key := []byte(token[:peer.IDLength])
	err := s.db.View(func(tx *bolt.Tx) error {
		const user = frozen.OffSessionUser
		value := tx.Bucket(boltBuckets[sessions]).Get(key)
		if value == nil || tx.Bucket(boltBuckets[users]).Get(value[user:user+peer.IDLength]) == nil {
			return peer.ErrRefused
		}
		return nil
	})
	return "", err
}

// ListSessions gets every session record of the user, without decoding it.
func (s *bareStore) ListSessions(userID string) (n int, err error) {
	err = s.view(func(r reader) error {
		n = 0
		return s.eachSession(r, userID, func(_, value []byte) error {
			if value != nil {
				n++
			}
			return nil
		})
	})
	return n, err
}

var boltBuckets = [spaceCount][]byte{[]byte("users"), []byte("sessions"), []byte("user_sessions"), []byte("families")}

type boltEngine struct {
	db    *bolt.DB
	write func(func(*bolt.Tx) error) error
}

func openBolt(dir string, o peer.Options, batch bool) (*boltEngine, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	// The map is as large as snib's, so that neither remaps while it is
	// measured.
	db, err := bolt.Open(filepath.Join(dir, "bolt.db"), 0o600, &bolt.Options{
		Timeout: time.Second, NoSync: o.NoSync, InitialMmapSize: 1 << 30,
	})
	if err != nil {
		return nil, err
	}
	e := &boltEngine{db: db, write: db.Update}
	if batch {
		e.write = db.Batch
	}
	return e, db.Update(func(tx *bolt.Tx) error {
		for _, name := range append(boltBuckets[:], ownBucket) {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		return nil
	})
}

func (e *boltEngine) view(fn func(reader) error) error {
	return e.db.View(func(tx *bolt.Tx) error { return fn(boltTx{tx}) })
}

func (e *boltEngine) update(_ string, fn func(writer) error) error {
	return e.write(func(tx *bolt.Tx) error { return fn(boltTx{tx}) })
}

func (e *boltEngine) close() error { return e.db.Close() }

type boltTx struct{ *bolt.Tx }

func (t boltTx) get(sp space, key []byte) ([]byte, error) {
	return t.Bucket(boltBuckets[sp]).Get(key), nil
}

func (t boltTx) keys(sp space, from, to []byte) (list [][]byte, err error) {
	c := t.Bucket(boltBuckets[sp]).Cursor()
	for k, _ := c.Seek(from); k != nil && bytes.Compare(k, to) < 0; k, _ = c.Next() {
		list = append(list, bytes.Clone(k))
	}
	return list, nil
}

// Keys of sessions come in order, so their pages are filled as snib fills
// them.
func (t boltTx) put(sp space, key, value []byte) error {
	b := t.Bucket(boltBuckets[sp])
	if sp == sessions {
		b.FillPercent = 0.95
	}
	return b.Put(key, value)
}

func (t boltTx) del(sp space, key []byte) error { return t.Bucket(boltBuckets[sp]).Delete(key) }
