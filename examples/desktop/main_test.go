package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibtest"
)

var ctx = context.Background()

const password = "correct horse battery"

// A computer is a folder of notes, and somebody in front of it.
type computer struct {
	t   *testing.T
	dir string
}

// do runs a verb, with text typed, and fails the test unless the exit code is
// 0 and the output matches.
func (c computer) do(typed, want string, args ...string) {
	c.t.Helper()
	c.expect(0, typed, want, args...)
}

// refused is do for what ends with exit code 1 and a message that matches.
func (c computer) refused(typed, want string, args ...string) {
	c.t.Helper()
	c.expect(1, typed, want, args...)
}

func (c computer) expect(code int, typed, want string, args ...string) {
	c.t.Helper()
	var out, errs bytes.Buffer
	got := runWith(ctx, *snibtest.Fast(nil), append([]string{"-dir", c.dir}, args...), strings.NewReader(typed), &out, &errs)
	text := out.String()
	if code != 0 {
		text = errs.String()
	}
	if got != code || !regexp.MustCompile(want).MatchString(text) || code == 0 && errs.Len() > 0 {
		c.t.Fatalf("%.60q: exit code %d, stdout %q, stderr %q; want %d, %q", args, got, out.String(), errs.String(), code, want)
	}
}

// within opens the database for the time of fn, and checks it.
func (c computer) within(fn func(db *snib.DB)) {
	c.t.Helper()
	db, err := snib.Open(filepath.Join(c.dir, "notes.db"), snibtest.Fast(nil))
	if err != nil {
		c.t.Fatal(err)
	}
	defer snibtest.CheckAndClose(c.t, db)
	fn(db)
}

// rows returns the keys of all notes, and the ids of all users.
func (c computer) rows() (keys []string, users []snib.UserID) {
	c.t.Helper()
	c.within(func(db *snib.DB) {
		err := db.View(ctx, func(tx *snib.Tx) error {
			for u, err := range tx.ListUsers(snib.ListOptions{}) {
				if err != nil {
					return err
				}
				users = append(users, u.ID)
			}
			b := tx.Bolt().Bucket(notesBucket)
			if b == nil {
				return nil
			}
			return b.ForEach(func(k, _ []byte) error { keys = append(keys, string(k)); return nil })
		})
		if err != nil {
			c.t.Fatal(err)
		}
	})
	return keys, users
}

