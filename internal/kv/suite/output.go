package suite

import (
	"bufio"
	"bytes"
	"os"
	"regexp"
	"strings"
	"testing"
)

// Opened is the line that a test prints when it opens a store of the engine.
const Opened = "suite: opened on the engine"

// result is that of one test.
type result struct {
	verdict string // PASS, FAIL or SKIP
	opened  bool   // a store of the engine
	parts   bool   // of it were skipped
	reason  string // of the skip
	output  string // its last lines
}

const mostOutput = 4000 // bytes of a result's

var (
	begun  = regexp.MustCompile(`^=== RUN   (Test\w+)$`)
	ended  = regexp.MustCompile(`^--- (PASS|FAIL|SKIP): (Test\w+) \(`)
	inside = regexp.MustCompile(`^ +--- SKIP: (Test\w+)/`)
	said   = regexp.MustCompile(`^ +\w+\.go:\d+: (.*)`)
)

// parse reads the output of tests that run one after the other.
func parse(out string) map[string]result {
	all := map[string]result{}
	var r result
	for line := range strings.Lines(out) {
		text := strings.TrimSuffix(line, "\n")
		if begun.MatchString(text) {
			r = result{}
		}
		if strings.Contains(text, Opened) {
			r.opened = true
			continue
		}
		if m := said.FindStringSubmatch(text); m != nil {
			r.reason = m[1]
		}
		if m := inside.FindStringSubmatch(text); m != nil { // after the line of the test
			whole := all[m[1]]
			whole.parts = true
			all[m[1]] = whole
		}
		r.output += line
		r.output = r.output[max(0, len(r.output)-mostOutput):]
		if m := ended.FindStringSubmatch(text); m != nil {
			r.verdict = m[1]
			all[m[2]] = r
		}
	}
	return all
}

// readList reads a list of exclusions: a name a line, below a line with "# " and
// the reason.
func readList(t *testing.T, path string) map[string]string {
	t.Helper()
	data, err := os.ReadFile(path)
	fine(t, err)
	list, reason := map[string]string{}, ""
	for scan := bufio.NewScanner(bytes.NewReader(data)); scan.Scan(); {
		line := strings.TrimSpace(scan.Text())
		switch text, heading := strings.CutPrefix(line, "# "); {
		case heading:
			reason = text
		case line == "":
		case reason == "":
			t.Errorf("%s: %s is excluded without a reason", path, line)
		case list[line] != "":
			t.Errorf("%s: %s is there twice", path, line)
		default:
			list[line] = reason
		}
	}
	return list
}
