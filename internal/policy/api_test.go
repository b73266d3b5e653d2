package policy

import (
	"flag"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

var update = flag.Bool("update", false, "rewrite the API snapshots")

// TestDocumented: every exported name says what it is, takes and returns. The
// reader of the documentation has nothing else.
func TestDocumented(t *testing.T) {
	n, packages := 0, map[string]bool{}
	for _, s := range sources() {
		if !s.public() {
			continue
		}
		packages[s.dir] = packages[s.dir] || s.tree.Doc != nil
		exported(s, func(name string, node ast.Node, doc bool) {
			n++
			if !doc {
				t.Errorf("%s: %s has no comment", at(node), name)
			}
		})
	}
	for dir, doc := range packages {
		if !doc {
			t.Errorf("%s: no file has a package comment", dir)
		}
	}
	examined(t, n, "exported names")
}

// exported calls visit for each exported name of a file: functions, methods,
// types with their fields and methods, constants and variables.
func exported(s *source, visit func(name string, node ast.Node, doc bool)) {
	for _, d := range s.tree.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if _, ok := receiverOf(d); ok && d.Name.IsExported() {
				visit(d.Name.Name, d, d.Doc != nil)
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				group := d.Doc
				if d.Lparen.IsValid() {
					group = nil // of several; each has a comment of its own
				}
				switch spec := spec.(type) {
				case *ast.ValueSpec:
					visitNames(spec, spec.Names, words(group, spec.Doc, spec.Comment), visit)
				case *ast.TypeSpec:
					doc := words(group, spec.Doc, spec.Comment)
					visitNames(spec, []*ast.Ident{spec.Name}, doc, visit)
					if spec.Name.IsExported() {
						exportedMembers(spec.Type, doc, visit)
					}
				}
			}
		}
	}
}

// exportedMembers visits the exported fields and methods in a type. The
// comment of the type may speak for a member by naming it, as those do that
// draw a record.
func exportedMembers(typ ast.Expr, typeDoc []string, visit func(string, ast.Node, bool)) {
	ast.Inspect(typ, func(n ast.Node) bool {
		var list *ast.FieldList
		switch n := n.(type) {
		case *ast.StructType:
			list = n.Fields
		case *ast.InterfaceType:
			list = n.Methods
		default:
			return true
		}
		for _, f := range list.List {
			visitNames(f, f.Names, words(f.Doc, f.Comment), func(name string, n ast.Node, doc bool) {
				visit(name, n, doc || slices.Contains(typeDoc, name))
			})
		}
		return true
	})
}

// words splits comments, which may be nil, into words.
func words(comments ...*ast.CommentGroup) (list []string) {
	for _, c := range comments {
		list = append(list, strings.FieldsFunc(c.Text(), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })...)
	}
	return list
}

func visitNames(node ast.Node, names []*ast.Ident, doc []string, visit func(string, ast.Node, bool)) {
	for _, name := range names {
		if name.IsExported() {
			visit(name.Name, node, len(doc) > 0)
		}
	}
}

// receiverOf returns the name of the receiver's type, "" for a function, and
// whether users can name it, so that the method is part of the API.
func receiverOf(fn *ast.FuncDecl) (name string, ok bool) {
	if fn.Recv == nil {
		return "", true
	}
	typ := fn.Recv.List[0].Type
	for {
		switch x := typ.(type) {
		case *ast.StarExpr:
			typ = x.X
		case *ast.IndexExpr: // a generic type
			typ = x.X
		case *ast.IndexListExpr:
			typ = x.X
		case *ast.Ident:
			return x.Name, x.IsExported()
		default:
			return "", false
		}
	}
}

// TestAPI compares the exported API of each package with its snapshot in api,
// so that no change of it goes unseen in a review. Run with -update to accept.
func TestAPI(t *testing.T) {
	packages := map[string][]string{}
	for _, s := range sources() {
		if s.public() {
			name := "api/" + s.tree.Name.Name + ".txt"
			packages[name] = append(packages[name], signatures(t, s)...)
		}
	}
	for name, lines := range packages {
		slices.Sort(lines)
		got := strings.Join(slices.Compact(lines), "\n") + "\n"
		if *update {
			if err := os.MkdirAll(root+"/api", 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(root+"/"+name, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		} else if !exists(name) {
			t.Errorf("%s is missing: make golden", name)
		} else if want := read(name); got != want {
			t.Errorf("%s differs; if that is meant: make golden\n%s", name, diff(want, got))
		}
	}
	for _, name := range files() {
		if path.Dir(name) == "api" && packages[name] == nil {
			t.Errorf("%s: there is no such package", name)
		}
	}
	examined(t, len(packages), "packages")
}

var blankLines = regexp.MustCompile(`\n\s*\n`) // where comments were

// signatures prints the exported declarations of a file without comments,
// bodies and unexported parts. Constants whose value follows from their place
// in the group carry that place.
func signatures(t *testing.T, s *source) []string {
	t.Helper()
	var list []string
	add := func(node any, note string) {
		var b strings.Builder
		if err := format.Node(&b, fset, node); err != nil {
			t.Fatal(err)
		}
		list = append(list, blankLines.ReplaceAllString(b.String(), "\n")+note)
	}
	place := map[string]int{} // of constants, before unexported ones are gone
	for _, d := range s.tree.Decls {
		if group, ok := d.(*ast.GenDecl); ok && group.Tok == token.CONST {
			for i, spec := range group.Specs {
				place[spec.(*ast.ValueSpec).Names[0].Name] = i
			}
		}
	}
	tree, err := parser.ParseFile(fset, s.path, s.code, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	ast.FileExports(tree) // in place, hence the second parsing
	for _, d := range tree.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if _, ok := receiverOf(d); ok {
				d.Body = nil
				add(d, "")
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				note := ""
				switch v, _ := spec.(*ast.ValueSpec); {
				case d.Tok == token.VAR:
					v.Values = nil
				case d.Tok == token.CONST && (v.Values == nil || mentions(v)["iota"]):
					note = fmt.Sprintf(" // in place %d", place[v.Names[0].Name])
				}
				if d.Tok != token.IMPORT {
					add(&ast.GenDecl{Tok: d.Tok, Specs: []ast.Spec{spec}}, note)
				}
			}
		}
	}
	return list
}

// diff lists the lines that only one of two texts has.
func diff(want, got string) string {
	var b strings.Builder
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for _, line := range w {
		if !slices.Contains(g, line) {
			b.WriteString("-" + line + "\n")
		}
	}
	for _, line := range g {
		if !slices.Contains(w, line) {
			b.WriteString("+" + line + "\n")
		}
	}
	return b.String()
}
