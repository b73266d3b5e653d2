package boltkv

import (
	"context"
	"fmt"
	"sync"

	"github.com/snibdb/snib/internal/kv"
	bolt "go.etcd.io/bbolt"
)

// Spaces that are built to take the place of others (kv.SpaceSpec.Shadow) are
// buckets under their own names in one more bucket, beside the spaces. bbolt
// cannot rename a bucket, but it can move one into another bucket.

// shadows is the name of the bucket, which no space may have.
const shadows = "shadow"

// Swap puts the shadow of each named space in its place and drops what was
// there, at the cost of their pages. A space without a shadow becomes empty. It
// is for a transaction of [Store.Exclusive] that has not written to any of
// those spaces or shadows before; after it, it may.
func Swap(w kv.Tx, names ...string) (err error) {
	t, err := engineTx(w)
	if err != nil {
		return err
	}
	defer t.rescue(&err)
	root, err := t.parent(kv.SpaceSpec{})
	if err != nil {
		return t.fail(err)
	}
	t.touched = true
	t.forget()
	built := root.Bucket([]byte(shadows))
	for _, name := range names {
		if err := drop(root, name); err != nil {
			return t.fail(err)
		}
		if built == nil || built.Bucket([]byte(name)) == nil {
			continue
		}
		if err := built.MoveBucket([]byte(name), root); err != nil {
			return t.fail(fmt.Errorf("swap space %q: %w", name, err))
		}
	}
	return DropShadows(w)
}

// DropShadows removes all spaces that are being built. It is for a transaction
// of [Store.Exclusive] that has not written to any.
func DropShadows(w kv.Tx) (err error) {
	t, err := engineTx(w)
	if err != nil {
		return err
	}
	defer t.rescue(&err)
	root, err := t.parent(kv.SpaceSpec{})
	if err != nil {
		return t.fail(err)
	}
	built := root.Bucket([]byte(shadows))
	if built == nil {
		return nil
	}
	t.touched = true
	var names []string // collected: bbolt's cursor may skip buckets after a removal
	if err := built.ForEachBucket(func(name []byte) error { names = append(names, string(name)); return nil }); err != nil {
		return t.fail(err)
	}
	for _, name := range names {
		if err := drop(built, name); err != nil {
			return t.fail(err)
		}
	}
	if err := drop(root, shadows); err != nil {
		return t.fail(err)
	}
	t.forget()
	return nil
}

// Shadowed reports whether there are spaces that are being built, or were when
// a crash or a failure came.
func (s *Store) Shadowed(ctx context.Context) (found bool, err error) {
	err = s.View(ctx, func(r kv.Reader) error {
		btx, _ := under(r)
		root := btx.Bucket([]byte(s.opt.Bucket))
		found = root != nil && root.Bucket([]byte(shadows)) != nil
		return nil
	})
	return found, err
}

// builders are the handles on which somebody builds spaces. One process at a
// time has a file, so that this keeps two from building in it at once.
var builders = struct {
	sync.Mutex
	handles map[*bolt.DB]chan struct{} // closed when the builder is done
}{handles: map[*bolt.DB]chan struct{}{}}

// TryBuild makes the caller the only one, of all stores on the handle, who may
// build spaces, until it calls done. If there is one already, done is nil and
// busy is closed when that one is done.
func (s *Store) TryBuild() (done func(), busy <-chan struct{}) {
	builders.Lock()
	defer builders.Unlock()
	if taken, ok := builders.handles[s.db]; ok {
		return nil, taken
	}
	mine := make(chan struct{})
	builders.handles[s.db] = mine
	return func() {
		builders.Lock()
		defer builders.Unlock()
		delete(builders.handles, s.db)
		close(mine)
	}, nil
}

// Path returns the path of the file.
func (s *Store) Path() string { return s.db.Path() }
