package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/internal/records"
)

// TestCascadesAreCounted: a cascade that leaves something, or that had nothing
// to remove, fails the workload.
func TestCascadesAreCounted(t *testing.T) {
	w := quickWork(t)
	says := func(want string, op operation) {
		t.Helper()
		if err := w.cascade(op); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", op.name, err, want)
		}
	}
	nothing := func(*work) error { return nil }
	if err := w.makeFull(); err != nil {
		t.Fatal(err)
	}
	for _, op := range operations {
		if op.leaves != nil {
			says("INCOMPLETE", operation{name: op.name, do: nothing, leaves: op.leaves})
		}
	}
	says("INCOMPLETE", operation{do: (*work).revokeAll, leaves: ends(sessionsRevoked)}) // sessions of no family stay
	says("EMPTY", operation{do: nothing, leaves: deletes})
	for title := range aFullUser(false) {
		if err := w.makeFull(); err != nil {
			t.Fatal(err)
		}
		says("INCOMPLETE", operation{name: "one " + title + " less", do: nothing, leaves: func(c census) census {
			c = maps.Clone(c)
			c[title]--
			return c
		}})
	}
}

// TestEventsAreHeard: a change without its event, or with another, fails the
// workload.
func TestEventsAreHeard(t *testing.T) {
	w := quickWork(t)
	if err := w.makeFull(); err != nil {
		t.Fatal(err)
	}
	if _, err := w.hear(); err != nil {
		t.Fatal(err)
	}
	for _, events := range [][]snib.EventKind{nil, kinds(snib.EventRoleWithdrawn), kinds(snib.EventRoleGranted, snib.EventRoleGranted)} {
		if err := w.grant(); err != nil {
			t.Fatal(err)
		}
		if err := w.told(operation{name: "Roles.Grant", events: events}); err == nil || !strings.HasPrefix(err.Error(), "UNTOLD") {
			t.Errorf("got %v, want UNTOLD", err)
		}
	}
}

// quickWork is a workload on a file that no crash is meant to leave.
func quickWork(t *testing.T) *work {
	t.Helper()
	w := newWork(*seed, false)
	w.keyed, w.consumed = true, true
	o := w.options()
	o.InsecureNoSync = true
	db, err := snib.Open(filepath.Join(t.TempDir(), databaseName), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	w.db = db
	return w
}

// TestEveryKindHasItsVictim: a full user has records of each kind in the library's
// table, and keys in each shared space that has keys of users. Each kind but
// history is ended by a cascade that leaves the user.
func TestEveryKindHasItsVictim(t *testing.T) {
	for _, k := range records.Kinds {
		if leastOf[k.Title] == 0 {
			t.Errorf("leastOf has no %q", k.Title)
		}
		ended := slices.ContainsFunc(operations, func(op operation) bool {
			return op.leaves != nil && op.leaves(aFullUser(false))["user"] > 0 && op.leaves(aFullUser(false))[k.Title] < leastOf[k.Title]
		})
		if ended == k.History {
			t.Errorf("the workload has a cascade that ends a %s and leaves the user: %t", k.Title, ended)
		}
	}
	for space := range records.Shared {
		name := records.Spaces[space].Name
		_, counted := entriesOf[name]
		if _, excluded := ofNoUser[name]; counted == excluded {
			t.Errorf("the space %s is counted: %t; of no user: %t", name, counted, excluded)
		}
	}
	for title, n := range deletes(aFullUser(false)) {
		if n != 0 && title != strangeRow {
			t.Errorf("DeleteUser leaves %d of %s", n, title)
		}
	}
}

// TestOccasionsAreThoseOfTheDocument: endedBy is the table of docs/INVARIANTS.md.
func TestOccasionsAreThoseOfTheDocument(t *testing.T) {
	page, err := os.ReadFile("../docs/INVARIANTS.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile(`(?m)^\| *(.*?) *\|((?: *[^|\n]+ *\|)+)$`).FindAllStringSubmatch(string(page), -1)
	cells := func(row []string) (out []string) {
		for cell := range strings.SplitSeq(strings.TrimSuffix(row[2], "|"), "|") {
			out = append(out, strings.TrimSpace(cell))
		}
		return out
	}
	found, titles := map[string][]string{}, []string(nil)
	for _, row := range rows {
		switch {
		case row[1] == "":
			titles = cells(row)
		case titles != nil && strings.Trim(row[1], "-") != "":
			for i, cell := range cells(row) {
				if cell == "ends" {
					found[row[1]] = append(found[row[1]], titles[i])
				}
			}
		}
	}
	if len(titles) != len(records.Kinds) {
		t.Fatalf("the table has the columns %q", titles)
	}
	for occasion, want := range endedBy {
		if got := found[occasion]; fmt.Sprint(slices.Sorted(slices.Values(got))) != fmt.Sprint(slices.Sorted(slices.Values(want))) {
			t.Errorf("%s ends %q in the document, %q here", occasion, got, want)
		}
	}
	if len(found) != len(endedBy) {
		t.Errorf("the document has %d occasions, endedBy %d", len(found), len(endedBy))
	}
}
