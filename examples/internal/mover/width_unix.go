//go:build linux || darwin || freebsd || netbsd

package mover

import (
	"os"
	"syscall"
	"unsafe"
)

// columns returns the width of the terminal f, or 0 if it is another device
// (the null device is a character device too).
func columns(f *os.File) int {
	conn, err := f.SyscallConn()
	if err != nil {
		return 0
	}
	var size struct{ rows, columns, x, y uint16 }
	var errno syscall.Errno
	err = conn.Control(func(fd uintptr) {
		_, _, errno = syscall.Syscall(syscall.SYS_IOCTL, fd, syscall.TIOCGWINSZ, uintptr(unsafe.Pointer(&size)))
	})
	switch {
	case err != nil || errno != 0:
		return 0
	case size.columns == 0: // a serial line, say
		return usualColumns()
	}
	return int(size.columns)
}