func TestTheScriptedSession(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	t.Setenv("TMP", dir) // Windows
	var out, errs bytes.Buffer
	if code := runWith(ctx, *snibtest.Fast(nil), nil, strings.NewReader(""), &out, &errs); code != 0 || errs.Len() > 0 {
		t.Fatalf("exit code %d, stderr %q, stdout\n%s", code, errs.String(), out.String())
	}
	rest := out.String()
	for _, want := range []string{
		"$ desktop sign-up ada\n", "Welcome, ada.", "$ desktop list\nNotes of ada:\n  1  This is the first note of ada\n  2  the engine",
		"Welcome, grace.", "$ desktop list\nNotes of grace:\n  1  This is the first note of grace\n\n",
		"Signed out.", "$ desktop list\ndesktop: nobody is signed in", "the name is taken", "the password is wrong",
		"Welcome back, ada.", "the note is longer", "ada is deleted, with 2 notes.", "the password is wrong",
		"\nIn the file: 1 user (grace), 1 note, 0 problems found by Check.\n",
	} {
		_, after, ok := strings.Cut(rest, want)
		if !ok {
			t.Fatalf("no %q in\n%s", want, out.String())
		}
		rest = after
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

func TestNotesBelongToWhoIsSignedIn(t *testing.T) {
	c := computer{t, filepath.Join(t.TempDir(), "made", "when needed")}
	c.do(password+"\n", `seen while you type.*\nWelcome, ada\. You are signed in`, "sign-up", "ada", "my", "own note")
	c.do("", `^Noted\.`, "add", "second", "note")
	c.do(password+"\r\n", `Welcome, bob`, "sign-up", "bob")
	c.do("", `^Notes of bob:\n  1  This is the first note of bob\n$`, "list")
	c.do(password, `Welcome back, ada`, "sign-in", "Ada") // no line end
	c.do("", `^Notes of ada:\n  1  my own note\n  2  second note\n$`, "list")
	c.within(func(db *snib.DB) {
		for u, err := range db.ListUsers(ctx, snib.ListOptions{}) {
			s, err2 := db.ListUserSessions(ctx, u.ID)
			want := map[string]int{"ada": 1, "bob": 0}[u.Identities[0].Identifier] // who signs in signs the other out
			if err != nil || err2 != nil || len(s) != want {
				t.Errorf("%s has %d sessions, want %d; %v %v", u.Identities[0].Identifier, len(s), want, err, err2)
			}
		}
	})
	copied, err := os.ReadFile(filepath.Join(c.dir, "session"))
	if err != nil {
		t.Fatal(err)
	}
	c.do("", `^Signed out`, "sign-out")
	c.refused("", `nobody is signed in`, "list")
	// The session has ended, not only its file.
	if err := os.WriteFile(filepath.Join(c.dir, "session"), copied, 0o600); err != nil {
		t.Fatal(err)
	}
	c.refused("", `nobody is signed in`, "list")
	c.refused("", `nobody is signed in`, "add", "x")
	c.refused(password, `nobody is signed in`, "delete-account")
	c.do("", `^Signed out`, "sign-out")
}

// TestAnAccountIsMadeWithItsFirstNoteOrNotAtAll fails when the user is made
// and the note is not.
func TestAnAccountIsMadeWithItsFirstNoteOrNotAtAll(t *testing.T) {
	c := computer{t, t.TempDir()}
	for text, want := range map[string]string{
		strings.Repeat("x", maxNote+1): "longer than 4 KiB",
		"two\nlines":                   "one line of text",
		"\xff":                         "one line of text",
	} {
		c.refused(password, want, "sign-up", "ada", text)
		if keys, users := c.rows(); len(keys)+len(users) > 0 {
			t.Errorf("%.10q: left notes %q and users %q", text, keys, users)
		}
		if _, err := os.Lstat(filepath.Join(c.dir, "session")); !os.IsNotExist(err) {
			t.Errorf("%.10q: left a session: %v", text, err)
		}
	}
	c.do(password, `Welcome`, "sign-up", "ada", strings.Repeat("x", maxNote))
	if keys, users := c.rows(); len(keys) != 1 || len(users) != 1 || !strings.HasPrefix(keys[0], string(users[0])+"\x00") {
		t.Errorf("notes %q of users %q", keys, users)
	}
}

// TestARefusedSignUpLeavesWhoIsSignedIn: ending the old session is part of the
// same transaction.
func TestARefusedSignUpLeavesWhoIsSignedIn(t *testing.T) {
	c := computer{t, t.TempDir()}
	c.do(password, `Welcome`, "sign-up", "ada")
	for _, args := range [][]string{{"ADA"}, {"bob", "two\nlines"}, {"not@name"}, {""}} {
		c.refused(password, `name|note`, append([]string{"sign-up"}, args...)...)
	}
	c.refused("a wrong password", `wrong`, "sign-in", "ada")
	c.do("", `Notes of ada`, "list")
}

func TestAnAccountGoesTogetherWithItsNotes(t *testing.T) {
	c := computer{t, t.TempDir()}
	c.do(password, `Welcome`, "sign-up", "bob")
	c.do(password, `Welcome`, "sign-up", "ada")
	for range 20 {
		c.do("", `Noted`, "add", "a note")
	}
	before, _ := os.ReadFile(filepath.Join(c.dir, "session"))
	c.refused("a wrong password", `wrong`, "delete-account")
	if keys, users := c.rows(); len(keys) != 22 || len(users) != 2 {
		t.Errorf("a wrong password has deleted something: %d notes, %d users left", len(keys), len(users))
	}
	c.do(password, `ada is deleted, with 21 notes`, "delete-account")
	if keys, users := c.rows(); len(keys) != 1 || len(users) != 1 || !strings.HasPrefix(keys[0], string(users[0])) {
		t.Errorf("left notes %q of users %q", keys, users)
	}
	// A copy of the token is worth nothing.
	if err := os.WriteFile(filepath.Join(c.dir, "session"), before, 0o600); err != nil {
		t.Fatal(err)
	}
	c.refused("", `nobody is signed in`, "list")
	c.do(password, `Welcome`, "sign-up", "ada") // is free
	c.do("", `^Notes of ada:\n  1  This is the first note of ada\n$`, "list")
}

// TestDeletingRollsBackTogether ends the transaction of delete-account with an
// error of the program behind all its deletions.
func TestDeletingRollsBackTogether(t *testing.T) {
	c := computer{t, t.TempDir()}
	c.do(password, `Welcome`, "sign-up", "ada")
	_, users := c.rows()
	errBehind := errors.New("an error behind the deletions")
	c.within(func(db *snib.DB) {
		err := db.Update(ctx, func(tx *snib.Tx) error {
			n, err := deleteNotes(tx.Bolt(), users[0])
			if n != 1 || err != nil {
				t.Errorf("deleted %d notes, %v", n, err)
			}
			if err := tx.DeleteUser(users[0]); err != nil {
				t.Error(err)
			}
			return errBehind
		})
		if !errors.Is(err, errBehind) {
			t.Errorf("got %v", err)
		}
	})
	c.do("", `^Notes of ada:\n  1 `, "list")
}

func TestTheTokenIsForItsOwnerOnlyAndNotInTheDatabase(t *testing.T) {
	c := computer{t, t.TempDir()}
	c.do(password, `Welcome`, "sign-up", "ada")
	token, err := os.ReadFile(filepath.Join(c.dir, "session"))
	if err != nil || !strings.HasPrefix(string(token), "snses_") {
		t.Fatalf("the session file has %q, %v", token, err)
	}
	file, err := os.ReadFile(filepath.Join(c.dir, "notes.db"))
	if err != nil || bytes.Contains(file, token[len(token)-20:]) || bytes.Contains(file, []byte(password)) {
		t.Errorf("a secret is in the database (%v)", err)
	}
	entries, err := os.ReadDir(c.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if name := e.Name(); name != "session" && name != "notes.db" {
			t.Errorf("left behind: %s", name)
		}
		info, err := e.Info()
		if err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, %v", e.Name(), info.Mode(), err)
		}
	}
}

func TestArgumentsAndInputThatAreRefused(t *testing.T) {
	c := computer{t, t.TempDir()}
	for _, args := range [][]string{
		{"dance"}, {"sign-up"}, {"sign-in"}, {"sign-in", "a", "b"}, {"add"}, {"list", "x"}, {"sign-out", "x"}, {"delete-account", "x"},
	} {
		c.expect(2, "", `usage: desktop`, args...)
	}
	var out, errs bytes.Buffer
	for arg, want := range map[string]int{"-h": 0, "-x": 2} {
		if code := run(ctx, []string{arg}, strings.NewReader(""), &out, &errs); code != want || !strings.Contains(errs.String(), "usage") {
			t.Errorf("%s: exit code %d, stderr %q", arg, code, errs.String())
		}
	}
	c.refused("", `reading the password: EOF`, "sign-up", "ada")
	c.refused("short\n", `desktop: the password must have 8 characters or more`, "sign-up", "ada")
	c.refused(password, `desktop: the name must be a user name`, "sign-up", "a/b")
	c.refused(strings.Repeat("x", 1<<20), `desktop: the password is longer than 1024 bytes`, "sign-up", "ada")
	if err := os.WriteFile(filepath.Join(c.dir, "session"), bytes.Repeat([]byte("x"), 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	c.refused("", `nobody is signed in`, "list")
	if keys, users := c.rows(); len(keys)+len(users) > 0 {
		t.Errorf("notes %q, users %q", keys, users)
	}
}

// TestTheFolderIsAmongTheConfiguration runs the program itself.
func TestTheFolderIsAmongTheConfiguration(t *testing.T) {
	home := t.TempDir()
	for _, name := range []string{"XDG_CONFIG_HOME", "HOME", "AppData"} {
		t.Setenv(name, home)
	}
	var out, errs bytes.Buffer
	if code := run(ctx, []string{"sign-out"}, strings.NewReader(""), &out, &errs); code != 0 {
		t.Fatalf("exit code %d, stderr %q", code, errs.String())
	}
	config, err := os.UserConfigDir()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(config, "snib-notes", "notes.db")); err != nil {
		t.Error(err)
	}
}

// A repair can take away the name of a user.
func TestAUserWithoutName(t *testing.T) {
	if got := nameOf(snib.User{ID: "usr_1"}); got != "usr_1" {
		t.Errorf("called %q", got)
	}
}
