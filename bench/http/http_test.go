package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/snibdb/snib/bench/http/internal/drive"
)

// sources has the checkouts for the tests, as -src has them: betterauth=FOLDER,theauth=FOLDER.
var sources = (&config{sources: list(os.Getenv("BENCH_SRC"))}).sourcesByName()

// TestEachServer: every server that can be built here does what is asked for, and
// refuses what it must.
func TestEachServer(t *testing.T) {
	built := t.TempDir()
	seen := map[string]bool{}
	for _, c := range drive.Contenders() {
		if seen[c.Module] { // the same program under another setting
			continue
		}
		seen[c.Module] = true
		t.Run(c.Name, func(t *testing.T) {
			program, err := drive.Build(".", built, c, sources)
			if errors.Is(err, drive.ErrNotHere) {
				t.Skip(err)
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := drive.Check(program, c, filepath.Join(t.TempDir(), "files")); err != nil {
				t.Error(err)
			}
		})
	}
	if !seen["servers/snib"] {
		t.Error("snib is no contender")
	}
}

// TestRun measures snib for a moment, kills it, and puts the tables into a document.
func TestRun(t *testing.T) {
	doc := filepath.Join(t.TempDir(), "doc.md")
	if err := os.WriteFile(doc, []byte("before\n"+begin+"old\n"+end+"after\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"-only", "snib", "-rounds", "1", "-for", "1ms", "-clients", "1,2", "-answers", "5", "-dir", t.TempDir(), "-doc", doc}
	if err := run(args, io.Discard, io.Discard); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(doc)
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	for _, want := range []string{"before\n" + begin, end + "after\n", "| snib | this commit | fdatasync |", "**Log-in, requests a second**", "| snib | "} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Contains(text, "old") {
		t.Error("the old tables are still there")
	}
	if err := update(doc, "x"); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(doc, []byte(begin), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := update(doc, "x"); err == nil {
		t.Error("a document with one mark is accepted")
	}
}

// TestTable: medians and spreads are those of the rounds.
func TestTable(t *testing.T) {
	round := func(rate float64, p99 time.Duration) drive.Round {
		return drive.Round{RestMB: 10, PeakMB: rate, Samples: map[string]map[int]drive.Sample{
			drive.Me: {4: {PerSecond: rate, P50: time.Millisecond, P99: p99, Requests: 9}},
		}}
	}
	r := results{
		config: &config{rounds: 3, limits: drive.Limits{Clients: []int{4}}},
		servers: []measured{
			{Contender: drive.Contender{Name: "a"}, rounds: []drive.Round{round(90, 2*time.Millisecond), round(110, 9*time.Millisecond), round(100, 3*time.Millisecond)},
				crash: drive.Crash{SignUps: 7, Lost: 1, LogOuts: 5, Revived: 2}},
			{Contender: drive.Contender{Name: "b", Lost: true, Durable: "nothing is stored"}},
		},
	}
	text := r.String()
	for _, want := range []string{"| a | 100 ± 10 % | 1.00, 3.00 |", "| a | 10.0 | 100 ± 10 % |", "| a | 7 | 1 | 5 | 2 |", "| b | not killed: nothing is stored |"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}
