package boltkv

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/snibdb/snib/internal/kv"
	bolt "go.etcd.io/bbolt"
)

// Rows of the application's lie in top-level buckets beside the store's own. The
// application makes and fills them with the transaction that [Bolt] gives.

// rows returns the set at a path, with a nil bucket if it is missing.
func (p *pages) rows(path ...string) (*space, error) {
	if path[0] == p.opt.Bucket {
		return nil, fmt.Errorf("boltkv: bucket %q is the store's own", path[0])
	}
	b := p.btx.Bucket([]byte(path[0]))
	for _, name := range path[1:] {
		if b != nil {
			b = b.Bucket([]byte(name))
		}
	}
	return inside(b), nil
}

// inside makes a set of a bucket. It is looked up anew for each call: the
// application may have removed it since.
func inside(b *bolt.Bucket) *space {
	s := &space{}
	s.set(b, kv.SpaceSpec{})
	return s
}

// ScanRows implements kv.Rows.
func (r *reader) ScanRows(path []string, from, to []byte, limit int, visit func(key, value []byte) error) error {
	return r.scan(func() (*space, error) { return r.rows(path...) }, from, to, limit, visit)
}

// DeleteRows implements kv.Rows.
func (r *reader) DeleteRows(string, []byte, []byte, int) (int, error) {
	if err := r.usable(); err != nil {
		return 0, err
	}
	return 0, kv.ErrReadOnly
}

// DeleteRows implements kv.Rows.
func (t *tx) DeleteRows(set string, from, to []byte, limit int) (n int, err error) {
	if err := t.writable(); err != nil {
		return 0, err
	}
	defer t.rescue(&err)
	s, err := t.rows(set)
	if err == nil {
		n, err = t.removeRows(s, from, to, limit, 0)
	}
	if err != nil {
		return 0, t.fail(err)
	}
	return n, nil
}

// removeRows removes the first keys of a range. Leaves are checked as far as it
// comes, and not to the end of the range, which may be far.
func (t *tx) removeRows(s *space, from, to []byte, limit, depth int) (n int, err error) {
	if s.bucket == nil {
		return 0, nil
	}
	if depth > maxNesting {
		return 0, damaged("more than %d buckets inside each other", maxNesting)
	}
	at, err := t.sound(s, from, true)
	var last []byte
	for next := from; err == nil && n < limit; next = last {
		k, v := s.seek(next)
		if k == nil || !before(k, to) {
			_, err = t.reach(s, at, to)
			return n, err
		}
		if !follows(k, from, last) {
			return n, outOfOrder()
		}
		if at, err = t.reach(s, at, k); err != nil {
			return n, err
		}
		last = append(last[:0], k...)
		var removed int
		removed, err = t.removeRow(s, last, v, limit-n, depth)
		n += removed
	}
	return n, err
}

// removeRow removes a key, or as much as it may of the bucket there. Keys of a
// bucket go first, so that a bucket of more than limit keys is not freed at once.
func (t *tx) removeRow(s *space, key, value []byte, limit, depth int) (int, error) {
	var child *bolt.Bucket
	if value == nil { // of a bucket, or of a key put in this transaction
		child = s.bucket.Bucket(key)
	}
	if child == nil {
		return 1, t.remove(s, key, value)
	}
	n, err := t.removeRows(inside(child), nil, nil, limit, depth+1)
	if err != nil || n == limit {
		return n, err
	}
	t.touched = true
	return n + 1, s.bucket.DeleteBucket(key)
}

// MoveRows implements kv.Rows.
func (r *reader) MoveRows(string, []byte, []byte) (int, error) {
	if err := r.usable(); err != nil {
		return 0, err
	}
	return 0, kv.ErrReadOnly
}

// MoveRows implements kv.Rows.
func (t *tx) MoveRows(set string, from, to []byte) (n int, err error) {
	if err := t.writable(); err != nil {
		return 0, err
	}
	defer t.rescue(&err)
	s, err := t.rows(set)
	if err == nil {
		n, err = t.moveRows(s, from, to)
	}
	if err != nil {
		return 0, t.fail(err)
	}
	return n, nil
}

// moveRows collects the keys before it moves any: a cursor may skip keys after a
// change of its bucket.
func (t *tx) moveRows(s *space, from, to []byte) (n int, err error) {
	var keys [][]byte
	same := func() (*space, error) { return s, nil }
	err = t.scan(same, from, nil, 0, func(key, _ []byte) error {
		if !bytes.HasPrefix(key, from) {
			return errBehind
		}
		keys = append(keys, bytes.Clone(key))
		return nil
	})
	if errors.Is(err, errBehind) {
		err = nil
	}
	for _, key := range keys {
		if err != nil {
			break
		}
		var moved int
		moved, err = t.moveRow(s, key, slices.Concat(to, key[len(from):]))
		n += moved
	}
	return n, err
}

// errBehind ends a scan behind a range.
var errBehind = errors.New("behind the range")

// moveRow moves one key, with all that is in the bucket there.
func (t *tx) moveRow(s *space, key, to []byte) (n int, err error) {
	_, err = t.sound(s, to, false)
	if err == nil {
		_, err = t.sound(s, key, true)
	}
	if err != nil {
		return 0, err
	}
	if k, _ := s.seek(to); bytes.Equal(k, to) {
		return 0, errors.New("boltkv: a row is there already")
	}
	_, v := s.seek(key)
	if child := childOf(s.bucket, key, v); child != nil {
		t.touched = true
		made, err := s.bucket.CreateBucket(to)
		if err == nil {
			n, err = t.copyRows(made, child, 1)
		}
		if err == nil {
			err = s.bucket.DeleteBucket(key)
		}
		return n + 1, err
	}
	value := append([]byte{}, v...) // bbolt keeps it until it commits
	if err := t.remove(s, key, v); err != nil {
		return 0, err
	}
	if t.weighs {
		t.room.put(to, value, false, nil)
	}
	return 1, s.bucket.Put(to, value)
}

// copyRows copies the content of a bucket, and its sequence.
func (t *tx) copyRows(to, from *bolt.Bucket, depth int) (n int, err error) {
	if depth > maxNesting {
		return 0, damaged("more than %d buckets inside each other", maxNesting)
	}
	if err := to.SetSequence(from.Sequence()); err != nil {
		return 0, err
	}
	same := func() (*space, error) { return inside(from), nil }
	err = t.scan(same, nil, nil, 0, func(key, value []byte) error {
		n++
		child := childOf(from, key, value)
		if child == nil {
			return to.Put(key, append([]byte{}, value...))
		}
		made, err := to.CreateBucket(key)
		if err != nil {
			return err
		}
		more, err := t.copyRows(made, child, depth+1)
		n += more
		return err
	})
	return n, err
}

// childOf returns the bucket under a key, or nil. The value is nil of a bucket, and
// of a key that was put so in this transaction.
func childOf(b *bolt.Bucket, key, value []byte) *bolt.Bucket {
	if value != nil {
		return nil
	}
	return b.Bucket(key)
}
