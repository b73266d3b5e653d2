package boltkv

import (
	"errors"
	"fmt"

	"github.com/snibdb/snib/internal/kv"
	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// fill is how full the pages of an ascending space are made when they split.
// bbolt forgets it with the transaction.
const fill = 0.95

// fillBuilt is likewise for a space that is built in key order and then written
// to in any: bbolt's half would double the file, full pages would split at once.
const fillBuilt = 0.9

// pages is a bolt transaction with the buckets found in it so far: a look-up
// of a bucket costs as much as one of a key. The members of a group share it.
type pages struct {
	btx    *bolt.Tx
	opt    *Options
	root   *bolt.Bucket
	spaces []space
	store  *Store // nil while a store is made
	memory mapped // see [pages.mapped]
}

type space struct {
	bucket *bolt.Bucket // nil: not looked up, or missing
	get    *bolt.Cursor // for seek
	idle   *bolt.Cursor // of the last scan, for the next one
	known  bool         // looked up

	sound stretch // found sound last
}

func newPages(btx *bolt.Tx, o *Options) *pages {
	return &pages{btx: btx, opt: o, spaces: make([]space, len(o.Spaces))}
}

// pages are those of a transaction on the store's handle.
func (s *Store) pages(btx *bolt.Tx) *pages {
	p := newPages(btx, &s.opt)
	p.store = s
	return p
}

// space returns the space, with a nil bucket if it is missing.
func (p *pages) space(i kv.Space) (*space, error) {
	if i < 0 || int(i) >= len(p.spaces) {
		return nil, fmt.Errorf("boltkv: no space %d", i)
	}
	s := &p.spaces[i]
	if s.bucket != nil || s.known && !p.btx.Writable() { // another Join may have made it since
		return s, nil
	}
	parent, err := p.parent(p.opt.Spaces[i])
	if err != nil {
		return nil, err
	}
	var b *bolt.Bucket
	if parent != nil {
		b = parent.Bucket([]byte(p.opt.Spaces[i].Name))
	}
	s.set(b, p.opt.Spaces[i])
	return s, nil
}

// parent returns the bucket that a space's is in; nil if there are no shadows.
func (p *pages) parent(spec kv.SpaceSpec) (*bolt.Bucket, error) {
	if p.root == nil {
		if p.root = p.btx.Bucket([]byte(p.opt.Bucket)); p.root == nil {
			return nil, fmt.Errorf("%w: bucket %q is gone", kv.ErrCorrupt, p.opt.Bucket)
		}
	}
	if spec.Shadow {
		return p.root.Bucket([]byte(shadows)), nil
	}
	return p.root, nil
}

// create returns the space and makes it if it is missing.
func (p *pages) create(i kv.Space) (*space, error) {
	s, err := p.space(i)
	if err != nil || s.bucket != nil {
		return s, err
	}
	spec, parent := p.opt.Spaces[i], p.root
	if spec.Shadow {
		if parent, err = p.root.CreateBucketIfNotExists([]byte(shadows)); err != nil {
			return nil, fmt.Errorf("create the bucket of shadows: %w", err)
		}
	}
	b, err := parent.CreateBucket([]byte(spec.Name))
	if errors.Is(err, berrors.ErrBucketExists) || errors.Is(err, berrors.ErrIncompatibleValue) {
		return nil, fmt.Errorf("%w: space %q is not one", kv.ErrCorrupt, spec.Name)
	}
	if err != nil {
		return nil, fmt.Errorf("create space %q: %w", spec.Name, err)
	}
	s.set(b, spec)
	return s, nil
}

func (s *space) set(b *bolt.Bucket, spec kv.SpaceSpec) {
	s.bucket, s.known = b, true
	if b == nil {
		return
	}
	s.get = b.Cursor()
	switch {
	case !b.Writable():
	case spec.Ascending:
		b.FillPercent = fill
	case spec.Shadow:
		b.FillPercent = fillBuilt
	}
}

// borrow returns a cursor for a scan, which gives it back. A scan inside it has
// another one.
func (s *space) borrow() *bolt.Cursor {
	c := s.idle
	if s.idle = nil; c == nil {
		c = s.bucket.Cursor()
	}
	return c
}

// seek returns the first key not before key, and its value. bbolt positions a
// cursor from the root at each Seek, so that writes do not mislead it.
func (s *space) seek(key []byte) (k, v []byte) {
	if s.bucket == nil {
		return nil, nil
	}
	return s.get.Seek(key)
}
