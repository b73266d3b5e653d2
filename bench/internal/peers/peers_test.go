package peers

import (
	"testing"

	"github.com/snibdb/snib/bench/internal/peer"
)

// TestContendersConform runs the check that the harness runs before it
// measures, so that a contender which is no longer what it seems is seen here.
func TestContendersConform(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range All() {
		if seen[p.Name] {
			t.Errorf("two contenders are named %q", p.Name)
		}
		seen[p.Name] = true
		t.Run(p.Name, func(t *testing.T) {
			if err := peer.Conform(p, t.TempDir()); err != nil {
				t.Error(err)
			}
		})
	}
	if !seen[Floor] || !seen["snib"] {
		t.Error("the floor or snib is missing")
	}
}
