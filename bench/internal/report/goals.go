package report

import (
	"fmt"
	"slices"
	"strings"
)

// A goal is one line of the table that the project holds itself to. A figure
// that a result lacks is shown as a dash, and the goal is not judged.
type goal struct {
	work, want string
	parts      []part
}

// part is one figure of a goal with its limit.
type part struct {
	figure func(*Result) float64 // 0: not measured
	limit  float64
	least  bool // the figure must be at least the limit, else at most
	format func(float64) string
}

func (g goal) measured(r *Result) string {
	var list []string
	for _, p := range g.parts {
		text := "–"
		if v := p.figure(r); v > 0 {
			text = p.format(v)
		}
		list = append(list, text)
	}
	return strings.Join(list, " / ")
}

func (g goal) reached(r *Result) string {
	if r.Machine.Busy() {
		return "–"
	}
	for _, p := range g.parts {
		v := p.figure(r)
		switch {
		case v == 0, p.limit == 0:
			return "–" // not measured, or no goal
		case p.least && v < p.limit, !p.least && v > p.limit:
			return "no"
		}
	}
	return "yes"
}

func times(v float64) string   { return fmt.Sprintf("%.2f×", v) }
func speedUp(v float64) string { return fmt.Sprintf("%.1f×", v) }
func allocs(v float64) string  { return fmt.Sprintf("%.1f allocations", v) }

const subject = "snib"

// everyone stands for as many workers as the machine has processors.
const everyone = -1

// ratioOf is one of the ratios of a row of snib.
func ratioOf(of func(*Row) float64, work string, sessions, workers int) func(*Result) float64 {
	return func(r *Result) float64 {
		workers := workers
		if workers == everyone {
			workers = r.Machine.Processors
		}
		if row := r.Find(work, orSize(r, sessions), workers, subject); row != nil {
			return of(row)
		}
		return 0
	}
}

// toFloor is snib's time as a part of the floor's.
func toFloor(work string, sessions, workers int) func(*Result) float64 {
	return ratioOf(func(row *Row) float64 { return row.Ratio }, work, sessions, workers)
}

// toChecks is snib's time as a part of that of the same checks on bbolt.
func toChecks(work string, sessions, workers int) func(*Result) float64 {
	return ratioOf(func(row *Row) float64 { return row.Checked }, work, sessions, workers)
}

// faster is how many times as long another contender takes.
func faster(work string, workers int, than string) func(*Result) float64 {
	return func(r *Result) float64 {
		n := orSize(r, 0)
		ours, theirs := r.Find(work, n, workers, subject), r.Find(work, n, workers, than)
		if ours == nil || theirs == nil {
			return 0
		}
		return Ratio(theirs.Rounds, ours.Rounds)
	}
}

// allocated are snib's allocations an operation. One that is counted now and
// then, by the runtime, is not the operation's.
func allocated(work string) func(*Result) float64 {
	return func(r *Result) float64 {
		if row := r.Find(work, orSize(r, 0), 1, subject); row != nil {
			return row.Allocs
		}
		return 0
	}
}

// between compares two works of snib by so many workers.
func between(work, with string, workers int, ratio func(a, b *Row) float64) func(*Result) float64 {
	return func(r *Result) float64 {
		n := orSize(r, 0)
		a, b := r.Find(work, n, workers, subject), r.Find(with, n, workers, subject)
		if a == nil || b == nil {
			return 0
		}
		return ratio(a, b)
	}
}

func rounds(a, b *Row) float64 { return Ratio(a.Rounds, b.Rounds) }

// p99 are the two ways to compare the p99 of two works: of the calls
// themselves, which leaves out a caller's wait for a processor before the call,
// and from when each was due.
func p99(work, with string) []part {
	calls := func(a, b *Row) float64 {
		if a.Service == nil || b.Service == nil || b.Service.P99 == 0 {
			return 0
		}
		return float64(a.Service.P99) / float64(b.Service.P99)
	}
	return []part{{between(work, with, 1, calls), 3, false, times}, {between(work, with, 1, rounds), 3, false, times}}
}

// atSizes is a figure at 10 k, 100 k and 1 M sessions.
func atSizes(of func(work string, sessions, workers int) func(*Result) float64, work string, workers int, limit float64) (list []part) {
	for _, sessions := range []int{10_000, 100_000, 1_000_000} {
		list = append(list, part{of(work, sessions, workers), limit, false, times})
	}
	return list
}

// figure is a value of snib, of a number of workers or without one.
func figure(work string, sessions, workers int) func(*Result) float64 {
	return func(r *Result) float64 {
		if row := r.Find(work, orSize(r, sessions), workers, subject); row != nil {
			return row.Value
		}
		return 0
	}
}

// orSize is the size at which a goal that names no size is judged: 100,000
// sessions, or the largest that was measured.
func orSize(r *Result, sessions int) int {
	const usual = 100_000
	if sessions > 0 || len(r.Settings.Sessions) == 0 {
		return sessions
	}
	if slices.Contains(r.Settings.Sessions, usual) {
		return usual
	}
	return slices.Max(r.Settings.Sessions)
}
