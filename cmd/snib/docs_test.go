package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// inDocument is a command line: of a console, in a code span, in a code block, or of
// a unit of systemd.
var inDocument = regexp.MustCompile("(?m)^\\$ snib (.*)$|`snib ([^`]*)`|^ {4}snib (.*)$|^ExecStart=\\S*/snib (.*)$")

// documented returns the command lines of a document, without "snib".
func documented(tb testing.TB, path string) (lines []string) {
	tb.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	for _, m := range inDocument.FindAllStringSubmatch(string(text), -1) {
		line, _, _ := strings.Cut(m[1]+m[2]+m[3]+m[4], "  #") // a remark
		for part := range strings.SplitSeq(line, "&& ") {
			lines = append(lines, strings.TrimSpace(strings.TrimPrefix(part, "snib ")))
		}
	}
	return lines
}

// TestDocumentedVerbs: each command line of the documents and of the units names a
// verb, flags and as many arguments as there are.
func TestDocumentedVerbs(t *testing.T) {
	paths := []string{"../../README.md"}
	for _, pattern := range []string{"../../docs/*.md", "../../docs/deploy/*.service"} {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: %v", pattern, err)
		}
		paths = append(paths, found...)
	}
	n, in := 0, map[string]int{}
	for _, path := range paths {
		if filepath.Base(path) == "FORMAT.md" { // its `snib …` are bytes of the file
			continue
		}
		for _, line := range documented(t, path) {
			n++
			in[filepath.Base(path)]++
			if err := understood(line); err != nil {
				t.Errorf("%s: snib %s: %v", filepath.Base(path), line, err)
			}
		}
	}
	for _, name := range []string{"README.md", "OPERATING.md", "MOVING.md", "DEPLOYMENT.md", "accounts-backup.service"} {
		if in[name] == 0 {
			t.Errorf("no command line was found in %s", name)
		}
	}
	if n < 30 {
		t.Errorf("only %d command lines were found", n)
	}
}

// understood parses a command line by the tree of commands. One that is a part, as
// a document names a verb without its arguments, has too few of them and is right.
func understood(line string) error {
	root := (&app{}).root()
	root.InitDefaultCompletionCmd()
	root.InitDefaultHelpCmd()
	c, rest, err := root.Find(strings.Fields(line))
	if err != nil {
		return err
	}
	if c == root {
		return usagef("no such verb")
	}
	c.InitDefaultHelpFlag()
	if err := c.ParseFlags(rest); err != nil && !strings.Contains(err.Error(), "help requested") {
		return err
	}
	if err := c.ValidateFlagGroups(); err != nil {
		return err
	}
	if words := c.Flags().Args(); c.Args != nil && len(words) > 0 {
		return c.Args(c, words)
	}
	return nil
}

// TestWrongCommandLinesAreSeen: the test of the documents can fail.
func TestWrongCommandLinesAreSeen(t *testing.T) {
	for _, line := range []string{"--db /tmp/a.db backup /tmp/b.db", "backups x", "backup a b", "restore x --db y", "import --form django x.csv", "import --records x --update"} {
		if understood(line) == nil {
			t.Errorf("snib %s passes", line)
		}
	}
}

// TestMovingAsDocumented runs the command lines of docs/MOVING.md in its order, on
// the samples under the names that it uses.
func TestMovingAsDocumented(t *testing.T) {
	const lucia = `{"id":"u1","username":"a","keys":[{"id":"email:a@example.com","hashed_password":null}]}` + "\n"
	dir := t.TempDir()
	for name, from := range map[string]string{
		"auth.sqlite": "better-auth.sqlite", "firebase.json": "firebase.json", "firebase-params.json": "firebase-params.json",
		"wp_users.csv": "wordpress.csv", "django.csv": "django.csv", "lucia.jsonl": "",
	} {
		content := []byte(lucia)
		if from != "" {
			var err error
			if content, err = os.ReadFile(filepath.Join(samplesFolder, from)); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	lines := documented(t, "../../docs/MOVING.md")
	from := map[string]string{} // one file for each source
	t.Chdir(dir)
	n := 0
	for _, line := range lines {
		words := strings.Fields(line)
		if words[0] != "import" && words[0] != "export" || len(words) == 1 {
			continue
		}
		n++
		key := "better-auth"
		if i := slices.Index(words, "--from"); i > 0 {
			key = words[i+1]
		} else if strings.HasPrefix(line, "import --records") {
			key = "records"
		}
		path := from[key]
		if path == "" {
			path = freshDB(t)
			from[key] = path
		}
		if got := try(on(path, words...)...); got.code != exitDone {
			t.Errorf("snib %s: %+v", line, got)
		}
	}
	if n < 8 {
		t.Errorf("only %d command lines were run", n)
	}
	for key, identifier := range map[string]string{
		"better-auth": "u0@example.com", "wordpress": "login=ada", "lucia": "a@example.com", "django": "username=dj0", "records": "u0@example.com",
	} {
		if got := try(on(from[key], "user", "show", identifier)...); got.code != exitDone {
			t.Errorf("%s: %s has not moved in: %+v", key, identifier, got)
		}
	}
}
