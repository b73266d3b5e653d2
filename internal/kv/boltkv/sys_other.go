//go:build !unix || aix || android || solaris

package boltkv

import (
	"errors"
	"os"
)

// lockedFirst says that the lock is bbolt's alone. A file is examined before
// bbolt opens it, without the lock: pages that another process is writing at
// that moment may look damaged.
const lockedFirst = false

func lockFile(*os.File, *patience) error   { return nil }
func lockShared(*os.File, *patience) error { return nil }

func unlockFile(*os.File) error { return nil } // closing gives it back

func fits(int64) bool { return true } // unknown; bbolt will say

// facts are the system's record of a file. On Windows an open one keeps its
// name and its place; elsewhere it is not looked at.
type facts struct {
	size            int64
	links, dev, ino uint64
}

func factsOf(f *os.File) (facts, error) {
	info, err := f.Stat()
	if err != nil {
		return facts{}, err
	}
	return facts{size: info.Size()}, nil
}

func factsAt(path string) (facts, error) {
	_, err := os.Stat(path)
	return facts{}, err
}

func owner(os.FileInfo) string { return "" }

// Nothing is put in the place of an open file here.
func openAs(string, string) (*os.File, error) { return nil, errors.ErrUnsupported }
func sameOwner(*os.File, os.FileInfo) error   { return errors.ErrUnsupported }
