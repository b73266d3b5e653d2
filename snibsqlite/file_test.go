package snibsqlite

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/records"
	"github.com/snibdb/snib/internal/testseed"
)

var one = kv.SpaceSpec{Name: "one"}

func put(s kv.Store, key, value string) error {
	return s.Apply(ctx, func(w kv.Tx) error { return w.Put(0, []byte(key), []byte(value)) })
}

// change runs statements on a closed database.
func change(tb testing.TB, path string, queries ...string) {
	tb.Helper()
	at, err := openFile("sqlite3", path)
	must(tb, err)
	defer at.close()
	for _, q := range queries {
		_, err := at.db.Exec(q)
		must(tb, err)
	}
}

func openError(path string) error {
	e, err := Open(path, nil)
	if err != nil {
		return err
	}
	s, err := e.Open(ctx, setup(one))
	if err != nil {
		return err
	}
	return s.Close()
}

// TestOpenRefuses: a file of another program, or of a later one, is left alone.
func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	must(t, os.WriteFile(at("text"), []byte("certainly no database, and longer than the header of a hundred bytes is, so that it is looked at"), 0o600))
	change(t, at("program"), "CREATE TABLE orders (n)")
	change(t, at("mine"), "CREATE TABLE snib_one (n)")
	for _, name := range []string{"newer", "foreign", "empty"} {
		must(t, openError(at(name)))
	}
	change(t, at("newer"), "UPDATE snib_schema SET version = 2")
	change(t, at("foreign"), "UPDATE snib_schema SET application = 'other'")
	change(t, at("empty"), "DELETE FROM snib_schema")
	for name, want := range map[string]error{
		"text": kv.ErrForeign, "program": kv.ErrForeign, "mine": kv.ErrForeign, "newer": records.ErrNewerFormat,
		"foreign": kv.ErrForeign, "empty": kv.ErrCorrupt,
	} {
		before, err := os.ReadFile(at(name))
		must(t, err)
		if err := openError(at(name)); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
		after, err := os.ReadFile(at(name))
		must(t, err)
		if string(before) != string(after) {
			t.Errorf("%s was changed", name)
		}
	}
	if _, err := Open(at("x"), &Options{Driver: "none"}); !errors.Is(err, ErrDriver) {
		t.Errorf("a driver that is not there: %v", err)
	}
	for _, path := range []string{"", ":memory:", "file::memory:"} {
		if _, err := Open(path, nil); err == nil {
			t.Errorf("%q was opened", path)
		}
	}
}

// TestFilesAreSecret: no other user of the machine reads the database or its log.
func TestFilesAreSecret(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no modes")
	}
	dir := filepath.Join(t.TempDir(), "a %3F?&=dir") // a name that is none in a URI
	must(t, os.Mkdir(dir, 0o755))
	s := openAt(t, filepath.Join(dir, "accounts.db"), false, one)
	must(t, put(s, "k", "v"))
	entries, err := os.ReadDir(dir)
	must(t, err)
	if len(entries) != 3 {
		t.Errorf("%d files, want the database, its log and the index of it: %v", len(entries), entries)
	}
	for _, entry := range entries {
		info, err := entry.Info()
		must(t, err)
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", entry.Name(), info.Mode())
		}
	}
}

// TestCommitsAreSynced: on the connection that writes.
func TestCommitsAreSynced(t *testing.T) {
	s := openAt(t, filepath.Join(t.TempDir(), "db"), false, one)
	level, err := s.w.link.pragma("PRAGMA synchronous")
	must(t, err)
	mode, err := s.w.link.pragma("PRAGMA journal_mode")
	must(t, err)
	if level != "2" || mode != "wal" {
		t.Errorf("synchronous is %s, journal_mode %s", level, mode)
	}
}

