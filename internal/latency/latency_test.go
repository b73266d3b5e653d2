package latency

import (
	"testing"
	"time"
)

// TestHistogram: a bound belongs to its class, and each class has those before it.
func TestHistogram(t *testing.T) {
	var h Histogram
	for _, d := range []time.Duration{0, Bounds[0], Bounds[0] + 1, Bounds[len(Bounds)-1], Bounds[len(Bounds)-1] + 1} {
		h.Observe(d)
	}
	upTo, count, sum := h.Read()
	if want := 2*Bounds[0] + 2*Bounds[len(Bounds)-1] + 2; count != 5 || sum != want {
		t.Errorf("%d of %v, want 5 of %v", count, sum, want)
	}
	if upTo[0] != 2 || upTo[1] != 3 || upTo[len(Bounds)-2] != 3 || upTo[len(Bounds)-1] != 4 {
		t.Errorf("classes %v", upTo)
	}
}
