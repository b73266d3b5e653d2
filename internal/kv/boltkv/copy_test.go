package boltkv

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/snibdb/snib/internal/kv"
	bolt "go.etcd.io/bbolt"
)

// both runs a test on a store of Open and one of Attach. The latter's map is
// as small as bbolt makes it.
func both(t *testing.T, test func(t *testing.T, s *Store)) {
	o := options()
	o.InsecureNoSync = true
	t.Run("Open", func(t *testing.T) { test(t, newStoreIn(t, o)) })
	t.Run("Attach", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "db")
		db, err := bolt.Open(path, 0o600, &bolt.Options{NoSync: true})
		must(t, err)
		s, err := Attach(db, o)
		must(t, err)
		t.Cleanup(func() { must(t, errors.Join(s.Close(), db.Close())); check(t, path) })
		test(t, s)
	})
}

// beside fails the test unless the folder of the store's file holds it and
// these.
func beside(tb testing.TB, s *Store, names ...string) {
	tb.Helper()
	entries, err := os.ReadDir(filepath.Dir(s.db.Path()))
	must(tb, err)
	want := append([]string{filepath.Base(s.db.Path())}, names...)
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	same(tb, "files", got, want)
}

// restored opens a copy and returns what it holds under k.
func restored(tb testing.TB, content []byte, k string) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "copy")
	must(tb, os.WriteFile(path, content, 0o600))
	must(tb, verify(bytes.NewReader(content), int64(len(content))))
	check(tb, path)
	s := openAt(tb, path, options())
	defer s.Close()
	return read(s, k)
}

