package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

var errInjected = errors.New("injected")

// write makes a file of these bytes at path.
func write(tb testing.TB, path, content string) {
	tb.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		tb.Fatal(err)
	}
}

// put runs the whole way to path.
func put(path, content string, replace bool) error {
	f, err := Create(path, replace)
	if err != nil {
		return err
	}
	defer f.Discard()
	if _, err := f.WriteString(content); err != nil {
		return err
	}
	return f.Commit(replace)
}

// holds fails the test unless the folder of path holds exactly one file with
// these bytes, or none for "".
func holds(tb testing.TB, path, content string) {
	tb.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		tb.Fatal(err)
	}
	if content == "" {
		if len(entries) != 0 {
			tb.Errorf("left: %v", entries)
		}
		return
	}
	got, err := os.ReadFile(path)
	if err != nil || string(got) != content || len(entries) != 1 {
		tb.Errorf("%q, %v, beside it %v; want %q alone", got, err, entries, content)
	}
}

func TestFileAppearsWholeAndPrivate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	f, err := Create(path, false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("new"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("before Commit: %v", err)
	}
	if err := f.Commit(false); err != nil {
		t.Fatal(err)
	}
	f.Discard()
	holds(t, path, "new")
	if info, _ := os.Stat(path); info.Mode() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
}

func TestNothingIsReplacedUnlessAsked(t *testing.T) {
	for name, at := range map[string]func(path string){
		"before": func(path string) { write(t, path, "old") },
		"meanwhile": func(path string) {
			f, err := Create(path, false)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Discard()
			write(t, path, "old")
			if err := f.Commit(false); !errors.Is(err, fs.ErrExist) {
				t.Errorf("Commit: %v, want ErrExist", err)
			}
		},
	} {
		path := filepath.Join(t.TempDir(), "f")
		at(path)
		if err := put(path, "new", false); !errors.Is(err, fs.ErrExist) {
			t.Errorf("%s: %v, want ErrExist", name, err)
		}
		holds(t, path, "old")
		if err := put(path, "new", true); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		holds(t, path, "new")
	}
}

func TestLinkIsFollowedWhenReplacing(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	path := filepath.Join(dir, "link")
	write(t, filepath.Join(other, "f"), "old")
	if err := os.Symlink(filepath.Join(other, "f"), path); err != nil {
		t.Skip(err)
	}
	if err := put(path, "new", true); err != nil {
		t.Fatal(err)
	}
	holds(t, filepath.Join(other, "f"), "new")
	holds(t, path, "new") // through the link, which is all there is
	nowhere := filepath.Join(dir, "nowhere")
	if err := os.Symlink(filepath.Join(other, "missing"), nowhere); err != nil {
		t.Fatal(err)
	}
	if err := put(nowhere, "new", false); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a link to nowhere: %v, want ErrExist", err)
	}
}

// Every step of Commit fails once; the path is as it was and nothing is left
// beside it, save after the last step.
func TestFailedStepLeavesThePathAsItWas(t *testing.T) {
	for _, old := range []string{"", "old"} {
		for step, fail := range map[string]func() (restore func()){
			"sync":   func() func() { was := syncFile; syncFile = failFile; return func() { syncFile = was } },
			"close":  func() func() { was := closeFile; closeFile = failFile; return func() { closeFile = was } },
			"rename": func() func() { was := rename; rename = failRename; return func() { rename = was } },
			"dir":    func() func() { was := syncDir; syncDir = failDir; return func() { syncDir = was } },
		} {
			for _, links := range []bool{true, false} {
				path := filepath.Join(t.TempDir(), "f")
				if old != "" {
					write(t, path, old)
				}
				undoLinks := func() {}
				if !links {
					was := linkFile
					linkFile = func(_, _ string) error { return errors.New("no hard links here") }
					undoLinks = func() { linkFile = was }
				}
				restore := fail()
				err := put(path, "new", old != "")
				restore()
				undoLinks()
				want := old
				switch {
				case step == "dir":
					want = "new"
				case step == "rename" && old == "" && links: // it is not needed
					if err != nil {
						t.Errorf("%s: %v", step, err)
					}
					holds(t, path, "new")
					continue
				}
				if !errors.Is(err, errInjected) {
					t.Errorf("%s over %q: %v", step, old, err)
				}
				holds(t, path, want)
			}
		}
	}
}

func failFile(*os.File) error      { return errInjected }
func failRename(_, _ string) error { return errInjected }
func failDir(string) error         { return errInjected }

func TestWithoutHardLinks(t *testing.T) {
	was := linkFile
	linkFile = func(_, _ string) error { return errors.New("no hard links here") }
	defer func() { linkFile = was }()
	path := filepath.Join(t.TempDir(), "f")
	if err := put(path, "new", false); err != nil {
		t.Fatal(err)
	}
	holds(t, path, "new")
	f, err := Create(filepath.Join(filepath.Dir(path), "g"), false)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(filepath.Dir(path), "g"), "theirs")
	if err := f.Commit(false); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a name that is taken: %v", err)
	}
	f.Discard()
	if got, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "g")); string(got) != "theirs" {
		t.Errorf("it was replaced: %q", got)
	}
}

// A file that has its name is there, whatever becomes of the temporary one.
func TestTemporaryNameThatCannotBeRemoved(t *testing.T) {
	was := linkFile
	linkFile = func(from, to string) error { return errors.Join(os.Link(from, to), os.Remove(from)) }
	defer func() { linkFile = was }()
	path := filepath.Join(t.TempDir(), "f")
	if err := put(path, "new", false); err != nil {
		t.Errorf("%v, and the file is there", err)
	}
	holds(t, path, "new")
}

func TestDiscardLeavesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	f, err := Create(path, false)
	if err != nil {
		t.Fatal(err)
	}
	f.Discard()
	f.Discard()
	holds(t, path, "")
	if _, err := Create(filepath.Join(path, "no folder", "f"), false); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no folder: %v", err)
	}
}
