package boltkv

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/snibdb/snib/internal/kv"
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
		for deadline := time.Now().Add(atMost); !holdsOpen(cmd.Process.Pid, path); runtime.Gosched() {
			if time.Now().After(deadline) {
				t.Fatal("the child does not open the file")
			}
		}
	}
	must(t, s.Compact(ctx, nil))
	put(t, s, "k", "after")
	for range 5 { // the old file is closed, and they wait for the new one
		for _, pid := range pids {
			same(t, "by a child that waits", read(s, fmt.Sprint("by ", pid)), "absent")
		}
		time.Sleep(10 * time.Millisecond)
	}
	must(t, s.Close())
	for _, c := range children {
		must(t, c.Wait())
	}
	s = openAt(t, path, options())
	same(t, "content", read(s, "k"), "after")
	for _, pid := range pids {
		same(t, "what a child wrote", read(s, fmt.Sprint("by ", pid)), "v")
	}
}

func init() { jobs["copies that do not fit"] = limitCopies }

// limitCopies has no room for a copy, but for the file as it is.
func limitCopies(path string) error {
	s, err := Open(path, options())
	if err != nil {
		return err
	}
	for i := range 5 {
		if err := s.Apply(ctx, func(tx kv.Tx) error { return bulk(tx, fmt.Sprint("bulk ", i), 500<<10) }); err != nil {
			return err
		}
	}
	limit := syscall.Rlimit{Cur: 1 << 20, Max: 1 << 20}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	var e expect
	e.is("backup", s.BackupFile(ctx, path+".backup", false, nil), kv.ErrFull)
	e.is("compact", s.CompactTo(ctx, path+".compact", false, nil), kv.ErrFull)
	e.is("compact in place", s.Compact(ctx, nil), kv.ErrFull)
	e.is("read", s.View(ctx, func(r kv.Reader) error { return second(r.Get(plain, []byte("bulk 0 0"))) }), nil)
	e.is("Close", s.Close(), nil)
	if left, _ := filepath.Glob(path + "?*"); len(left) > 0 {
		return fmt.Errorf("left: %v", left)
	}
	return e.alive()
}

func TestCopiesThatDoNotFitLeaveNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	succeed(t, "copies that do not fit", path)
	check(t, path)
}
