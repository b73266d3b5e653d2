// Package suite runs the black-box tests of the root and of proof, which were
// written for files of bbolt, on another engine. It builds them with a file of the
// engine's in the place of internal/testopen, in a workspace with the module of the
// engine, and compares the results with the list of exclusions.
package suite

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Suite is a package of tests and the engine to run them on.
type Suite struct {
	Module   string   // folder of the engine, beside the root: "snibpg"
	Opener   string   // path of the file in the place of internal/testopen
	Excluded []string // paths of lists of tests that are not run
	Env      []string // for the tests, beside that of this process

	Package string        // "." or "proof"
	Only    string        // expression for the names of tests, "" for all
	Flags   []string      // of the test binary
	Least   int           // tests that must pass
	Shards  int           // processes, 1 at least
	Within  time.Duration // bound on a process
}

// Run runs the suite. Each test that can open a database through internal/testopen
// must pass on the engine, skip itself with a reason, or be on a list. It returns
// the names of the tests that passed.
//
// SNIB_LISTS=1 logs the names of all tests by their outcome. With SNIB_LISTED=1 only
// tests on the lists run, each by itself, and the ones that pass are errors: their
// exclusion can go.
func (s Suite) Run(t *testing.T) []string {
	t.Helper()
	root, err := filepath.Abs("..")
	fine(t, err)
	all := candidates(t, filepath.Join(root, s.Package))
	excluded := map[string]string{}
	for _, path := range s.Excluded {
		maps.Copy(excluded, readList(t, path))
	}
	for _, name := range slices.Sorted(maps.Keys(excluded)) {
		if !all[name] {
			t.Errorf("%s is excluded, but no test that opens a database has this name", name)
		}
	}
	only := regexp.MustCompile(s.Only)
	var names, listed []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		switch {
		case !only.MatchString(name):
		case excluded[name] == "":
			names = append(names, name)
		default:
			listed = append(listed, name)
		}
	}
	binary := s.build(t, root)
	if os.Getenv("SNIB_LISTED") == "1" {
		s.tryListed(t, root, binary, listed, excluded)
		return nil
	}
	got := s.runAll(t, root, binary, names)
	s.again(t, root, binary, got)
	return s.judge(t, got, names, len(all), len(listed))
}

// mostAgain is how many tests of a run may need a second one.
const mostAgain = 3

// again runs a few failed tests once more, each alone, and tells of them. They were
// written for a file, and some of them bet on a second in which much is done: a server
// beside other work may take longer. A fault that is there shows alone, too.
func (s Suite) again(t *testing.T, root, binary string, got map[string]result) {
	t.Helper()
	var failed []string
	for name, r := range got {
		if r.verdict == "FAIL" {
			failed = append(failed, name)
		}
	}
	if len(failed) > mostAgain {
		return
	}
	slices.Sort(failed)
	for _, name := range failed {
		out, err := s.exec(t, root, binary, []string{name})
		if r := parse(out)[name]; err == nil && r.verdict == "PASS" {
			t.Logf("%s failed among others, and passed alone:\n%s", name, got[name].output)
			got[name] = r
		}
	}
}

func (s Suite) judge(t *testing.T, got map[string]result, names []string, all, listed int) (passed []string) {
	t.Helper()
	var parts, skipped, closed []string
	for _, name := range names {
		r, ok := got[name]
		switch {
		case !ok:
			t.Errorf("%s: no result", name)
		case r.verdict == "FAIL":
			t.Errorf("%s:\n%s", name, r.output)
		case r.verdict == "SKIP":
			skipped = append(skipped, name+": "+r.reason)
		case !r.opened:
			closed = append(closed, name)
		case r.parts:
			parts = append(parts, name)
		default:
			passed = append(passed, name)
		}
	}
	t.Logf("%s, %s: %d of %d tests that open a database passed, %d in part, %d skipped themselves, %d opened none, %d are excluded",
		s.Module, s.Package, len(passed), all, len(parts), len(skipped), len(closed), listed)
	if os.Getenv("SNIB_LISTS") == "1" {
		for what, list := range map[string][]string{"passed": passed, "in part": parts, "skipped": skipped, "opened none": closed} {
			t.Logf("%s:\n%s", what, strings.Join(list, "\n"))
		}
	}
	if len(passed) < s.Least {
		t.Errorf("%d tests passed, want %d", len(passed), s.Least)
	}
	return passed
}

// build makes the test binary.
func (s Suite) build(t *testing.T, root string) string {
	t.Helper()
	dir := t.TempDir()
	opener, err := filepath.Abs(s.Opener)
	fine(t, err)
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{
		filepath.Join(root, "internal", "testopen", "testopen.go"): opener,
	}})
	fine(t, err)
	fine(t, os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o600))
	work := fmt.Sprintf("go 1.26.0\n\nuse (\n\t%q\n\t%q\n)\n", root, filepath.Join(root, s.Module))
	fine(t, os.WriteFile(filepath.Join(dir, "go.work"), []byte(work), 0o600))
	binary := filepath.Join(dir, "suite.test")
	cmd := exec.Command("go", "test", "-c", "-o", binary, "-overlay", filepath.Join(dir, "overlay.json"), ".")
	cmd.Dir = filepath.Join(root, s.Package)
	cmd.Env = append(os.Environ(), "GOWORK="+filepath.Join(dir, "go.work"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the tests: %v\n%s", err, out)
	}
	return binary
}

// runAll runs tests in some processes.
func (s Suite) runAll(t *testing.T, root, binary string, names []string) map[string]result {
	t.Helper()
	shards := make([][]string, max(1, s.Shards))
	for i, name := range names {
		shards[i%len(shards)] = append(shards[i%len(shards)], name)
	}
	var mu sync.Mutex
	var wait sync.WaitGroup
	all := map[string]result{}
	for _, shard := range shards {
		if len(shard) == 0 {
			continue
		}
		wait.Go(func() {
			out, err := s.exec(t, root, binary, shard)
			got := parse(out)
			mu.Lock()
			defer mu.Unlock()
			maps.Copy(all, got)
			if err != nil && !slices.ContainsFunc(slices.Collect(maps.Values(got)), func(r result) bool { return r.verdict == "FAIL" }) {
				t.Errorf("the tests ended with %v:\n%s", err, out[max(0, len(out)-8000):])
			}
		})
	}
	wait.Wait()
	return all
}

// exec runs tests in a process and returns its output.
func (s Suite) exec(t *testing.T, root, binary string, names []string) (string, error) {
	within := s.Within
	if within == 0 {
		within = 25 * time.Minute
	}
	args := append([]string{"-test.v", "-test.timeout=" + within.String(), "-test.run=^(" + strings.Join(names, "|") + ")$"}, s.Flags...)
	cmd := exec.CommandContext(t.Context(), binary, args...)
	cmd.Dir = filepath.Join(root, s.Package)
	cmd.Env = append(os.Environ(), s.Env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// tryListed runs excluded tests, each in a process of its own, and tells those that
// pass.
func (s Suite) tryListed(t *testing.T, root, binary string, names []string, reasons map[string]string) {
	t.Helper()
	for _, name := range names {
		out, err := s.exec(t, root, binary, []string{name})
		r := parse(out)[name]
		if err == nil && r.verdict == "PASS" && r.opened && !r.parts {
			t.Errorf("%s passes, but is excluded: %s", name, reasons[name])
			continue
		}
		t.Logf("%s (%s): %v %s\n%s", name, reasons[name], err, r.verdict, r.output)
	}
}

func fine(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
