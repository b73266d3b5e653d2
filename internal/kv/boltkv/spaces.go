package boltkv

import (
	"errors"
	"fmt"
	"slices"

	"github.com/snibdb/snib/internal/kv"
	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// Extend replaces the list of spaces by a longer one that begins with the same
// names, for a store whose own data says which more it has. No transaction may
// be open or begin, but that of [Store.View] before the first other one.
func (s *Store) Extend(specs []kv.SpaceSpec) {
	s.opt.Spaces = slices.Clone(specs)
	s.pool.retire() // the transaction of that View, which knows the old list
}

// Drop removes spaces by name, whether the store knows them or not, with all
// they hold and at the cost of their pages. It comes before anything else that
// the transaction does in those spaces, and is for a transaction of
// [Store.Exclusive].
func Drop(w kv.Tx, names ...string) error {
	return onRoot(w, func(t *tx, root *bolt.Bucket) error {
		t.touched = true
		for _, name := range names {
			if err := drop(root, name); err != nil {
				return err
			}
		}
		t.forget()
		return nil
	})
}

// Has reports whether the file has a space of that name, whether the store knows
// it or not. It is for a transaction of [Store.Exclusive].
func Has(w kv.Tx, name string) (found bool, err error) {
	err = onRoot(w, func(_ *tx, root *bolt.Bucket) error {
		found = root.Bucket([]byte(name)) != nil
		return nil
	})
	return found, err
}

// SpaceNames implements kv.Lister. The bucket of shadows is no space.
func (r *reader) SpaceNames() (names []string, err error) {
	if err := r.usable(); err != nil {
		return nil, err
	}
	root, err := r.parent(kv.SpaceSpec{})
	if err != nil {
		return nil, err
	}
	err = root.ForEachBucket(func(name []byte) error {
		if string(name) != shadows {
			names = append(names, string(name))
		}
		return nil
	})
	return names, err
}

// onRoot runs fn on the bucket of all spaces. An error of fn fails the
// transaction.
func onRoot(w kv.Tx, fn func(t *tx, root *bolt.Bucket) error) (err error) {
	t, err := engineTx(w)
	if err != nil {
		return err
	}
	defer t.rescue(&err)
	root, err := t.parent(kv.SpaceSpec{})
	if err == nil {
		err = fn(t, root)
	}
	if err != nil {
		return t.fail(err)
	}
	return nil
}

// engineTx returns the transaction of this engine under w, if it can be used.
func engineTx(w kv.Tx) (*tx, error) {
	var r kv.Reader = w
	for {
		outer, ok := r.(interface{ Unwrap() kv.Reader })
		if !ok {
			break
		}
		r = outer.Unwrap()
	}
	t, ok := r.(*tx)
	if !ok {
		return nil, errors.New("boltkv: not a transaction of this engine")
	}
	return t, t.writable()
}

// forget makes the next calls look the buckets up again.
func (t *tx) forget() { clear(t.spaces) }

func drop(root *bolt.Bucket, name string) error {
	if err := root.DeleteBucket([]byte(name)); err != nil && !errors.Is(err, berrors.ErrBucketNotFound) {
		return fmt.Errorf("drop space %q: %w", name, err)
	}
	return nil
}
