package durable

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Scratch makes a temporary file in the directory of path: new, mode 0600, named
// "<name>.sorting-*". On Unix its name is removed at once, so that a crash
// leaves nothing and no other process can open it. On Windows DiscardScratch
// removes it, and SweepScratch after a crash.
func Scratch(path string) (*os.File, error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+scratchMark+"*") // O_EXCL, mode 0600
	if err != nil {
		return nil, err
	}
	os.Remove(f.Name()) // fails on Windows, while it is open
	return f, nil
}

// DiscardScratch closes a file of Scratch and sees that its name is gone.
func DiscardScratch(f *os.File) {
	f.Close()
	os.Remove(f.Name())
}

const scratchMark = ".sorting-"

// SweepScratch removes the files that Scratch has made for path and a crash
// has left. No Scratch for path may be in use.
func SweepScratch(path string) error {
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return err
	}
	for _, e := range entries {
		tag, ok := strings.CutPrefix(e.Name(), filepath.Base(path)+scratchMark)
		if !ok || tag == "" || strings.Trim(tag, "0123456789") != "" || e.Type()&fs.ModeType != 0 {
			continue
		}
		if err := os.Remove(filepath.Join(filepath.Dir(path), e.Name())); err != nil {
			return err
		}
	}
	return nil
}
