//go:build unix && !aix && !android && !solaris

package boltkv

import (
	"fmt"
	"os"
	"syscall"
)

// lockedFirst says that lockFile takes the lock that bbolt takes: flock
// belongs to the open file, so that bbolt, given the same one, has it already.
const lockedFirst = true

func lockFile(f *os.File, left *patience) error { return lockBy(syscall.LOCK_EX, f, left) }

// lockShared takes the lock of a reader.
func lockShared(f *os.File, left *patience) error { return lockBy(syscall.LOCK_SH, f, left) }

func lockBy(how int, f *os.File, left *patience) error {
	for {
		switch err := flock(int(f.Fd()), how|syscall.LOCK_NB); err {
		case nil:
			return nil
		case syscall.EINTR:
		case syscall.EWOULDBLOCK:
			if !left.pause() {
				return ErrLocked
			}
		case syscall.ENOSYS, syscall.ENOTSUP, syscall.ENOLCK, syscall.EINVAL:
			return fmt.Errorf("the file system of %s has no locks: %w", f.Name(), os.NewSyscallError("flock", err))
		default:
			return os.NewSyscallError("flock", err)
		}
	}
}

// flock is syscall.Flock; a test has a file system without.
var flock = syscall.Flock

func unlockFile(f *os.File) error {
	return os.NewSyscallError("flock", syscall.Flock(int(f.Fd()), syscall.LOCK_UN))
}

// facts are the system's record of a file.
type facts struct {
	size     int64
	links    uint64 // names
	dev, ino uint64 // which file it is
}

// factsOf is asked before every transaction and must not allocate.
func factsOf(f *os.File) (facts, error) {
	var st syscall.Stat_t
	if err := again(func() error { return syscall.Fstat(int(f.Fd()), &st) }); err != nil {
		return facts{}, os.NewSyscallError("fstat", err)
	}
	return facts{st.Size, uint64(st.Nlink), uint64(st.Dev), uint64(st.Ino)}, nil
}

func factsAt(path string) (facts, error) {
	var st syscall.Stat_t
	if err := again(func() error { return syscall.Stat(path, &st) }); err != nil {
		return facts{}, os.NewSyscallError("stat", err)
	}
	return facts{st.Size, uint64(st.Nlink), uint64(st.Dev), uint64(st.Ino)}, nil
}

// again calls a system call until no signal comes between.
func again(call func() error) error {
	for {
		if err := call(); err != syscall.EINTR {
			return err
		}
	}
}

// fits reports whether n bytes of address space can be had in one piece.
func fits(n int64) bool {
	if n > maxInt {
		return false
	}
	b, err := syscall.Mmap(-1, 0, int(n), syscall.PROT_NONE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	return err == nil && syscall.Munmap(b) == nil
}

// owner names the owner of a file, and the user of this process.
func owner(info os.FileInfo) string {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	return fmt.Sprintf(" and belongs to uid %d; this process is uid %d", st.Uid, os.Geteuid())
}

// openAs opens the file at name under the name that it will have.
func openAs(name, as string) (*os.File, error) {
	fd, err := syscall.Open(name, syscall.O_RDWR|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	return os.NewFile(uintptr(fd), as), nil
}

// sameOwner gives f the owner of another file.
func sameOwner(f *os.File, of os.FileInfo) error {
	mine, err := f.Stat()
	if err != nil {
		return err
	}
	have, ok1 := mine.Sys().(*syscall.Stat_t)
	want, ok2 := of.Sys().(*syscall.Stat_t)
	if !ok1 || !ok2 || have.Uid == want.Uid && have.Gid == want.Gid {
		return nil
	}
	return f.Chown(int(want.Uid), int(want.Gid))
}
