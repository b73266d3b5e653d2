package suite

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

// openers are the calls that open a database through internal/testopen.
var openers = []string{"snibtest.NewDB", "snibtest.OpenDB", "testopen.Open"}

// candidates returns the tests of a folder that can open a database through
// internal/testopen: by themselves, or by functions and methods of the tests that
// they mention. Others run on files or on nothing, whatever the engine is.
func candidates(t *testing.T, dir string) map[string]bool {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	fine(t, err)
	if len(paths) == 0 {
		t.Fatalf("no tests in %s", dir)
	}
	mentioned := map[string]map[string]bool{}
	tests := map[string]bool{}
	for _, name := range paths {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		fine(t, err)
		packages := imported(file)
		for _, decl := range file.Decls {
			for name, node := range named(decl) {
				if mentioned[name] == nil {
					mentioned[name] = map[string]bool{}
				}
				maps.Copy(mentioned[name], mentions(node, packages))
				if _, ok := node.(*ast.FuncDecl); ok && strings.HasPrefix(name, "Test") && name != "TestMain" {
					tests[name] = true
				}
			}
		}
	}
	out := map[string]bool{}
	for name := range tests {
		if reaches(mentioned, name, map[string]bool{}) {
			out[name] = true
		}
	}
	return out
}

// imported returns the names of a file's imports.
func imported(file *ast.File) map[string]bool {
	out := map[string]bool{}
	for _, spec := range file.Imports {
		name := path.Base(strings.Trim(spec.Path.Value, "\""))
		if spec.Name != nil {
			name = spec.Name.Name
		}
		out[name] = true
	}
	return out
}

// named returns the functions and variables of a declaration. The name of a method
// begins with a dot.
func named(decl ast.Decl) map[string]ast.Node {
	out := map[string]ast.Node{}
	switch d := decl.(type) {
	case *ast.FuncDecl:
		if d.Recv != nil {
			out["."+d.Name.Name] = d
		} else {
			out[d.Name.Name] = d
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			if v, ok := spec.(*ast.ValueSpec); ok {
				for _, name := range v.Names {
					out[name.Name] = v
				}
			}
		}
	}
	return out
}

// mentions returns the names in a declaration: of functions and variables, of fields
// and methods with a dot before them, and of those of packages with the package.
func mentions(node ast.Node, packages map[string]bool) map[string]bool {
	out := map[string]bool{}
	ast.Inspect(node, func(n ast.Node) bool {
		switch x := n.(type) {
		case *ast.SelectorExpr:
			if p, ok := x.X.(*ast.Ident); ok && packages[p.Name] {
				out[p.Name+"."+x.Sel.Name] = true
				return false
			}
			out["."+x.Sel.Name] = true
			maps.Copy(out, mentions(x.X, packages))
			return false
		case *ast.Ident:
			out[x.Name] = true
		}
		return true
	})
	return out
}

func reaches(mentioned map[string]map[string]bool, name string, seen map[string]bool) bool {
	if seen[name] {
		return false
	}
	seen[name] = true
	for _, opener := range openers {
		if mentioned[name][opener] {
			return true
		}
	}
	for next := range mentioned[name] {
		if mentioned[next] != nil && reaches(mentioned, next, seen) {
			return true
		}
	}
	return false
}
