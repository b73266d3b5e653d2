package policy

import (
	"fmt"
	"go/ast"
	"go/token"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const securityPage = "docs/SECURITY.md"

// evidence are the documents whose claims rest on tests that they name.
var evidence = []string{securityPage, "docs/RELIABILITY.md"}

var testName = regexp.MustCompile(`\b(?:Test|Fuzz)[A-Z]\w*`)

// testFunctions are the names of all tests and fuzz targets, of every module.
func testFunctions() map[string]bool {
	names := map[string]bool{}
	functions(isTest, func(s *source, fn *ast.FuncDecl) {
		if strings.HasSuffix(s.path, "_test.go") && fn.Recv == nil && testName.FindString(fn.Name.Name) == fn.Name.Name {
			names[fn.Name.Name] = true
		}
	})
	return names
}

// TestNamedTestsExist: a claim that names a test which was renamed or deleted
// rests on nothing, and nobody notices.
func TestNamedTestsExist(t *testing.T) {
	tests, n := testFunctions(), 0
	for _, name := range evidence {
		if !exists(name) {
			continue
		}
		for _, test := range testName.FindAllString(read(name), -1) {
			n++
			if !tests[test] {
				t.Errorf("%s names %s, and there is no such test", name, test)
			}
		}
	}
	examined(t, n, "names of tests in documents")
}

// sections of OWASP ASVS 5.0.0, chapters V6, V7 and V11, and how many
// requirements each has.
var sections = []struct {
	number string
	count  int
}{
	{"6.1", 3}, {"6.2", 12}, {"6.3", 8}, {"6.4", 6}, {"6.5", 8}, {"6.6", 4}, {"6.7", 2}, {"6.8", 4},
	{"7.1", 3}, {"7.2", 4}, {"7.3", 2}, {"7.4", 5}, {"7.5", 3}, {"7.6", 2},
	{"11.1", 4}, {"11.2", 5}, {"11.3", 5}, {"11.4", 4}, {"11.5", 2}, {"11.6", 2}, {"11.7", 2},
}

// requirement is a row of the page: number, level, what is asked, verdict,
// and why.
var requirement = regexp.MustCompile(`(?m)^\| (\d+\.\d+\.\d+) \| ([123]) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$`)

// TestRequirements: the page answers each requirement once and in the order of
// the standard, with one of four verdicts, and what it calls met names a test
// or a document that shows it.
func TestRequirements(t *testing.T) {
	var want, got []string
	for _, s := range sections {
		for i := range s.count {
			want = append(want, fmt.Sprint(s.number, ".", i+1))
		}
	}
	tests := testFunctions()
	for _, row := range requirement.FindAllStringSubmatch(read(securityPage), -1) {
		number, verdict, why := row[1], row[4], row[5]
		got = append(got, number)
		switch verdict {
		case "application", "out of scope":
		case "met", "met in part":
			if !shown(why, tests) {
				t.Errorf("%s: %s, and no test or document shows it", number, verdict)
			}
		default:
			t.Errorf("%s: there is no verdict %q", number, verdict)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("the requirements are\n%s, want\n%s", got, want)
	}
}

// shown reports whether a text names a test, or links to a document, that
// exists.
func shown(why string, tests map[string]bool) bool {
	for _, name := range testName.FindAllString(why, -1) {
		if tests[name] {
			return true
		}
	}
	for _, m := range mdLink.FindAllStringSubmatch(why, -1) {
		target, _, _ := strings.Cut(m[1], "#")
		if target != "" && exists(path.Join(path.Dir(securityPage), target)) {
			return true
		}
	}
	return false
}

var inventoried = regexp.MustCompile("(?m)^\\| `([a-z0-9./]+)` \\|")

// TestCryptographyIsInventoried: every package of cryptography that the
// library imports is in the inventory of the page with what it is for, and
// nothing else is.
func TestCryptographyIsInventoried(t *testing.T) {
	imported := map[string]bool{}
	for _, s := range sources() {
		if !s.library() {
			continue
		}
		for _, spec := range s.tree.Imports {
			name, err := strconv.Unquote(spec.Path.Value)
			if err == nil && (strings.HasPrefix(name, "crypto/") || strings.HasPrefix(name, "golang.org/x/crypto/") || strings.HasPrefix(name, "hash/")) {
				imported[name] = true
			}
		}
	}
	listed := map[string]bool{}
	for _, m := range inventoried.FindAllStringSubmatch(read(securityPage), -1) {
		listed[m[1]] = true
		if !imported[m[1]] {
			t.Errorf("%s lists %s, and nothing imports it", securityPage, m[1])
		}
	}
	for name := range imported {
		if !listed[name] {
			t.Errorf("%s does not list %s", securityPage, name)
		}
	}
	examined(t, len(imported), "packages of cryptography")
}

// secretFields hold what a presented secret is compared with.
var secretFields = []string{"SecretHash", "FamilyHash", "Current", "Previous"}

// TestSecretsAreComparedInConstantTime: == and bytes.Equal stop at the first
// difference, and how long that takes can be measured. Stored hashes go to
// token.Equal, which with its like in internal/phc is where comparing happens.
func TestSecretsAreComparedInConstantTime(t *testing.T) {
	for _, where := range []struct{ path, function string }{{"internal/token/token.go", "Equal"}, {"internal/phc/scheme.go", "equal"}} {
		found := false
		functions(func(s *source) bool { return s.path == where.path }, func(_ *source, fn *ast.FuncDecl) {
			found = found || fn.Name.Name == where.function && mentions(fn)["ConstantTimeCompare"]
		})
		if !found {
			t.Errorf("%s: %s does not compare in constant time", where.path, where.function)
		}
	}
	n := 0
	domain := func(s *source) bool { return (s.dir == "." || s.dir == "internal/records") && s.library() }
	functions(domain, func(s *source, fn *ast.FuncDecl) {
		ast.Inspect(fn, func(node ast.Node) bool {
			switch x := node.(type) {
			case *ast.SelectorExpr:
				if slices.Contains(secretFields, x.Sel.Name) {
					n++
				}
			case *ast.BinaryExpr:
				if (x.Op == token.EQL || x.Op == token.NEQ) && (secretField(x.X) || secretField(x.Y)) {
					t.Errorf("%s: a secret is compared with %s", at(x), x.Op)
				}
			case *ast.CallExpr:
				if name := s.text(x.Fun); (name == "bytes.Equal" || name == "bytes.Compare") && slices.ContainsFunc(x.Args, secretField) {
					t.Errorf("%s: a secret is compared with %s", at(x), name)
				}
			}
			return true
		})
	})
	examined(t, n, "uses of stored hashes")
}

// secretField reports whether an expression is a stored hash or a slice of
// one.
func secretField(e ast.Expr) bool {
	if slice, ok := e.(*ast.SliceExpr); ok {
		e = slice.X
	}
	sel, ok := e.(*ast.SelectorExpr)
	return ok && slices.Contains(secretFields, sel.Sel.Name)
}

// typed are the names of fields that hold what a user has typed, or what tells where
// from.
var typed = []string{"attributes", "Attributes", "Identifier", "Identities", "Data", "Detail", "Client"}

// TestNounsPrintWithoutWhatAUserHasTyped: a noun, which has an ID, and such a field has
// a Format that leaves it out. The tests of the noun show that it does.
func TestNounsPrintWithoutWhatAUserHasTyped(t *testing.T) {
	formats, nouns := map[string]bool{}, map[string]string{}
	public := func(s *source) bool { return s.dir == "." && s.public() }
	functions(public, func(_ *source, fn *ast.FuncDecl) {
		if receiver, _ := receiverOf(fn); fn.Name.Name == "Format" {
			formats[receiver] = true
		}
	})
	for _, s := range sources() {
		if !public(s) {
			continue
		}
		ast.Inspect(s.tree, func(node ast.Node) bool {
			spec, ok := node.(*ast.TypeSpec)
			if !ok || !spec.Name.IsExported() {
				return true
			}
			if typ, ok := spec.Type.(*ast.StructType); ok {
				names := fieldNames(typ)
				if slices.Contains(names, "ID") && slices.ContainsFunc(typed, func(name string) bool { return slices.Contains(names, name) }) {
					nouns[spec.Name.Name] = at(spec)
				}
			}
			return false
		})
	}
	for name, where := range nouns {
		if !formats[name] {
			t.Errorf("%s: %s has no Format: it prints what a user has typed", where, name)
		}
	}
	examined(t, len(nouns), "nouns with what a user has typed")
}

func fieldNames(typ *ast.StructType) (names []string) {
	for _, field := range typ.Fields.List {
		for _, id := range field.Names {
			names = append(names, id.Name)
		}
	}
	return names
}
