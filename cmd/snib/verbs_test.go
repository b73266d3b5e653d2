package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/snibdb/snib"
)

// cases are runs of every verb. %DIR is a folder of the run's own; reading ones
// leave the file as it is.
var cases = []struct {
	words string // by "|"
	in    string
	reads bool
	code  int
	says  string // in what it prints, on standard output or error
}{
	{words: "users", reads: true, says: ada},
	{words: "users|EXAMPLE", reads: true, says: "bob@example.com"},
	{words: "users|--prefix|bo", reads: true, says: "bob@example.com"},
	{words: "users|--attribute|plan=pro", reads: true, says: "bob@example.com"},
	{words: "users|--attribute|n:=1", reads: true, code: 1, says: "declared an index"},
	{words: "users|--role|admin", reads: true, says: ada},
	{words: "users|--no-password", reads: true, says: "hi"},
	{words: "users|--disabled", reads: true},
	{words: "users|--limit|2", reads: true, says: "--after"},
	{words: "users|nobody-has-this", reads: true},
	{words: "user|show|" + ada, reads: true, says: `admin`},
	{words: "user|show|chat=say \"hi\", =1+1", reads: true, says: "chat"},
	{words: "user|show|none@example.com", reads: true, code: 1, says: "look for the user"},
	{words: "sessions|" + ada, reads: true, says: "ses_"},
	{words: "keys|" + ada, reads: true, says: "read"},
	{words: "events|" + ada, reads: true, says: "log-in"},
	{words: "events|" + ada + "|--kind|role-granted", reads: true, says: "admin"},
	{words: "role|list|admin", reads: true, says: ada},
	{words: "check", reads: true, says: "sers"},
	{words: "stats", reads: true, says: "ile"},
	{words: "backup|%DIR/copy.db", reads: true, says: "copy.db"},
	{words: "backup|%DIR", reads: true, code: 1},
	{words: "export|" + ada, reads: true, says: "exported_at"},
	{words: "export|--all|--output|%DIR/all.jsonl", reads: true},
	{words: "export|--records|%DIR/all.records", reads: true, says: "all.records"},
	{words: "export|--records|%DIR/all.records|" + ada, reads: true, code: 2, says: "name none"},
	{words: "export|none@example.com", reads: true, code: 1, says: "not found"},
	{words: "user|create|new@example.com|--verified|--attribute|plan=pro|--attribute|n:=9|--role|admin|--password-stdin", in: "a good long password\n", says: "new@example.com"},
	{words: "user|create|" + ada, code: 1, says: "another user"},
	{words: "user|create|short@example.com|--password-stdin", in: "short\n", code: 1, says: "8 characters"},
	{words: "user|disable|" + ada + "|--reason|left", says: "disabled"},
	{words: "user|enable|" + ada, says: "abled"},
	{words: "user|delete|bob@example.com|--yes"},
	{words: "user|delete|none@example.com|--yes", code: 1, says: "not found"},
	{words: "user|reset-link|" + ada + "|--print|--url|https://example.com/reset#", says: "https://example.com/reset#"},
	{words: "user|link|" + ada + "|github=4711|--verified", says: "github"},
	{words: "user|link|" + ada + "|email=bob@example.com", code: 1},
	{words: "user|unlink|" + ada + "|email=" + ada + "|--yes", code: 1},
	{words: "user|end-sessions|" + ada + "|--yes", says: "1"},
	{words: "factors|reset|" + ada + "|--yes", says: ada},
	{words: "unlock|" + ada, says: "unlocked"},
	{words: "role|add|bob@example.com|editor", says: "editor"},
	{words: "role|remove|" + ada + "|admin", says: ada},
	{words: "keys|revoke|key_none|--yes", code: 1, says: "nvalid"},
	{words: "compact", says: "6"},
	{words: "reseal", code: 1, says: "--key-file"},
	{words: "import|--list", reads: true, says: "documentation"},
	{words: "import|--from|jira|x.csv", reads: true, code: 2, says: "better-auth"},
	{words: "import|--from|django", reads: true, code: 2, says: "FILE"},
	{words: "import|--from|csv|x.csv", reads: true, code: 2, says: "--mapping"},
	{words: "import|--from|django|--mapping|m.json|x.csv", reads: true, code: 2, says: "--mapping"},
	{words: "import|--from|django|--provider|email|x.csv", reads: true, code: 2, says: "OLD=NEW"},
	{words: "import|--from|django|--param|salt=1|x.csv", reads: true, code: 2, says: "no parameter"},
	{words: "import|--records|x|--update", reads: true, code: 2},
	{words: "import|--from|django|%DIR/none.csv", code: 1, says: "none.csv"},
	{words: "import|-", in: "{\"provider\":\"email\",\"identifier\":\"eve@example.com\"}\n\n{\"provider\":\"email\",\"identifier\":\"" + ada + "\"}\n", says: "collisions"},
	{words: "import|-|--dry-run|--all", in: "{\"provider\":\"email\",\"identifier\":\"eve@example.com\"}\n", says: "imported"},
	{words: "import|-", in: "{\"provider\":\"email\",\"identifier\":\"eve@example.com\"}\n{\"povider\":1}\n", code: 1, says: "line 2"},
}

