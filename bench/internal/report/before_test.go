package report

import (
	"regexp"
	"strings"
	"testing"
)

// TestBeforeIsComparedRoundByRound: the row of snib, and no other, says how much
// of the time before it takes, in the median and in the best and worst round.
func TestBeforeIsComparedRoundByRound(t *testing.T) {
	r := &Result{Rows: []Row{
		{Work: "a", Sessions: 10, Workers: 1, Peer: subject, Unit: NsPerOp, Rounds: []float64{50, 160, 120}},
		{Work: "a", Sessions: 10, Workers: 1, Peer: Before, Unit: NsPerOp, Rounds: []float64{100, 200, 100}},
		{Work: "a", Sessions: 10, Workers: 1, Peer: "x", Unit: NsPerOp, Rounds: []float64{10, 20, 10}},
	}}
	r.Finish()
	if r.Rows[0].Before != 0.8 || r.Rows[1].Before != 0 || r.Rows[2].Before != 0 {
		t.Errorf("ratios %v, %v, %v; want 0.8 of the first alone", r.Rows[0].Before, r.Rows[1].Before, r.Rows[2].Before)
	}
	var b strings.Builder
	if err := r.Table(&b); err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`(?m)^a +10 +1 +snib .* 0\.80 \(0\.50–1\.20\) `).MatchString(b.String()) {
		t.Errorf("the table does not show it:\n%s", b.String())
	}
}

func TestBatchesAreTenthAndNinetieth(t *testing.T) {
	var list []float64
	for i := range 100 {
		list = append(list, float64(99-i))
	}
	if got := *NewBatches(list); got != (Batches{100, 10, 90}) {
		t.Errorf("got %+v", got)
	}
	if NewBatches(nil) != nil {
		t.Error("batches of nothing")
	}
}
