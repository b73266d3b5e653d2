// Package durable puts a file at a path whole or not at all.
//
// The file is written beside its path under a temporary name, synced, and given
// its name in one step; then the directory is synced. A reader of the path sees
// the old file, or all of the new one. A crash leaves at most a file named
// "<name>.partial-*", which is never read and which Sweep removes.
package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// File is a file on its way to a path. Write it through the embedded os.File,
// then Commit; Discard is meant to be deferred.
type File struct {
	*Temp
	path   string // where it is to be
	whole  bool   // synced and closed
	placed bool   // it is there
	over   bool   // placed or discarded
}

// The steps of Commit, for a test to fail.
var (
	syncFile  = (*os.File).Sync
	closeFile = (*os.File).Close
	linkFile  = os.Link
	rename    = os.Rename
	syncDir   = SyncDir
)

// Create makes the file beside path. Unless replace is set, it is fs.ErrExist
// when there is something at path already; Commit looks again. A symbolic link
// that is to be replaced stays, and its target is replaced, if that is a file:
// see Plain.
func Create(path string, replace bool) (*File, error) {
	if _, err := os.Lstat(path); !replace && err == nil {
		return nil, &fs.PathError{Op: "create", Path: path, Err: fs.ErrExist}
	}
	if err := Plain(path); err != nil {
		return nil, err
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	f, err := Beside(path, "partial")
	if err != nil {
		return nil, err
	}
	return &File{Temp: f, path: path}, nil
}

// Plain returns fs.ErrInvalid, wrapped with the kind of file, if there is
// something at path that is no plain file. A pipe or a device is as long as an
// empty file, but opening it may wait for ever, and renaming over it takes it
// from everybody.
func Plain(path string) error {
	info, err := os.Stat(path)
	if err != nil || info.Mode().IsRegular() {
		return nil
	}
	return &fs.PathError{Op: "open", Path: path, Err: fmt.Errorf("%w: it is a %s, not a file", fs.ErrInvalid, kindOf(info.Mode()))}
}

func kindOf(m fs.FileMode) string {
	switch {
	case m.IsDir():
		return "directory"
	case m&fs.ModeNamedPipe != 0:
		return "pipe"
	case m&fs.ModeSocket != 0:
		return "socket"
	}
	return "device"
}

// Commit syncs the file, puts it at its path and syncs the directory. Without
// replace it never replaces anything: fs.ErrExist. After an error the path is
// as it was, unless the error is that of the directory's sync: then the file is
// whole and at its path, but its name may not survive a crash of the machine.
// After fs.ErrExist it may be called again.
func (f *File) Commit(replace bool) error {
	if !f.whole {
		if err := errors.Join(syncFile(f.File), closeFile(f.File)); err != nil {
			return err
		}
		f.whole = true
	}
	put := f.placeNew
	if replace {
		put = func() error { return rename(f.Name(), f.path) }
	}
	if err := put(); err != nil {
		return err
	}
	f.placed, f.over = true, true
	f.release()
	return syncDir(f.path)
}

// placeNew gives the file its name if that is free.
func (f *File) placeNew() error {
	switch err := linkFile(f.Name(), f.path); {
	case err == nil:
		os.Remove(f.Name()) // or it is left, as after a crash: the file is there
		return nil
	case errors.Is(err, fs.ErrExist):
		return err
	}
	// No hard links here. An empty file of ours takes the name, which is as
	// exclusive, and is then replaced.
	empty, err := os.OpenFile(f.path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err := errors.Join(empty.Close(), rename(f.Name(), f.path)); err != nil {
		return errors.Join(err, os.Remove(f.path))
	}
	return nil
}

// Placed reports whether the file is at its path: also when Commit has failed
// in the last step.
func (f *File) Placed() bool { return f.placed }

// Discard removes the file, unless it was committed. It does no harm then, nor
// a second time.
func (f *File) Discard() {
	if f.over {
		return
	}
	f.over = true
	f.Remove()
}

// SyncDir makes the entry at path durable. Systems that cannot do that for a
// directory say so, and there is nothing else to do; nor is there for one that
// may not be read. Any other failure, such as of a process that has no more
// files to open, is one: the entry may not survive.
func SyncDir(path string) error {
	d, err := os.Open(filepath.Dir(path))
	if errors.Is(err, fs.ErrPermission) {
		return nil
	}
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); errors.Is(err, syscall.EIO) {
		return err
	}
	return nil
}
