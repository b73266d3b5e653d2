package snib_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/snibdb/snib"
)

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
