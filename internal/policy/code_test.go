package policy

import (
	"go/ast"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// forbidden is what the library must not use: an import path, or a name of a
// package, and why.
var forbidden = map[string]string{
	"time.Now":       "one clock decides what has expired, and tests set it",
	"time.Since":     "reads the clock, see time.Now",
	"time.Until":     "reads the clock, see time.Now",
	"time.Sleep":     "cannot be cancelled; wait on a channel and a context",
	"time.After":     "cannot be stopped; use time.NewTimer",
	"time.Tick":      "cannot be stopped; use time.NewTicker",
	"time.NewTimer":  "timers belong to the engine and the sweep",
	"time.NewTicker": "timers belong to the engine and the sweep",
	"time.AfterFunc": "timers belong to the engine and the sweep",
	"fmt.Print":      "standard output is the program's, and text may hold secrets",
	"fmt.Printf":     "standard output is the program's, and text may hold secrets",
	"fmt.Println":    "standard output is the program's, and text may hold secrets",
	"os.Stdout":      "standard output is the program's",
	"os.Stderr":      "standard error is the program's",
	"os.Exit":        "ending is for the program to decide",
	"log":            "log through Options.Logger",
	"math/rand":      "not for secrets; ids and secrets come from crypto/rand",
	"math/rand/v2":   "not for secrets; ids and secrets come from crypto/rand",
	"unsafe":         "memory safety is what keeps accounts apart",
	"C":              "the library builds without a C compiler",
	"linkname":       "reaches into packages that promise nothing",
	"panic":          "errors are returned; only Must… functions and arms marked unreachable panic",
}

// exemptions allow a file, or a folder if the path ends in a slash, what is
// forbidden elsewhere. One for a file that needs none of its uses fails.
var exemptions = []struct{ path, uses, reason string }{
	{"internal/clock/clock.go", "time.Now", "the one place that reads the clock"},
	{"internal/passes/pause.go", "time.NewTimer time.NewTicker", "the sweep rests between rounds"},
	{"outbox.go", "time.NewTimer", "a consumer looks for events of other processes now and then"},
	{"internal/phc/pace.go", "time.Now time.Since", "measures how fast this machine hashes"},
	{"internal/latency/latency.go", "time.Now time.Since", "how long something takes, not when it is"},
	{"internal/phc/after.go", "time.NewTimer", "how long a caller waits at the gate"},
	{"internal/throttle/keeper.go", "time.AfterFunc time.NewTicker", "counts are stored, and those of others read, in the background, once a minute"},
	{"internal/kv/", "time.NewTimer time.AfterFunc", "waits are bounded, pooled read transactions retired"},
	{"internal/kv/boltkv/group.go", "time.Now time.Since", "how long a turn of the writer takes, not when it is"},
	{"snibops/pace.go", "time.Now time.Since time.NewTimer", "deadlines of connections, which hold no record's time"},
	{"internal/durable/beside.go", "time.NewTimer", "who removes stale files is waited for, for a second"},
	{"internal/kv/boltkv/", "unsafe", "reads the transaction numbers in the mapped meta pages"},
	{"internal/kv/boltkv/pin.go", "panic", "a panic that is no memory fault goes on"},
	{"internal/kv/boltkv/pool.go", "panic", "a panic that is no memory fault goes on"},
	{"internal/kv/boltkv/read.go", "panic", "a panic of the application's closure goes on"},
	{"internal/kv/remote/store.go", "panic", "a panic of the reader of a snapshot goes on"},
	{"internal/kv/boltkv/write.go", "panic", "a panic of the application's closure goes on"},
}

// TestForbidden reads imports and names, not types: a name counts when the
// file imports its package.
func TestForbidden(t *testing.T) {
	n, used := 0, map[int]bool{}
	for _, s := range sources() {
		if !s.library() {
			continue
		}
		n++
		uses(s, func(use string, node ast.Node) {
			for i, e := range exemptions {
				if slices.Contains(strings.Fields(e.uses), use) && (e.path == s.path || strings.HasSuffix(e.path, "/") && strings.HasPrefix(s.path, e.path)) {
					used[i] = true
					return
				}
			}
			t.Errorf("%s: %s: %s", at(node), use, forbidden[use])
		})
	}
	for i, e := range exemptions {
		if exists(e.path) && !used[i] {
			t.Errorf("%s does not use %s: its exemption can go", e.path, e.uses)
		}
	}
	examined(t, n, "library files")
}

// uses calls found for everything in a file that the table forbids.
func uses(s *source, found func(use string, node ast.Node)) {
	imports := map[string]string{} // local name to path
	for _, i := range s.tree.Imports {
		name, _ := strconv.Unquote(i.Path.Value)
		if forbidden[name] != "" {
			found(name, i)
		}
		local := name[strings.LastIndex(name, "/")+1:]
		if i.Name != nil {
			local = i.Name.Name
		}
		imports[local] = name
		if local == "." {
			found("a dot import", i)
		}
	}
	for _, group := range s.tree.Comments {
		for _, c := range group.List {
			if strings.HasPrefix(c.Text, "//go:linkname") {
				found("linkname", c)
			}
		}
	}
	ast.Inspect(s.tree, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && forbidden[imports[x.Name]+"."+n.Sel.Name] != "" {
				found(imports[x.Name]+"."+n.Sel.Name, n)
			}
		case *ast.FuncDecl:
			return !strings.HasPrefix(strings.ToLower(n.Name.Name), "must") // it may panic
		case *ast.CallExpr:
			if id, ok := n.Fun.(*ast.Ident); ok && id.Name == "panic" && !unreachable(s, n) {
				found("panic", n)
			}
		}
		return true
	})
}

