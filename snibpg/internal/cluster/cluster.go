// Package cluster starts PostgreSQL servers for tests, on loopback or a host of a
// network of tests, and in a temporary directory, as a user who is not root. It stops only processes that it
// has started.
package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// patience bounds each command, and the start of a server.
const patience = 3 * time.Minute

// ErrMissing: PostgreSQL is not installed here.
var ErrMissing = errors.New("no PostgreSQL server is installed")

// Server is one server.
type Server struct {
	Port  int
	claim net.PacketConn // to the port
	dir   string         // with data, log and socket
	bin   string
	cred  *syscall.Credential
	cmd   *exec.Cmd
	done  chan struct{} // closed when it has ended
	host  Host
}

// Host is where a server runs. The zero value is loopback.
type Host struct {
	Address string
	Run     func(fn func() error) error // runs what starts processes there
}

func (h Host) run(fn func() error) error {
	if h.Run == nil {
		return fn()
	}
	return h.Run(fn)
}

func (h Host) address() string {
	if h.Address == "" {
		return "127.0.0.1"
	}
	return h.Address
}

// find returns the directory with initdb and postgres of the newest version.
func find() (string, error) {
	// Debian has the programs beside each other, and few of them in PATH.
	list, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(list) > 0 {
		return filepath.Dir(list[len(list)-1]), nil
	}
	if path, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(path), nil
	}
	return "", ErrMissing
}

// prepare makes the directory of a server.
func prepare() (*Server, error) {
	bin, err := find()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "snibpg-")
	if err != nil {
		return nil, err
	}
	s := &Server{dir: dir, bin: bin}
	if os.Getuid() == 0 { // the server refuses to be root's
		u, err := user.Lookup("postgres")
		if err != nil {
			return nil, err
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		s.cred = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		if err := os.Chown(dir, uid, gid); err != nil {
			return nil, err
		}
	}
	s.Port, s.claim, err = freePort()
	return s, err
}

// freePort returns a free port, below those of outgoing connections, so that it stays
// free until the server has it. The claim keeps others from it, in tests beside this
// one as well: they bind the same port of UDP.
func freePort() (port int, claim net.PacketConn, err error) {
	first := 10000 + os.Getpid()%1375*16
	for port := first; port < first+100; port++ {
		at := fmt.Sprint("127.0.0.1:", port)
		claim, err := net.ListenPacket("udp", at)
		if err != nil {
			continue
		}
		if l, err := net.Listen("tcp", at); err == nil {
			return port, claim, l.Close()
		}
		claim.Close()
	}
	return 0, nil, errors.New("no port is free")
}

// Start makes and starts a server with settings such as "fsync=off".
func Start(ctx context.Context, settings ...string) (*Server, error) {
	return StartAt(ctx, Host{}, settings...)
}

// StartAt is Start on a host.
func StartAt(ctx context.Context, at Host, settings ...string) (*Server, error) {
	s, err := prepare()
	if err != nil {
		return nil, err
	}
	s.host = at
	if err := s.run(ctx, "initdb", "-D", s.data(), "-U", "snib", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	if at.Address != "" {
		err := os.WriteFile(filepath.Join(s.data(), "pg_hba.conf"), []byte("local all all trust\nhost all all samenet trust\nhost replication all samenet trust\n"), 0o600)
		if err != nil {
			return nil, errors.Join(err, s.Stop())
		}
	}
	return s, s.Begin(ctx, settings...)
}

// Standby makes and starts a standby of s.
func (s *Server) Standby(ctx context.Context, settings ...string) (*Server, error) {
	return s.StandbyAt(ctx, Host{}, settings...)
}

// StandbyAt is Standby on a host.
func (s *Server) StandbyAt(ctx context.Context, at Host, settings ...string) (*Server, error) {
	n, err := prepare()
	if err != nil {
		return nil, err
	}
	n.host = at
	if err := n.run(ctx, "pg_basebackup", "-R", "-X", "stream", "-c", "fast", "--no-sync", "-D", n.data(),
		"-d", fmt.Sprintf("host=%s port=%d user=snib application_name=standby", s.host.address(), s.Port)); err != nil {
		return nil, errors.Join(err, n.Stop())
	}
	return n, n.Begin(ctx, settings...)
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

// run runs one of PostgreSQL's programs.
func (s *Server) run(ctx context.Context, name string, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(s.bin, name), args...)
	cmd.Dir, cmd.SysProcAttr = s.dir, &syscall.SysProcAttr{Credential: s.cred}
	return s.host.run(func() error {
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", name, err, bytes.TrimSpace(out))
		}
		return nil
	})
}

