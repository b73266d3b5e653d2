//go:build unix && !aix && !android && !solaris

package boltkv

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/snibdb/snib/internal/kv"
)

// displacements are ways to lose a file that is open. other is a database.
var displacements = map[string]func(path, other string) error{
	"removed":                  func(path, _ string) error { return os.Remove(path) },
	"moved away":               func(path, _ string) error { return os.Rename(path, path+".old") },
	"replaced":                 func(path, other string) error { return os.Rename(other, path) },
	"replaced, the old kept":   func(path, other string) error { return firstError(os.Link(path, path+".old"), os.Rename(other, path)) },
	"its directory moved away": func(path, _ string) error { return os.Rename(filepath.Dir(path), filepath.Dir(path)+".old") },
}

func firstError(all ...error) error {
	for _, err := range all {
		if err != nil {
			return err
		}
	}
	return nil
}

// displaced opens a store, takes its file away and returns what it has logged.
func displaced(t *testing.T, displace func(path, other string) error) (s *Store, log *bytes.Buffer) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "dir", "db")
	must(t, os.Mkdir(filepath.Dir(path), 0o700))
	other, err := Open(path+".other", options())
	must(t, err)
	must(t, other.Close())
	log = new(bytes.Buffer)
	o := options()
	o.Logger = slog.New(slog.NewTextHandler(log, nil))
	s, err = Open(path, o)
	must(t, err)
	put(t, s, "k", "v")
	must(t, displace(path, path+".other"))
	return s, log
}

func TestFileTakenAwayIsNoticed(t *testing.T) {
	notices := map[string]func(s *Store) error{
		"Apply":      func(s *Store) error { return s.Apply(ctx, putting("k", "lost")) },
		"Update":     func(s *Store) error { return s.Update(ctx, putting("k", "lost")) },
		"Exclusive":  func(s *Store) error { return s.Exclusive(ctx, putting("k", "lost")) },
		"Backup":     func(s *Store) error { return s.Backup(ctx, io.Discard, nil) },
		"BackupFile": func(s *Store) error { return s.BackupFile(ctx, s.db.Path()+".copy", false, nil) },
		"CompactTo":  func(s *Store) error { return s.CompactTo(ctx, s.db.Path()+".copy", false, nil) },
		"InPlace":    func(s *Store) error { return s.InPlace() },
	}
	for name, displace := range displacements {
		for call, notice := range notices {
			t.Run(name+"/"+call, func(t *testing.T) {
				s, log := displaced(t, displace)
				err := notice(s)
				want(t, call, err, ErrGone)
				want(t, call, err, kv.ErrClosed)
				want(t, "a write afterwards", s.Apply(ctx, putting("k", "lost")), ErrGone)
				want(t, "a read afterwards", s.View(ctx, func(kv.Reader) error { return nil }), ErrGone)
				same(t, "lines in the log", strings.Count(log.String(), ErrGone.Error()), 1)
				s.Close()
			})
		}
		t.Run(name+"/Close", func(t *testing.T) {
			s, log := displaced(t, displace)
			want(t, "Close", s.Close(), ErrGone)
			same(t, "lines in the log", strings.Count(log.String(), ErrGone.Error()), 1)
			want(t, "a second Close", s.Close(), nil)
		})
	}
}

// A file without a name is noticed by reads too, when they begin a transaction:
// those that the pool has kept are over soon.
func TestRemovedFileIsNoticedByReads(t *testing.T) {
	s, _ := displaced(t, displacements["removed"])
	want(t, "View", s.View(ctx, nothing), ErrGone)
	s, _ = displaced(t, displacements["removed"])
	s.pool.retire()
	_, err := s.Pin(ctx)
	want(t, "Pin", err, ErrGone)
	want(t, "Close", s.Close(), ErrGone)
}

// A kept transaction does not look at the file again. Its end is the end of reads,
// and so is a write, which looks each time and is not acknowledged.
func TestRemovedFileUnderAKeptTransaction(t *testing.T) {
	for name, next := range map[string]func(s *Store){
		"its time is over": func(s *Store) { s.pool.retire() },
		"a write":          func(s *Store) { want(t, "Apply", s.Apply(ctx, putting("k", "lost")), ErrGone) },
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "db")
			s, err := Open(path, options())
			must(t, err)
			put(t, s, "k", "v")
			must(t, s.View(ctx, nothing))
			must(t, os.Remove(path))
			next(s)
			want(t, "View", s.View(ctx, nothing), ErrGone)
			_, err = s.Pin(ctx)
			want(t, "Pin", err, ErrGone)
			want(t, "Close", s.Close(), ErrGone)
		})
	}
}

// What leaves the file where it is ends nothing: a changed directory, another
// name, another mode, a path that cannot be looked at.
func TestFileInItsPlace(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	must(t, os.Symlink("real", "link"))
	must(t, os.WriteFile("real", nil, 0o600))
	s := openAt(t, "link", options())
	t.Chdir(t.TempDir())
	put(t, s, "k", "v")
	path := filepath.Join(dir, "real")
	must(t, os.Link(path, path+".twin"))
	put(t, s, "k", "v")
	must(t, os.Remove(path+".twin"))
	must(t, os.Chmod(path, 0o640))
	must(t, s.Backup(context.Background(), io.Discard, nil))
	// The link that was given leads to another database.
	other, err := Open(path+".other", options())
	must(t, err)
	must(t, other.Close())
	put(t, s, "k", "v")
	must(t, os.Remove(filepath.Join(dir, "link")))
	must(t, os.Symlink("real.other", filepath.Join(dir, "link")))
	want(t, "the link leads elsewhere", s.Apply(ctx, putting("k", "lost")), ErrGone)
	s.Close()
	must(t, os.Remove(filepath.Join(dir, "link")))
	must(t, os.Symlink("real", filepath.Join(dir, "link")))
	t.Chdir(dir) // for the check of the file in the end
}
