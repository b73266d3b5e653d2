//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package snibops

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// lockPlace keeps other programs from binding at path meanwhile, by a file of
// mode 0600 beside it that goes with the lock; one that a crash has left is taken.
// The folder itself anybody who can read it could lock.
func lockPlace(path string) (unlock func(), err error) {
	name := path + ".lock"
	for watch := started(); ; {
		f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
		if err != nil {
			return nil, err
		}
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		mine, failed := f.Stat()
		there, gone := os.Lstat(name)
		if err == nil && failed == nil && gone == nil && os.SameFile(mine, there) {
			return func() { _, _ = os.Remove(name), f.Close() }, nil
		}
		_ = f.Close() // it was removed with the lock of another
		if err != nil && !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) || watch.elapsed() > helloTime {
			return nil, fmt.Errorf("snibops: lock %s: %w", Quote(name), errors.Join(err, failed, gone))
		}
		_ = rest(context.Background(), 10*time.Millisecond)
	}
}
