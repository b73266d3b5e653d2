package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibops"
)

// TestAnEmptyFileIsNoDatabase: the command never makes one, in which the users of
// the program would be missing.
func TestAnEmptyFileIsNoDatabase(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, words := range [][]string{{"users"}, {"user", "create", "eve@example.com"}, {"compact"}} {
		if got := try(on(path, words...)...); got.code != exitFailed || !strings.Contains(got.err, "no database of snib") {
			t.Errorf("%q: %+v", words, got)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Size() != 0 {
		t.Errorf("%v, %v", info, err)
	}
}

// TestABackupSparesTheFileOfTheProgram: --socket may lead to another file than
// --file names.
func TestABackupSparesTheFileOfTheProgram(t *testing.T) {
	path := newDB(t)
	serve(t, path)
	other := filepath.Join(t.TempDir(), "b.db")
	for _, words := range [][]string{{"backup", path, "--replace"}, {"export", "--all", "--output", path, "--replace"}} {
		got := try(append([]string{"--file", other, "--socket", snibops.SocketPath(path)}, words...)...)
		if got.code != exitFailed || !strings.Contains(got.err, "is the database itself") {
			t.Errorf("%q: %+v", words, got)
		}
	}
	if got := try(on(path, "users")...); got.code != exitDone {
		t.Errorf("%+v", got)
	}
}

// TestAnExportOfAllLosesNobodyToADeletion: a user who is deleted behind the list
// is left out, and the others are there.
func TestAnExportOfAllLosesNobodyToADeletion(t *testing.T) {
	path := newDB(t)
	db, _ := serve(t, path)
	client, err := snibops.Dial(ctx, path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	var users []snib.UserID
	for u, err := range db.ListUsers(ctx, snib.ListOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		users = append(users, u.ID)
	}
	var out strings.Builder
	first := writerFunc(func(p []byte) (int, error) {
		if out.Len() == 0 {
			if err := db.DeleteUser(ctx, users[len(users)-1]); err != nil {
				return 0, err
			}
		}
		return out.Write(p)
	})
	a := &app{world: world{out: io.Discard, err: io.Discard}}
	if err := a.exportTo(ctx, client, first, nil); err != nil || strings.Count(out.String(), "\n") != len(users)-1 {
		t.Errorf("%d lines, %v", strings.Count(out.String(), "\n"), err)
	}
	if err := a.exportTo(ctx, client, io.Discard, []string{"gone"}); !errors.Is(err, snib.ErrUserNotFound) {
		t.Errorf("one who was named: %v", err)
	}
}
