package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibops"
)

// TestEveryCountIsPrinted: each number of a report is in the result under its name,
// and on the screen.
func TestEveryCountIsPrinted(t *testing.T) {
	var report snib.CheckReport
	from := reflect.ValueOf(&report).Elem()
	for i := range from.NumField() {
		if f := from.Field(i); f.Kind() == reflect.Int {
			f.SetInt(int64(i + 1001))
		}
	}
	var screen strings.Builder
	got := snibops.CountOf(report)
	if err := counts(&screen, got); err != nil {
		t.Fatal(err)
	}
	to := reflect.ValueOf(got)
	for i := range to.NumField() {
		name := to.Type().Field(i).Name
		if to.Field(i).Kind() != reflect.Int {
			continue
		}
		want := from.FieldByName(name).Int()
		if n := to.Field(i).Int(); n != want || !strings.Contains(screen.String(), fmt.Sprint(want)) {
			t.Errorf("%s is %d, want %d; printed\n%s", name, n, want, &screen)
		}
	}
}

func TestRestoreOfABackup(t *testing.T) {
	path := newDB(t)
	copied := filepath.Join(t.TempDir(), "copy.db")
	if got := try(on(path, "backup", copied)...); got.code != exitDone {
		t.Fatalf("%+v", got)
	}
	if info, err := os.Stat(copied); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if got := try(on(path, "user", "delete", "bob@example.com", "--yes")...); got.code != exitDone {
		t.Fatalf("%+v", got)
	}
	if got := try(on(path, "backup", copied)...); got.code != exitFailed || !strings.Contains(got.err, "--replace") {
		t.Errorf("in the place of a copy: %+v", got)
	}
	if got := try(on(path, "restore", copied)...); got.code != exitFailed || !strings.Contains(got.err, "--replace") {
		t.Errorf("in the place of the file: %+v", got)
	}
	if got := try(on(path, "restore", copied, "--replace")...); got.code != exitUsage {
		t.Errorf("without --yes: %+v", got)
	}
	_, stop := serve(t, path)
	for _, words := range [][]string{{"restore", copied, "--replace", "--yes"}, {"repair", "--yes"}} {
		if got := try(on(path, words...)...); got.code != exitFailed || !strings.Contains(got.err, "stop the program") {
			t.Errorf("%v of a live file: %+v", words, got)
		}
	}
	stop()
	if got := try(on(path, "restore", copied, "--replace", "--yes")...); got.code != exitDone || !strings.Contains(got.out, `"ended":4`) {
		t.Errorf("%+v", got)
	}
	if got := try(on(path, "sessions", ada)...); got.out != "" {
		t.Errorf("sessions after a restore: %s", got.out)
	}
	if got := try(on(path, "user", "show", "bob@example.com")...); got.code != exitDone {
		t.Errorf("%+v", got)
	}
	sound(t, path)
}

func TestCheckFindsAndRepairMends(t *testing.T) {
	path := newDB(t)
	damage(t, path)
	for _, form := range []string{"--json", "--table"} {
		got := try(on(path, "check", form)...)
		if got.code != exitFailed || !strings.Contains(got.out, "roblem") || !strings.Contains(got.err, "stop the program, copy the file with cp, then: snib repair") {
			t.Errorf("%+v", got)
		}
	}
	got := try(on(path, "repair", "--yes")...)
	if got.code != exitDone || !strings.Contains(got.out, `"repair"`) {
		t.Errorf("%+v", got)
	}
	if got := try(on(path, "check")...); got.code != exitDone {
		t.Errorf("after the repair: %+v", got)
	}
	sound(t, path)
}

// damage turns a byte of a user's record over.
func damage(tb testing.TB, path string) {
	tb.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	word := []byte("名前@example.com")
	n := 0
	for at := 0; ; {
		i := bytes.Index(content[at:], word)
		if i < 0 {
			break
		}
		content[at+i] ^= 1
		at += i + 1
		n++
	}
	if n == 0 {
		tb.Fatal("the file has no such user")
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		tb.Fatal(err)
	}
}

func TestKeysOfSealedFiles(t *testing.T) {
	path, secrets := newDB(t), t.TempDir()
	first, next := filepath.Join(secrets, "snib.key"), filepath.Join(secrets, "snib.key.old")
	o := &snib.Options{Keys: []snib.Key{snib.KeyFile(first)}, Passwords: snib.PasswordPolicy{Seal: true}}
	tuned(o)
	db, err := snib.Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.CreateUser(ctx, snib.NewUser{Provider: "email", Identifier: "sealed@example.com", Password: "a good long password"}); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if got := try(on(path, "reseal")...); got.code != exitFailed || !strings.Contains(got.err, "--key-file") {
		t.Errorf("without a key: %+v", got)
	}
	if got := try(on(path, "check", "--key-file", filepath.Join(secrets, "none"))...); got.code != exitFailed {
		t.Errorf("a key file that is not there: %+v", got)
	}
	if err := os.Rename(first, next); err != nil {
		t.Fatal(err)
	}
	if err := snib.CreateKeyFile(first); err != nil {
		t.Fatal(err)
	}
	systemd := setting{env: map[string]string{"CREDENTIALS_DIRECTORY": secrets}}
	for _, run := range []func() answer{
		func() answer { return systemd.try(on(path, "reseal", "--passwords")...) },
		func() answer { return try(on(path, "check", "--key-file", first)...) },
	} {
		if got := run(); got.code != exitDone || strings.Contains(got.out, `"left"`) {
			t.Errorf("%+v", got)
		}
	}
	if got := try(on(path, "check", "--key-file", next)...); got.code == exitDone {
		t.Logf("the retired key is accepted: %+v", got)
	}
	got := systemd.try(on(path, "check")...)
	var found checked
	if err := json.Unmarshal([]byte(got.out), &found); err != nil || found.Check.SealedHashes != 3 {
		t.Errorf("%+v, want 3 sealed hashes", got)
	}
	if left, err := filepath.Glob(filepath.Join(secrets, "*")); err != nil || len(left) != 2 {
		t.Errorf("keys: %v, %v", left, err)
	}
}
