package main

import (
	"maps"
	"slices"
	"testing"
)

// TestFaults: whichever write, sync or change of length fails, what is said is
// what is documented, nothing is lost, and the program can go on.
func TestFaults(t *testing.T) {
	traceable(t)
	hits, outcomes, runs, all := map[string]int{}, map[string]int{}, 0, 0
	// An operation must get through between two failures, so the steps are
	// longer than any has calls.
	for call, step := range map[string]int{"pwrite64": 41, "fdatasync": 7, "ftruncate": 3, "fsync": 7} {
		for _, errno := range []string{"EIO", "ENOSPC"} {
			for first := 1; first <= step; first += *faultSkip {
				in := injection{call, errno, first, step}
				run, err := runFaults(job{Seed: *seed, Ops: *ops}, in)
				if err != nil {
					t.Fatalf("seed %d: %v", *seed, err)
				}
				runs, all = runs+1, all+run.all()
				for k, n := range run.hits {
					hits[k] += n
				}
				for k, n := range run.outcomes {
					outcomes[k] += n
				}
			}
		}
	}
	t.Logf("seed %d: %d runs, %d calls made to fail, in %d operations and calls", *seed, runs, all, len(hits))
	for _, k := range slices.Sorted(maps.Keys(outcomes)) {
		t.Logf("%5d %s", outcomes[k], k)
	}
	for _, must := range []string{"EIO pwrite64: plain", "ENOSPC pwrite64: full", "EIO fdatasync: unknown", "EIO ftruncate: plain", "ENOSPC ftruncate: full"} {
		if outcomes[must] == 0 && *ops >= len(operations) {
			t.Errorf("never seen: %s", must)
		}
	}
}
