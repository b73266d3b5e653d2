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

// Swap replaces each named space by its shadow and frees the pages of the old
// tree. A space without a shadow becomes empty; other shadows are dropped. Call
// it in a transaction of [Store.Exclusive] before any write to those spaces or
// shadows: bbolt moves a bucket as it was committed. Writes may follow.
func Swap(w kv.Tx, names ...string) error {
	return onRoot(w, func(t *tx, root *bolt.Bucket) error {
		t.touched = true
		t.forget()
		built := root.Bucket([]byte(shadows))
		for _, name := range names {
			if err := drop(root, name); err != nil {
				return err
			}
			if built == nil || built.Bucket([]byte(name)) == nil {
				continue
			}
			if err := built.MoveBucket([]byte(name), root); err != nil {
				return fmt.Errorf("swap space %q: %w", name, err)
			}
		}
		return t.dropShadows(root)
	})
}

// DropShadows removes all shadows. Call it in a transaction of
// [Store.Exclusive] before any write to them.
func DropShadows(w kv.Tx) error { return onRoot(w, (*tx).dropShadows) }

func (t *tx) dropShadows(root *bolt.Bucket) error {
	built := root.Bucket([]byte(shadows))
	if built == nil {
		return nil
	}
	t.touched = true
	var names []string // collected: bbolt's cursor may skip buckets after a removal
	if err := built.ForEachBucket(func(name []byte) error { names = append(names, string(name)); return nil }); err != nil {
		return err
	}
	for _, name := range names {
		if err := drop(built, name); err != nil {
			return err
		}
	}
	if err := drop(root, shadows); err != nil {
		return err
	}
	t.forget()
	return nil
}

// Shadowed reports whether the file has shadows: a build runs, or a crash has
// ended one.
func (s *Store) Shadowed(ctx context.Context) (found bool, err error) {
	err = s.View(ctx, func(r kv.Reader) error {
		btx, _ := under(r)
		root := btx.Bucket([]byte(s.opt.Bucket))
		found = root != nil && root.Bucket([]byte(shadows)) != nil
		return nil
	})
	return found, err
}

// builders holds the handles with a build in progress. bbolt's file lock admits
// one process, so this admits one build a file.
var builders = struct {
	sync.Mutex
	handles map[*bolt.DB]chan struct{} // closed at the end of the build
}{handles: map[*bolt.DB]chan struct{}{}}

// TryBuild reserves the building of shadows for the caller, among all stores on
// the handle, until done is called. If another store has it, done is nil and
// busy is closed when that store is done.
func (s *Store) TryBuild() (done func(), busy <-chan struct{}) {
	builders.Lock()
	defer builders.Unlock()
	b := s.db.at().DB
	if taken, ok := builders.handles[b]; ok {
		return nil, taken
	}
	mine := make(chan struct{})
	builders.handles[b] = mine
	return func() {
		builders.Lock()
		defer builders.Unlock()
		delete(builders.handles, b)
		close(mine)
	}, nil
}

// Path returns the path of the file.
func (s *Store) Path() string { return s.db.Path() }
