//go:build !unix || aix || android || solaris

package boltkv

import "os"

// lockedFirst says that the lock is bbolt's alone. A file is examined before
// bbolt opens it, without the lock: what another process is writing at that
// moment may look damaged.
const lockedFirst = false

func lockFile(*os.File, *patience) error { return nil }

func unlockFile(*os.File) error { return nil } // closing gives it back

func fits(int64) bool { return true } // unknown; bbolt will say

func fileSize(f *os.File) (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}
