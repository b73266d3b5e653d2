package load

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/snibdb/snib/bench/internal/peers"
	"github.com/snibdb/snib/bench/internal/report"
)

// TestMain lets the test's binary be the other process.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == "-serve" {
		if err := Serve(os.Stdin, os.Stdout); err != nil {
			panic(err)
		}
		return
	}
	os.Exit(m.Run())
}

func TestSampleIsSentWhole(t *testing.T) {
	want, err := timedLoop(Plan{For: time.Millisecond, Workers: 1}, operation{do: func(int, *rand.Rand, string) error { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	got := pack(want).unpack()
	if !reflect.DeepEqual(got.Batches, want.Batches) || !got.Service.Equals(want.Service) || got.Ops != want.Ops || got.CPU != want.CPU || got.Response != nil {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// TestOtherProcessTakesTurns measures snib here and in another process, which
// passes over what it does not know.
func TestOtherProcessTakesTurns(t *testing.T) {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	other, err := NewRemote(program)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	ours, err := NewSubject(peers.Snib(), filepath.Join(dir, "ours"), 200)
	if err != nil {
		t.Fatal(err)
	}
	p := peers.Snib()
	p.Name = report.Before
	theirs, err := other.Subject(p, filepath.Join(dir, "theirs"), 200)
	if err != nil {
		t.Fatal(err)
	}
	subjects := []*Subject{ours, theirs}
	r := Runner{Rounds: 2, For: time.Millisecond, Rate: 500, Seed: 1}
	for _, c := range append(Reads(), Writes([]int{3})...) {
		rows, err := r.Run(c, subjects)
		if err != nil || len(rows) != 2 || rows[1].Peer != report.Before || len(rows[1].Rounds) != 2 || rows[1].Rounds[1] <= 0 {
			t.Fatalf("%s: %+v, %v", c.Work, rows, err)
		}
	}
	rows, err := r.Figures(Figures()[0], subjects)
	if err != nil || len(rows) != 4 || rows[2].Peer != report.Before || rows[2].Rounds[0] <= 0 {
		t.Errorf("figures %+v, %v", rows, err)
	}
	if ok, err := theirs.can(Case{Suite: "read", Work: "of the future", Workers: 1}); ok || err != nil {
		t.Errorf("a work that is not known there: %v, %v", ok, err)
	}
	if err := theirs.Close(); err != nil {
		t.Error(err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "theirs*")); err != nil || len(left) > 0 {
		t.Errorf("%v is left, %v", left, err)
	}
	if _, err := theirs.can(Reads()[0]); err == nil {
		t.Error("a store that is closed was asked without an error")
	}
	if err := other.Close(); err != nil {
		t.Error(err)
	}
	if err := ours.Close(); err != nil {
		t.Error(err)
	}
}
