package policy

import (
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	self = "github.com/snibdb/snib"
	bolt = "go.etcd.io/bbolt"
)

// walls says what each package may import besides the standard library: folders
// of this module, modules, or packages of modules. Storage truth is in the
// middle and knows nothing of the root; only boltkv knows bbolt. Rows for
// packages that do not exist yet are the plan of the house.
var walls = map[string]string{
	".": "codec internal/arrivals internal/bell internal/clock internal/codes internal/credentials internal/declare internal/durable internal/factor internal/fold internal/guesses internal/keyfile internal/kv internal/kv/boltkv internal/latency internal/lease internal/lists internal/passes internal/phc internal/pulse " +
		"internal/records internal/reindex internal/seal internal/throttle internal/ticket internal/token internal/upgrade internal/users internal/witness " + bolt + " golang.org/x/text",
	"codec":                "github.com/vmihailenco/msgpack/v5",
	"blocklist":            "",
	"internal/accounttest": ". codec " + bolt,
	"internal/answers":     ".",
	"internal/arrivals":    "codec internal/clock internal/fold internal/kv internal/phc internal/records internal/token internal/users",
	"internal/bell":        "",
	"internal/clock":       "codec",
	"internal/codes":       "codec internal/clock internal/records internal/token",
	"internal/credentials": "codec internal/clock internal/records internal/seal internal/token internal/witness",
	"internal/declare":     "codec internal/fold internal/kv internal/records internal/reindex",
	"internal/durable":     "",
	"internal/factor":      "codec internal/token",
	"internal/fold":        "codec golang.org/x/text",
	"internal/guesses":     "codec internal/kv internal/records internal/throttle",
	"internal/keyfile":     "internal/durable internal/seal",
	"internal/kv":          "",
	"internal/kv/admit":    "github.com/petermattis/goid",
	"internal/kv/boltkv":   "internal/durable internal/kv internal/kv/admit " + bolt,
	"internal/kv/dbtest":   ". internal/kv internal/kv/faultkv internal/kv/kvtest internal/kv/suite internal/model",
	"internal/kv/faultkv":  "internal/kv",
	"internal/kv/farkv":    "internal/kv",
	"internal/kv/kvtest":   "internal/kv internal/kv/faultkv internal/testseed",
	"internal/kv/sharedkv": "internal/kv internal/kv/boltkv internal/testseed " + bolt,
	"internal/kv/remote":   "internal/kv internal/kv/admit",
	"internal/kv/suite":    "",
	"internal/model":       "",
	"internal/move":        "",
	"internal/lan":         "",
	"internal/latency":     "",
	"internal/lease":       "codec internal/kv internal/passes internal/records",
	"internal/lists":       "codec internal/records",
	"internal/passes":      "codec internal/kv internal/latency internal/records",
	"internal/phc":         "internal/latency golang.org/x/crypto golang.org/x/text",
	"internal/pulse":       "codec internal/clock internal/kv internal/passes internal/records",
	"internal/records":     "codec internal/clock internal/factor internal/fold internal/kv internal/move internal/phc internal/seal internal/token",
	"internal/reindex":     "codec internal/fold internal/kv internal/records internal/sorter",
	"internal/seal":        "golang.org/x/crypto/chacha20poly1305",
	"internal/sorter":      "internal/durable",
	"internal/testrecords": "codec internal/clock internal/fold internal/kv internal/kv/boltkv internal/records",
	"internal/testseed":    "",
	"internal/throttle":    "",
	"internal/testopen":    ".",
	"internal/ticket":      "codec internal/records internal/seal",
	"internal/token":       "codec",
	"internal/upgrade":     "codec internal/clock internal/kv internal/records",
	"internal/users":       "codec internal/fold internal/records internal/token",
	"internal/witness":     "codec",
	"proof":                "",
	"snibhttp":             ". internal/answers internal/clock",
	"snibops":              ". internal/answers",
	"snibtest":             ". internal/testopen",
}

// boltFiles are the files of the root that name the engine: all others reach it
// through this one.
var boltFiles = map[string]string{"engine.go": "bbolt boltkv"}

// TestImports: a package that imports what stands above it cannot be read, or
// tested, without it.
func TestImports(t *testing.T) {
	n := 0
	for _, s := range sources() {
		if s.module != "." || strings.HasSuffix(s.path, "_test.go") || strings.HasPrefix(s.dir, "examples") {
			continue
		}
		allowed, known := walls[s.dir]
		if !known {
			t.Errorf("%s: say in walls what %s may import", s.path, s.dir)
			continue
		}
		for _, importPath := range imports(s) {
			n++
			if !mayImport(allowed, importPath) {
				t.Errorf("%s imports %s, which %s must not", s.path, importPath, s.dir)
			}
		}
	}
	examined(t, n, "imports")
}

// TestOneFileKnowsBolt: accounts can be read, and be stored elsewhere, without
// bbolt only where the root does not name it.
func TestOneFileKnowsBolt(t *testing.T) {
	for _, s := range sources() {
		if s.dir != "." || s.test {
			continue
		}
		names := map[string]bool{}
		for _, importPath := range imports(s) {
			switch {
			case within(importPath, bolt):
				names["bbolt"] = true
			case within(importPath, self+"/internal/kv/boltkv"):
				names["boltkv"] = true
			}
		}
		row := strings.Fields(boltFiles[s.path])
		for name := range names {
			if !slices.Contains(row, name) {
				t.Errorf("%s names %s; only engine.go may", s.path, name)
			}
		}
		for _, name := range row {
			if !names[name] && s.path != "engine.go" {
				t.Errorf("%s does not name %s: its row of boltFiles can get shorter", s.path, name)
			}
		}
	}
	for name := range boltFiles {
		if name != "engine.go" && !exists(name) {
			t.Errorf("there is no %s: its row of boltFiles can go", name)
		}
	}
}

func imports(s *source) (list []string) {
	for _, spec := range s.tree.Imports {
		importPath, _ := strconv.Unquote(spec.Path.Value)
		list = append(list, importPath)
	}
	return list
}

// mayImport reports whether a row of walls allows an import. A folder of this
// module stands for itself, a module for all of its packages.
func mayImport(row, importPath string) bool {
	first, _, _ := strings.Cut(importPath, "/")
	if !strings.Contains(first, ".") {
		return true // of the standard library
	}
	return slices.ContainsFunc(strings.Fields(row), func(allowed string) bool {
		if within(importPath, self) {
			return importPath == self && allowed == "." || importPath == self+"/"+allowed
		}
		return within(importPath, allowed)
	})
}

// within reports whether a path is a folder or lies below it.
func within(path, folder string) bool {
	return path == folder || strings.HasPrefix(path, folder+"/")
}

// TestMayImport: a wall that lets everything through is none.
func TestMayImport(t *testing.T) {
	for _, c := range []struct {
		row, importPath string
		want            bool
	}{
		{"", "net/http", true},
		{"", self, false},
		{"", self + "/codec", false},
		{"", bolt, false},
		{".", self, true},
		{".", self + "/codec", false},
		{"internal/kv", self + "/internal/kv", true},
		{"internal/kv", self + "/internal/kv/boltkv", false},
		{"internal/kv", self, false},
		{bolt, bolt + "/errors", true},
		{bolt, bolt + "x", false},
		{"golang.org/x/text", "golang.org/x/crypto/scrypt", false},
	} {
		if got := mayImport(c.row, c.importPath); got != c.want {
			t.Errorf("a row of %q, an import of %s: %t, want %t", c.row, c.importPath, got, c.want)
		}
	}
}
