package report

import (
	"math"
	"testing"
)

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   float64
	}{
		{nil, 0}, {[]float64{7}, 7}, {[]float64{9, 1, 5}, 5}, {[]float64{4, 1, 2, 100}, 3},
	} {
		given := append([]float64(nil), c.values...)
		if got := Median(given); got != c.want {
			t.Errorf("Median(%v) = %v, want %v", c.values, got, c.want)
		}
		for i := range given {
			if given[i] != c.values[i] {
				t.Errorf("Median changed its argument to %v", given)
			}
		}
	}
}

func TestSpread(t *testing.T) {
	if got := Spread([]float64{90, 100, 130}); got != 0.2 {
		t.Errorf("got %v, want 0.2", got)
	}
	if got := Spread(nil); got != 0 {
		t.Errorf("of nothing: %v", got)
	}
}

// TestRatioPairsRounds: a machine that is three times as slow in one round is
// so for both, and changes nothing about which is faster.
func TestRatioPairsRounds(t *testing.T) {
	for name, c := range map[string]struct {
		values, floor []float64
		want          float64
	}{
		"a slow round":   {[]float64{50, 150, 51}, []float64{100, 300, 102}, 0.5},
		"rounds missing": {[]float64{50, 60}, []float64{100}, 0.5},
		"no floor":       {[]float64{50}, nil, 0},
		"a floor of 0":   {[]float64{50, 50}, []float64{0, 100}, 0.5},
	} {
		if got := Ratio(c.values, c.floor); math.Abs(got-c.want) > 1e-9 {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
}

// TestRatiosComparePlaceByPlace: a row is compared with the floor at the same
// work, number of sessions and number of workers, and with no other.
func TestRatiosComparePlaceByPlace(t *testing.T) {
	r := &Result{Settings: Settings{Floor: "floor"}, Rows: []Row{
		{Work: "a", Sessions: 10, Workers: 1, Peer: "floor", Rounds: []float64{100}},
		{Work: "a", Sessions: 20, Workers: 1, Peer: "floor", Rounds: []float64{400}},
		{Work: "a", Sessions: 20, Workers: 1, Peer: "x", Rounds: []float64{100}},
		{Work: "a", Sessions: 20, Workers: 2, Peer: "x", Rounds: []float64{100}},
		{Work: "b", Sessions: 20, Workers: 1, Peer: "x", Rounds: []float64{100}},
	}}
	r.Finish()
	for i, want := range []float64{1, 1, 0.25, 0, 0} {
		if got := r.Rows[i].Ratio; got != want {
			t.Errorf("row %d: ratio %v, want %v", i, got, want)
		}
	}
}
