package main

import (
	"strings"
	"testing"
)

// TestCramped: where the address space ends, what was acknowledged stays, the
// handle goes on or is closed, and with space the file goes on.
func TestCramped(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector needs the address space itself")
	}
	closed := 0
	for _, mib := range []int{8, 32, 64, 160} {
		c, err := runCramped(mib, 4500)
		if err != nil {
			t.Errorf("%d MiB: %v", mib, err)
		}
		if c.death != "" && !strings.Contains(c.death, "out of memory") && !strings.Contains(c.death, "pthread_create failed") && !strings.Contains(c.death, "cannot allocate") {
			t.Errorf("%d MiB: the process ended by %s", mib, c.death)
		}
		if c.closed {
			closed++
		}
		t.Logf("%d MiB: %d acknowledged, %d begun, closed %t; %s %s", mib, c.acked, c.begun, c.closed, c.failure, c.death)
	}
	if closed == 0 {
		t.Error("the map never failed to grow")
	}
}
