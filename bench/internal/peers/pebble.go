//go:build !race && !light

package peers

import (
	"bytes"
	"errors"
	"hash/maphash"
	"io"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"github.com/snibdb/snib/bench/internal/peer"
)

var pebblePeer = peer.Peer{
	Name:       "pebble",
	Note:       "an LSM of several files; Sync, 64 MB of cache; it has no transactions that read, so the program locks",
	Modules:    []string{"github.com/cockroachdb/pebble/v2"},
	Durability: peer.Synced,
	Open: func(dir string, o peer.Options) (peer.Store, error) {
		db, err := pebble.Open(dir, &pebble.Options{
			CacheSize: 64 << 20, MemTableSize: 64 << 20, Logger: silent{}, FormatMajorVersion: pebble.FormatNewest,
		})
		if err != nil {
			return nil, err
		}
		e := &pebbleEngine{db: db, sync: pebble.Sync, seed: maphash.MakeSeed()}
		if o.NoSync {
			e.sync = pebble.NoSync
		}
		return newRecordStore(e, o), nil
	},
}

type silent struct{}

func (silent) Infof(string, ...any)  {}
func (silent) Errorf(string, ...any) {}
func (silent) Fatalf(format string, args ...any) {
	panic("pebble: " + format)
}

type pebbleEngine struct {
	db    *pebble.DB
	sync  *pebble.WriteOptions
	seed  maphash.Seed
	locks [256]sync.Mutex // by the hash of the lock that an update names
}

func (e *pebbleEngine) view(fn func(reader) error) error {
	s := e.db.NewSnapshot()
	r := pebbleReader{s, new(closers)}
	return errors.Join(fn(r), r.open.close(), s.Close())
}

func (e *pebbleEngine) update(lock string, fn func(writer) error) error {
	mu := &e.locks[maphash.String(e.seed, lock)%256]
	mu.Lock()
	defer mu.Unlock()
	b := e.db.NewIndexedBatch()
	w := pebbleBatch{pebbleReader{b, new(closers)}, b}
	if err := errors.Join(fn(w), w.open.close()); err != nil {
		return errors.Join(err, b.Close())
	}
	return errors.Join(b.Commit(e.sync), b.Close())
}

func (e *pebbleEngine) close() error { return errors.Join(e.db.Flush(), e.db.Close()) }

// closers keep returned bytes valid until the end of a closure.
type closers []io.Closer

func (c closers) close() (err error) {
	for _, one := range c {
		err = errors.Join(err, one.Close())
	}
	return err
}

type pebbleReader struct {
	r    pebble.Reader
	open *closers
}

func (t pebbleReader) get(sp space, key []byte) ([]byte, error) {
	value, closer, err := t.r.Get(spaced(sp, key))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err == nil {
		*t.open = append(*t.open, closer)
	}
	return value, err
}

func (t pebbleReader) keys(sp space, from, to []byte) (list [][]byte, err error) {
	it, err := t.r.NewIter(&pebble.IterOptions{LowerBound: spaced(sp, from), UpperBound: spaced(sp, to)})
	if err != nil {
		return nil, err
	}
	for it.First(); it.Valid(); it.Next() {
		list = append(list, bytes.Clone(it.Key()[1:]))
	}
	return list, it.Close()
}

type pebbleBatch struct {
	pebbleReader
	b *pebble.Batch
}

func (t pebbleBatch) put(sp space, key, value []byte) error {
	return t.b.Set(spaced(sp, key), value, nil)
}
func (t pebbleBatch) del(sp space, key []byte) error { return t.b.Delete(spaced(sp, key), nil) }
