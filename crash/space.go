package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"syscall"
	"time"

	"github.com/snibdb/snib"
)

// Space runs out: in a file system, or under a process's limit on file sizes.

// fillUp creates users in a database in dir until it is full, and checks that reads
// work and no user is lost. Then more makes room, and the same handle goes on.
func fillUp(dir string, more func() error) (created int, err error) {
	path := filepath.Join(dir, databaseName)
	o := options(func() time.Time { return start })
	o.Indexes = declared
	db, err := snib.Open(path, o)
	if err != nil {
		return 0, err
	}
	defer db.Close()
	var ids []snib.UserID
	for err == nil && len(ids) < 100_000 {
		var u snib.User
		u, err = db.CreateUser(ctx, snib.NewUser{Provider: "github", Identifier: fmt.Sprint(len(ids)), Attributes: snib.Attributes{"about": string(make([]byte, 8000))}})
		if err == nil {
			ids = append(ids, u.ID)
		}
	}
	if !errors.Is(err, snib.ErrFull) {
		return len(ids), fmt.Errorf("after %d users: %w; want ErrFull", len(ids), err)
	}
	if err := holds(db, ids); err != nil {
		return len(ids), fmt.Errorf("full: %w", err)
	}
	if err := db.DeleteUser(ctx, ids[0]); err != nil && !errors.Is(err, snib.ErrFull) {
		return len(ids), fmt.Errorf("deleting on a full file: %w", err)
	} else if err == nil {
		ids = ids[1:]
	}
	if err := more(); err != nil {
		return len(ids), err
	}
	u, err := db.CreateUser(ctx, snib.NewUser{Provider: "github", Identifier: "with space again"})
	if err != nil {
		return len(ids), fmt.Errorf("with space again: %w", err)
	}
	ids = append(ids, u.ID)
	if err := db.Close(); err != nil {
		return len(ids), err
	}
	if db, err = snib.Open(path, o); err != nil {
		return len(ids), err
	}
	return len(ids), errors.Join(holds(db, ids), db.Close())
}

// holds checks that the users are there, and no other.
func holds(db *snib.DB, ids []snib.UserID) error {
	report, err := db.Check(ctx)
	if err != nil {
		return err
	}
	if report.Users != len(ids) {
		return fmt.Errorf("%d users, want %d", report.Users, len(ids))
	}
	for _, id := range ids {
		if _, err := db.GetUser(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

func init() {
	// limited fills a file up to a limit of the process, raised in the end.
	jobs["limited"] = func(j job) error {
		limit := func(n uint64) error {
			var now syscall.Rlimit
			if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &now); err != nil {
				return err
			}
			return syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: n, Max: now.Max})
		}
		if err := limit(3 << 20); err != nil {
			return err
		}
		n, err := fillUp(j.Path, func() error { return limit(64 << 20) })
		say("%d users", n)
		return err
	}
}
