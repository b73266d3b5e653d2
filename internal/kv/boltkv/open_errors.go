package boltkv

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"github.com/snibdb/snib/internal/kv"
	berrors "go.etcd.io/bbolt/errors"
)

// fileError turns a failure of the file into an error of package kv.
func fileError(err error) error {
	switch {
	case errors.Is(err, berrors.ErrTimeout):
		return ErrLocked
	case errors.Is(err, berrors.ErrInvalid), errors.Is(err, berrors.ErrChecksum), errors.Is(err, berrors.ErrVersionMismatch):
		return fmt.Errorf("%w: %w", kv.ErrCorrupt, err)
	case errors.Is(err, fs.ErrPermission), errors.Is(err, readOnlyFS):
		return fmt.Errorf("%w: %w%s", kv.ErrReadOnly, err, whose(err))
	case isFull(err):
		return fmt.Errorf("%w: %w", kv.ErrFull, err)
	}
	return err
}

// whose describes the file that may not be opened, or the directory in which no
// file may be made, for an error of the system; "" if it cannot be looked at.
func whose(err error) string {
	var path *fs.PathError
	if !errors.As(err, &path) {
		return ""
	}
	what, name := "file", path.Path
	info, err := os.Stat(name)
	if err != nil {
		what, name = "directory", filepath.Dir(name)
		info, err = os.Stat(name)
	}
	if err != nil {
		return ""
	}
	return fmt.Sprintf(" (the %s has mode %v%s)", what, info.Mode(), owner(info))
}

// private gives the file of a new database the mode 0600.
func private(f *os.File, log *slog.Logger) {
	info, err := f.Stat()
	if err == nil && info.Mode().Perm() != 0o600 {
		err = f.Chmod(0o600)
	}
	if err != nil {
		log.Warn("others may be able to read the file", "cause", err)
	}
}

// opened are the files that this process has open as databases.
var opened registry

type registry struct {
	mu    sync.Mutex
	files map[facts]bool // by dev and ino alone
}

func which(now facts) facts { return facts{dev: now.dev, ino: now.ino} }

func (r *registry) add(f *os.File) {
	if now, err := factsOf(f); err == nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.files == nil {
			r.files = map[facts]bool{}
		}
		r.files[which(now)] = true
	}
}

func (r *registry) remove(f *os.File) {
	if now, err := factsOf(f); err == nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.files, which(now))
	}
}

// whoHas adds to ErrLocked the process that has the file at path.
func whoHas(path string, err error) error {
	if !errors.Is(err, ErrLocked) || !lockedFirst {
		return err
	}
	now, e := factsAt(path)
	opened.mu.Lock()
	defer opened.mu.Unlock()
	if e == nil && opened.files[which(now)] {
		return fmt.Errorf("%w: this process has %s open already", err, path)
	}
	return fmt.Errorf("%w: another process has %s open, or a bbolt handle of this one", err, path)
}
