package snibops

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/snibdb/snib"
)

// SocketPath returns the path of the socket for a database file: that of the
// file and ".sock".
func SocketPath(file string) string { return file + ".sock" }

// A Server serves a database on a socket until it is closed.
type Server struct {
	*server
	listener *net.UnixListener
	path     string
	made     fs.FileInfo // the socket, to know it again
	sys      system

	once sync.Once
	done chan struct{} // closed when the last connection is accepted
}

// Listen serves db, whose file is named, on a Unix socket of mode 0600 at
// [SocketPath]. The folder must be such that only its owner, who runs this
// program or is root, can write to it, and no other account can put another in
// its place. A socket that a program has left there is replaced; one behind which
// there is a program is not. Peers that run as another user are refused before
// they are read, where the system tells: see the package comment. opts may be nil.
//
// Close the Server before db. ErrRefused names the folder or file and the reason;
// ErrServed; ErrInvalidInput (Options.Socket) for a path that is too long for a
// socket, 103 bytes, or 107 on Linux; errors of the file system.
func Listen(db *snib.DB, file string, opts *Options) (*Server, error) {
	return listen(db, file, opts, thisSystem())
}

func listen(db *snib.DB, file string, opts *Options, sys system) (*Server, error) {
	o := opts.clean()
	o.File = file
	path, err := socketOf(file, o.Socket)
	if err != nil {
		return nil, err
	}
	if err := sys.safeFolder(filepath.Dir(path), sys.uid()); err != nil {
		return nil, err
	}
	l, err := sys.bind(path)
	if err != nil {
		return nil, err
	}
	made, err := os.Lstat(path)
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	s := &Server{server: newServer(db, o, true), listener: l, path: path, made: made, sys: sys, done: make(chan struct{})}
	go s.accept()
	return s, nil
}

// socketOf returns the absolute path of the socket.
func socketOf(file, socket string) (string, error) {
	if socket == "" {
		if file == "" {
			return "", &snib.InputError{Field: "file", Code: snib.CodeRequired, Reason: "is required"}
		}
		socket = SocketPath(file)
	}
	path, err := filepath.Abs(socket)
	if err != nil {
		return "", err
	}
	if n := max(len(path), len(filepath.Dir(path))+len(bindName)+10); n > maxPath {
		return "", &snib.InputError{
			Field: "Options.Socket", Code: snib.CodeTooLong, Max: maxPath,
			Reason: fmt.Sprintf("must be a path of at most %d bytes for a socket, and %s has %d: choose another folder", maxPath, Quote(path), n),
		}
	}
	return path, nil
}

// Socket returns the path of the socket.
func (s *Server) Socket() string { return s.path }

// Close removes the socket, ends all connections and with them their verbs, and
// waits for these. Calls after the first do nothing.
func (s *Server) Close() (err error) {
	s.once.Do(func() {
		if now, lost := os.Lstat(s.path); lost == nil && os.SameFile(now, s.made) {
			err = os.Remove(s.path)
		}
		err = errors.Join(err, s.listener.Close())
		<-s.done
		s.close()
	})
	return err
}

// accept serves peers until the listener is closed.
func (s *Server) accept() {
	defer close(s.done)
	for {
		conn, err := s.listener.AcceptUnix()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // such as too many open files
			s.o.Logger.Warn("snibops: accept", "err", err)
			if rest(s.ctx, 100*time.Millisecond) != nil {
				return
			}
			continue
		}
		uid, err := s.sys.peer(conn)
		if err != nil || uid >= 0 && uid != s.sys.uid() && uid != 0 {
			s.o.Logger.Warn("snibops: a peer was refused", "uid", uid, "err", err)
			_ = conn.Close()
			continue
		}
		s.start(conn, actorOf(uid))
	}
}

// Dial connects to the program that serves a database file. It sends nothing
// unless socket and folder belong to, and the program runs as, this user or the
// owner of the file, who could do everything that the answers could do. opts may
// be nil.
//
// ErrNotServed without a socket, or without a program behind it; ErrRefused;
// ErrTooManyClients; ErrVersion; that of ctx.
func Dial(ctx context.Context, file string, opts *Options) (*Client, error) {
	return dial(ctx, file, opts, thisSystem())
}

func dial(ctx context.Context, file string, opts *Options, sys system) (*Client, error) {
	o := opts.clean()
	path, err := socketOf(file, o.Socket)
	if err != nil {
		return nil, err
	}
	c := newClient(func(ctx context.Context) (net.Conn, error) { return sys.connect(ctx, path, file) }, o.Name, nil)
	c.file = file
	if err := c.connect(ctx); err != nil {
		return nil, err
	}
	return c, nil
}
