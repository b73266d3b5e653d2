package mover

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibtest"
)

// full logs all 160 in, at the real cost of hashing. The usual test logs in
// one of each system: scrypt under the race detector takes a second and more.
var full = flag.Bool("full", false, "log every user of the export in")

var ctx = context.Background()

// moveIn runs the program with cheap hashing of our own.
func moveIn(ctx context.Context, args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = runWith(ctx, *snibtest.Fast(nil), args, &out, &errs)
	return code, out.String(), errs.String()
}

// written writes an export and returns its path.
func written(t *testing.T, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "export.jsonl")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// within opens the database at path for the time of fn, and checks it.
func within(t *testing.T, path string, opts *snib.Options, fn func(db *snib.DB)) {
	t.Helper()
	db, err := snib.Open(path, snibtest.Fast(opts))
	if err != nil {
		t.Fatal(err)
	}
	defer snibtest.CheckAndClose(t, db)
	fn(db)
}

// wantLines fails the test unless the output has these lines in this order.
func wantLines(t *testing.T, output string, lines ...string) {
	t.Helper()
	rest := output
	for _, want := range lines {
		at := regexp.MustCompile(`(?m)^` + want + `$`).FindStringIndex(rest)
		if at == nil {
			t.Fatalf("no line %q in\n%s", want, output)
		}
		rest = rest[at[1]:]
	}
}

// export returns the lines of the real export, of which only the first few
// tell their password. The first three are of one system each.
func export(t *testing.T, tell int) (lines []string) {
	t.Helper()
	hashed := 0
	for line := range strings.Lines(string(builtin)) {
		var r map[string]any
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		if r["password"] != nil {
			if hashed++; hashed > tell {
				r["password"] = nil
			}
		}
		b, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, string(b))
	}
	if len(lines) != 180 || hashed != 160 {
		t.Fatalf("the export has %d users, %d with a password", len(lines), hashed)
	}
	return lines
}

func TestAllUsersAreMovedInAndLogIn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "accounts.db")
	code, out, errs := moveIn(ctx, "-db", path, written(t, export(t, 3)...))
	if code != 0 || errs != "" {
		t.Fatalf("exit code %d, stderr %q", code, errs)
	}
	wantLines(t, out,
		`moving in   10 %  18 of 180`, `moving in  100 %  180 of 180`,
		`logging in  10 %  18 of 180`, `logging in 100 %  180 of 180`,
		`users moved in +180   60 lucia-0\.1, 60 lucia-1, 60 lucia-3, in [\d.]+ s`,
		`lines reported +0   all were good`,
		`with a password +160   3 logged in with it, of 3 whose password the export tells, in [\d.]+ s`,
		`without a password +20   20 refused each of 4 guesses`,
		`imported hashes +157   left, of 160 before the log-ins; .*`,
		`users in the file +180   checked with every record and index: 0 problems`,
		`Hashes that were replaced stay readable in free pages .*`)
	if n := strings.Count(out, " of 180\n"); n != 20 || strings.Contains(out, "\r") {
		t.Errorf("%d lines of progress, want 20 and no carriage return in\n%s", n, out)
	}
	within(t, path, nil, func(db *snib.DB) { wantUsers(t, db) })

	// Again: nothing is moved in twice, and whoever could log in still can.
	code, out, errs = moveIn(ctx, "-db", path, written(t, export(t, 3)...))
	if code != 0 || errs != "" {
		t.Fatalf("again: exit code %d, stderr %q", code, errs)
	}
	wantLines(t, out, `users moved in +0 .*`, `moved in before +180 .*`, `with a password +160   3 logged in .*`)
}

// wantUsers compares every user with the export.
func wantUsers(t *testing.T, db *snib.DB) {
	t.Helper()
	for line := range strings.Lines(string(builtin)) {
		var r struct {
			User struct {
				ID         snib.UserID
				ProviderID string  `json:"provider_id"`
				Hash       *string `json:"hashed_password"`
				Username   string
				Picture    *string `json:"profile_picture"`
				Admin      bool    `json:"is_admin"`
				Logins     int64
			}
		}
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		want := snib.Attributes{"username": r.User.Username, "profile_picture": nil, "is_admin": r.User.Admin, "logins": r.User.Logins}
		if r.User.Picture != nil {
			want["profile_picture"] = *r.User.Picture
		}
		u, err := db.GetUserByAttribute(ctx, "username", strings.ToUpper(r.User.Username))
		if err != nil {
			t.Fatalf("%s: %v", r.User.ID, err)
		}
		x := u.Identities[0]
		if u.ID != r.User.ID || x.Provider+":"+x.Identifier != r.User.ProviderID || u.HasPassword != (r.User.Hash != nil) ||
			fmt.Sprintf("%#v", u.Attributes()) != fmt.Sprintf("%#v", want) {
			t.Errorf("%s is %+v with %v, want %v", r.User.ID, u, u.Attributes(), want)
		}
		if s, err := db.ListUserSessions(ctx, u.ID); err != nil || len(s) > 0 {
			t.Errorf("%s was left with sessions %v, %v", u.ID, s, err)
		}
	}
}

