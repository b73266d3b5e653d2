package policy

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// scripts copies scripts into a folder of their own, as a repository of one module, and
// adds others in the place of those that they call.
func scripts(t *testing.T, copied []string, others map[string]string) string {
	t.Helper()
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip("no bash here")
	}
	dir := t.TempDir()
	texts := map[string]string{"go.mod": "module p\n"}
	for _, name := range copied {
		texts[name] = read(name)
	}
	for name, text := range others {
		texts[name] = "#!/usr/bin/env bash\n" + text
	}
	for name, text := range texts {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

var stepOf = regexp.MustCompile(`(?m)^\s*step (?:"([^"]+)"|(\S+)) `)

// TestStepsOfTheDocuments: CONTRIBUTING.md says of each step what runs before a commit
// and what in CI. A step that nobody knows of is one that nobody runs.
func TestStepsOfTheDocuments(t *testing.T) {
	_, table, _ := strings.Cut(read("docs/CONTRIBUTING.md"), "| step |")
	table, _, _ = strings.Cut(table, "\n\n")
	rows := map[string][]string{}
	for line := range strings.Lines(table) {
		if cells := strings.Split(line, " | "); len(cells) == 3 {
			rows[strings.TrimPrefix(cells[0], "| ")] = cells[1:]
		}
	}
	n := 0
	for _, script := range []string{"scripts/check.sh", ".ci/run"} {
		for _, m := range stepOf.FindAllStringSubmatch(read(script), -1) {
			name := m[1] + m[2]
			if name == "check" { // is the other script
				continue
			}
			n++
			cells, ok := rows[name]
			if !ok {
				t.Errorf("%s has the step %q, CONTRIBUTING.md not", script, name)
			} else if before := script == "scripts/check.sh"; (cells[0] == "–") == before {
				t.Errorf("the step %q is in %s; CONTRIBUTING.md says of make check: %s", name, script, cells[0])
			}
			delete(rows, name)
		}
	}
	for name := range rows {
		t.Errorf("CONTRIBUTING.md has a step that no script has: %s", name)
	}
	examined(t, n, "steps")
}

// What go test prints of a fuzz target, with go 1.26.
const (
	fuzzProgress = "fuzz: elapsed: 0s, gathering baseline coverage: 0/1 completed\nfuzz: elapsed: 4s, execs: 1 (1/sec), new interesting: 0 (total: 1)\n"
	fuzzEnd      = "FAIL\nexit status 1\nFAIL\tp\t4.017s\n"
	fuzzLate     = "--- FAIL: FuzzX (4.01s)\n    context deadline exceeded\n"
	fuzzInput    = "fuzz: minimizing 40-byte failing input file\n--- FAIL: FuzzX (0.13s)\n    --- FAIL: FuzzX (0.00s)\n        a_test.go:4: bad\n    \n" +
		"    Failing input written to testdata/fuzz/FuzzX/814b8e0148186afb\n"
	fuzzSeed = "failure while testing seed corpus entry: FuzzX/seed#0\n--- FAIL: FuzzX (0.13s)\n    --- FAIL: FuzzX (0.00s)\n        a_test.go:4: bad\n"
)

// TestFuzzScript: the log of CI says FAIL where a target failed, and only there. An
// engine that stops late has no word in it (go.dev/issue/75804).
func TestFuzzScript(t *testing.T) {
	goTool, err := exec.LookPath("go")
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		name, said string
		fails      bool
	}{
		{"good", fuzzProgress + "PASS\nok  \tp\t4.071s\n", false},
		{"late", fuzzProgress + fuzzLate + fuzzEnd, false},
		{"input", fuzzProgress + fuzzInput + fuzzEnd, true},
		{"input that says so", fuzzProgress + strings.Replace(fuzzInput, "bad", "context deadline exceeded", 1) + fuzzEnd, true},
		{"late, and an input", fuzzProgress + fuzzInput + fuzzLate + fuzzEnd, true},
		{"late, and a seed", fuzzProgress + fuzzSeed + fuzzLate + fuzzEnd, true},
		{"late, and a hang", fuzzProgress + fuzzLate + "fuzzing process hung or terminated unexpectedly\n" + fuzzEnd, true},
		{"not compiled", "# p\n./a_test.go:4:2: undefined: x\nFAIL\tp [build failed]\nFAIL\n", true},
	} {
		t.Run(x.name, func(t *testing.T) {
			rc := "0"
			if strings.Contains(x.said, "FAIL") {
				rc = "1"
			}
			dir := scripts(t, []string{"scripts/fuzz.sh", "scripts/lib.sh"}, map[string]string{"bin/go": `case "$1 $2" in
"test -list") printf 'FuzzX\nok  \tp\t0.1s\n' ;;
"test -run") printf '%s' "$SAID" && exit ` + rc + ` ;;
*) exec ` + goTool + ` "$@" ;;
esac
`})
			cmd := exec.Command(filepath.Join(dir, "scripts/fuzz.sh"))
			cmd.Env = append(os.Environ(), "PATH="+filepath.Join(dir, "bin")+":"+os.Getenv("PATH"), "SAID="+x.said)
			out, err := cmd.CombinedOutput()
			if (err != nil) != x.fails || strings.Contains(string(out), "FAIL") != x.fails || !strings.Contains(string(out), "FuzzX") {
				t.Errorf("error %v, want one: %v; the log:\n%s", err, x.fails, out)
			}
			for line := range strings.Lines(x.said) {
				if x.fails && !strings.Contains(string(out), line) {
					t.Errorf("the log lacks %q", line)
				}
			}
		})
	}
}

