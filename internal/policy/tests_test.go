package policy

import (
	"go/ast"
	"go/token"
	"path"
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
	helpers, targets := map[string]bool{}, map[string]bool{}
	takesF := func(s *source, fn *ast.FuncDecl) bool {
		return s.test && strings.Contains(text(s, fn.Type), "*testing.F")
	}
	functions(isTest, func(s *source, fn *ast.FuncDecl) {
		if takesF(s, fn) && callsMethod(fn, "Add") {
			helpers[s.dir+" "+fn.Name.Name] = true
		}
	})
	functions(isTest, func(s *source, fn *ast.FuncDecl) {
		if !takesF(s, fn) || !strings.HasPrefix(fn.Name.Name, "Fuzz") {
			return
		}
		folder := path.Join(s.dir, "testdata/fuzz", fn.Name.Name)
		targets[folder] = true
		ok := seeded[folder] || helpers[s.dir+" "+fn.Name.Name]
		for name := range called(fn) {
			ok = ok || helpers[s.dir+" "+name]
		}
		if !ok {
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

// text returns the source of a node.
func text(s *source, n ast.Node) string {
	return s.text[fset.Position(n.Pos()).Offset:fset.Position(n.End()).Offset]
}

func callsMethod(fn *ast.FuncDecl, method string) bool {
	for name := range called(fn) {
		if strings.HasSuffix(name, "."+method) {
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
	helpers := map[string]bool{"errors.Is": true}
	functions(rootTest, func(_ *source, fn *ast.FuncDecl) {
		if called(fn)["errors.Is"] {
			helpers[fn.Name.Name] = true
		}
	})
	seen := map[string]bool{}
	functions(rootTest, func(_ *source, fn *ast.FuncDecl) {
		compares := helpers[fn.Name.Name]
		for name := range called(fn) {
			compares = compares || helpers[name]
		}
		if compares && fn.Body != nil {
			ast.Inspect(fn.Body, func(n ast.Node) bool {
				if id, ok := n.(*ast.Ident); ok {
					seen[id.Name] = true
				}
				return true
			})
		}
	})
	n := 0
	for _, s := range sources() {
		if s.path != "errors.go" {
			continue
		}
		exported(s, func(name string, node ast.Node, _ bool) {
			if _, ok := node.(*ast.ValueSpec); ok && strings.HasPrefix(name, "Err") && token.IsExported(name) {
				n++
				if !seen[name] {
					t.Errorf("%s: no test of the root package compares an error with %s", at(node), name)
				}
			}
		})
	}
	examined(t, n, "sentinels")
}
