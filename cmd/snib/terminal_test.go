package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/mattn/go-runewidth"

	"github.com/snibdb/snib"
)

// destroying are verbs that ask first, with what must be there as before if the
// answer is not yes.
var destroying = [][]string{
	{"user", "delete", ada},
	{"user", "end-sessions", ada},
	{"user", "unlink", ada, "email=" + ada},
	{"factors", "reset", ada},
	{"keys", "revoke", "key_00000000000000000000000000000000"},
	{"reseal", "--lost", "k1"},
	{"repair"},
}

func TestWhatDestroysAsksFirst(t *testing.T) {
	for _, words := range destroying {
		t.Run(strings.Join(words, " "), func(t *testing.T) {
			for name, s := range map[string]setting{
				"without a terminal": {in: "y\n"},
				"no":                 {in: "n\n", terminal: true},
				"only return":        {in: "\n", terminal: true},
				"end of input":       {terminal: true},
			} {
				path := newDB(t)
				before := fileState(t, path)
				got := s.try(on(path, words...)...)
				want := exitFailed
				if !s.terminal {
					want = exitUsage
					if !strings.Contains(got.err, "--yes") {
						t.Errorf("%s: %q does not name --yes", name, got.err)
					}
				}
				if got.code != want || got.out != "" {
					t.Errorf("%s: %+v, want code %d", name, got, want)
				}
				if fileState(t, path) != before {
					t.Errorf("%s: the file has changed", name)
				}
				if u := try(on(path, "user", "show", ada)...); !strings.Contains(u.out, `"sessions":1,"families":1,"keys":1`) {
					t.Errorf("%s: the user has changed: %s", name, u.out)
				}
			}
		})
	}
}

func TestAYesIsEnough(t *testing.T) {
	path := newDB(t)
	got := setting{in: "yes\n", terminal: true}.try(on(path, "user", "delete", ada)...)
	if got.code != exitDone || !strings.Contains(got.err, "with 2 log-ins and 1 API key?") {
		t.Errorf("%+v", got)
	}
	if got := try(on(path, "user", "show", ada)...); got.code != exitFailed {
		t.Errorf("the user is there: %+v", got)
	}
}

func TestAResetLinkIsForTerminalsUnlessAskedFor(t *testing.T) {
	path := newDB(t)
	before := fileState(t, path)
	if got := try(on(path, "user", "reset-link", ada)...); got.code != exitUsage || got.out != "" || !strings.Contains(got.err, "--print") {
		t.Errorf("without a terminal: %+v", got)
	}
	if fileState(t, path) != before {
		t.Error("a token was made that nobody was shown")
	}
	if got := (setting{terminal: true}).try(on(path, "user", "reset-link", ada)...); got.code != exitDone || !strings.HasPrefix(got.out, "snott_") {
		t.Errorf("on a terminal: %+v", got)
	}
}

func TestPasswordsComeFromTheTerminalOrStandardInput(t *testing.T) {
	for _, x := range []struct {
		name  string
		s     setting
		flags []string
		code  int
		says  string
	}{
		{"typed", setting{in: "a good long password\na good long password\n", terminal: true}, []string{"--password"}, exitDone, "created"},
		{"typed differently", setting{in: "a good long password\na good long passwore\n", terminal: true}, []string{"--password"}, exitFailed, "differ"},
		{"no terminal", setting{in: "a good long password\n"}, []string{"--password"}, exitUsage, "--password-stdin"},
		{"stdin", setting{in: "a good long password"}, []string{"--password-stdin"}, exitDone, "new@example.com"},
		{"empty stdin", setting{}, []string{"--password-stdin"}, exitFailed, "one line"},
		{"both", setting{}, []string{"--password-stdin", "--password"}, exitUsage, "password"},
		{"in argv", setting{}, []string{"--password=a good long password"}, exitUsage, "invalid"},
		{"in argv, apart", setting{terminal: true}, []string{"--password", "a good long password"}, exitUsage, "accepts 1 arg"},
	} {
		t.Run(x.name, func(t *testing.T) {
			path := newDB(t)
			got := x.s.try(on(path, append([]string{"user", "create", "new@example.com"}, x.flags...)...)...)
			if got.code != x.code || !strings.Contains(got.out+got.err, x.says) {
				t.Fatalf("%+v, want code %d and %q", got, x.code, x.says)
			}
			if strings.Contains(got.out+got.err, "a good long password") && !strings.HasPrefix(x.name, "in argv") {
				t.Errorf("the password was printed: %+v", got)
			}
			o := &snib.Options{}
			tuned(o)
			db, err := snib.Open(path, o)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			_, err = db.AuthenticateUser(ctx, "email", "new@example.com", "a good long password")
			if (err == nil) != (x.code == exitDone) {
				t.Errorf("log-in: %v", err)
			}
		})
	}
}

var colour = regexp.MustCompile("\x1b\\[[0-9;]*m")

func TestTablesFitTheTerminal(t *testing.T) {
	path := newDB(t)
	for _, width := range []int{78, 100, 0} {
		got := setting{terminal: true, width: width}.try(on(path, "users")...)
		lines := strings.Split(strings.TrimSpace(colour.ReplaceAllString(got.out, "")), "\n")
		if len(lines) != 5 {
			t.Fatalf("%d lines: %s", len(lines), got.out)
		}
		at := -1
		for _, l := range lines {
			if n := runewidth.StringWidth(l); width > 0 && n > width {
				t.Errorf("%d cells in a terminal of %d: %s", n, width, l)
			}
			i := max(strings.Index(l, "2030-"), strings.Index(l, "CREATED"))
			if cells := runewidth.StringWidth(l[:i]); at >= 0 && cells != at {
				t.Errorf("the column begins at cell %d, and at %d above: %s", cells, at, l)
			} else {
				at = cells
			}
		}
	}
}

