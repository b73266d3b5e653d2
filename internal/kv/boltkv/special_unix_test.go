//go:build unix && !aix && !solaris

package boltkv

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/snibdb/snib/internal/durable"
)

// A pipe, like a device, is as long as an empty file. It must neither be waited
// for nor give its place to a database.
func TestSpecialFilesAreLeftAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Skip(err)
	}
	for name, use := range map[string]func() error{
		"open": func() error {
			s, err := Open(path, options())
			if err == nil {
				s.Close()
			}
			return err
		},
		"copy": func() error { return CopyFile(ctx, io.Discard, path, time.Second, nil) },
		"replace": func() error {
			f, err := durable.Create(path, true)
			if err == nil {
				defer f.Discard()
				err = f.Commit(true)
			}
			return err
		},
	} {
		done := make(chan error, 1)
		go func() { done <- use() }()
		select {
		case err := <-done:
			if !errors.Is(err, fs.ErrInvalid) && !errors.Is(err, ErrForeign) {
				t.Errorf("%s: %v", name, err)
			}
		case <-time.After(atMost):
			t.Errorf("%s waits for the pipe", name)
			f, err := os.OpenFile(path, os.O_RDWR, 0) // lets it go on
			must(t, err)
			must(t, f.Close())
		}
		if info, err := os.Lstat(path); err != nil || info.Mode().Type() != fs.ModeNamedPipe {
			t.Fatalf("%s has replaced the pipe: %v, %v", name, info, err)
		}
	}
}
