package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/snibdb/snib"
)

// TestMain lets tests run their own binary as the command.
func TestMain(m *testing.M) {
	if os.Getenv("SNIB_AS_COMMAND") != "" {
		main()
	}
	os.Exit(m.Run())
}

// command is the command as a process of its own.
func command(tb testing.TB, args ...string) *exec.Cmd {
	tb.Helper()
	self, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	c := exec.Command(self, args...)
	c.Env = append(os.Environ(), "SNIB_AS_COMMAND=1")
	return c
}

// TestInterruptedBackupLeavesNothing ends a backup while it is being written.
func TestInterruptedBackupLeavesNothing(t *testing.T) {
	for _, where := range []string{"file", "program"} {
		t.Run(where, func(t *testing.T) {
			path, dir := newDB(t), t.TempDir()
			if where == "program" {
				serve(t, path)
			}
			stop, cancel := context.WithCancel(ctx)
			defer cancel()
			to := filepath.Join(dir, "copy.db")
			begun := writerFunc(func(p []byte) (int, error) { // the first line of progress is where Ctrl-C comes
				cancel()
				return len(p), nil
			})
			w := world{out: io.Discard, err: begun, env: os.Getenv, plainEvery: -1, tune: tuned}
			if code := run(stop, w, on(path, "backup", to)); code != exitFailed {
				t.Errorf("code %d", code)
			}
			if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) > 0 {
				t.Errorf("left: %v", left)
			}
		})
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// TestInterruptedImportKeepsWholeBatches sends a real signal to a process whose
// import waits for more input.
func TestInterruptedImportKeepsWholeBatches(t *testing.T) {
	path := newDB(t)
	c := command(t, on(path, "import", "-", "--all")...)
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var errs strings.Builder
	c.Stderr = &errs
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer c.Process.Kill()
	go func() { // until nobody reads any more
		for i := 0; ; i++ {
			if _, err := fmt.Fprintf(in, `{"provider":"email","identifier":"n%d@example.com"}`+"\n", i); err != nil {
				return
			}
		}
	}()
	lines := bufio.NewScanner(out)
	if !lines.Scan() { // a batch is in
		t.Fatalf("ended early: %s", errs.String())
	}
	if err := c.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() { // of batches that were in before
	}
	_ = c.Wait()
	said := errs.String()
	for progress, rest, more := strings.Cut(said, "\n"); more && strings.HasSuffix(progress, "/s"); progress, rest, more = strings.Cut(rest, "\n") {
		said = rest // of a machine that was slow
	}
	if c.ProcessState.ExitCode() != exitFailed || !strings.HasPrefix(said, "snib: interrupted; ") || strings.Count(said, "\n") != 1 {
		t.Errorf("code %d, %s", c.ProcessState.ExitCode(), errs.String())
	}
	db, err := snib.OpenReadOnly(ctx, path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := db.Check(ctx)
	if err != nil || r.Users < 1004 || r.Users%1000 != 4 || r.Found > 0 {
		t.Errorf("%d users, %v, %v; want 4 and some thousands", r.Users, r.Problems, err)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
	sound(t, path)
}

// TestFollowEndsByAnInterrupt: events come as they happen, and Ctrl-C is no failure.
func TestFollowEndsByAnInterrupt(t *testing.T) {
	path := newDB(t)
	db, _ := serve(t, path)
	c := command(t, on(path, "events", ada, "--follow", "--kind", "user-disabled")...)
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer c.Process.Kill()
	u, err := db.GetUserByProviderID(ctx, "email", ada)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.DisableUser(ctx, u.ID, "test"); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	if !lines.Scan() || !strings.Contains(lines.Text(), "user-disabled") {
		t.Errorf("%q", lines.Text())
	}
	if err := c.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(); err != nil {
		t.Errorf("%v", err)
	}
}
