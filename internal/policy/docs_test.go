package policy

import (
	"go/ast"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func documents() (list []string) {
	for _, name := range files() {
		if path.Ext(name) == ".md" && !inTestdata(name) {
			list = append(list, name)
		}
	}
	return list
}

// TestPresent: what a stranger and a lawyer look for first.
func TestPresent(t *testing.T) {
	want := []string{"LICENSE"}
	if hasLibrary() {
		want = append(want, "README.md", "CHANGELOG.md")
	}
	for _, name := range want {
		if !exists(name) {
			t.Errorf("%s is missing", name)
		}
	}
}

// TestDocumentedCode: code in a document has been compiled and run, or it is
// wrong sooner or later. Every block of more than three lines is found, but
// for its indentation, in an Example function or an example program.
func TestDocumentedCode(t *testing.T) {
	var compiled []string
	for _, s := range sources() {
		if strings.HasPrefix(s.dir, "examples") && s.tree.Name.Name == "main" {
			compiled = append(compiled, flat(s.code))
		}
	}
	functions(isTest, func(s *source, fn *ast.FuncDecl) {
		if strings.HasPrefix(fn.Name.Name, "Example") {
			compiled = append(compiled, flat(s.text(fn.Body)))
		}
	})
	n := 0
	for _, name := range documents() {
		code, _ := blocks(read(name))
		for i, block := range code {
			n++
			lines := strings.Count(block, "\n")
			if name == "README.md" && i == 0 && lines > 30 {
				t.Errorf("README.md: the quick start has %d lines, more than 30", lines)
			}
			if lines > 3 && !slices.ContainsFunc(compiled, func(c string) bool { return strings.Contains(c, flat(block)) }) {
				t.Errorf("%s: no Example contains this block:\n%s", name, block)
			}
		}
	}
	examined(t, n, "blocks of Go in documents")
}

// flat removes what may differ between a document and its source: indentation
// and blank lines.
func flat(text string) string {
	var b strings.Builder
	b.WriteString("\n")
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			b.WriteString(line + "\n")
		}
	}
	return b.String()
}

// blocks splits a document into its fenced blocks of Go and the text outside
// of all fenced blocks.
func blocks(document string) (code []string, prose string) {
	fence := ""
	for line := range strings.Lines(document) {
		trimmed := strings.TrimSpace(line)
		switch {
		case fence == "" && strings.HasPrefix(trimmed, "```"):
			if fence = trimmed; fence == "```go" {
				code = append(code, "")
			}
		case trimmed == "```":
			fence = ""
		case fence == "```go":
			code[len(code)-1] += line
		case fence == "":
			prose += line
		}
	}
	return code, prose
}

var (
	mdLink     = regexp.MustCompile(`\]\(([^)\s]+)\)|(?m)^\[[^\]]+\]:\s+(\S+)`)
	inlineCode = regexp.MustCompile("`[^`\n]*`")
	lineNumber = regexp.MustCompile(`(?i)\.go:\d+|#L\d+|\blines? \d+`)
)

// TestLinks: relative links resolve, and nothing points at a line by number,
// which the next change makes wrong in silence.
func TestLinks(t *testing.T) {
	n := 0
	for _, name := range documents() {
		n++
		_, prose := blocks(read(name))
		if found := lineNumber.FindString(prose); found != "" {
			t.Errorf("%s: names a line by its number: %q", name, found)
		}
		for _, m := range mdLink.FindAllStringSubmatch(inlineCode.ReplaceAllString(prose, ""), -1) {
			target, _, _ := strings.Cut(m[1]+m[2], "#")
			if target == "" || strings.Contains(target, ":") {
				continue // within the document, or on another site
			}
			if _, err := os.Stat(path.Join(root, path.Dir(name), target)); err != nil {
				t.Errorf("%s: the link to %s leads nowhere", name, target)
			}
		}
	}
	examined(t, n, "documents")
}

// TestTestCommand: the command that README.md tells contributors is the one
// that CI runs.
func TestTestCommand(t *testing.T) {
	if !exists("README.md") {
		examined(t, 0, "README.md")
	}
	const command = "go test -race ./..."
	if !strings.Contains(read("README.md"), command) {
		t.Errorf("README.md does not name %q", command)
	}
	if !strings.Contains(read("scripts/check.sh"), command) {
		t.Errorf("scripts/check.sh does not run %q", command)
	}
	const everywhere = "INSTRUMENT=all" // check leaves hashing out, to be quick
	if !strings.Contains(read(".ci/run"), everywhere) || !strings.Contains(read("scripts/check.sh"), "INSTRUMENT") {
		t.Errorf(".ci/run does not set %s for scripts/check.sh: no run watches the hashes for races", everywhere)
	}
}

// TestHygiene: the text of the repository is about the library. It names no
// folder of the machine it was written on, leaves to the environment from where
// modules are fetched, and holds no program that somebody has built.
func TestHygiene(t *testing.T) {
	unwanted := regexp.MustCompile(`(?:^|[\s"'=(:])/(?:work|root|home|Users|tmp/[a-z_]+)/` +
		`|(?i:\b(?:proxy|registry|sum)\.[a-z0-9-]+\.(?:org|com|io|dev|net)\b)` +
		`|\bGO(?:PROXY|SUMDB|NOPROXY|NOSUMDB|PRIVATE|INSECURE)=`)
	for _, name := range files() {
		if strings.HasPrefix(read(name), "\x7fELF") {
			t.Errorf("%s is a program", name)
		} else if found := unwanted.FindString(read(name)); found != "" {
			t.Errorf("%s contains %q", name, found)
		}
	}
}
