package durable

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// left makes what a crash leaves beside path and returns its name.
func left(t *testing.T, path, what string) (name string) {
	t.Helper()
	f, err := Beside(path, what)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return f.Name()
}

func names(t *testing.T, dir string) (out []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

func TestSweepRemovesWhatIsOursAndNothingElse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	var stale []string
	for _, what := range []string{"creating", "partial", "spool"} {
		stale = append(stale, filepath.Base(left(t, path, what)))
	}
	long := left(t, filepath.Join(filepath.Dir(path), strings.Repeat("ß", 127)), "partial")
	stale = append(stale, filepath.Base(long))

	name := left(t, path, "partial")
	tag := name[len(name)-tagLen:]
	other := byte('a')
	if tag[0] == other {
		other = 'b'
	}
	os.Remove(name)
	keep := []string{
		"a.db", "a.db.partial", "a.db.partial-20240101", "a.db.partial-2024010112345678", "a.db.creating-1234567890",
		"a.db.partial-" + strings.ToUpper(tag), "a.db.partial-" + string(other) + tag[1:], "a.db.partial-" + tag + "x",
		"a.db.backup-" + tag, "partial" + tag, tag,
	}
	for _, k := range keep {
		write(t, filepath.Join(filepath.Dir(path), k), "somebody's")
	}
	keep = append(keep, "a.db.spool-"+tag, "a.db.creating-"+tag)
	for _, err := range []error{
		os.Symlink("a.db", filepath.Join(filepath.Dir(path), "a.db.spool-"+tag)),
		os.Mkdir(filepath.Join(filepath.Dir(path), "a.db.creating-"+tag), 0o700),
	} {
		if err != nil {
			t.Skip(err)
		}
	}
	removed, err := Sweep(path)
	slices.Sort(removed)
	slices.Sort(stale)
	if err != nil || !slices.Equal(removed, stale) {
		t.Errorf("removed %v, %v; want %v", removed, err, stale)
	}
	slices.Sort(keep)
	if got := names(t, filepath.Dir(path)); !slices.Equal(got, keep) {
		t.Errorf("there is %v, want %v", got, keep)
	}
}

// What is being made is left alone, here and in another process.
func TestSweepLeavesWhatIsBeingMade(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	stale := left(t, path, "partial")
	if !locks(t, path) {
		t.Skip("directories have no locks here")
	}
	f, err := Create(filepath.Join(filepath.Dir(path), "b.db"), false)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Discard()
	if removed, err := Sweep(path); err != nil || len(removed) > 0 {
		t.Errorf("while a file was being made: removed %v, %v", removed, err)
	}
	if err := f.Commit(false); err != nil {
		t.Fatal(err)
	}
	if removed, err := Sweep(path); err != nil || fmt.Sprint(removed) != fmt.Sprint([]string{filepath.Base(stale)}) {
		t.Errorf("when it was made: removed %v, %v", removed, err)
	}
	f, err = Create(path, false)
	if err != nil {
		t.Fatal(err)
	}
	f.Discard()
	left(t, path, "spool")
	if removed, err := Sweep(path); err != nil || len(removed) != 1 {
		t.Errorf("after Discard: removed %v, %v", removed, err)
	}
}

func locks(t *testing.T, path string) bool {
	t.Helper()
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	return lockDir(d, false)
}

func TestFitCutsBetweenRunes(t *testing.T) {
	for n := range 300 {
		name := strings.Repeat("x", n%2) + strings.Repeat("ß", n/2)
		got := fit(name, ".partial-"+strings.Repeat("a", tagLen))
		if len(got) > maxName || len(name)+25 <= maxName && len(got) != len(name)+25 || strings.ToValidUTF8(got, "") != got {
			t.Errorf("%d bytes: %d, %q", len(name), len(got), got)
		}
	}
}
