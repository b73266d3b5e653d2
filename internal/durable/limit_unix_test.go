//go:build unix

package durable

import (
	"errors"
	"path/filepath"
	"syscall"
	"testing"
)

// Without a file to open, the directory cannot be synced: whoever was told that
// the entry is durable could lose with it all that comes later.
func TestDirectoryThatCannotBeOpenedIsNotSynced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	write(t, path, "")
	if err := SyncDir(path); err != nil {
		t.Fatal(err)
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Skip(err)
	}
	none := limit
	none.Cur = 0
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &none); err != nil {
		t.Skip(err)
	}
	defer syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
	if err := SyncDir(path); !errors.Is(err, syscall.EMFILE) {
		t.Errorf("no more files: %v", err)
	}
}
