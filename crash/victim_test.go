package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/snibdb/snib"
)

// TestCascadesAreCounted: a cascade that leaves something, or that had nothing
// to remove, fails the workload.
func TestCascadesAreCounted(t *testing.T) {
	w := newWork(*seed, false)
	o := w.options()
	o.InsecureNoSync = true
	db, err := snib.Open(filepath.Join(t.TempDir(), databaseName), o)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	w.db = db
	says := func(want string, op operation) {
		t.Helper()
		if err := w.cascade(op); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	nothing := func(*work) error { return nil }
	for _, op := range operations {
		if op.leaves == nil {
			continue
		}
		if err := w.makeFull(); err != nil {
			t.Fatal(err)
		}
		says("INCOMPLETE", operation{do: nothing, leaves: op.leaves})
	}
	if err := w.endSessions(); err != nil {
		t.Fatal(err)
	}
	says("EMPTY", operation{do: nothing, leaves: deletes})
	if err := w.makeFull(); err != nil {
		t.Fatal(err)
	}
	says("INCOMPLETE", operation{do: (*work).revokeAll, leaves: endsAll}) // sessions of no family stay
}
