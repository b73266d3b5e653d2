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
		case v == 0:
			return "–"
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

// toFloor is snib's time as a part of the floor's.
func toFloor(work string, sessions, workers int) func(*Result) float64 {
	return func(r *Result) float64 {
		workers := workers
		if workers == everyone {
			workers = r.Machine.Processors
		}
		if row := r.Find(work, orSize(r, sessions), workers, subject); row != nil {
			return row.Ratio
		}
		return 0
	}
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

// between compares two works of snib.
func between(work, with string, ratio func(a, b *Row) float64) func(*Result) float64 {
	return func(r *Result) float64 {
		n := orSize(r, 0)
		a, b := r.Find(work, n, 1, subject), r.Find(with, n, 1, subject)
		if a == nil || b == nil {
			return 0
		}
		return ratio(a, b)
	}
}

// p99 are the two ways to compare the p99 of two works: of the calls
// themselves, which does not count what a caller has waited for a processor
// before it called, and from when each was due.
func p99(work, with string) []part {
	calls := func(a, b *Row) float64 {
		if a.Service == nil || b.Service == nil || b.Service.P99 == 0 {
			return 0
		}
		return float64(a.Service.P99) / float64(b.Service.P99)
	}
	responses := func(a, b *Row) float64 { return Ratio(a.Rounds, b.Rounds) }
	return []part{{between(work, with, calls), 3, false, times}, {between(work, with, responses), 3, false, times}}
}

// atSizes is a work of so many workers at 10 k, 100 k and 1 M sessions, each
// with its limit to the floor.
func atSizes(work string, workers int, limits [3]float64) (list []part) {
	for i, sessions := range []int{10_000, 100_000, 1_000_000} {
		list = append(list, part{toFloor(work, sessions, workers), limits[i], false, times})
	}
	return list
}

// figure is a value of snib.
func figure(work string, sessions int) func(*Result) float64 {
	return func(r *Result) float64 {
		if row := r.Find(work, sessions, 0, subject); row != nil {
			return row.Value
		}
		return 0
	}
}

// orSize is the size at which what names none is judged: 100,000 sessions, or
// the largest that was measured.
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

var goals = []goal{
	{"ValidateSession at 10 k / 100 k / 1 M sessions, against `View` and `Get` of the same record", "≤ 0.50× / 0.65× / 0.70×", atSizes("validate", 1, [3]float64{0.50, 0.65, 0.70})},
	{"the same on all processors at once", "≤ 0.50× / 0.65× / 0.70×", atSizes("validate", everyone, [3]float64{0.50, 0.65, 0.70})},
	{"ValidateSession, allocations", "≤ 1", []part{{allocated("validate"), 1.05, false, allocs}}},
	{"ValidateSessionUser at 10 k / 100 k / 1 M, against the two `Get`s", "≤ 0.80×", atSizes("validate+user", 1, [3]float64{0.80, 0.80, 0.80})},
	{"the same on all processors at once", "≤ 0.80×", atSizes("validate+user", everyone, [3]float64{0.80, 0.80, 0.80})},
	{"ValidateSessionUser, allocations", "≤ 3", []part{{allocated("validate+user"), 3.05, false, allocs}}},
	{"CreateSession by 1 / 64 / 512 writers, against one `Update` each", "≥ 1× / 9× / 16×", []part{
		{faster("create", 1, "bbolt"), 1, true, speedUp}, {faster("create", 64, "bbolt"), 9, true, speedUp}, {faster("create", 512, "bbolt"), 16, true, speedUp}}},
	{"Validate / create by 64 writers, against scs on bbolt", "≥ 15× / 8×", []part{
		{faster("validate", 1, "scs-bbolt"), 15, true, speedUp}, {faster("create", 64, "scs-bbolt"), 8, true, speedUp}}},
	{"Validate / create by 64 writers, against SQLite (WAL, FULL)", "≥ 6× / 4×", []part{
		{faster("validate", 1, "sqlite-full"), 6, true, speedUp}, {faster("create", 64, "sqlite-full"), 4, true, speedUp}}},
	{"DeleteUser with 1,000 sessions, against SQLite's cascade (FULL), ids random / in the order of time", "≥ 10×", []part{
		{faster("delete user with 1000", 1, "sqlite-random"), 10, true, speedUp}, {faster("delete user with 1000", 1, "sqlite-full"), 10, true, speedUp}}},
	{"p99 of validations while 64 writers create, against idle: the call / from when it was due", "≤ 3×", p99("validate while 64 create, p99", "validate, idle, p99")},
	{"p99 of validations during a sweep, against before: the call / from when it was due", "≤ 3×", p99("validate during a sweep, p99", "validate before a sweep, p99")},
	{"1 M sessions and 100 k users: file / open / heap after opening", "≤ 330 MB / 50 ms / 16 MB", []part{
		{figure("file", 1_000_000), 330e6, false, size}, {figure("open", 1_000_000), 50e6, false, duration}, {figure("heap after open", 1_000_000), 16e6, false, size}}},
}