// TestLogIsBounded: it grows while a View reads an old snapshot, and is cut when
// that has ended, though short reads go on.
func TestLogIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	s := openAt(t, path, false, one)
	turn := 0
	write := func(n int) int64 {
		for range n {
			turn++ // SQLite does not write a page again that stays as it is
			value := bytes.Repeat([]byte{byte(turn)}, kv.MaxValue)
			must(t, s.Apply(ctx, func(w kv.Tx) error { return w.Put(0, []byte("k"), value) }))
		}
		info, err := os.Stat(path + "-wal")
		must(t, err)
		return info.Size()
	}
	began, end := make(chan bool), make(chan bool)
	go s.View(ctx, func(kv.Reader) error { began <- true; <-end; return nil })
	<-began
	if n := write(300); n < 2*logStep {
		t.Fatalf("the log has only %d bytes, so nothing is shown", n)
	}
	end <- true
	over := make(chan bool)
	go func() {
		for p, err := s.Pin(ctx); err == nil; {
			p.Get(0, []byte("k"))
			if err := p.Release(nil); err != nil {
				t.Error(err)
			}
			select {
			case <-end:
				over <- true
				return
			default:
				p, err = s.Pin(ctx)
			}
		}
	}()
	if n := write(300); n > logStep+8<<20 {
		t.Errorf("the log has %d bytes", n)
	}
	end <- true
	<-over
}

// TestBusy: another process, or the program, has the lock.
func TestBusy(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	s := openAt(t, path, false, one)
	s.busyTimeout = 30 * time.Millisecond
	at, err := openFile("sqlite3", path)
	must(t, err)
	defer at.close()
	other, err := at.db.Conn(ctx)
	must(t, err)
	defer other.Close()
	lock := func(query string) {
		_, err := other.ExecContext(ctx, query)
		must(t, err)
	}
	lock("BEGIN IMMEDIATE")
	if err := put(s, "k", "v"); !errors.Is(err, kv.ErrBusy) {
		t.Errorf("got %v, want ErrBusy", err)
	}
	must(t, s.View(ctx, func(r kv.Reader) error { _, _, err := r.Get(0, []byte("k")); return err }))
	lock("ROLLBACK")
	s.busyTimeout = 2 * time.Minute
	must(t, put(s, "k", "v"))
	if f := s.Figures(); f.Busy != 1 || f.Commits != 1 {
		t.Errorf("figures %+v", f)
	}
}

// TestGoneFile: nothing is acknowledged that lies in no file.
func TestGoneFile(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("an open file stays")
	}
	path := filepath.Join(t.TempDir(), "db")
	for _, replace := range []bool{false, true} {
		e, err := Open(path, nil)
		must(t, err)
		s, err := e.Open(ctx, setup(one))
		must(t, err)
		defer s.Close()
		must(t, put(s, "k", "v"))
		must(t, os.Remove(path))
		if replace {
			must(t, os.WriteFile(path, nil, 0o600))
		}
		if err := put(s, "k", "w"); !errors.Is(err, kv.ErrGone) {
			t.Errorf("got %v, want ErrGone", err)
		}
		if err := put(s, "k", "w"); !errors.Is(err, kv.ErrGone) || !errors.Is(err, kv.ErrClosed) {
			t.Errorf("then %v", err)
		}
		s.Close()
		for _, suffix := range []string{"", "-wal", "-shm"} {
			os.Remove(path + suffix)
		}
	}
}

// TestDamagedPages: damage is an error, and never the end of the program.
func TestDamagedPages(t *testing.T) {
	seed := testseed.Of(t)
	rnd := rand.New(rand.NewPCG(seed, 0))
	path := filepath.Join(t.TempDir(), "db")
	e, err := Open(path, nil)
	must(t, err)
	s, err := e.Open(ctx, setup(one))
	must(t, err)
	must(t, s.Exclusive(ctx, func(w kv.Tx) error {
		for i := range 2000 {
			if err := w.Put(0, fmt.Appendf(nil, "%05d", i), make([]byte, rnd.IntN(600))); err != nil {
				return err
			}
		}
		return nil
	}))
	must(t, s.Close())
	sound, err := os.ReadFile(path)
	must(t, err)
	found := 0
	for range 60 {
		damaged := bytes.Clone(sound)
		for range 1 + rnd.IntN(200) {
			damaged[rnd.IntN(len(damaged))] ^= byte(1 + rnd.IntN(255))
		}
		bad := filepath.Join(t.TempDir(), "bad")
		must(t, os.WriteFile(bad, damaged, 0o600))
		e, err := Open(bad, nil)
		must(t, err)
		s, err := e.Open(ctx, setup(one))
		if err == nil {
			err = errors.Join(
				s.View(ctx, func(r kv.Reader) error { return r.Scan(0, nil, nil, 0, func(_, _ []byte) error { return nil }) }),
				put(s, "00500", "v"),
				s.Exclusive(ctx, func(w kv.Tx) error { _, err := w.DeleteRange(0, nil, nil); return err }))
			s.Close()
		}
		if errors.Is(err, kv.ErrCorrupt) || errors.Is(err, kv.ErrForeign) || errors.Is(err, records.ErrNewerFormat) {
			found++
		} else if err != nil {
			t.Logf("another error: %v", err)
		}
	}
	if found < 20 {
		t.Errorf("%d of 60 were found", found)
	}
}