func TestLittleColourAndNoneWhenToldSo(t *testing.T) {
	path := newDB(t)
	for _, x := range []struct {
		s    setting
		want bool
	}{
		{setting{terminal: true}, true},
		{setting{terminal: true, env: map[string]string{"NO_COLOR": "1"}}, false},
		{setting{terminal: true, env: map[string]string{"TERM": "dumb"}}, false},
		{setting{}, false},
	} {
		if got := x.s.try(on(path, "users", "--table")...); strings.Contains(got.out+got.err, "\x1b") != x.want {
			t.Errorf("%+v: colour %v in %q", x.s, !x.want, got.out)
		}
	}
}

func TestExitCodes(t *testing.T) {
	path := newDB(t)
	junk := filepath.Join(t.TempDir(), "junk")
	if err := os.WriteFile(junk, []byte("junk"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		words []string
		code  int
		says  string
	}{
		{nil, exitDone, "Usage"},
		{[]string{"--help"}, exitDone, "Usage"},
		{[]string{"--version"}, exitDone, "snib"},
		{[]string{"completion", "bash"}, exitDone, "snib"},
		{[]string{"users"}, exitUsage, "SNIB_FILE"},
		{[]string{"bogus"}, exitUsage, "unknown command"},
		{[]string{"user"}, exitUsage, "--help"},
		{[]string{"user", "bogus"}, exitUsage, "unknown command"},
		{[]string{"role", "bogus"}, exitUsage, "unknown command"},
		{on(path, "users", "--bogus"), exitUsage, "unknown flag"},
		{on(path, "users", "--bogus"), exitUsage, "; see: snib users --help"},
		{on(path, "user", "show"), exitUsage, "; see: snib user show --help"},
		{on(path, "users", "--json", "--table"), exitUsage, "; see: snib users --help"},
		{on(path, "users", "a", "b"), exitUsage, "arg"},
		{on(path, "user", "show"), exitUsage, "arg"},
		{on(path, "users", "--json", "--table"), exitUsage, "json"},
		{on(path, "users", "--disabled", "--enabled"), exitUsage, "disabled"},
		{on(path, "users", "--attribute", "plan"), exitUsage, "NAME=TEXT"},
		{on(path, "users", "--attribute", "plan:=pro"), exitUsage, "JSON"},
		{on(path, "users", "--limit", "-1"), exitUsage, "limit"},
		{on(path, "user", "link", ada, "github"), exitUsage, "PROVIDER=IDENTIFIER"},
		{on(path, "user", "create", "a=b@example.com"), exitUsage, "--provider"},
		{on(path, "export"), exitUsage, "--all"},
		{on(path, "export", "--all", ada), exitUsage, "--all"},
		{on(path, "import", "--from", "bogus"), exitUsage, "snib"},
		{on(path, "import", "/none"), exitFailed, "no such file"},
		{on(path, "events", ada, "--follow"), exitFailed, "--follow"},
		{on(path+".none", "users"), exitFailed, "no such file"},
		{on(path+".none", "user", "create", ada), exitFailed, "no such file"},
		{on(junk, "users"), exitFailed, "--file"},
		{on(junk, "check"), exitFailed, "--file"},
		{on(path, "backup", path, "--replace"), exitFailed, "itself"},
		{on(path, "export", "--all", "--replace", "--output", path), exitFailed, "itself"},
		{on(path, "users", "--key-file", "/none"), exitFailed, "--key-file"},
	} {
		got := try(x.words...)
		if got.code != x.code || !strings.Contains(got.out+got.err, x.says) {
			t.Errorf("%q: %+v, want code %d and %q", x.words, got, x.code, x.says)
		}
		if x.code != exitDone && (got.out != "" || strings.Count(got.err, "\n") != 1 || strings.Contains(got.err, "snib: snib")) {
			t.Errorf("%q: not one line of error: %+v", x.words, got)
		}
	}
	if _, err := os.Stat(path + ".none"); err == nil {
		t.Error("a file was made")
	}
	if s := fileState(t, junk); !strings.Contains(s, "junk") {
		t.Errorf("beside the file: %s", s)
	}
}

// TestHostileTextReachesNoTerminal: nothing of what strangers have put into
// identifiers and attributes is obeyed, in any form, on a file or a program.
func TestHostileTextReachesNoTerminal(t *testing.T) {
	path := newDB(t)
	look := func(where string) {
		for _, words := range [][]string{
			{"users"}, {"users", "hi"}, {"user", "show", "chat=say \"hi\", =1+1"}, {"sessions", ada}, {"events", "chat=say \"hi\", =1+1"},
			{"export", "--all"}, {"user", "show", "\x1b[2Jnone"}, {"\x1b[2J"}, {"role", "list", "\x1b[2J"}, {"users", "--after", "\x1b[2J"},
		} {
			for _, form := range []string{"--json", "--table"} {
				got := setting{terminal: true, env: map[string]string{"NO_COLOR": "1"}}.try(on(path, append(words, form)...)...)
				for _, r := range got.out + got.err {
					if r != '\n' && (r < ' ' || r >= 0x7f && r < 0xa0 || r >= 0x202a && r <= 0x202e || r == 0xfffd && words[0] != "\x1b[2J") {
						t.Errorf("%s, %q %s: %U in %q", where, words, form, r, got.out+got.err)
						break
					}
				}
			}
		}
		got := setting{terminal: true}.try(on(path, "user", "show", "chat=say \"hi\", =1+1")...)
		if !strings.Contains(got.out, `name="a\u009b31m\u202eb, plan=free"`) {
			t.Errorf("%s: the attribute can pass for two: %s", where, got.out)
		}
	}
	look("file")
	serve(t, path)
	look("program")
}