func TestTheBuiltInExportLogsAllIn(t *testing.T) {
	if !*full {
		t.Skip("takes half a minute and more; run with -full")
	}
	var out, errs bytes.Buffer
	if code := Main(ctx, nil, &out, &errs); code != 0 || errs.Len() > 0 {
		t.Fatalf("exit code %d, stderr %q", code, errs.String())
	}
	wantLines(t, out.String(), `with a password +160   160 logged in with it, of 160 .*`, `without a password +20   20 .*`,
		`imported hashes +0   left, of 160 before .*`)
}

func TestTheTemporaryFileIsRemoved(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	t.Setenv("TMP", dir) // Windows
	if code, out, errs := moveIn(ctx, written(t, user("1", ""))); code != 0 || !strings.Contains(out, "a temporary file") {
		t.Fatalf("exit code %d, stdout %q, stderr %q", code, out, errs)
	}
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "snib-") {
			t.Errorf("left behind: %s", e.Name())
		}
	}
	if err != nil {
		t.Error(err)
	}
}

// TestAFileThatExistsKeepsItsDeclarations moves into an application's own
// database, with an index on something else.
func TestAFileThatExistsKeepsItsDeclarations(t *testing.T) {
	path := filepath.Join(t.TempDir(), "accounts.db")
	within(t, path, &snib.Options{Indexes: []snib.Index{{Name: "nick", Unique: true}}}, func(db *snib.DB) {
		if _, err := db.CreateUser(ctx, snib.NewUser{Provider: "email", Identifier: "1@example.com"}); err != nil {
			t.Fatal(err)
		}
	})
	code, _, errs := moveIn(ctx, "-db", path, written(t, user("1", ""), user("2", `,"nick":"n"`), user("3", `,"nick":"n"`)))
	if code != 1 {
		t.Errorf("exit code %d", code)
	}
	wantLines(t, errs, `movein: line 1: provider_id is taken by user usr_\w{26}, who was here before`,
		`movein: line 3: nick is taken by line 2`)
	within(t, path, nil, func(db *snib.DB) {
		if u, err := db.GetUserByAttribute(ctx, "nick", "n"); err != nil || u.ID != "u2" {
			t.Errorf("nick n is %s, %v", u.ID, err)
		}
	})
}

func TestAnInterruptStopsCleanlyAndCanBeResumed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "accounts.db")
	var all []string
	for i := range 3000 { // three batches
		all = append(all, user(fmt.Sprint(i), `,"hashed_password":"$2b$04$`+strings.Repeat("a", 53)+`"`))
	}
	lines := written(t, all...)
	stopped, stop := context.WithCancel(ctx)
	defer stop()
	var errs bytes.Buffer
	out := writerFunc(func(p []byte) {
		if bytes.HasPrefix(p, []byte("moving in   50 %")) {
			stop()
		}
	})
	if code := runWith(stopped, *snibtest.Fast(nil), []string{"-db", path, lines}, out, &errs); code != 130 {
		t.Errorf("exit code %d", code)
	}
	wantLines(t, errs.String(), `movein: stopped; 2000 users were moved in whole`)
	code, resumed, again := moveIn(ctx, "-db", path, lines)
	if code != 0 || again != "" {
		t.Errorf("resumed: exit code %d, stderr %q", code, again)
	}
	wantLines(t, resumed, `users moved in +1000 .*`, `moved in before +2000 .*`)
}

func TestAnInterruptDuringTheLogInsStopsCleanly(t *testing.T) {
	stopped, stop := context.WithCancel(ctx)
	defer stop()
	var errs bytes.Buffer
	out := writerFunc(func(p []byte) {
		if bytes.HasPrefix(p, []byte("logging in  50 %")) {
			stop()
		}
	})
	if code := runWith(stopped, *snibtest.Fast(nil), []string{written(t, export(t, 0)...)}, out, &errs); code != 130 {
		t.Errorf("exit code %d", code)
	}
	wantLines(t, errs.String(), `movein: stopped; 180 users were moved in whole`)
}

type writerFunc func(p []byte)

func (f writerFunc) Write(p []byte) (int, error) { f(p); return len(p), nil }

func TestErrorsEndWithTheirExitCode(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	for name, c := range map[string]struct {
		args []string
		code int
		want string
	}{
		"two exports":       {[]string{"a", "b"}, 2, "usage"},
		"unknown flag":      {[]string{"-x"}, 2, "usage"},
		"help":              {[]string{"-h"}, 0, "usage"},
		"missing export":    {[]string{missing}, 1, "missing"},
		"missing directory": {[]string{"-db", filepath.Join(missing, "a.db")}, 1, "missing"},
		"a directory":       {[]string{t.TempDir()}, 1, "movein:"},
	} {
		t.Run(name, func(t *testing.T) {
			var out, errs bytes.Buffer
			code := Main(ctx, c.args, &out, &errs)
			if code != c.code || !strings.Contains(errs.String(), c.want) {
				t.Errorf("exit code %d, stderr %q; want %d, %q", code, errs.String(), c.code, c.want)
			}
		})
	}
}
