package snib_test

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibtest"
)

// TestEmptyPathIsInvalidInput: the file system would take an empty path for the
// working directory, and say that it is there already.
func TestEmptyPathIsInvalidInput(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	there := filepath.Join(t.TempDir(), "b.db")
	if err := db.File().BackupFile(ctx, there, nil); err != nil {
		t.Fatal(err)
	}
	for name, call := range map[string]func() error{
		"Open":               func() error { return second(snib.Open("", nil)) },
		"File.BackupFile":    func() error { return db.File().BackupFile(ctx, "", nil) },
		"BackupFile replace": func() error { return db.File().BackupFile(ctx, "", &snib.CopyOptions{Replace: true}) },
		"File.CompactTo":     func() error { return db.File().CompactTo(ctx, "", nil) },
		"Restore to":         func() error { return second(snib.Restore(ctx, there, "", nil)) },
		"Restore from":       func() error { return second(snib.Restore(ctx, "", there+"2", nil)) },
		"RepairFile":         func() error { return second(snib.RepairFile(ctx, "", nil)) },
	} {
		t.Run(name, func(t *testing.T) { wantErr(t, call(), snib.ErrInvalidInput) })
	}
}

func TestInputErrorsReadWell(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	_, err := db.HashPassword(ctx, "short")
	_, err2 := db.ImportUser(ctx, snib.UserImport{Provider: "github", Identifier: "1", PasswordHash: "nonsense"})
	_, err3 := snib.Open("unused.db", &snib.Options{Passwords: snib.PasswordPolicy{MaxHashMemory: 1 << 20}})
	_, err4 := db.CreateUser(ctx, snib.NewUser{Provider: "x", Identifier: "1", Password: "short"})
	_, err5 := snib.Open("unused.db", &snib.Options{Indexes: []snib.Index{{Name: "a"}, {}}})
	_, err6 := snib.Open(t.TempDir(), nil)
	for _, c := range []struct {
		err  error
		want string
	}{
		{err4, "snib: create user: invalid input: Password must have 8 characters or more"},
		{err5, "snib: open: invalid input: Options.Indexes[1].Name is required"},
		{err6, "snib: open: open /"}, // of the system
		{err, "snib: hash password: invalid input: Password must have 8 characters or more"},
		{err2, "snib: import user: invalid input: PasswordHash malformed password hash"},
		{err3, "snib: open: invalid input: Options.Passwords.MemoryKiB is 19456, above MaxHashMemory"},
	} {
		if c.err == nil || !strings.HasPrefix(c.err.Error(), c.want) {
			t.Errorf("got %q, want %q", c.err, c.want)
		}
	}
}

// TestFileGone: nothing is acknowledged when the file of an open database has
// been removed or replaced.
func TestFileGone(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("an open file keeps its name there")
	}
	for _, how := range []string{"removed", "replaced"} {
		for name, notice := range map[string]func(db *snib.DB) error{
			"CreateUser": func(db *snib.DB) error {
				_, err := db.CreateUser(ctx, snib.NewUser{Provider: "email", Identifier: "b@example.com"})
				return err
			},
			"Sweep": func(db *snib.DB) error { _, err := db.Sweep(ctx); return err },
			"Close": func(db *snib.DB) error { return db.Close() },
		} {
			t.Run(how+"/"+name, func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "accounts.db")
				other := must(snib.Open(path+".other", nil))(t)
				if err := other.Close(); err != nil {
					t.Fatal(err)
				}
				db := must(snib.Open(path, nil))(t)
				a := email(t, db, "a@example.com")
				if how == "removed" {
					must(0, os.Remove(path))(t)
				} else {
					must(0, os.Rename(path+".other", path))(t)
				}
				if err := notice(db); !errors.Is(err, snib.ErrFileGone) {
					t.Errorf("%s: got %v, want ErrFileGone", name, err)
				}
				if _, err := db.GetUser(ctx, a.ID); !errors.Is(err, snib.ErrClosed) {
					t.Errorf("a read afterwards: got %v, want ErrClosed", err)
				}
				db.Close()
			})
		}
	}
}

// An error of a locked file names the file, and which of two it is.
func TestErrLockedNamesTheFile(t *testing.T) {
	open, closed := t.TempDir()+"/open.db", t.TempDir()+"/closed.db"
	db := snibtest.OpenDB(t, open, nil)
	if err := db.File().BackupFile(ctx, closed, nil); err != nil {
		t.Fatal(err)
	}
	o := &snib.Options{File: snib.FileOptions{LockTimeout: -1}}
	for name, call := range map[string]func() error{
		"Open":         func() error { return second(snib.Open(open, o)) },
		"RepairFile":   func() error { return second(snib.RepairFile(ctx, open, o)) },
		"Restore from": func() error { return second(snib.Restore(ctx, open, closed+"2", &snib.RestoreOptions{Options: o})) },
		"Restore to": func() error {
			return second(snib.Restore(ctx, closed, open, &snib.RestoreOptions{Replace: true, Options: o}))
		},
	} {
		err := call()
		if !errors.Is(err, snib.ErrLocked) || !strings.Contains(err.Error(), "open.db") || strings.Contains(err.Error(), "open: open: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Nil is an error with a name, and no panic inside of a transaction.
func TestNilArgumentsAreInvalidInput(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	wantField(t, db.View(ctx, nil), "fn")
	wantField(t, db.Update(ctx, nil), "fn")
	wantField(t, db.File().Backup(ctx, nil), "w")
	wantErr(t, second(db.Join(nil)), snib.ErrTxClosed)
	wantField(t, second(snib.New(nil, nil)), "b")
}

// A file that every user of the machine may read is opened, and told of.
func TestOpenWarnsOfAFileForEverybody(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("modes are of Unix")
	}
	path := filepath.Join(t.TempDir(), "accounts.db")
	closeDB(t, openFile(t, path, nil))
	for mode, want := range map[os.FileMode]bool{0o600: false, 0o640: false, 0o644: true, 0o666: true} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		var log strings.Builder
		db := openFile(t, path, &snib.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		closeDB(t, db)
		if got := strings.Contains(log.String(), "may use the file"); got != want {
			t.Errorf("mode %o: told %t, want %t: %s", mode, got, want, log.String())
		}
	}
}
