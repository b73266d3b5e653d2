package main

import (
	"bufio"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/snibdb/snib"
)

// begin starts a child and returns it with its input and what it says. The
// test kills it in the end.
func begin(t *testing.T, j job) (*exec.Cmd, io.Closer, *bufio.Reader) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env, cmd.Stderr = j.environ(), os.Stderr
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2, cmd.Start()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	return cmd, in, bufio.NewReader(out)
}

// opened waits until a child has the file and returns the rest of its line.
func opened(t *testing.T, out *bufio.Reader) string {
	t.Helper()
	line, err := out.ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "open") {
		t.Fatalf("the child says %q: %v", line, err)
	}
	return strings.TrimSpace(strings.TrimPrefix(line, "open"))
}

// tryOpen opens the file, sees that users 0 to n-1 are there, and closes it.
func tryOpen(t *testing.T, path string, wait time.Duration, n int) error {
	t.Helper()
	o := options(func() time.Time { return start })
	o.File.LockTimeout = wait
	db, err := snib.Open(path, o)
	if err != nil {
		return err
	}
	defer db.Close()
	report, err := db.Check(ctx)
	if report.Users != n {
		t.Errorf("%d users, want %d", report.Users, n)
	}
	return err
}

// TestHandOver: while one program has the file another is refused or waits,
// and it gets the file when the first ends or is killed.
func TestHandOver(t *testing.T) {
	for _, killed := range []bool{false, true} {
		path := filepath.Join(t.TempDir(), databaseName)
		first, in, out := begin(t, job{Kind: "own", Path: path})
		opened(t, out)
		if err := tryOpen(t, path, 20*time.Millisecond, 0); !errors.Is(err, snib.ErrLocked) {
			t.Errorf("beside the owner: %v, want ErrLocked", err)
		}
		_, in2, out2 := begin(t, job{Kind: "own", Path: path, First: 1})
		time.Sleep(50 * time.Millisecond) // so that it waits, mostly
		if killed {
			first.Process.Kill()
		} else {
			in.Close()
		}
		opened(t, out2)
		in2.Close()
		if err := tryOpen(t, path, 2*time.Minute, 2); err != nil {
			t.Errorf("killed %t: %v", killed, err)
		}
	}
}

// TestRestartInPlace: a program that executes itself without Close can open the
// file again.
func TestRestartInPlace(t *testing.T) {
	path := filepath.Join(t.TempDir(), databaseName)
	_, in, out := begin(t, job{Kind: "restart", Path: path})
	opened(t, out)
	in.Close()
	if err := tryOpen(t, path, 2*time.Minute, 2); err != nil {
		t.Error(err)
	}
}

// TestChildrenAndTheLock: a program that was started holds nothing; a copy by
// fork alone holds the lock until it ends.
func TestChildrenAndTheLock(t *testing.T) {
	if raceDetector {
		t.Skip("a fork without exec is nothing for the race detector")
	}
	for kind, holds := range map[string]bool{"spawn": false, "fork": true} {
		t.Run(kind, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), databaseName)
			first, _, out := begin(t, job{Kind: kind, Path: path})
			pid, err := strconv.Atoi(opened(t, out))
			if err != nil {
				t.Fatal(err)
			}
			end := func() { syscall.Kill(pid, syscall.SIGKILL) }
			t.Cleanup(end)
			first.Process.Kill()
			first.Process.Wait()
			wait := 2 * time.Minute
			if holds {
				if err := tryOpen(t, path, 300*time.Millisecond, 1); !errors.Is(err, snib.ErrLocked) {
					t.Fatalf("while the copy lives: %v, want ErrLocked", err)
				}
				end()
			}
			if err := tryOpen(t, path, wait, 1); err != nil {
				t.Error(err)
			}
		})
	}
}