// TestFailedChecks: make check fails if any of its steps does, in either lane, and shows
// the output of both.
func TestFailedChecks(t *testing.T) {
	for _, bad := range []string{"", "vet", "lint", "mod", "test", "build"} {
		t.Run("bad "+bad, func(t *testing.T) {
			dir := scripts(t, []string{"scripts/check.sh", "scripts/lib.sh", "doc.go"}, map[string]string{
				"bin/go": `case $1 in
env) echo 0 ;;
tool) echo "$(dirname "$0")/lint" ;;
list) ;;
*) echo "ran $1" && [ "$1" != "$BAD" ] ;;
esac
`,
				"bin/lint": `echo ran lint && [ "$BAD" != lint ]`,
			})
			cmd := exec.Command(filepath.Join(dir, "scripts/check.sh"))
			cmd.Env = append(os.Environ(), "PATH="+filepath.Join(dir, "bin")+":"+os.Getenv("PATH"), "BAD="+bad, "INSTRUMENT=")
			out, err := cmd.CombinedOutput()
			if (err != nil) != (bad != "") || strings.Contains(string(out), "FAILED") != (bad != "") {
				t.Errorf("error %v; the log:\n%s", err, out)
			}
			if bad != "test" && !strings.Contains(string(out), "ran vet") || !strings.Contains(string(out), "ran test") {
				t.Errorf("a lane is missing in the log:\n%s", out)
			}
		})
	}
}

// TestInterruptedRun: a signal to .ci/run alone ends both of its lanes. All that they
// begin holds a pipe, which ends when nothing of them is left.
func TestInterruptedRun(t *testing.T) {
	const begin = `printf begun >&3
sleep 60
printf left >&3
`
	dir := scripts(t, []string{".ci/run", "scripts/lib.sh"},
		map[string]string{"scripts/install.sh": "", "scripts/check.sh": begin, "scripts/crash.sh": begin})
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd := exec.Command(filepath.Join(dir, ".ci/run"))
	cmd.ExtraFiles = []*os.File{w} // its file 3
	err = cmd.Start()
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	begun := make([]byte, len("begunbegun"))
	_, err = io.ReadFull(r, begun)
	if kill := cmd.Process.Signal(syscall.SIGTERM); err != nil || kill != nil {
		t.Fatal(string(begun), err, kill)
	}
	left, err := io.ReadAll(r)
	if err != nil || len(left) > 0 {
		t.Errorf("after the signal the lanes went on: %q, %v", left, err)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("the run passed")
	}
}
