package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/snibdb/snib"
)

// Little address space: a process works under RLIMIT_AS until the map of the
// file, or the heap, cannot grow any more.

func init() { jobs["cramped"] = crampedJob }

// crampedJob creates users with j.Ops MiB of address space left, until a call
// fails or there are j.Lanes of them. Then it lifts the limit, and goes on with
// the handle or, if that is closed, with the file.
func crampedJob(j job) error {
	o := options(func() time.Time { return start })
	o.InsecureNoSync = true // no machine crashes here
	var most syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_AS, &most); err != nil {
		return err
	}
	if err := leave(uint64(j.Ops)<<20, most.Max); err != nil {
		return err
	}
	db, err := snib.Open(j.Path, o)
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	var group sync.WaitGroup
	for i := range crampedLanes {
		group.Go(func() {
			for n := i; n < j.Lanes && crampedUser(db, n) == nil; n += crampedLanes {
			}
		})
	}
	group.Wait()
	if err := syscall.Setrlimit(syscall.RLIMIT_AS, &most); err != nil {
		return err
	}
	if _, err := db.GetUser(ctx, "user-0"); errors.Is(err, snib.ErrClosed) {
		say("closed all")
		db.Close()
		if db, err = snib.Open(j.Path, o); err != nil {
			return fmt.Errorf("open again: %w", err)
		}
	} else if err != nil {
		return fmt.Errorf("a read after the failure: %w", err)
	}
	if err := crampedUser(db, j.Lanes); err != nil {
		return fmt.Errorf("with space again: %w", err)
	}
	return db.Close()
}

const crampedLanes = 16 // users that are created at once

// crampedUser creates user n, of 16 KiB, and says how that went.
func crampedUser(db *snib.DB, n int) error {
	say("begin %d", n)
	a := snib.Attributes{"about": strings.Repeat("x", 15<<10)}
	_, err := db.ImportUser(ctx, snib.UserImport{ID: snib.UserID(fmt.Sprint("user-", n)), Provider: "github", Identifier: fmt.Sprint(n), Attributes: a})
	if err != nil {
		say("fail %d %v: %v", n, kindOf(err), err)
	} else {
		say("ack %d", n)
	}
	return err
}

// leave bounds the address space to the present use and so much more.
func leave(bytes, hard uint64) error {
	status, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return err
	}
	var pages uint64
	if _, err := fmt.Sscan(string(status), &pages); err != nil {
		return err
	}
	return syscall.Setrlimit(syscall.RLIMIT_AS, &syscall.Rlimit{Cur: pages*uint64(os.Getpagesize()) + bytes, Max: hard})
}

// cramped is the outcome of a child in little address space.
type cramped struct {
	acked, begun  int    // users
	kind, failure string // of the first calls that failed; later ones met a closed handle
	death         string // why the process died, if it did
	closed        bool   // the handle closed itself
}

// runCramped runs a child with so many MiB of address space left and checks its
// database.
func runCramped(mib, users int) (c cramped, err error) {
	dir, err := tempDir("snib-cramped-*", "")
	if err != nil {
		return c, err
	}
	defer os.RemoveAll(dir)
	self, err := os.Executable()
	if err != nil {
		return c, err
	}
	j := job{Kind: "cramped", Path: filepath.Join(dir, databaseName), Ops: mib, Lanes: users}
	cmd := exec.Command(self)
	cmd.Env = append(j.environ(), "GOGC=50")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		c.death, _, _ = strings.Cut(stderr.String(), "\n")
	}
	there := map[string]string{}
	for line := range strings.Lines(string(out)) {
		words := strings.SplitN(strings.TrimSpace(line), " ", 4)
		switch words[0] {
		case "begin":
			c.begun++
		case "ack":
			c.acked++
			there[words[1]] = "acknowledged"
		case "fail":
			there[words[1]] = words[2]
			if kind := strings.TrimSuffix(words[2], ":"); kind != isUnknown || c.kind == "" {
				c.kind, c.failure = kind, words[3]
			}
		case "closed":
			c.closed = true
		}
	}
	return c, c.holds(j.Path, there)
}

func (c *cramped) holds(path string, said map[string]string) error {
	db, err := snib.Open(path, options(func() time.Time { return start }))
	if errors.Is(err, os.ErrNotExist) && c.acked == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	defer db.Close()
	report, err := db.Check(ctx)
	if err != nil {
		return err
	}
	if report.Users < c.acked || report.Users > c.begun {
		return fmt.Errorf("%d users, %d acknowledged, %d begun", report.Users, c.acked, c.begun)
	}
	for n, how := range said {
		_, err := db.GetUser(ctx, snib.UserID("user-"+n))
		if how == "acknowledged" && err != nil {
			return fmt.Errorf("LOST: user %s: %w", n, err)
		}
		if strings.HasPrefix(how, isPlain) || strings.HasPrefix(how, isFull) {
			if !errors.Is(err, snib.ErrUserNotFound) {
				return fmt.Errorf("user %s failed (%s) and is there: %w", n, how, err)
			}
		}
	}
	return nil
}
