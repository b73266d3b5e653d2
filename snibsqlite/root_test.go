package snibsqlite_test

import (
	"os"
	"testing"

	"github.com/snibdb/snib/internal/kv/suite"
)

// TestRoot runs the tests of the root, each database in a file of its own.
func TestRoot(t *testing.T) {
	s := rootSuite(t)
	s.Package, s.Least, s.Shards = ".", 230, 2
	s.Run(t)
}

// TestModel runs the model of the accounts, with two programs on one store: without
// Options.Keys, and with them.
func TestModel(t *testing.T) {
	for _, seed := range []string{"20", "21"} {
		s := rootSuite(t)
		s.Package, s.Only, s.Least, s.Excluded = "proof", "^TestModel$", 1, nil
		s.Flags = []string{"-seed=" + seed, "-steps=300"}
		s.Run(t)
	}
}

// rootSuite returns a suite whose files are in memory, where the system has a place for
// that: commits are synced.
func rootSuite(t *testing.T) suite.Suite {
	s := suite.Suite{
		Module: "snibsqlite", Opener: "testdata/suite/testopen.go",
		Excluded: []string{"../internal/kv/suite/testdata/excluded.txt", "testdata/suite/excluded.txt"},
	}
	if dir, err := os.MkdirTemp("/dev/shm", "snibsqlite-"); err == nil {
		t.Cleanup(func() { os.RemoveAll(dir) })
		s.Env = append(s.Env, "TMPDIR="+dir)
	}
	return s
}
