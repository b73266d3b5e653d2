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

// TestDocumentHasBothCommits: a document of a run with a commit before it shows
// both figures and their ratio, and one without shows nothing of it.
func TestDocumentHasBothCommits(t *testing.T) {
	row := func(peer string, sessions int, rounds ...float64) Row {
		return Row{Work: "validate", Sessions: sessions, Workers: 1, Peer: peer, Unit: NsPerOp, Rounds: rounds}
	}
	r := &Result{Rows: []Row{row(subject, 10, 50, 160, 120), row(Before, 10, 100, 200, 100), row(subject, 20, 1)}}
	r.Settings.Sessions = []int{10, 20}
	r.Finish()
	if strings.Contains(r.Figures(), "Against commit") {
		t.Error("a commit is named that was not measured")
	}
	r.Settings.Before = "abc"
	const want = "### Against commit abc"
	const line = "| ValidateSession | 120 ns (100 ns), 0.8× | – |\n"
	if got := r.Figures(); !strings.Contains(got, want) || !strings.Contains(got, line) {
		t.Errorf("no %q or no %q in\n%s", want, line, got)
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