// Begin starts a server that has stopped, and waits until it answers.
func (s *Server) Begin(ctx context.Context, settings ...string) error {
	args := []string{"-D", s.data(), "-p", strconv.Itoa(s.Port), "-k", s.dir, "-c", "listen_addresses=" + s.host.address(), "-c", "max_connections=200"}
	for _, set := range settings {
		args = append(args, "-c", set)
	}
	log, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(filepath.Join(s.bin, "postgres"), args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = s.dir, log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.cred, Setpgid: true, Pdeathsig: syscall.SIGQUIT}
	if err := s.launch(cmd); err != nil {
		return err
	}
	return s.await(ctx, "select 1")
}

// launch starts the process of the server. Pdeathsig comes when the thread ends that
// has started it, as threads do that a test has tied to a network: this one is kept.
func (s *Server) launch(cmd *exec.Cmd) error {
	began, done := make(chan error, 1), make(chan struct{})
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := s.host.run(cmd.Start)
		began <- err
		if err == nil {
			cmd.Wait()
			close(done)
		}
	}()
	if err := <-began; err != nil {
		return err
	}
	s.cmd, s.done = cmd, done
	return nil
}

// await runs a query until it succeeds with a row of true or 1.
func (s *Server) await(ctx context.Context, query string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, s.DSN()+"&default_query_exec_mode=exec")
		if err == nil {
			var got any
			err = conn.QueryRow(ctx, query).Scan(&got)
			conn.Close(ctx)
			if err == nil && (got == true || got == int32(1)) {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			log, _ := os.ReadFile(filepath.Join(s.dir, "log"))
			return fmt.Errorf("server on port %d: %w: %v\n%s", s.Port, ctx.Err(), err, log)
		case <-s.done:
			log, _ := os.ReadFile(filepath.Join(s.dir, "log"))
			return fmt.Errorf("server on port %d has ended\n%s", s.Port, log)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// DSN names the server and its user, on any host: that of another is a socket in the
// file system, which no partition cuts.
func (s *Server) DSN() string {
	if s.host.Address != "" {
		return fmt.Sprintf("postgres://snib@/postgres?host=%s&port=%d&sslmode=disable&connect_timeout=5", s.dir, s.Port)
	}
	return fmt.Sprintf("postgres://snib@127.0.0.1:%d/postgres?sslmode=disable&connect_timeout=5", s.Port)
}

// AwaitStandby waits until a standby follows, synchronously or not.
func (s *Server) AwaitStandby(ctx context.Context) error {
	return s.await(ctx, "select count(*) > 0 from pg_stat_replication where state = 'streaming'")
}

// Promote makes a standby the primary.
func (s *Server) Promote(ctx context.Context) error {
	if err := s.run(ctx, "pg_ctl", "promote", "-D", s.data()); err != nil {
		return err
	}
	return s.await(ctx, "select not pg_is_in_recovery()")
}

// Kill ends all processes of the server by SIGKILL, the children too.
func (s *Server) Kill() {
	pid := s.cmd.Process.Pid
	children := childrenOf(pid)
	s.cmd.Process.Kill()
	for _, child := range children {
		syscall.Kill(child, syscall.SIGKILL)
	}
	<-s.done
}

// childrenOf returns the processes that have pid as parent.
func childrenOf(pid int) (list []int) {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, name := range stats {
		text, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		_, rest, _ := strings.Cut(string(text), ") ")
		fields := strings.Fields(rest)
		if len(fields) < 2 || fields[1] != strconv.Itoa(pid) {
			continue
		}
		if child, err := strconv.Atoi(filepath.Base(filepath.Dir(name))); err == nil {
			list = append(list, child)
		}
	}
	return list
}

// Freeze stops all processes of the server until Thaw.
func (s *Server) Freeze() { s.signal(syscall.SIGSTOP) }

// Thaw lets a frozen server go on.
func (s *Server) Thaw() { s.signal(syscall.SIGCONT) }

func (s *Server) signal(sig syscall.Signal) {
	for _, pid := range append([]int{s.cmd.Process.Pid}, childrenOf(s.cmd.Process.Pid)...) {
		syscall.Kill(pid, sig)
	}
}

// Stop ends the server and removes its directory.
func (s *Server) Stop() error {
	if s.cmd != nil {
		s.Thaw()
		s.cmd.Process.Signal(syscall.SIGQUIT)
		select {
		case <-s.done:
		case <-time.After(patience):
			s.Kill()
		}
	}
	if s.claim != nil {
		s.claim.Close()
	}
	return os.RemoveAll(s.dir)
}
