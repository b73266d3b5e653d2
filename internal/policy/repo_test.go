// Package policy tests the repository itself: what reviewers would otherwise
// have to remember. Each test says why its rule exists. A rule that is wrong
// is changed here, in the open, with its reason.
package policy

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
)

const root = "../.." // of the repository

// testSupport are folders of the root module whose code exists for tests,
// ours or users', though its files do not end in _test.go.
var testSupport = []string{"internal/kv/kvtest", "internal/kv/faultkv", "internal/kv/farkv", "internal/kv/sharedkv", "internal/kv/dbtest", "internal/kv/suite", "internal/accounttest", "internal/lan", "internal/model", "internal/testopen", "internal/testrecords", "internal/testseed", "proof", "snibtest"}

// A source is one Go file outside testdata.
type source struct {
	path   string // from the root of the repository, with slashes
	dir    string // folder of path; "." is the root package
	code   string
	tree   *ast.File
	test   bool // ends in _test.go, or is in testSupport
	module string
}

// library reports whether users' programs may contain the file.
func (s *source) library() bool {
	return s.module == "." && !s.test && !strings.HasPrefix(s.dir, "examples")
}

// public reports whether users can import the package of the file.
func (s *source) public() bool {
	return s.module == "." && !strings.HasSuffix(s.path, "_test.go") &&
		s.tree.Name.Name != "main" && !strings.HasPrefix(s.dir, "internal") && !strings.HasPrefix(s.dir, "examples") && s.dir != "proof"
}

// text returns the source of a node.
func (s *source) text(n ast.Node) string {
	return s.code[fset.Position(n.Pos()).Offset:fset.Position(n.End()).Offset]
}

// at formats the place of a node for a person at a terminal.
func at(n ast.Node) string { return strings.TrimPrefix(fset.Position(n.Pos()).String(), root+"/") }

var fset = token.NewFileSet()

// files lists every file of the repository but those that .gitignore names.
// It walks and does not ask git: a copy without history is tested alike, and
// go test sees which folders the result depends on when it caches.
var files = sync.OnceValue(func() []string {
	var list []string
	err := fs.WalkDir(os.DirFS(root), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (name == ".git" || name == "out"):
			return fs.SkipDir
		case !d.IsDir() && !slices.Contains([]string{".db", ".test", ".prof"}, path.Ext(name)) && name != ".git" && name != "crash/crash":
			list = append(list, name)
		}
		return nil
	})
	if err != nil || !slices.Contains(list, "go.mod") {
		panic("policy: cannot list the repository") // unreachable in a whole checkout
	}
	return list
})

// sources parses every Go file.
var sources = sync.OnceValue(func() []*source {
	modules := []string{"."}
	for _, name := range files() {
		if path.Base(name) == "go.mod" && !inTestdata(name) {
			modules = append(modules, path.Dir(name))
		}
	}
	slices.Sort(modules) // a nested module after its parent
	var list []*source
	for _, name := range files() {
		if path.Ext(name) != ".go" || inTestdata(name) {
			continue
		}
		s := &source{path: name, dir: path.Dir(name), code: read(name)}
		for _, m := range modules {
			if m == "." || strings.HasPrefix(name, m+"/") {
				s.module = m
			}
		}
		s.test = strings.HasSuffix(name, "_test.go") || s.module == "." && slices.Contains(testSupport, s.dir)
		var err error
		s.tree, err = parser.ParseFile(fset, root+"/"+name, s.code, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			panic(err) // unreachable: the package would not compile
		}
		list = append(list, s)
	}
	return list
})

func inTestdata(name string) bool { return slices.Contains(strings.Split(name, "/"), "testdata") }

func exists(name string) bool { return slices.Contains(files(), name) }

func read(name string) string {
	b, err := os.ReadFile(root + "/" + name)
	if err != nil {
		panic(err) // unreachable: the file has just been listed
	}
	return string(b)
}

// hasLibrary reports whether the root package has files yet.
func hasLibrary() bool {
	return slices.ContainsFunc(sources(), func(s *source) bool { return s.dir == "." && s.library() })
}

// examined ends the test when there was nothing to look at. A test that finds
// nothing passes for ever, so once the library exists that is a failure.
func examined(t *testing.T, n int, what string) {
	t.Helper()
	if n == 0 && hasLibrary() {
		t.Fatalf("found no %s to examine", what)
	} else if n == 0 {
		t.Skipf("no %s yet", what)
	}
}

// functions calls visit for every function declared in the files that pass.
func functions(pass func(*source) bool, visit func(*source, *ast.FuncDecl)) {
	for _, s := range sources() {
		for _, d := range s.tree.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && pass(s) {
				visit(s, fn)
			}
		}
	}
}

// mentions returns every identifier in a node.
func mentions(n ast.Node) map[string]bool {
	names := map[string]bool{}
	ast.Inspect(n, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok {
			names[id.Name] = true
		}
		return true
	})
	return names
}

// run runs a command in the root of the repository and returns its output. A
// workspace would build the root with the dependencies of other modules.
func run(t *testing.T, env []string, command ...string) string {
	t.Helper()
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Dir = root
	cmd.Env = append(append(os.Environ(), "GOWORK=off"), env...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(command, " "), err, stderr.String())
	}
	return string(out)
}
