package main

import (
	"strings"
	"testing"
)

func powerRun(t *testing.T) cutRun {
	t.Helper()
	if err := cutsPossible(); err != nil {
		t.Skipf("!!!! NOT TESTED: power cuts: %v !!!!", err)
	}
	if raceDetector {
		t.Skip("the child has the work to do; scripts/crash.sh runs it without the race detector")
	}
	return cutRun{job: job{Kind: "lanes", Seed: *seed, Ops: 30, Lanes: 6}, cuts: *cuts}
}

// TestPowerCuts: whatever a power cut leaves of a real ext4, the database is
// there with what was acknowledged, whole and sound.
func TestPowerCuts(t *testing.T) {
	r := powerRun(t)
	for _, block := range []string{"1024", "4096"} {
		r.mkfs = []string{"-b", block}
		f, err := powerCuts(r)
		if err != nil {
			t.Fatalf("seed %d, blocks of %s: %v", *seed, block, err)
		}
		t.Logf("seed %d, blocks of %s: %d cuts, %d before there was a file; %d writes, %d flushes, %d operations recorded; %d writes were not flushed, in all",
			*seed, block, f.cuts, f.before, f.writes, f.flushes, f.acked, f.pending)
		// Three of four cuts come just after a write; a quick disk has one
		// write a flush, in blocks of 4096.
		if f.cuts != r.cuts || f.pending < f.cuts*2/3 || f.before > f.cuts/2 || f.flushes < f.acked/16 {
			t.Errorf("the record is too dull to show anything: %+v", f)
		}
	}
}

// TestPowerCutsFindMistakes: cuts are worth what they find.
func TestPowerCutsFindMistakes(t *testing.T) {
	r := powerRun(t)
	r.cuts = max(r.cuts, 150)
	mutant := func(name string) cutRun { m := r; m.Mutant = name; return m }
	lies := r
	lies.leaveOut = func(flush int) bool { return flush > 20 && flush%4 != 0 }
	split := mutant("RevokeUserSessions")
	split.cuts *= 2
	split.program = plantedChild(t)
	for _, m := range []struct {
		name string
		run  cutRun
	}{
		{"RevokeUserSessions in two transactions", split},
		{"commits are not synced", mutant("nosync")},
		{"acknowledged before the commit", mutant("ackfirst")},
		{"part of a group in two transactions", mutant("half")},
		{"a disk that leaves flushes out", lies},
	} {
		t.Run(m.name, func(t *testing.T) {
			f, err := powerCuts(m.run)
			if err == nil {
				t.Fatalf("seed %d: not found in %d cuts", *seed, f.cuts)
			}
			// A disk that lies may lose the file system itself.
			lost := m.run.leaveOut != nil && strings.Contains(err.Error(), "corrupted filesystem")
			if f.cuts == 0 || !strings.Contains(err.Error(), "power cut at record") || strings.Contains(err.Error(), "mount:") && !lost {
				t.Fatalf("seed %d: found something else: %v", *seed, err)
			}
			t.Logf("found at cut %d: %.300v", f.cuts, err)
		})
	}
}
