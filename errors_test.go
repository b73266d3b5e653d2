package snib_test

import (
	"errors"
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
	if err := db.BackupFile(ctx, there, nil); err != nil {
		t.Fatal(err)
	}
	for name, call := range map[string]func() error{
		"Open":               func() error { return second(snib.Open("", nil)) },
		"BackupFile":         func() error { return db.BackupFile(ctx, "", nil) },
		"BackupFile replace": func() error { return db.BackupFile(ctx, "", &snib.CopyOptions{Replace: true}) },
		"CompactTo":          func() error { return db.CompactTo(ctx, "", nil) },
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
	for _, c := range []struct {
		err  error
		want string
	}{
		{err, "snib: hash password: invalid input: Password is shorter than 8 characters"},
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
