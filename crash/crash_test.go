package main

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	childMain()
	code := m.Run()
	if builtChild != "" {
		os.RemoveAll(filepath.Dir(builtChild))
	}
	os.Exit(code)
}

// How much is tried: little by default, so that everybody runs it, and less
// under the race detector. scripts/crash.sh asks for more.
var (
	seed         = flag.Uint64("seed", 1, "seed of every workload and selection")
	ops          = flag.Int("ops", few(len(operations), 6), "operations of the traced workloads")
	laneOps      = flag.Int("lane-ops", few(6, 2), "operations of each lane of the traced workload")
	full         = flag.Int("full", few(3, 2), "that many writes not synced are tried in all subsets, more in samples")
	samples      = flag.Int("samples", few(2, 1), "number of samples")
	faultSkip    = flag.Int("fault-skip", few(10, 20), "of the runs with failing calls, one in so many; 1 has every call fail once")
	killFor      = flag.Duration("kill", 2*time.Second, "how long to kill processes")
	damagedFiles = flag.Int("damaged", few(300, 60), "number of damaged files")
	cuts         = flag.Int("cuts", 40, "power cuts, for each size of blocks")
	historyFor   = flag.Duration("histories", 2*time.Second, "how long to judge histories of clients")
	loadFor      = flag.Duration("load", 2*time.Second, "how long the load lasts")
)

func few(n, race int) int {
	if raceDetector {
		return race
	}
	return n
}

// traceable fails the test where nothing can be traced, unless it is told to
// go without: a machine on which nothing was tried must not look like one on
// which all is well.
func traceable(t *testing.T) {
	t.Helper()
	err := straceable()
	switch {
	case err == nil:
	case os.Getenv("SNIB_CRASH_NO_STRACE") != "":
		t.Skipf("NOT TESTED, as SNIB_CRASH_NO_STRACE is set: %v", err)
	default:
		t.Fatalf("%v\nset SNIB_CRASH_NO_STRACE=1 to go without", err)
	}
}

func cascadesRun() crashRun {
	return crashRun{job: job{Kind: "cascades", Seed: *seed, Ops: *ops}, sector: 512, full: *full, samples: *samples}
}

func lanesRun() crashRun {
	return crashRun{job: job{Kind: "lanes", Seed: *seed, Ops: *laneOps, Lanes: 8}, sector: 512, full: *full, samples: *samples}
}

func repairsRun() crashRun {
	return crashRun{job: job{Kind: "repairs", Seed: *seed, Ops: few(3, 1), Only: "Repair"}, sector: 512, full: *full, samples: *samples}
}

func upgradeRun(golden string) crashRun {
	return crashRun{job: job{Kind: "upgrade", Golden: golden}, sector: 512, full: *full, samples: *samples}
}

// TestCrashStates: whatever a crash leaves of what was not synced, the file
// opens, is sound, and holds what was acknowledged and nothing by halves.
func TestCrashStates(t *testing.T) {
	traceable(t)
	for name, r := range map[string]crashRun{
		"cascades": cascadesRun(), "groups": lanesRun(), "repairs": repairsRun(),
		"upgrade of accounts": upgradeRun("accounts.snib"), "upgrade of declared": upgradeRun("declared.snib"),
	} {
		t.Run(name, func(t *testing.T) {
			x, err := crashStates(r)
			if err != nil {
				t.Fatalf("seed %d: %v", *seed, err)
			}
			t.Logf("seed %d: %d operations, %d states, %d files inspected, %d comparisons", *seed, x.oracle.operations(), x.states, x.inspected, x.judged)
			if n := x.oracle.operations(); x.states < 10*n {
				t.Errorf("only %d states for %d operations", x.states, n)
			}
		})
	}
}

// TestCrashStatesFindMistakes: the generator finds mistakes that are made on purpose.
func TestCrashStatesFindMistakes(t *testing.T) {
	if raceDetector {
		t.Skip("much too slow with the race detector, which has nothing to find here; scripts/crash.sh runs it without")
	}
	traceable(t)
	// The first operations show each of them.
	short := func(r crashRun) crashRun { r.Ops = min(r.Ops, 6); return r }
	mutant := func(r crashRun, name string) crashRun { r.Mutant = name; return short(r) }
	without := func(r crashRun, meta bool) crashRun { r.leaveOut = unsynced(meta); return short(r) }
	for _, m := range []struct {
		name string
		run  crashRun
		says string
	}{
		{"commits are not synced", mutant(cascadesRun(), "nosync"), ""},
		{"acknowledged before the commit", mutant(cascadesRun(), "ackfirst"), "LOST"},
		{"cascade in two transactions", mutant(cascadesRun(), "half"), "HALF"},
		{"acknowledged before a shared commit", mutant(lanesRun(), "ackfirst"), "LOST"},
		{"part of a group in two transactions", mutant(lanesRun(), "half"), "HALF"},
		{"pages are not synced before the meta page", without(cascadesRun(), false), ""},
		{"the meta page is not synced", without(cascadesRun(), true), ""},
	} {
		t.Run(m.name, func(t *testing.T) {
			x, err := crashStates(m.run)
			if err == nil {
				t.Fatalf("seed %d: not found in %d states", *seed, x.states)
			}
			if x == nil || x.states == 0 || !strings.Contains(err.Error(), m.says) {
				t.Fatalf("seed %d: found something else: %v", *seed, err)
			}
			t.Logf("found after %d states: %.300v", x.states, err)
		})
	}
}

// unsynced leaves out the syncs that follow a write of a meta page, or those
// that follow writes of other pages, of the database at its place.
func unsynced(meta bool) func(*event) bool {
	onMeta, dropping := false, map[string]bool{}
	return func(e *event) bool {
		switch {
		case e.begin && e.call == "pwrite64" && strings.HasSuffix(e.args[0], databaseName):
			onMeta = e.number(3) < 8192
		case e.begin && e.call == "fdatasync" && strings.HasSuffix(e.args[0], databaseName):
			dropping[e.pid] = onMeta == meta
		case e.call != "fdatasync":
			return false
		}
		return e.call == "fdatasync" && dropping[e.pid]
	}
}

// TestBetween: an operation in steps may leave some of its changes, and no other ones.
func TestBetween(t *testing.T) {
	const before, after = "a=11111111aaaaaaaa,22222222bbbbbbbb,33333333cccccccc b=44444444dddddddd", "a=22222222eeeeeeee,33333333cccccccc"
	for found, want := range map[string]bool{
		before: true,
		after:  true,
		"a=22222222bbbbbbbb,33333333cccccccc b=44444444dddddddd":                   true,  // the first is gone
		"a=11111111aaaaaaaa,22222222eeeeeeee,33333333cccccccc":                     true,  // the bucket b
		"a=22222222ffffffff,33333333cccccccc":                                      false, // a third value
		"a=22222222eeeeeeee":                                                       false, // one that was to stay
		"a=33333333cccccccc b=44444444dddddddd":                                    false, // one that was to change
		"a=22222222eeeeeeee,33333333cccccccc c=44444444dddddddd":                   false, // a record elsewhere
		"a=22222222eeeeeeee,33333333cccccccc,55555555aaaaaaaa b=44444444dddddddd ": false,
	} {
		if got := between(before, after, found); got != want {
			t.Errorf("%s: %v, want %v", found, got, want)
		}
	}
}