// laterChanges is a warning of a program alone.
const laterChanges = "the program goes on: later changes are not in the export; stop it and export again before you move\n"

// onlyOnFile are verbs that a program which has the file open refuses.
var onlyOnFile = []string{"restore", "repair"}

// elsewhere are commands that need no file.
var elsewhere = []string{"man", "completion", "help"}

// varying is what differs between a file and a program: figures since the file
// was opened, and the moment of an export.
var varying = regexp.MustCompile(`"exported_at":"[^"]*"|"(commits|operations|largest|file_bytes|free_bytes|before|after|bytes|open_readers)":\d+|"sha256":"[^"]*"|"token":"[^"]*"|"link":"[^"]*"`)

// TestEveryVerbAnswersAlikeOnAFileAndAProgram runs each verb on a file, and through
// the socket of a program that has a copy of it open.
func TestEveryVerbAnswersAlikeOnAFileAndAProgram(t *testing.T) {
	for _, c := range cases {
		for _, form := range []string{"--json", "--table"} {
			t.Run(strings.ReplaceAll(c.words, "/", "_")+form, func(t *testing.T) {
				stopped, running := newDB(t), newDB(t)
				before := fileState(t, stopped)
				dir := t.TempDir()
				words := append(strings.Split(strings.ReplaceAll(c.words, "%DIR", dir), "|"), form)
				onFile := setting{in: c.in}.try(on(stopped, words...)...)
				if onFile.code != c.code || !strings.Contains(onFile.out+onFile.err, c.says) {
					t.Errorf("on the file: %+v, want code %d and %q", onFile, c.code, c.says)
				}
				if c.reads && fileState(t, stopped) != before {
					t.Error("a verb that reads has changed the file or its folder")
				}
				if c.code == 2 {
					return
				}
				for _, name := range []string{"copy.db", "all.jsonl", "all.records"} {
					if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
						t.Fatal(err)
					}
				}
				_, stop := serve(t, running)
				onProgram := setting{in: c.in}.try(on(running, words...)...)
				stop()
				plain := func(a answer) answer {
					a.err = strings.ReplaceAll(a.err, laterChanges, "")
					a.out = varying.ReplaceAllString(a.out, "…")
					if form == "--table" && (words[0] == "stats" || words[0] == "compact" || words[0] == "user" && words[1] == "reset-link" || words[0] == "backup" && c.code == 0) {
						a.out = ""
					}
					a.out, a.err = strings.ReplaceAll(a.out, running, "FILE"), strings.ReplaceAll(a.err, running, "FILE")
					a.out, a.err = strings.ReplaceAll(a.out, stopped, "FILE"), strings.ReplaceAll(a.err, stopped, "FILE")
					return a
				}
				if got, want := plain(onProgram), plain(onFile); got != want {
					t.Errorf("through the program:\n%+v\non the file:\n%+v", got, want)
				}
				sound(t, stopped)
				sound(t, running)
			})
		}
	}
}

// TestEveryVerbHasACase: a verb that no case runs fails here.
func TestEveryVerbHasACase(t *testing.T) {
	n := 0
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		for _, child := range c.Commands() {
			walk(child)
		}
		verb := strings.TrimPrefix(c.CommandPath(), "snib ")
		top, _, _ := strings.Cut(verb, " ")
		if !c.Runnable() || c.Args == nil && c.HasSubCommands() || !c.HasParent() || slices.Contains(elsewhere, top) || slices.Contains(onlyOnFile, top) {
			return
		}
		n++
		want := strings.ReplaceAll(verb, " ", "|")
		for _, x := range cases {
			if x.words == want || strings.HasPrefix(x.words, want+"|") {
				return
			}
		}
		t.Errorf("no case runs %q", verb)
	}
	walk((&app{}).root())
	if n < 25 {
		t.Errorf("only %d verbs were found", n)
	}
}

// fileState is a sum of the file, its time and the names beside it.
func fileState(tb testing.TB, path string) string {
	tb.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		tb.Fatal(err)
	}
	beside, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*"))
	if err != nil {
		tb.Fatal(err)
	}
	sum := sha256.Sum256(content)
	return string(bytes.Join([][]byte{sum[:], []byte(info.ModTime().String()), []byte(strings.Join(beside, "|"))}, nil))
}

// sound checks a file, beside which nothing was left.
func sound(tb testing.TB, path string) {
	tb.Helper()
	db, err := snib.OpenReadOnly(ctx, path, nil)
	if err != nil {
		tb.Error(err)
		return
	}
	r, err := db.Check(ctx)
	if err != nil || r.Found > 0 {
		tb.Errorf("check: %v, %v", r.Problems, err)
	}
	if err := errors.Join(db.Close()); err != nil {
		tb.Error(err)
	}
	beside, _ := filepath.Glob(path + ".*")
	if len(beside) > 0 {
		tb.Errorf("left beside the file: %v", beside)
	}
}
