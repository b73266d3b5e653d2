package suite

import (
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	got := parse(`=== RUN   TestPasses
suite: opened on the engine
--- PASS: TestPasses (0.01s)
=== RUN   TestOnNothing
--- PASS: TestOnNothing (0.00s)
=== RUN   TestParts
suite: opened on the engine
=== RUN   TestParts/a
    a_test.go:12: of a file
--- PASS: TestParts (0.01s)
    --- SKIP: TestParts/a (0.00s)
=== RUN   TestSkips
suite: opened on the engine
    b_test.go:7: looks into a file
--- SKIP: TestSkips (0.00s)
=== RUN   TestFails
begins with words suite: opened on the engine
    c_test.go:3: wrong
--- FAIL: TestFails (0.02s)
=== RUN   TestDies
panic: dead
`)
	if len(got) != 5 {
		t.Errorf("%d results, want 5 without the test that did not end", len(got))
	}
	for name, want := range map[string]result{
		"TestPasses":    {verdict: "PASS", opened: true},
		"TestOnNothing": {verdict: "PASS"},
		"TestParts":     {verdict: "PASS", opened: true, parts: true, reason: "of a file"},
		"TestSkips":     {verdict: "SKIP", opened: true, reason: "looks into a file"},
		"TestFails":     {verdict: "FAIL", opened: true, reason: "wrong"},
	} {
		r := got[name]
		if r.output == "" {
			t.Errorf("%s has no output", name)
		}
		if r.output = ""; r != want {
			t.Errorf("%s is %+v, want %+v", name, r, want)
		}
	}
}

func TestCandidates(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"a_test.go": `package a
import ("testing"; "errors"; "github.com/snibdb/snib"; "github.com/snibdb/snib/snibtest")
func TestDirect(t *testing.T) { snibtest.NewDB(t, nil) }
func TestByHelper(t *testing.T) { first(t) }
func TestByVariable(t *testing.T) { for _, f := range table { f(t) } }
func TestByMethod(t *testing.T) { lab{}.start(t) }
func TestOfFiles(t *testing.T) { snib.Open("x", nil) }
func TestOfNothing(t *testing.T) { errors.start("not the method") }
func TestMain(m *testing.M) { snibtest.OpenDB(nil, "", nil) }
`,
		"b_test.go": `package a
import ("testing"; "github.com/snibdb/snib/internal/testopen"; "github.com/snibdb/snib/snibtest")
func first(t *testing.T) { second(t) }
func second(t *testing.T) { first(t); testopen.Open("x", nil) }
var table = []func(*testing.T){second}
func (lab) start(t *testing.T) { snibtest.OpenDB(t, "x", nil) }
`,
	} {
		fine(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	want := map[string]bool{"TestDirect": true, "TestByHelper": true, "TestByVariable": true, "TestByMethod": true}
	if got := candidates(t, dir); !reflect.DeepEqual(got, want) {
		t.Errorf("candidates %v, want %v", got, want)
	}
}

func TestReadList(t *testing.T) {
	path := filepath.Join(t.TempDir(), "list")
	fine(t, os.WriteFile(path, []byte("# is of files\nTestA\nTestB\n\n# is slow\nTestC\n"), 0o600))
	want := map[string]string{"TestA": "is of files", "TestB": "is of files", "TestC": "is slow"}
	if got := readList(t, path); !reflect.DeepEqual(got, want) {
		t.Errorf("read %v, want %v", got, want)
	}
}

// TestAgain: a test that passes alone has passed, one that fails again has failed, and
// of many failures none is tried again.
func TestAgain(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("runs a script")
	}
	dir := t.TempDir()
	program := filepath.Join(dir, "suite.test")
	fine(t, os.WriteFile(program, []byte(`#!/bin/sh
case "$*" in *TestBad*) echo "=== RUN   TestBad"; echo "--- FAIL: TestBad (0.00s)"; exit 1 ;; esac
echo "=== RUN   TestLate"; echo "--- PASS: TestLate (0.00s)"
`), 0o700))
	verdicts := func(failed ...string) string {
		got := map[string]result{"TestFine": {verdict: "PASS"}}
		for _, name := range failed {
			got[name] = result{verdict: "FAIL"}
		}
		Suite{}.again(t, dir, program, got)
		var out []string
		for _, name := range failed {
			out = append(out, got[name].verdict)
		}
		return strings.Join(out, " ")
	}
	for want, failed := range map[string][]string{
		"PASS":                {"TestLate"},
		"PASS FAIL":           {"TestLate", "TestBad"},
		"FAIL FAIL FAIL FAIL": {"TestLate", "TestBad", "TestOther", "TestMore"},
	} {
		if got := verdicts(failed...); got != want {
			t.Errorf("%v: %s, want %s", failed, got, want)
		}
	}
}
