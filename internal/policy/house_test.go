package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// house holds figures of packages that are worse than the goal to a bound
// each. A number may only be lowered, and is lowered with the change that
// improves it: the test fails for a bound that lies more than a tenth above
// its figure. The root alone grows, by the files of each new noun. A package that is not named must have no cycle above maxCycle.
var house = map[string]struct{ arrows, cycle int }{
	".":                  {arrows: 526, cycle: 7},
	"internal/kv/boltkv": {arrows: 166, cycle: 26},
	"internal/phc":       {arrows: 136, cycle: 13},
	"internal/records":   {arrows: 276, cycle: 10},
	"snibhttp":           {arrows: 84, cycle: 12},
}

// maxCycle is about the number of files that a reader can keep in mind at once.
const maxCycle = 8

// Bounds of the root, which a new noun raises by its two files and their lines.
const (
	maxEntries = 194   // files and folders before the README is on the screen
	maxRoot    = 13190 // lines of the root package without tests
)

// TestHouse measures how far a reader of one file is led through others, and
// prints it: go test -run TestHouse -v ./internal/policy
func TestHouse(t *testing.T) {
	drawn := plans(t)
	examined(t, len(drawn), "library packages")
	t.Logf("%-22s %5s %6s %6s %5s", "package", "files", "lines", "arrows", "cycle")
	for _, dir := range slices.Sorted(maps.Keys(drawn)) {
		p := drawn[dir]
		cycle := p.cycle()
		t.Logf("%-22s %5d %6d %6d %5d", dir, len(p), lines(dir), p.arrows(), len(cycle))
		bound, known := house[dir]
		if known {
			ratchet(t, dir+": arrows between files", p.arrows(), bound.arrows, 0)
			ratchet(t, dir+": files in one cycle", len(cycle), bound.cycle, maxCycle)
		} else if len(cycle) > maxCycle {
			t.Errorf("%s: %d files form a cycle, more than %d: %s", dir, len(cycle), maxCycle, strings.Join(cycle, " "))
		}
	}
	for dir := range house {
		if drawn[dir] == nil {
			t.Errorf("%s: there is no such package, its bounds can go", dir)
		}
	}
	entries := map[string]bool{}
	for _, name := range files() {
		top, _, _ := strings.Cut(name, "/")
		entries[top] = true
	}
	t.Logf("the root has %d entries", len(entries))
	ratchet(t, "entries of the root", len(entries), maxEntries, 0)
	ratchet(t, "lines of the root package", lines("."), maxRoot, 0)
}

// lines counts the lines of a package without its tests.
func lines(dir string) (n int) {
	for _, s := range sources() {
		if s.dir == dir && !s.test {
			n += strings.Count(s.code, "\n")
		}
	}
	return n
}

// ratchet fails for a figure above its bound, and for a bound that has become
// loose: more than a tenth above the figure, with a goal still to be reached.
func ratchet(t *testing.T, what string, got, bound, goal int) {
	t.Helper()
	if problem := loose(got, bound, goal); problem != "" {
		t.Errorf("%s: %d, %s", what, got, problem)
	}
}

// loose says what is wrong with a bound, "" for nothing. It may lie above the
// figure by a tenth, so that not each change must lower it.
func loose(got, bound, goal int) string {
	switch {
	case got > bound:
		return fmt.Sprintf("more than %d", bound)
	case bound > goal && bound-max(got, goal) > bound/10:
		return fmt.Sprintf("its bound of %d can be lowered to %d", bound, max(got, goal))
	}
	return ""
}

// TestRatchet: a bound is held from both sides.
func TestRatchet(t *testing.T) {
	for _, c := range []struct {
		got, bound, goal int
		fails            bool
	}{
		{100, 100, 0, false}, {101, 100, 0, true}, {90, 100, 0, false}, {89, 100, 0, true},
		{5, 8, 8, false}, {9, 8, 8, true}, {4, 14, 8, true}, {8, 8, 5, false}, {5, 6, 5, true},
	} {
		if got := loose(c.got, c.bound, c.goal); (got != "") != c.fails {
			t.Errorf("%d of at most %d, towards %d: %q", c.got, c.bound, c.goal, got)
		}
	}
}
