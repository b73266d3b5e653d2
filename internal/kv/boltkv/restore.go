package boltkv

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/snibdb/snib/internal/durable"
)

// CopyFile copies the database file at path, which no process has open, to w,
// after a check of every page: that it matches its header, is in its place,
// used once and not free. It holds the lock of the file meanwhile, where
// bbolt's is one that a file of which there is only a reader can have.
//
// Errors: ErrLocked after wait; ErrForeign, also for an empty file;
// kv.ErrCorrupt; those of the file system, of w and of ctx.
func CopyFile(ctx context.Context, w io.Writer, path string, wait time.Duration, told func(done, total int64)) error {
	if err := durable.Plain(path); err != nil {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	left := newPatience(wait)
	defer left.stop()
	if err := lockFile(f, left); errors.Is(err, ErrLocked) {
		return whoHas(path, err) // any other says that a lock cannot be had here
	}
	info, err := f.Stat()
	switch {
	case err != nil:
		return err
	case info.Size() == 0:
		return fmt.Errorf("%w: it is empty", ErrForeign)
	}
	if err := verify(f, info.Size()); err != nil {
		return err
	}
	m := &meter{ctx: ctx, w: w, told: told, total: info.Size()}
	_, err = io.Copy(m, io.NewSectionReader(f, 0, info.Size()))
	return fullError(m.finish(err))
}

// verify is checkFile, and a walk of all pages, for any state of the free list.
func verify(r io.ReaderAt, size int64) error {
	// For the sake of no bucket: the walk looks at all of them.
	if err := checkFile(r, size, ""); err != nil {
		return err
	}
	f := &file{r: r, size: size}
	if err := f.findMeta(); err != nil {
		return err
	}
	w := newWalker(f)
	if _, err := w.tree(f.meta.root, nil, nil); err != nil || f.meta.free == noFreeList {
		return err
	}
	return f.eachFree(func(id uint64) error {
		if w.seen[id] {
			return damaged("page %d is used and free", id)
		}
		return nil
	})
}

// Place commits f (see package durable), and with replace gives it the owner of
// the file that it replaces and holds the lock of that meanwhile: no process has that open, and a process that
// waits for its lock sees afterwards that another file is at the path.
// ErrLocked after wait. Where the lock is bbolt's alone (Windows) the system
// does not rename over an open file.
func Place(f *durable.File, path string, replace bool, wait time.Duration) error {
	if !replace || !lockedFirst {
		return fullError(f.Commit(replace))
	}
	left := newPatience(wait)
	defer left.stop()
	for {
		err := placeLocked(f, path, left)
		if !errors.Is(err, errReplaced) {
			return fullError(whoHas(path, err))
		}
		if !left.pause() {
			return fmt.Errorf("%w: %s: %w", ErrLocked, path, err)
		}
	}
}

func placeLocked(f *durable.File, path string, left *patience) error {
	old, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		if err = f.Commit(false); errors.Is(err, fs.ErrExist) {
			return errReplaced // by a file that was not there
		}
		return err
	}
	if err != nil {
		return err
	}
	defer old.Close()
	if err := lockFile(old, left); err != nil {
		return err
	}
	if err := new(hook).same(old, path); err != nil {
		return err
	}
	info, err := old.Stat()
	if err != nil {
		return err
	}
	again, err := os.Open(f.Name()) // a Commit that has failed has closed f
	if err != nil {
		return err
	}
	defer again.Close()
	if err := sameOwner(again, info); err != nil { // root must not take the file from its service
		return err
	}
	return f.Commit(true)
}
