package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/snibdb/snib"
)

// Two programs and one file: the fate of the lock when a process ends, is killed,
// replaces itself, starts another program or forks.

func owned(j job) (*snib.DB, error) {
	o := options(func() time.Time { return start })
	o.File.LockTimeout = 2 * time.Minute
	return snib.Open(j.Path, o)
}

// mark creates user n.
func mark(db *snib.DB, n int) error {
	name := fmt.Sprint("user-", n)
	return second(db.ImportUser(ctx, snib.UserImport{ID: snib.UserID(name), Provider: "github", Identifier: name}))
}

// owner opens the file, creates user j.First, says "open" and the result of then,
// and keeps the file open until its input ends.
func owner(j job, then func() (string, error)) error {
	db, err := owned(j)
	if err != nil {
		return err
	}
	if err := mark(db, j.First); err != nil {
		return err
	}
	text, err := then()
	if err != nil {
		return err
	}
	say("open %s", text)
	io.Copy(io.Discard, os.Stdin)
	return db.Close()
}

func init() {
	jobs["own"] = func(j job) error { return owner(j, func() (string, error) { return "", nil }) }
	jobs["spawn"] = func(j job) error { return owner(j, spawned) }
	jobs["fork"] = func(j job) error { return owner(j, forked) }
	jobs["restart"] = func(j job) error { return owner(j, j.restart) }
}

// spawned starts another program, as Go does: descriptors of the database are
// closed at exec.
func spawned() (string, error) {
	cmd := exec.Command("sleep", "60")
	err := cmd.Start()
	return fmt.Sprint(cmd.Process.Pid), err
}

// forked makes a copy of the process that never executes another program.
func forked() (string, error) {
	pid, _, errno := syscall.RawSyscall6(syscall.SYS_CLONE, uintptr(syscall.SIGCHLD), 0, 0, 0, 0, 0)
	if errno != 0 {
		return "", errno
	}
	for pid == 0 { // the copy has no Go scheduler and only waits
		syscall.RawSyscall6(syscall.SYS_PPOLL, 0, 0, 0, 0, 0, 0)
	}
	return fmt.Sprint(pid), nil
}

// restart replaces the program without closing the database.
func (j job) restart() (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	j.Kind, j.First = "own", j.First+1
	os.Unsetenv(jobVariable) // of two values, the first counts
	return "", syscall.Exec(self, []string{self}, j.environ())
}
