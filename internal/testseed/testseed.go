// Package testseed gives random tests their seed: the same in each run, so that a
// change alone decides about its tests, or one that is drawn, for scripts/soak.sh.
package testseed

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
)

// variable is a number, or "draw". Without it the seed is 1.
const variable = "SNIB_TEST_SEED"

// Of returns the seed of a test, and logs how to have it again.
func Of(tb testing.TB) uint64 {
	tb.Helper()
	seed := uint64(1)
	switch text := os.Getenv(variable); text {
	case "":
	case "draw":
		seed = rand.Uint64()
	default:
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			tb.Fatalf("%s: %v", variable, err)
		}
	}
	tb.Logf("%s=%d", variable, seed)
	return seed
}
