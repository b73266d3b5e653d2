package boltkv

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"

	"github.com/snibdb/snib/internal/durable"
	"github.com/snibdb/snib/internal/kv"
	bolt "go.etcd.io/bbolt"
)

// CompactTo puts a compact copy of the whole file, as of one moment, at path
// (see package durable): all buckets, of others too, key by key, and nothing
// that was deleted. Memory is bounded. told learns of bytes of keys and
// values; the total, which is that of pages, is more than there will be. The
// spaces whose names are in without do not get into the copy.
//
// If path is that of the store's own file, which needs replace, it is Compact;
// ErrOwnFile on a store of Attach, and by another hard link to the file, which
// would then be of two contents.
func (s *Store) CompactTo(ctx context.Context, path string, replace bool, told func(done, total int64), without ...string) error {
	if err := s.admitCopy(ctx); err != nil {
		return err
	}
	defer s.gate.Leave()
	own, err := s.owns(path)
	switch {
	case err != nil:
		return err
	case own && replace && (s.db.at().file == nil || !s.named(path)):
		return ErrOwnFile
	case own && replace:
		return s.Compact(ctx, told, without...)
	}
	f, err := durable.Create(path, replace)
	if err != nil {
		return err
	}
	defer f.Discard()
	err = s.View(ctx, func(r kv.Reader) error { return s.compacted(ctx, f, r, told, without) })
	if err != nil {
		return fullError(err)
	}
	return fullError(f.Commit(replace))
}

// compacted fills f with the data that r sees.
func (s *Store) compacted(ctx context.Context, f *durable.File, r kv.Reader, told func(done, total int64), without []string) error {
	btx, _ := under(r)
	m := &meter{ctx: ctx, closed: s.gate.Reason, told: told, total: btx.Size()}
	return m.finish(guarded(func() error { return s.compact(f.Name(), btx, m, without) }))
}

// named reports whether path, which leads to the store's own file, is the name
// by which it was opened, symbolic links aside.
func (s *Store) named(path string) bool {
	real, err := filepath.EvalSymlinks(path)
	if err != nil || filepath.Base(real) != filepath.Base(s.db.Path()) {
		return false
	}
	there, err1 := os.Stat(filepath.Dir(real))
	own, err2 := os.Stat(filepath.Dir(s.db.Path()))
	return err1 == nil && err2 == nil && os.SameFile(there, own)
}

// compact makes a bbolt file at path of the buckets that btx sees.
func (s *Store) compact(path string, btx *bolt.Tx, m *meter, without []string) error {
	db, err := bolt.Open(path, 0o600, &bolt.Options{
		Timeout:        s.opt.LockTimeout,
		PageSize:       s.pageSize,
		FreelistType:   bolt.FreelistArrayType,
		NoFreelistSync: true, // until the last commit
		NoSync:         true, // it is synced when it is complete
	})
	if err != nil {
		return err
	}
	db.AllocSize = growStep
	c := &compactor{s: s, db: db, m: m, without: without}
	defer func() {
		if c.tx != nil {
			c.tx.Rollback()
		}
		db.Close()
	}()
	if err := c.begin(); err != nil {
		return err
	}
	err = btx.ForEach(func(name []byte, b *bolt.Bucket) error { return c.bucket([][]byte{name}, b) })
	if err != nil {
		return err
	}
	db.NoFreelistSync = false
	tx := c.tx
	c.tx = nil
	return errors.Join(tx.Commit(), db.Close())
}

// compactor copies buckets in transactions of bounded size.
type compactor struct {
	s    *Store
	db   *bolt.DB
	m    *meter
	tx   *bolt.Tx
	into *bolt.Bucket // the one that is being filled; nil: to be looked up
	size int          // put in tx so far

	without []string // spaces that are left out
}

func (c *compactor) begin() (err error) {
	c.into, c.size = nil, 0
	c.tx, err = c.db.Begin(true)
	return err
}

// bucket copies a bucket and those in it. path leads to it from the root.
func (c *compactor) bucket(path [][]byte, from *bolt.Bucket) error {
	if len(path) > maxNesting {
		return damaged("more than %d buckets inside each other", maxNesting)
	}
	if c.leavesOut(path) {
		return nil
	}
	c.into = nil
	b, err := c.open(path)
	if err != nil {
		return err
	}
	if err := b.SetSequence(from.Sequence()); err != nil {
		return err
	}
	return from.ForEach(func(k, v []byte) error {
		if v == nil {
			err := c.bucket(append(path[:len(path):len(path)], k), from.Bucket(k))
			c.into = nil
			return err
		}
		return c.put(path, k, v)
	})
}

// leavesOut reports whether path is that of a space which is not copied, or of
// the shadows: a build may have copied there a record that was deleted since.
func (c *compactor) leavesOut(path [][]byte) bool {
	return len(path) == 2 && string(path[0]) == c.s.opt.Bucket &&
		(string(path[1]) == shadows || slices.Contains(c.without, string(path[1])))
}

// open returns the bucket at path, and makes missing ones on the way.
func (c *compactor) open(path [][]byte) (*bolt.Bucket, error) {
	if c.into != nil {
		return c.into, nil
	}
	b, err := c.tx.CreateBucketIfNotExists(path[0])
	for i := 1; err == nil && i < len(path); i++ {
		b, err = b.CreateBucketIfNotExists(path[i])
	}
	if err != nil {
		return nil, err
	}
	b.FillPercent = c.s.fillOf(path)
	c.into = b
	return b, nil
}

// fillOf is how full the pages of a bucket are made. Keys arrive in order, so
// more than bbolt's half; where later ones will not, some room is left.
func (s *Store) fillOf(path [][]byte) float64 {
	if len(path) == 2 && string(path[0]) == s.opt.Bucket {
		for _, spec := range s.opt.Spaces {
			if spec.Ascending && spec.Name == string(path[1]) {
				return fill
			}
		}
	}
	return 0.9
}

// put copies one key. It clones both, so that a memory fault in the source
// happens here, and not in a commit of the copy.
func (c *compactor) put(path [][]byte, k, v []byte) error {
	n := len(k) + len(v)
	if c.size > 0 && c.size+n > maxBytes {
		tx := c.tx
		c.tx = nil
		if err := tx.Commit(); err != nil {
			return err
		}
		if err := c.begin(); err != nil {
			return err
		}
	}
	b, err := c.open(path)
	if err != nil {
		return err
	}
	if before := c.m.done / meterChecks; before != (c.m.done+int64(n))/meterChecks && c.m.stopped() {
		return c.m.err
	}
	c.size += n
	c.m.add(n)
	return b.Put(bytes.Clone(k), append([]byte{}, v...))
}
