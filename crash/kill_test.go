package main

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// TestKill: a process is killed while it works; nothing that it was told is
// durable is missing, and nothing is half there.
func TestKill(t *testing.T) {
	rng := rand.New(rand.NewPCG(*seed, 3))
	var k killed
	for end := time.Now().Add(*killFor); time.Now().Before(end) || k.acked == 0 && k.kills < 1000; {
		if err := killOnce(job{Seed: rng.Uint64(), Lanes: 16}, rng, &k); err != nil {
			t.Fatalf("seed %d, kill %d: %v", *seed, k.kills, err)
		}
	}
	t.Logf("seed %d: %d kills, %d operations acknowledged", *seed, k.kills, k.acked)
	if k.acked == 0 {
		t.Error("nothing was acknowledged before any of the kills")
	}
}

// TestKillFindsMistakes: a kill sees what is acknowledged too early or done in
// two transactions.
func TestKillFindsMistakes(t *testing.T) {
	for mutant, says := range map[string]string{"ackfirst": "LOST", "half": "HALF"} {
		t.Run(mutant, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(*seed, 3))
			var k killed
			for k.kills < 1000 {
				err := killOnce(job{Seed: rng.Uint64(), Lanes: 16, Mutant: mutant}, rng, &k)
				if err == nil {
					continue
				}
				if !strings.Contains(err.Error(), says) {
					t.Fatalf("found something else: %v", err)
				}
				t.Logf("found by kill %d", k.kills)
				return
			}
			t.Errorf("not found by %d kills", k.kills)
		})
	}
}
