package snibops

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// A system is where both ends ask for identities; tests give other answers.
type system struct {
	uid   func() int                       // of this program; -1 where there is none
	peer  func(*net.UnixConn) (int, error) // uid of the other end; -1 where the system does not tell
	owner func(fs.FileInfo) (int, bool)    // of a file; false where the system does not tell
}

func thisSystem() system { return system{os.Geteuid, peerUID, ownerOf} }

func refused(path, why string) error {
	return fmt.Errorf("snibops: %w: %s %s", ErrRefused, Quote(path), why)
}

// safeFolder refuses a folder in which somebody other than the given users, or
// root, could put another socket in the place of one, or another folder in its
// place.
func (sys system) safeFolder(folder string, users ...int) error {
	real, err := filepath.EvalSymlinks(folder)
	if err != nil {
		return err
	}
	if given, err := filepath.Abs(folder); err == nil && given != real {
		for at := given; at != filepath.Dir(at); at = filepath.Dir(at) {
			info, err := os.Lstat(at)
			if err != nil {
				return err
			}
			owner, known := sys.owner(info)
			if known && info.Mode()&fs.ModeSymlink != 0 && owner != 0 && !slices.Contains(users, owner) {
				return refused(at, fmt.Sprintf("is a link of another user (uid %d), who can turn it elsewhere", owner))
			}
		}
	}
	for at := real; ; at = filepath.Dir(at) {
		info, err := os.Lstat(at)
		if err != nil {
			return err
		}
		owner, known := sys.owner(info)
		if !known {
			return nil // no modes that say anything
		}
		switch writable := info.Mode().Perm()&0o022 != 0; {
		case owner != 0 && !slices.Contains(users, owner):
			return refused(at, fmt.Sprintf("belongs to another user (uid %d)", owner))
		case writable && at == real:
			return refused(at, fmt.Sprintf("can be written by others (mode %04o): chmod go-w, or choose a folder of its own", info.Mode().Perm()))
		case writable && info.Mode()&fs.ModeSticky == 0:
			return refused(at, fmt.Sprintf("can be written by others (mode %04o), and the folder of the socket lies in it", info.Mode().Perm()))
		}
		if at == filepath.Dir(at) {
			return nil
		}
	}
}

// socket returns what lies at a path: nil for nothing, an error for what is no
// socket or is not of the given users.
func (sys system) socket(path string, users ...int) (fs.FileInfo, error) {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if !isSocket(info) {
		return nil, refused(path, "is there and is no socket")
	}
	if owner, known := sys.owner(info); known && !slices.Contains(users, owner) {
		return nil, refused(path, fmt.Sprintf("belongs to another user (uid %d)", owner))
	}
	return info, nil
}

// connect returns a connection to a server that is trusted.
func (sys system) connect(ctx context.Context, path, file string) (net.Conn, error) {
	users := []int{sys.uid()}
	if info, err := os.Stat(file); err == nil {
		if owner, known := sys.owner(info); known {
			users = append(users, owner)
		}
	}
	switch info, err := sys.socket(path, users...); {
	case err != nil:
		return nil, err
	case info == nil:
		return nil, fmt.Errorf("snibops: %w", ErrNotServed)
	}
	if err := sys.safeFolder(filepath.Dir(path), users...); err != nil {
		return nil, err
	}
	d := net.Dialer{Timeout: helloTime}
	conn, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		if nobodyListens(err) {
			err = fmt.Errorf("%w: %w", ErrNotServed, err)
		}
		return nil, fmt.Errorf("snibops: %w", err)
	}
	uid, err := sys.peer(conn.(*net.UnixConn))
	if err == nil && uid >= 0 && !slices.Contains(users, uid) {
		err = refused(path, fmt.Sprintf("is served by another user (uid %d)", uid))
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}

// bindName is the socket until it has its mode, in a folder that is ours alone.
const bindName = "/.snib/s"

// bind makes the socket. It has its mode before it has its name, and the name
// passes from a socket that was left to this one in one step. Two programs that
// begin at once go one after the other.
func (sys system) bind(path string) (*net.UnixListener, error) {
	unlock, err := lockPlace(path)
	if err != nil {
		return nil, err
	}
	defer unlock()
	there, err := sys.socket(path, sys.uid())
	if err != nil {
		return nil, err
	}
	if there != nil {
		conn, err := (&net.Dialer{Timeout: time.Second}).Dial("unix", path)
		if err == nil {
			_ = conn.Close()
		}
		if err == nil || !nobodyListens(err) {
			return nil, fmt.Errorf("snibops: %w: %s", ErrServed, Quote(path))
		}
	}
	return bindAt(path)
}
