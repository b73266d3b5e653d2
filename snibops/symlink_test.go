//go:build unix

package snibops

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/snibdb/snib"
)

// TestALinkOfAnotherIsNoWayToTheFolder: its owner could turn it to another folder.
func TestALinkOfAnotherIsNoWayToTheFolder(t *testing.T) {
	path := dbPath(t)
	db := open(t, path, snib.Options{})
	open := folder(t)
	_ = os.Chmod(open, 0o777|os.ModeSticky)
	link := filepath.Join(open, "app")
	if err := os.Symlink(filepath.Dir(path), link); err != nil {
		t.Fatal(err)
	}
	if err := os.Lchown(link, stranger, stranger); err != nil {
		t.Skip(err)
	}
	s, err := Listen(db, filepath.Join(link, "a.db"), nil)
	if s != nil {
		_ = s.Close()
	}
	if !errors.Is(err, ErrRefused) {
		t.Errorf("listen: %v", err)
	}
}
