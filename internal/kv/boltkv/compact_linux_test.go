package boltkv

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

func init() {
	jobs["add"] = func(path string) error {
		o := options()
		o.LockTimeout = time.Minute
		s, err := Open(path, o)
		if err != nil {
			return err
		}
		if err := s.Apply(ctx, putting(fmt.Sprint("by ", os.Getpid()), "v")); err != nil {
			return err
		}
		return s.Close()
	}
}

// holdsOpen reports whether a process has the file at path open.
func holdsOpen(pid int, path string) bool {
	mine, err := os.Stat(path)
	if err != nil {
		return false
	}
	all, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	for _, fd := range all {
		if theirs, err := os.Stat(fd); err == nil && os.SameFile(mine, theirs) {
			return true
		}
	}
	return false
}

// TestCompactInPlaceWhileProcessesWait: they have the old file open and wait
// for its lock; what they write then is in the new one.
func TestCompactInPlaceWhileProcessesWait(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	s, err := Open(path, options())
	must(t, err)
	put(t, s, "k", "v")
	const n = 3
	children := make([]interface{ Wait() error }, n)
	pids := make([]int, n)
	for i := range n {
		cmd := command("add", path)
		cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
		must(t, cmd.Start())
		children[i], pids[i] = cmd, cmd.Process.Pid
		for deadline := time.Now().Add(30 * time.Second); !holdsOpen(cmd.Process.Pid, path); runtime.Gosched() {
			if time.Now().After(deadline) {
				t.Fatal("the child does not open the file")
			}
		}
	}
	must(t, s.CompactTo(ctx, path, true, nil))
	for _, pid := range pids {
		if holdsOpen(pid, path) {
			t.Fatal("a child has the new file before the old one was closed")
		}
	}
	must(t, s.Close())
	for _, c := range children {
		must(t, c.Wait())
	}
	s = openAt(t, path, options())
	same(t, "content", read(s, "k"), "v")
	for _, pid := range pids {
		same(t, "what a child wrote", read(s, fmt.Sprint("by ", pid)), "v")
	}
}
