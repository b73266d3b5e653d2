package tour

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibtest"
)

var ctx = context.Background()

// tourOf runs the program with cheap hashing.
func tourOf(args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = runWith(ctx, *snibtest.Fast(nil), args, &out, &errs)
	return code, out.String(), errs.String()
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

// steps are what the output must show, in this order.
var steps = []string{
	`^ 1  open +\S+accounts\.db\n +a new file, mode 0600`,
	`^ 2  create a user +ada@example\.com is usr_`,
	`^ 3  log in +a wrong password is refused, the right one gives ses_\w+\n +printed, its token is REDACTED; the bearer gets snses_\w{6}… with`,
	`^ 4  validate +the token is Ada's on the laptop, active until`,
	`^ 5  update provider id +ada@example\.com finds nobody from now on,\n +ada@lovelace\.example finds the same user`,
	`^ 6  update password +the old password is refused, and the session on the phone has ended`,
	`^ 7  update attributes .*\n +username Ada, phone <nil>$`,
	`^ 8  unique attribute .*\n +a second user ADA: "attribute username is taken by another user"`,
	`^ 9  refresh .*\n.* rft_\w+ after 2 rotations`,
	`^10  reuse detected +refresh token rft_\w+ was used before;\n.* 0 refresh tokens are left`,
	`^11  one-time token .*\n +clicked again it is refused`,
	`^12  delete the user .*\n.* [1-9]\d* before, 0 after`,
	`^13  nothing is left +session, refresh and one-time token and password are refused`,
	`^14  close and reopen`,
	`^15  check .* 0 problems;\n +0 users, 0 sessions, 0 refresh tokens, 0 one-time tokens$`,
}

func TestTheOutputShowsEachStepInOrder(t *testing.T) {
	code, out, errs := tourOf()
	if code != 0 || errs != "" {
		t.Fatalf("exit code %d, stderr %q", code, errs)
	}
	rest := out
	for _, want := range steps {
		at := regexp.MustCompile(`(?m)` + want).FindStringIndex(rest)
		if at == nil {
			t.Fatalf("no %q in\n%s", want, rest)
		}
		rest = rest[at[1]:]
	}
	for line := range strings.Lines(out) {
		if n := len([]rune(line)); n > 120 {
			t.Errorf("a line has %d columns: %s", n, line)
		}
		if !regexp.MustCompile(`^(\d\d| \d)  \S| {25}\S`).MatchString(line) {
			t.Errorf("not aligned: %q", line)
		}
	}
}

func TestNoSecretIsPrinted(t *testing.T) {
	_, out, _ := tourOf()
	for _, secret := range []string{password, changed, reset} {
		if strings.Contains(out, secret) {
			t.Errorf("the output contains the password %q", secret)
		}
	}
	if token := regexp.MustCompile(`sn(ses|rft|ott)_\w{7}`).FindString(out); token != "" {
		t.Errorf("the output contains more than the beginning of a token: %s", token)
	}
}

func TestTheTemporaryFileIsRemoved(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	t.Setenv("TMP", dir) // Windows
	if code, _, errs := tourOf(); code != 0 {
		t.Fatalf("exit code %d: %s", code, errs)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

func TestAGivenFileIsKeptAndCanBeGivenAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "accounts.db")
	for range 2 {
		if code, _, errs := tourOf(path); code != 0 {
			t.Fatalf("exit code %d: %s", code, errs)
		}
	}
	// A tour that was killed leaves its user.
	within(t, path, nil, func(db *snib.DB) {
		if _, err := db.CreateUser(ctx, snib.NewUser{
			Provider: "email", Identifier: newAddress,
			Attributes: snib.Attributes{"username": "Ada", madeHere: true},
		}); err != nil {
			t.Fatal(err)
		}
	})
	if code, _, errs := tourOf(path); code != 0 {
		t.Errorf("after a killed tour: exit code %d: %s", code, errs)
	}
}

// TestFilesOfOthersAreLeftAsTheyAre gives the program databases in which it
// has no business.
func TestFilesOfOthersAreLeftAsTheyAre(t *testing.T) {
	for name, opts := range map[string]*snib.Options{
		"other declarations": {Indexes: []snib.Index{{Name: "nick"}}},
		"a user ada":         {Indexes: []snib.Index{{Name: "username", Unique: true}}},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "accounts.db")
			var ada snib.User
			within(t, path, opts, func(db *snib.DB) {
				var err error
				if ada, err = db.CreateUser(ctx, snib.NewUser{
					Provider: "email", Identifier: address, Attributes: snib.Attributes{"nick": "a"},
				}); err != nil {
					t.Fatal(err)
				}
			})
			code, out, errs := tourOf(path)
			if code != 1 || out != "" || !strings.Contains(errs, "name a new") {
				t.Errorf("exit code %d, stdout %q, stderr %q", code, out, errs)
			}
			within(t, path, nil, func(db *snib.DB) {
				if got, err := db.GetUser(ctx, ada.ID); err != nil || !got.UpdatedAt.Equal(ada.UpdatedAt) {
					t.Errorf("the user is %+v, %v", got, err)
				}
				if opts.Indexes[0].Name != "nick" {
					return
				}
				found := 0
				for u, err := range db.ListUsersByAttribute(ctx, "nick", "a", snib.ListOptions{}) {
					if err != nil || u.ID != ada.ID {
						t.Errorf("the index finds %s, %v", u.ID, err)
					}
					found++
				}
				if found != 1 {
					t.Errorf("the index finds %d users", found)
				}
			})
		})
	}
}

func TestErrorsEndWithTheirExitCode(t *testing.T) {
	dir := t.TempDir()
	foreign := filepath.Join(dir, "foreign")
	if err := os.WriteFile(foreign, bytes.Repeat([]byte("not a database\n"), 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args []string
		code int
		want string
	}{
		"two files":         {[]string{"a", "b"}, 2, "usage"},
		"unknown flag":      {[]string{"-x"}, 2, "usage"},
		"help":              {[]string{"-h"}, 0, "usage"},
		"missing directory": {[]string{filepath.Join(dir, "missing", "accounts.db")}, 1, "missing"},
		"a foreign file":    {[]string{foreign}, 1, "quickstart:"},
	} {
		t.Run(name, func(t *testing.T) {
			var out, stderr bytes.Buffer
			code := Main(ctx, c.args, &out, &stderr)
			errs := stderr.String()
			if code != c.code || !strings.Contains(errs, c.want) {
				t.Errorf("exit code %d, stderr %q; want %d, %q", code, errs, c.code, c.want)
			}
		})
	}
}

// TestATourThatFailsLeavesNoUser ends the context behind the first steps.
func TestATourThatFailsLeavesNoUser(t *testing.T) {
	path := filepath.Join(t.TempDir(), "accounts.db")
	stopped, stop := context.WithCancel(ctx)
	defer stop()
	out := writerFunc(func(p []byte) {
		if bytes.Contains(p, []byte("update attributes")) {
			stop()
		}
	})
	var errs bytes.Buffer
	if code := runWith(stopped, *snibtest.Fast(nil), []string{path}, out, &errs); code != 1 || !strings.Contains(errs.String(), context.Canceled.Error()) {
		t.Errorf("exit code %d, stderr %q", code, errs.String())
	}
	within(t, path, nil, func(db *snib.DB) {
		for u, err := range db.ListUsers(ctx, snib.ListOptions{}) {
			t.Errorf("left behind: %s, %v", u.ID, err)
		}
	})
}

type writerFunc func(p []byte)

func (f writerFunc) Write(p []byte) (int, error) { f(p); return len(p), nil }