func TestBackupIsTheFileAsOfOneMoment(t *testing.T) {
	both(t, func(t *testing.T, s *Store) {
		must(t, s.Apply(ctx, func(tx kv.Tx) error { return bulk(tx, "bulk", 900<<10) }))
		put(t, s, "k", "before")
		var copied bytes.Buffer
		last, calls := int64(0), 0
		told := func(done, total int64) {
			if done < last || total < done {
				t.Errorf("%d after %d, of %d", done, last, total)
			}
			last, calls = done, calls+1
		}
		w := writerFunc(func(p []byte) (int, error) {
			if copied.Len() == 0 { // what is written meanwhile is not in it
				done := make(chan error)
				go func() { done <- s.Apply(ctx, putting("k", "meanwhile")) }()
				must(t, <-done)
			}
			return copied.Write(p)
		})
		must(t, s.Backup(ctx, w, told))
		same(t, "in the copy", restored(t, copied.Bytes(), "k"), "before")
		same(t, "in the store", read(s, "k"), "meanwhile")
		same(t, "told in the end", last, copied.Len())
		if calls < 2 {
			t.Errorf("told %d times", calls)
		}
		beside(t, s)
	})
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// TestBackupThatIsNotReadStallsNobody: the file doubles several times, which
// with a small map waits for every open reader.
func TestBackupThatIsNotReadStallsNobody(t *testing.T) {
	both(t, func(t *testing.T, s *Store) {
		for i := range 5 {
			must(t, s.Apply(ctx, func(tx kv.Tx) error { return bulk(tx, fmt.Sprint("before ", i), 900<<10) }))
		}
		ended, cancel := context.WithCancel(ctx)
		started, stop := make(chan bool), make(chan bool)
		release := sync.OnceFunc(func() { close(stop) })
		defer release()
		out := make(chan error, 1)
		go func() {
			first := true
			out <- s.Backup(ended, writerFunc(func(p []byte) (int, error) {
				if first {
					first = false
					close(started)
					<-stop
				}
				return len(p), nil
			}), nil)
		}()
		<-started
		soon, giveUp := context.WithTimeout(ctx, atMost)
		defer giveUp()
		for i := range 40 {
			must(t, s.Apply(soon, func(tx kv.Tx) error { return bulk(tx, fmt.Sprint("meanwhile ", i), 900<<10) }))
			p, err := s.Pin(soon)
			must(t, err)
			_, ok, err := p.Get(plain, []byte(fmt.Sprintf("meanwhile %d 0", i)))
			p.Release(nil)
			if err != nil || !ok {
				t.Fatalf("read: %t, %v", ok, err)
			}
		}
		cancel()
		release()
		want(t, "the backup", <-out, context.Canceled)
		beside(t, s)
	})
}

func TestBackupEndsWithWhatStoppedIt(t *testing.T) {
	errFull := errors.New("the tape is full")
	both(t, func(t *testing.T, s *Store) {
		must(t, s.Apply(ctx, func(tx kv.Tx) error { return bulk(tx, "bulk", 900<<10) }))
		for _, after := range []int64{0, 1, 5000, 100 << 10, 900 << 10} {
			n := int64(0)
			err := s.Backup(ctx, writerFunc(func(p []byte) (int, error) {
				if n += int64(len(p)); n > after {
					return 0, errFull
				}
				return len(p), nil
			}), nil)
			want(t, fmt.Sprint("w fails after ", after), err, errFull)

			ended, cancel := context.WithCancel(ctx)
			n = 0
			err = s.Backup(ended, writerFunc(func(p []byte) (int, error) {
				if n += int64(len(p)); n >= after {
					cancel()
				}
				return len(p), nil
			}), nil)
			want(t, fmt.Sprint("ctx ends after ", after), err, context.Canceled)
		}
		err := s.Backup(ctx, writerFunc(func(p []byte) (int, error) { return len(p), s.Apply(ctx, putting("k", "v")) }), nil)
		if s.db.at().file != nil { // a spooled copy is written when the transaction is over
			want(t, "a call from w", err, kv.ErrNested)
		}
		beside(t, s)
		// A Close meanwhile ends it, at a write that returns.
		path := s.db.Path()
		closed := make(chan error)
		n := 0
		err = s.Backup(ctx, writerFunc(func(p []byte) (int, error) {
			if n++; n == 2 {
				go func() { closed <- s.Close() }()
				for s.gate.Reason() == nil {
				}
			}
			return len(p), nil
		}), nil)
		want(t, "closed meanwhile", err, kv.ErrClosed)
		must(t, <-closed)
		want(t, "after Close", s.Backup(ctx, io.Discard, nil), kv.ErrClosed)
		if left, _ := filepath.Glob(path + ".*"); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
	})
}

func TestBackupFile(t *testing.T) {
	both(t, func(t *testing.T, s *Store) {
		put(t, s, "k", "v")
		path := s.db.Path() + ".backup"
		want(t, "onto itself", s.BackupFile(ctx, s.db.Path(), true, nil), ErrOwnFile)
		link := filepath.Join(t.TempDir(), "link")
		must(t, os.Symlink(s.db.Path(), link))
		want(t, "onto itself by a link", s.BackupFile(ctx, link, true, nil), ErrOwnFile)
		want(t, "no folder", s.BackupFile(ctx, filepath.Join(path, "x"), false, nil), fs.ErrNotExist)
		ended, cancel := context.WithCancel(ctx)
		err := s.BackupFile(ended, path, false, func(_, _ int64) { cancel() })
		want(t, "ctx ends", err, context.Canceled)
		beside(t, s)

		must(t, s.BackupFile(ctx, path, false, nil))
		content, err := os.ReadFile(path)
		must(t, err)
		same(t, "in the copy", restored(t, content, "k"), "v")
		info, err := os.Stat(path)
		must(t, err)
		same(t, "mode", info.Mode(), "-rw-------")
		put(t, s, "k", "later")
		want(t, "again", s.BackupFile(ctx, path, false, nil), fs.ErrExist)
		must(t, s.BackupFile(ctx, path, true, nil))
		content, err = os.ReadFile(path)
		must(t, err)
		same(t, "in the copy", restored(t, content, "k"), "later")
		beside(t, s, "db.backup")
	})
}

func TestCopyFileTakesWholeFilesThatNobodyHasOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	s := openAt(t, path, options())
	for i := range 50 { // more than one level, and free pages
		must(t, s.Apply(ctx, func(tx kv.Tx) error { return bulk(tx, fmt.Sprint("bulk ", i), 20000) }))
	}
	err := CopyFile(ctx, io.Discard, path, time.Millisecond, nil)
	if lockedFirst {
		want(t, "while it is open", err, ErrLocked)
	}
	must(t, s.Close())
	content, err := os.ReadFile(path)
	must(t, err)
	var copied bytes.Buffer
	must(t, CopyFile(ctx, &copied, path, time.Second, nil))
	if !bytes.Equal(copied.Bytes(), content) {
		t.Error("the copy is another")
	}
	refuse := func(what string, content []byte, kinds ...error) {
		t.Helper()
		path := filepath.Join(t.TempDir(), "f")
		must(t, os.WriteFile(path, content, 0o600))
		err := CopyFile(ctx, io.Discard, path, time.Second, nil)
		for _, kind := range kinds {
			if errors.Is(err, kind) {
				return
			}
		}
		t.Errorf("%s: %v, want %v", what, err, kinds)
	}
	refuse("no bytes", nil, ErrForeign)
	refuse("text", []byte(strings.Repeat("text ", 10000)), ErrForeign)
	refuse("half", content[:len(content)/4], kv.ErrCorrupt)
	used := 0
	for at := 2 * os.Getpagesize(); at < len(content); at += os.Getpagesize() {
		page := content[at:]
		if kind := pageKind(page); kind != leafPage && kind != innerPage && kind != freePage {
			continue
		}
		spoilt := bytes.Clone(content)
		spoilt[at+1] ^= 1 // its id
		if verify(bytes.NewReader(spoilt), int64(len(spoilt))) != nil {
			used++
			refuse("page without its id", spoilt, kv.ErrCorrupt)
		}
	}
	if used < 20 {
		t.Errorf("%d pages were missed", used)
	}
	want(t, "no file", CopyFile(ctx, io.Discard, path+"x", time.Second, nil), fs.ErrNotExist)
	want(t, "a folder", CopyFile(ctx, io.Discard, filepath.Dir(path), time.Second, nil), fs.ErrInvalid)
}

// A writer that closes the store would wait for the backup, and so for itself.
func TestBackupToAWriterThatCallsTheStore(t *testing.T) {
	both(t, func(t *testing.T, s *Store) {
		done := make(chan error, 1)
		go func() {
			done <- s.Backup(ctx, writerFunc(func([]byte) (int, error) { return 0, s.Close() }), nil)
		}()
		select {
		case err := <-done:
			want(t, "close in a backup", err, kv.ErrNested)
		case <-time.After(atMost):
			t.Fatal("it waits for itself")
		}
	})
}
