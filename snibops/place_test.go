//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package snibops

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/snibdb/snib"
)

// TestALockOfTheFolderDoesNotKeepAProgramFromServing: everybody who can read a
// folder can lock it, and a copy that is made there does.
func TestALockOfTheFolderDoesNotKeepAProgramFromServing(t *testing.T) {
	path := dbPath(t)
	db := open(t, path, snib.Options{})
	for name, how := range map[string]int{"a maker of a file": syscall.LOCK_SH, "a stranger": syscall.LOCK_EX} {
		f := must(os.Open(filepath.Dir(path)))(t)
		if err := syscall.Flock(int(f.Fd()), how); err != nil {
			t.Fatal(err)
		}
		s, err := Listen(db, path, nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if err := s.Close(); err != nil {
			t.Error(err)
		}
		_ = f.Close()
	}
}
