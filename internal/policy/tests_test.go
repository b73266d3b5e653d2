package policy

import (
	"go/ast"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestFuzzSeeds: a fuzz target without a seed tests nothing under plain go
// test, and seeds in a folder that no target is named after are never read.
func TestFuzzSeeds(t *testing.T) {
	seeded := map[string]bool{} // folders with seed files: dir/testdata/fuzz/FuzzX
	for _, name := range files() {
		if folder := path.Dir(name); path.Base(path.Dir(folder)) == "fuzz" && inTestdata(folder) {
			seeded[folder] = true
		}
	}
	targets, seeders := map[string]bool{}, map[string]map[string]bool{}
	takesF := func(s *source, fn *ast.FuncDecl) bool {
		return s.test && strings.Contains(s.text(fn.Type), "*testing.F")
	}
	functions(isTest, func(s *source, fn *ast.FuncDecl) {
		if seeders[s.dir] == nil {
			seeders[s.dir] = map[string]bool{"Add": true}
		}
		if takesF(s, fn) && mentions(fn)["Add"] {
			seeders[s.dir][fn.Name.Name] = true
		}
	})
	functions(isTest, func(s *source, fn *ast.FuncDecl) {
		if !takesF(s, fn) || !strings.HasPrefix(fn.Name.Name, "Fuzz") {
			return
		}
		folder := path.Join(s.dir, "testdata/fuzz", fn.Name.Name)
		targets[folder] = true
		if !seeded[folder] && !overlap(mentions(fn), seeders[s.dir]) {
			t.Errorf("%s: %s has no seed: call f.Add", at(fn), fn.Name)
		}
	})
	for folder := range seeded {
		if !targets[folder] {
			t.Errorf("%s belongs to no fuzz target", folder)
		}
	}
	examined(t, len(targets), "fuzz targets")
}

func isTest(s *source) bool { return s.test }

func overlap(a, b map[string]bool) bool {
	for name := range a {
		if b[name] {
			return true
		}
	}
	return false
}

// TestSentinels: an error that no test of the root package has ever seen
// through errors.Is may well be unreachable, or lost on the way. A sentinel
// counts when it stands in a test function that calls errors.Is, itself or
// through a helper of the tests, so that tables count too.
func TestSentinels(t *testing.T) {
	rootTest := func(s *source) bool { return s.dir == "." && s.test }
	comparing, seen := map[string]bool{}, map[string]bool{}
	functions(rootTest, func(s *source, fn *ast.FuncDecl) {
		if strings.Contains(s.text(fn), "errors.Is(") {
			comparing[fn.Name.Name] = true
		}
	})
	functions(rootTest, func(_ *source, fn *ast.FuncDecl) {
		if names := mentions(fn); overlap(names, comparing) {
			maps.Copy(seen, names)
		}
	})
	n := 0
	for _, s := range sources() {
		if s.path != "errors.go" {
			continue
		}
		exported(s, func(name string, node ast.Node, _ bool) {
			if _, ok := node.(*ast.ValueSpec); ok && strings.HasPrefix(name, "Err") {
				n++
				if !seen[name] {
					t.Errorf("%s: no test of the root package compares an error with %s", at(node), name)
				}
			}
		})
	}
	examined(t, n, "sentinels")
}

var publicMethod = regexp.MustCompile(`(?m)^func \(\w+ \*?([A-Z]\w*)\) ([A-Z]\w*)\(`)

// standardMethods have the meaning that the standard library gives them, and no
// name by which a reader would search.
var standardMethods = []string{"Error", "Unwrap", "String", "Is", "GoString", "Format", "LogValue", "MarshalJSON", "MarshalText"}

// TestEveryMethodIsNamedByATest: go test -run CreateUser shows what CreateUser
// does, and so for every exported method. The names of the tests and examples are
// what a reader searches by.
func TestEveryMethodIsNamedByATest(t *testing.T) {
	var names strings.Builder
	functions(isTest, func(s *source, fn *ast.FuncDecl) {
		if name := fn.Name.Name; (s.dir == "." || s.dir == "proof") && (strings.HasPrefix(name, "Test") || strings.HasPrefix(name, "Example")) {
			names.WriteString(name + "\n")
		}
	})
	if !exists("api/snib.txt") {
		t.Fatal("api/snib.txt is missing: make golden")
	}
	methods := publicMethod.FindAllStringSubmatch(read("api/snib.txt"), -1)
	for _, m := range methods {
		if !slices.Contains(standardMethods, m[2]) && !strings.Contains(names.String(), m[2]) {
			t.Errorf("no test or example of the root package or proof has %s in its name: it is a method of %s", m[2], m[1])
		}
	}
	examined(t, len(methods), "exported methods")
}