// unreachable reports whether the line of a node, or the one above, has a
// comment with that word.
func unreachable(s *source, n ast.Node) bool {
	line := fset.Position(n.Pos()).Line
	return slices.ContainsFunc(s.tree.Comments, func(c *ast.CommentGroup) bool {
		from, to := fset.Position(c.Pos()).Line, fset.Position(c.End()).Line
		return from <= line && to >= line-1 && strings.Contains(c.Text(), "unreachable")
	})
}

// Limits in lines. What is longer is not read with care by anyone.
const (
	maxFunc     = 60
	maxTestFunc = 80
	maxFile     = 600
)

// TestSizes looks at every module.
func TestSizes(t *testing.T) {
	for _, s := range sources() {
		if lines := strings.Count(s.code, "\n"); lines > maxFile {
			t.Errorf("%s has %d lines, more than %d", s.path, lines, maxFile)
		}
	}
	n := 0
	functions(func(*source) bool { return true }, func(s *source, fn *ast.FuncDecl) {
		n++
		limit := maxFunc
		if s.test {
			limit = maxTestFunc
		}
		if lines := strings.Count(s.text(fn), "\n") + 1; lines > limit {
			t.Errorf("%s: %s has %d lines, more than %d", at(fn), fn.Name, lines, limit)
		}
	})
	examined(t, n, "functions")
}

// TestFormsAreReadFromTheBody: FormValue and Form take what is in the address
// too, where a password would be in logs and histories. Examples are copied.
func TestFormsAreReadFromTheBody(t *testing.T) {
	n := 0
	for _, s := range sources() {
		n++
		ast.Inspect(s.tree, func(node ast.Node) bool {
			if e, ok := node.(*ast.SelectorExpr); ok && e.Sel.Name == "FormValue" {
				t.Errorf("%s: FormValue: use PostFormValue", at(e))
			}
			return true
		})
	}
	examined(t, n, "files")
}

// TestInputErrorsHaveCodes reads each place where an InputError is made, or the
// fault of which one is made, in this module: each sets Code, and codes in
// other packages are those that the root documents.
func TestInputErrorsHaveCodes(t *testing.T) {
	root, others := map[string]bool{}, map[string]string{}
	for _, s := range sources() {
		if !s.library() {
			continue
		}
		ast.Inspect(s.tree, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || len(spec.Values) != 1 {
				return true
			}
			value, ok := spec.Values[0].(*ast.BasicLit)
			switch {
			case !ok:
			case s.dir == "." && strings.HasPrefix(spec.Names[0].Name, "Code"):
				root[value.Value] = true
			case s.path == "internal/fold/fault.go":
				others[value.Value] = s.path
			}
			return true
		})
	}
	made := 0
	for _, s := range sources() {
		if !s.library() {
			continue
		}
		ast.Inspect(s.tree, func(n ast.Node) bool {
			lit, ok := n.(*ast.CompositeLit)
			if !ok || len(lit.Elts) == 0 || !slices.Contains([]string{"InputError", "Fault", "ValueError"}, typeName(lit.Type)) {
				return true
			}
			made++
			if code := keyed(lit, "Code"); code == nil {
				t.Errorf("%s: without Code", fset.Position(lit.Pos()))
			} else if text, ok := code.(*ast.BasicLit); ok {
				others[text.Value] = s.path
			}
			return true
		})
	}
	examined(t, min(made, len(root), len(others)), "input errors and codes")
	for code, path := range others {
		if !root[code] {
			t.Errorf("%s: the code %s is no constant of the root", path, code)
		}
	}
}

// typeName is the name of a type without its package.
func typeName(x ast.Expr) string {
	switch x := x.(type) {
	case *ast.Ident:
		return x.Name
	case *ast.SelectorExpr:
		return x.Sel.Name
	}
	return ""
}

// keyed returns the value of a field in a literal, or nil.
func keyed(lit *ast.CompositeLit, field string) ast.Expr {
	for _, e := range lit.Elts {
		if kv, ok := e.(*ast.KeyValueExpr); ok && typeName(kv.Key) == field {
			return kv.Value
		}
	}
	return nil
}
