//go:build !unix

package snibops

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"syscall"
)

// ownerOf tells no owner: the folder's access list is all there is.
func ownerOf(fs.FileInfo) (int, bool) { return 0, false }

// isSocket takes everything that is no plain file and no folder: a socket is a
// reparse point here.
func isSocket(info fs.FileInfo) bool { return !info.Mode().IsRegular() && !info.IsDir() }

// wsaRefused is WSAECONNREFUSED.
const wsaRefused = syscall.Errno(10061)

func nobodyListens(err error) bool {
	return errors.Is(err, wsaRefused) || errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, fs.ErrNotExist)
}

// bindAt removes a socket that was left, and makes one.
func bindAt(path string) (*net.UnixListener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false)
	return l, nil
}

// syncFolder does nothing: a folder cannot be opened to be synced here.
func syncFolder(string) error { return nil }
