//go:build unix && !aix && !android && !solaris

package durable

import (
	"os"
	"syscall"
)

// lockDir takes the lock of a directory, if it is free, and reports whether it
// has it. Where there are no such locks, a sharer need not wait for one.
func lockDir(dir *os.File, shared bool) bool {
	how := syscall.LOCK_EX
	if shared {
		how = syscall.LOCK_SH
	}
	for {
		switch err := syscall.Flock(int(dir.Fd()), how|syscall.LOCK_NB); err {
		case nil:
			return true
		case syscall.EINTR:
		case syscall.EWOULDBLOCK:
			return false
		default:
			return shared
		}
	}
}
