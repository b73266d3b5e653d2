package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// ErrNoBouncer: PgBouncer is not installed here.
var ErrNoBouncer = errors.New("no PgBouncer is installed")

// Bouncer starts PgBouncer before s, in a pool mode: "transaction" or "session".
// It has fewer connections to the server than its clients have to it.
func (s *Server) Bouncer(ctx context.Context, mode string) (*Server, error) {
	path, err := exec.LookPath("pgbouncer")
	if err != nil {
		if path = "/usr/sbin/pgbouncer"; !isFile(path) {
			return nil, ErrNoBouncer
		}
	}
	b, err := prepare()
	if err != nil {
		return nil, err
	}
	config := filepath.Join(b.dir, "pgbouncer.ini")
	text := fmt.Sprintf(`[databases]
postgres = host=127.0.0.1 port=%d user=snib
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = any
pool_mode = %s
default_pool_size = 10
max_client_conn = 200
`, s.Port, b.Port, mode)
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		return nil, err
	}
	cmd := exec.Command(path, config)
	cmd.Dir = b.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: b.cred, Setpgid: true, Pdeathsig: syscall.SIGQUIT}
	log, err := os.Create(filepath.Join(b.dir, "log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if err := b.launch(cmd); err != nil {
		return nil, err
	}
	return b, b.await(ctx, "select 1")
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}
