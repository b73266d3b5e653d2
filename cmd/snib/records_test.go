package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/snibdb/snib"
)

// TestRecordsMoveBetweenFiles: sessions, roles and passwords are alive in the other
// file, and a second import, into accounts, is refused.
func TestRecordsMoveBetweenFiles(t *testing.T) {
	path, dir := newDB(t), t.TempDir()
	records, to := filepath.Join(dir, "all.records"), filepath.Join(dir, "b.db")
	if got := try(on(path, "export", "--records", records)...); got.code != exitDone || !strings.Contains(got.out, `"users":4`) {
		t.Fatalf("%+v", got)
	}
	if info, err := os.Stat(records); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if got := try(on(path, "export", "--records", records)...); got.code != exitFailed || !strings.Contains(got.err, "--replace") {
		t.Errorf("in the place of a file: %+v", got)
	}
	if got := try(on(path, "export", "--records", path, "--replace")...); got.code != exitFailed || !strings.Contains(got.err, "database itself") {
		t.Errorf("in the place of the database: %+v", got)
	}
	if got := try(on(path, "import", "--records", records)...); got.code != exitFailed || !strings.Contains(got.err, "--file") {
		t.Errorf("into accounts: %+v", got)
	}
	if got := try(on(to, "import", "--records", records)...); got.code != exitDone || !strings.Contains(got.out, `"users":4`) {
		t.Fatalf("%+v", got)
	}
	for _, words := range [][]string{{"users"}, {"sessions", ada}, {"keys", ada}, {"role", "list", "admin"}} {
		if got, want := try(on(to, words...)...), try(on(path, words...)...); got != want || got.out == "" {
			t.Errorf("%v:\n%+v\nwant\n%+v", words, got, want)
		}
	}
	db, err := snib.Open(to, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.AuthenticateUser(snib.AsOperator(ctx), "email", ada, "correct horse "+ada); err != nil {
		t.Error(err)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
	sound(t, to)
}

// TestACutExportIsRefused: the file stays closed, says so, and the whole export
// completes it.
func TestACutExportIsRefused(t *testing.T) {
	path, dir := newDB(t), t.TempDir()
	records, cut, to := filepath.Join(dir, "all.records"), filepath.Join(dir, "cut.records"), filepath.Join(dir, "b.db")
	if got := try(on(path, "export", "--records", records)...); got.code != exitDone {
		t.Fatalf("%+v", got)
	}
	whole, err := os.ReadFile(records)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(cut, whole[:len(whole)-1], 0o600); err != nil {
		t.Fatal(err)
	}
	if got := try(on(to, "import", "--records", cut)...); got.code != exitFailed || strings.Count(got.err, "\n") != 1 {
		t.Errorf("%+v", got)
	}
	if got := try(on(to, "users")...); got.code != exitFailed || !strings.Contains(got.err, "import --records") {
		t.Errorf("an incomplete file: %+v", got)
	}
	if got := try(on(to, "import", "--records", records)...); got.code != exitDone {
		t.Errorf("%+v", got)
	}
	sound(t, to)
}

// TestRecordsOfAProgram are exported with a warning, and imported into none.
func TestRecordsOfAProgram(t *testing.T) {
	path := newDB(t)
	serve(t, path)
	records := filepath.Join(t.TempDir(), "all.records")
	if got := try(on(path, "export", "--records", records)...); got.code != exitDone || got.err != laterChanges {
		t.Errorf("%+v", got)
	}
	if got := try(on(path, "import", "--records", records)...); got.code != exitFailed || !strings.Contains(got.err, "stop the program") {
		t.Errorf("%+v", got)
	}
}