// TestShadows: a space is replaced by what was built, in one transaction.
func TestShadows(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	specs := []kv.SpaceSpec{{Name: "a"}, {Name: "b"}, {Name: "a", Shadow: true}, {Name: "b", Shadow: true}}
	s := openAt(t, path, false, specs...)
	s.w.link.once("CREATE VIEW broken AS SELECT * FROM nothing") // the program's affair
	fill := func(space kv.Space, value string) {
		must(t, s.Exclusive(ctx, func(w kv.Tx) error { return w.Put(space, []byte("k"), []byte(value)) }))
	}
	is := func(space kv.Space, want string) {
		t.Helper()
		must(t, s.View(ctx, func(r kv.Reader) error {
			v, _, err := r.Get(space, []byte("k"))
			if string(v) != want {
				t.Errorf("space %d has %q, want %q", space, v, want)
			}
			return err
		}))
	}
	fill(0, "old a")
	fill(1, "old b")
	fill(2, "new a")
	fill(3, "new b")
	undo := errors.New("undo")
	if err := s.Exclusive(ctx, func(w kv.Tx) error { must(t, s.SwapShadows(w, "a")); return undo }); err != undo {
		t.Error(err)
	}
	is(0, "old a")
	is(2, "new a")
	must(t, s.Exclusive(ctx, func(w kv.Tx) error { return s.SwapShadows(w, "a") }))
	is(0, "new a")
	is(1, "old b")
	is(2, "")
	is(3, "")
	fill(3, "again")
	must(t, s.Exclusive(ctx, s.DropShadows))
	is(3, "")
	if err := s.Update(ctx, func(w kv.Tx) error { return s.DropShadows(w) }); err == nil {
		t.Error("dropped in an Update")
	}
}

// TestSpacesOfALaterProgram: they are empty until this one writes to them.
func TestSpacesOfALaterProgram(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	s := openAt(t, path, false, one)
	s.Extend([]kv.SpaceSpec{one, {Name: "later"}})
	must(t, s.Update(ctx, func(w kv.Tx) error {
		if v, ok, err := w.Get(1, []byte("k")); ok || err != nil {
			t.Errorf("%q, %v", v, err)
		}
		if n, err := w.DeleteRange(1, nil, nil); n != 0 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		return errors.Join(w.Delete(1, []byte("k")), w.Put(1, []byte("k"), []byte("v")))
	}))
	must(t, s.View(ctx, func(r kv.Reader) error {
		v, _, err := r.Get(1, []byte("k"))
		if string(v) != "v" {
			t.Errorf("read %q", v)
		}
		return err
	}))
}

// TestErrorOfCommit: a commit whose outcome is unknown ends the service, and one
// that certainly failed does not.
func TestErrorOfCommit(t *testing.T) {
	s := openAt(t, filepath.Join(t.TempDir(), "db"), false, one)
	must(t, put(s, "k", "v"))
	lost := sql.ErrConnDone // of no known code
	if certain(lost) || certain(coded(codeIO)) || certain(coded(codeError)) || !certain(coded(codeFull)) || !certain(coded(codeBusy)) {
		t.Error("outcomes are judged wrongly")
	}
	err := s.Update(ctx, func(w kv.Tx) error {
		must(t, w.Put(0, []byte("k"), []byte("w")))
		// The commit will fail without a code that says what happened.
		return s.w.link.once("COMMIT")
	})
	if !errors.Is(err, kv.ErrUnknown) {
		t.Errorf("got %v, want ErrUnknown", err)
	}
	err = put(s, "k", "v")
	if !errors.Is(err, kv.ErrClosed) || errors.Is(err, kv.ErrUnknown) {
		t.Errorf("afterwards: %v", err)
	}
}

type coded int

func (c coded) Error() string { return "coded" }
func (c coded) Code() int     { return int(c) | 7<<8 }
