package drive

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/snibdb/snib/bench/http/internal/surface"
)

// A Process is a running server.
type Process struct {
	Addr string
	cmd  *exec.Cmd
	in   io.Closer
	log  *os.File
}

// Start starts a server on the files in dir, which is made.
func Start(program string, c Contender, dir string) (_ *Process, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	p := &Process{}
	if p.log, err = os.Create(filepath.Join(dir, "server.log")); err != nil {
		return nil, err
	}
	args := []string{"-dir", dir}
	if c.Sync != "" {
		args = append(args, "-sync", c.Sync)
	}
	p.cmd = exec.Command(program, args...)
	p.cmd.Stderr = p.log
	in, err := p.cmd.StdinPipe()
	if err != nil {
		return nil, errors.Join(err, p.log.Close())
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, errors.Join(err, p.log.Close())
	}
	if err := p.cmd.Start(); err != nil {
		return nil, errors.Join(err, p.log.Close())
	}
	p.in = in
	watchdog := time.AfterFunc(patience, func() { _ = p.cmd.Process.Kill() })
	defer watchdog.Stop()
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if addr, ok := strings.CutPrefix(lines.Text(), surface.Listening); ok {
			p.Addr = addr
			go func() { _, _ = io.Copy(io.Discard, out) }()
			return p, p.ready()
		}
	}
	return nil, errors.Join(fmt.Errorf("%s did not start: %s", c.Name, tail(p.log.Name())), p.Kill())
}

// ready waits until the server answers.
func (p *Process) ready() error {
	c := client{addr: p.Addr}
	defer c.close()
	status, _, _, err := c.do(me(""))
	if err == nil && status != 401 {
		err = fmt.Errorf("a request without a session: %w", statusError(status))
	}
	if err != nil {
		return errors.Join(err, p.Kill())
	}
	return nil
}

// Stop ends the server in order, at the latest by Kill.
func (p *Process) Stop() error {
	watchdog := time.AfterFunc(patience, func() { _ = p.cmd.Process.Kill() })
	defer watchdog.Stop()
	return errors.Join(p.in.Close(), p.cmd.Wait(), p.log.Close())
}

// Kill ends it with SIGKILL.
func (p *Process) Kill() error {
	err := p.cmd.Process.Kill()
	_ = p.cmd.Wait() // tells of the signal
	_ = p.in.Close()
	return errors.Join(err, p.log.Close())
}

// ResetPeak lets PeakMB begin anew.
func (p *Process) ResetPeak() error {
	return os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", p.cmd.Process.Pid), []byte("5"), 0)
}

// ResidentMB is the memory that is resident now, and PeakMB the most since the
// start or ResetPeak; both 0 on a system without /proc.
func (p *Process) ResidentMB() float64 { return p.status("VmRSS") }
func (p *Process) PeakMB() float64     { return p.status("VmHWM") }

func (p *Process) status(name string) float64 {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	for line := range strings.Lines(string(b)) {
		var kb float64
		if n, _ := fmt.Sscanf(line, name+": %f kB", &kb); n == 1 {
			return kb / 1000
		}
	}
	return 0
}

// tail is the end of a file.
func tail(name string) string {
	b, _ := os.ReadFile(name)
	return string(b[max(0, len(b)-1000):])
}
