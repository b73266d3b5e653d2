package durable

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

func TestScratchIsPrivateAndLeavesNoName(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	f, err := Scratch(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := f.Stat()
	if err != nil || info.Mode() != 0o600 && runtime.GOOS != "windows" {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	names := func(want int) {
		t.Helper()
		if got, err := os.ReadDir(filepath.Dir(path)); err != nil || len(got) != want {
			t.Errorf("there are %v, %v, want %d", got, err, want)
		}
	}
	if runtime.GOOS != "windows" {
		names(0)
	}
	if _, err := f.WriteAt([]byte("kept"), 10); err != nil {
		t.Error(err)
	}
	DiscardScratch(f)
	names(0)
}

func TestSweepScratchRemovesOnlyItsOwn(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "db")
	for _, name := range []string{"db.sorting-1", "db.sorting-987654321", "db.sorting-", "db.sorting-a1", "db.sorting-1.bak", "other.sorting-1", "db"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("db", filepath.Join(dir, "db.sorting-2")); err != nil {
		t.Skip(err)
	}
	if err := SweepScratch(path); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 6 {
		t.Errorf("left are %v, %v", left, err)
	}
	for _, name := range []string{"db.sorting-1", "db.sorting-987654321"} {
		if _, err := os.Lstat(filepath.Join(dir, name)); !os.IsNotExist(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
