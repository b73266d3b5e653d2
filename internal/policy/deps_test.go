package policy

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// allowedModules are all modules that code or tests of the root module may be
// built from. Each is code that users must trust with passwords.
var allowedModules = map[string]string{
	"github.com/snibdb/snib":              "this one",
	"go.etcd.io/bbolt":                    "the file and its transactions",
	"golang.org/x/crypto":                 "argon2, scrypt and the hashes of other systems",
	"golang.org/x/text":                   "NFKC and PRECIS, for passwords and names",
	"github.com/petermattis/goid":         "which goroutine calls, so that a nested transaction is an error and not a deadlock",
	"golang.org/x/sys":                    "required by bbolt and x/crypto",
	"github.com/vmihailenco/msgpack/v5":   "records and attributes",
	"github.com/vmihailenco/tagparser/v2": "required by msgpack",
}

// TestModules compares both go.mod and what the packages really import, on
// more than one system, with the list above.
func TestModules(t *testing.T) {
	var mod struct{ Require []struct{ Path string } }
	if err := json.Unmarshal([]byte(run(t, nil, "go", "mod", "edit", "-json")), &mod); err != nil {
		t.Fatal(err)
	}
	required := map[string]bool{"github.com/snibdb/snib": true}
	for _, r := range mod.Require {
		required[r.Path] = true
	}
	for name := range allowedModules {
		if !required[name] {
			t.Errorf("%s is allowed but go.mod does not require it", name)
		}
	}
	for _, system := range []string{"linux", "windows", "darwin"} {
		out := run(t, []string{"GOOS=" + system, "CGO_ENABLED=0"}, "go", "list", "-deps", "-test", "-f", "{{with .Module}}{{.Path}}{{end}}", "./...")
		for _, name := range strings.Fields(out) {
			required[name] = true
		}
	}
	for name := range required {
		if allowedModules[name] == "" {
			t.Errorf("%s is not an allowed module", name)
		}
	}
}

// TestPackages keeps heavy and unwanted packages out of users' binaries:
// net/http triples a small one and expvar registers a handler; testing and
// what is built on it adds flags to a program that only imports the library.
func TestPackages(t *testing.T) {
	dirs := map[string]bool{}
	for _, s := range sources() {
		if s.library() && s.dir != "snibhttp" { // which is about net/http
			dirs["./"+s.dir] = true
		}
	}
	examined(t, len(dirs), "library packages")
	list := append([]string{"go", "list", "-deps"}, slices.Sorted(maps.Keys(dirs))...)
	deps := strings.Fields(run(t, nil, list...))
	unwanted := []string{"net/http", "html/template", "expvar", "testing"}
	for _, dir := range testSupport {
		unwanted = append(unwanted, "github.com/snibdb/snib/"+dir)
	}
	for _, name := range unwanted {
		if slices.Contains(deps, name) {
			t.Errorf("the library depends on %s", name)
		}
	}
}

// What the library may add to a stripped program: one that uses it as the
// quick start does, and one that uses everything.
const (
	maxLink    = 3<<20 + 544<<10 // docs/adr/0021-what-a-program-links.md
	maxLinkAll = maxLink * 8 / 5 // backup, restore, check, repair, export and imports
)

// quickstart is a program with the calls of the README.
const quickstart = `package main

import (
	"context"

	"github.com/snibdb/snib"
)

func main() {
	ctx := context.Background()
	db, _ := snib.Open("accounts.db", nil)
	defer db.Close()
	db.CreateUser(ctx, snib.NewUser{})
	session, _, _ := db.LogIn(ctx, "", "", "", snib.SessionOptions{})
	db.ValidateSessionUser(ctx, session.Token.Reveal())
	db.DeleteUser(ctx, "")
}
`

// TestBinarySize links these two and an empty program. Desktop and edge
// programs pay for each byte.
func TestBinarySize(t *testing.T) {
	if !hasLibrary() {
		t.Skip("no library yet")
	}
	if testing.Short() {
		t.Skip("compiles the library once more, as a release does")
	}
	var refs strings.Builder
	functions(func(s *source) bool { return s.dir == "." && s.public() }, func(s *source, fn *ast.FuncDecl) {
		receiver, ok := receiverOf(fn)
		switch {
		case !fn.Name.IsExported() || !ok || fn.Type.TypeParams != nil:
		case receiver == "":
			fmt.Fprintf(&refs, "\tsnib.%s,\n", fn.Name)
		default:
			fmt.Fprintf(&refs, "\t(*snib.%s).%s,\n", receiver, fn.Name)
		}
	})
	examined(t, refs.Len(), "exported functions")
	everything := "package main\n\nimport \"github.com/snibdb/snib\"\n\nvar all = []any{\n" + refs.String() +
		"}\n\nfunc main() {\n\tfor _, f := range all {\n\t\tprintln(f)\n\t}\n}\n"
	empty := link(t, "package main\n\nfunc main() {}\n")
	for name, c := range map[string]struct {
		program string
		most    int64
	}{"quick start": {quickstart, maxLink}, "everything": {everything, maxLinkAll}} {
		added := link(t, c.program) - empty
		t.Logf("%s: the library adds %d bytes", name, added)
		if added > c.most {
			t.Errorf("%s: the library adds %d bytes to a program, more than %d", name, added, c.most)
		}
	}
}

// link builds a program for a fixed system and returns the size of the binary.
func link(t *testing.T, program string) int64 {
	t.Helper()
	dir := t.TempDir()
	main, binary := filepath.Join(dir, "main.go"), filepath.Join(dir, "binary")
	if err := os.WriteFile(main, []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, []string{"CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64"}, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", binary, main)
	info, err := os.Stat(binary)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}
