package e2e

import (
	"bufio"
	"bytes"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience bounds every single wait: for a page, for the program. It is long,
// so that only what hangs meets it.
const patience = 3 * time.Minute

// build builds the web application once for all tests.
var build = sync.OnceValues(func() (string, error) {
	binary := filepath.Join(scratch, "webapp")
	cmd := exec.Command("go", "build", "-o", binary, "./examples/webapp")
	cmd.Dir = ".."
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the web application: %w\n%s", err, out)
	}
	return binary, nil
})

// A program is the web application as a child process.
type program struct {
	t      *testing.T
	db     string
	url    string // "http://localhost:port"
	lines  chan string
	cmd    *exec.Cmd
	stderr bytes.Buffer
	warns  string // what each line of stderr must have in it; "": there is none
}

// newProgram starts the application with a new database on a free port.
func newProgram(t *testing.T, args ...string) *program {
	t.Helper()
	p := &program{t: t, db: filepath.Join(t.TempDir(), "accounts.db")}
	p.start("localhost:0", args...)
	t.Cleanup(p.stop)
	return p
}

// start starts it and waits until it serves.
func (p *program) start(addr string, args ...string) {
	p.t.Helper()
	binary, err := build()
	if err != nil {
		p.t.Fatal(err)
	}
	p.stderr.Reset()
	p.lines = make(chan string, 1000) // far more than it prints
	p.cmd = exec.Command(binary, append([]string{"-addr", addr, "-db", p.db}, args...)...)
	p.cmd.Stderr = &p.stderr
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	go func(lines chan<- string) {
		defer close(lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			lines <- s.Text()
		}
	}(p.lines)
	p.url = p.prints(`^Open (http://\S+) in a browser`)
}

// prints waits for a line that matches and returns its first group.
func (p *program) prints(pattern string) string {
	p.t.Helper()
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		select {
		case line, ok := <-p.lines:
			if !ok {
				p.t.Fatalf("the program ended: %s", p.stderr.String())
			}
			if m := regexp.MustCompile(pattern).FindStringSubmatch(line); m != nil {
				return m[1]
			}
		case <-late.C:
			p.t.Fatalf("the program prints nothing like %s: %s", pattern, p.stderr.String())
		}
	}
}

// stop asks the program to end, as a terminal or a supervisor does, and fails
// the test if it does not end well. It has nothing to complain about.
func (p *program) stop() {
	p.t.Helper()
	if p.cmd == nil {
		return
	}
	hangs := time.AfterFunc(patience, func() { p.cmd.Process.Kill() })
	defer hangs.Stop()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Error(err)
	}
	for range p.lines { // up to the end, before Wait closes the pipe
	}
	if err := p.cmd.Wait(); err != nil {
		p.t.Error(err)
	}
	lines := slices.Collect(strings.Lines(p.stderr.String()))
	if p.warns != "" && len(lines) == 0 {
		p.t.Errorf("the program did not warn of %q", p.warns)
	}
	for _, line := range lines {
		if p.warns == "" || !strings.Contains(line, p.warns) {
			p.t.Errorf("the program: %s", line)
		}
	}
	p.cmd = nil
}

// restart stops the program and starts it again at the same address.
func (p *program) restart() {
	p.t.Helper()
	addr := strings.TrimPrefix(p.url, "http://")
	p.stop()
	p.start(addr)
}

// path returns the path of an address of the program's, and everything else of
// another one.
func (p *program) path(address string) string {
	u, err := url.Parse(strings.TrimPrefix(address, p.url))
	if err != nil || u.Host != "" {
		return address
	}
	return u.Path
}

// scratch is a folder for the time of all tests.
var scratch string

func TestMain(m *testing.M) { os.Exit(runTests(m)) }

func runTests(m *testing.M) int {
	var err error
	if scratch, err = os.MkdirTemp("", "snib-e2e-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(scratch)
	defer closeChromium()
	return m.Run()
}
