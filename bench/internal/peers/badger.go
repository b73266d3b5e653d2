//go:build !race && !light

package peers

import (
	"bytes"
	"errors"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"

	"github.com/snibdb/snib/bench/internal/peer"
)

var badgerPeer = peer.Peer{
	Name:       "badger",
	Note:       "an LSM of several files; SyncWrites, no compression, a transaction each",
	Modules:    []string{"github.com/dgraph-io/badger/v4"},
	Durability: peer.Synced,
	Open: func(dir string, o peer.Options) (peer.Store, error) {
		db, err := badger.Open(badger.DefaultOptions(dir).WithLogger(nil).WithSyncWrites(!o.NoSync).
			WithCompression(options.None).WithBlockCacheSize(64 << 20))
		if err != nil {
			return nil, err
		}
		return newRecordStore(&badgerEngine{db}, o), nil
	},
}

type badgerEngine struct{ db *badger.DB }

func (e *badgerEngine) view(fn func(reader) error) error {
	return e.db.View(func(tx *badger.Txn) error { return fn(badgerTx{tx}) })
}

// update runs a transaction again that collided with another.
func (e *badgerEngine) update(_ string, fn func(writer) error) error {
	for {
		err := e.db.Update(func(tx *badger.Txn) error { return fn(badgerTx{tx}) })
		if !errors.Is(err, badger.ErrConflict) {
			return err
		}
	}
}

func (e *badgerEngine) close() error { return e.db.Close() }

type badgerTx struct{ tx *badger.Txn }

// spaced is the key with its space in front.
func spaced(sp space, key []byte) []byte {
	return append(append(make([]byte, 0, len(key)+1), byte(sp)), key...)
}

func (t badgerTx) get(sp space, key []byte) (value []byte, err error) {
	item, err := t.tx.Get(spaced(sp, key))
	if errors.Is(err, badger.ErrKeyNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	err = item.Value(func(b []byte) error { value = b; return nil }) // valid while the transaction is
	return value, err
}

func (t badgerTx) keys(sp space, from, to []byte) (list [][]byte, err error) {
	o := badger.DefaultIteratorOptions
	o.PrefetchValues = false
	it := t.tx.NewIterator(o)
	defer it.Close()
	end := spaced(sp, to)
	for it.Seek(spaced(sp, from)); it.Valid() && bytes.Compare(it.Item().Key(), end) < 0; it.Next() {
		list = append(list, it.Item().KeyCopy(nil)[1:])
	}
	return list, nil
}

func (t badgerTx) put(sp space, key, value []byte) error { return t.tx.Set(spaced(sp, key), value) }
func (t badgerTx) del(sp space, key []byte) error        { return t.tx.Delete(spaced(sp, key)) }
