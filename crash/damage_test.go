package main

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"testing"
)

// TestDamage: a damaged file is refused, or what it gives is right, or absent
// and found by Check. It never gives what is another's, never accepts what is
// wrong, and takes no process with it.
func TestDamage(t *testing.T) {
	d, err := damageFiles(*seed, *damagedFiles, 100)
	if err != nil {
		t.Fatal(err)
	}
	total := map[string]int{}
	for _, wound := range slices.Sorted(maps.Keys(d.verdicts)) {
		line := ""
		for _, verdict := range slices.Sorted(maps.Keys(d.verdicts[wound])) {
			line += fmt.Sprintf("  %s %d", verdict, d.verdicts[wound][verdict])
			total[verdict] += d.verdicts[wound][verdict]
		}
		t.Logf("%-34s%s", wound, line)
	}
	t.Logf("seed %d: %d files: %v", *seed, *damagedFiles, total)
	for i, f := range d.failures {
		if i < 10 {
			t.Error(f)
		}
	}
	if len(d.failures) > 0 {
		t.Errorf("the file that was damaged is in %s", d.dir)
	}
	if len(d.failures) > 10 {
		t.Errorf("and %d more", len(d.failures)-10)
	}
	for _, verdict := range []string{refused, detected, unseen, sound} {
		if total[verdict] == 0 && *damagedFiles >= 300 {
			t.Errorf("no file was %s: the damage is of one kind", verdict)
		}
	}
}

// TestTruth: on a sound file everything is right, and an examiner with another
// truth says so.
func TestTruth(t *testing.T) {
	path := filepath.Join(t.TempDir(), databaseName)
	truth, err := build(path, 30, *seed)
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range truth.Users {
		for _, token := range append(p.Sessions, p.Refresh, p.Link) {
			if graft(token, token) != token {
				t.Fatalf("user %d: a token does not have the form that grafts are made in", i)
			}
		}
	}
	lie := truth
	lie.Users = slices.Clone(truth.Users)
	lie.Users[0].Identifier, lie.Users[1].Identifier = lie.Users[1].Identifier, lie.Users[0].Identifier
	if verdict, _ := examine(path, &lie, false); verdict != wrong {
		t.Errorf("another's data is %s", verdict)
	}
	path += "2"
	if truth, err = build(path, 30, *seed); err != nil {
		t.Fatal(err)
	}
	if verdict, detail := examine(path, &truth, false); verdict != sound {
		t.Errorf("a sound file is %s: %s", verdict, detail)
	}
	path += "3"
	if truth, err = build(path, 30, *seed); err != nil {
		t.Fatal(err)
	}
	truth.Ended = append(truth.Ended, truth.Users[0].Sessions[0])
	if verdict, _ := examine(path, &truth, false); verdict != wrong {
		t.Errorf("a token that should be refused is accepted, and the file %s", verdict)
	}
	for n, older := range []bool{false, true} {
		path += "4"
		if truth, err = build(path, 30, *seed); err != nil {
			t.Fatal(err)
		}
		ended := truth.Users[0].Sessions[0]
		truth.Ended = append(truth.Ended, ended)
		if n == 1 {
			truth.Wrong = append(truth.Wrong, ended)
		}
		if verdict, _ := examine(path, &truth, older); verdict != wrong {
			t.Errorf("older %t: a token that should be refused is accepted, and the file %s", older, verdict)
		}
	}
}
