package report

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// The figures of a document stand between two lines, of which the first names
// the result that they are from, as a path from the root of the repository.
const (
	markBegin = "<!-- figures: "
	markEnd   = "<!-- end of figures -->"
)

// UpdateDocument replaces the figures of a document by those of a result,
// which must be in the repository of the document, two folders above it at
// most: bench/results.
func UpdateDocument(document, result string) error {
	r, err := Read(result)
	if err != nil {
		return err
	}
	b, err := os.ReadFile(document)
	if err != nil {
		return err
	}
	before, _, after, err := split(string(b))
	if err != nil {
		return fmt.Errorf("%s: %w", document, err)
	}
	name := "bench/results/" + filepath.Base(result)
	text := before + markBegin + name + " -->\n" + r.Figures() + markEnd + after
	return os.WriteFile(document, []byte(text), 0o644)
}

// DocumentFigures returns the figures of a document and the result that they
// say they are from.
func DocumentFigures(document string) (result, figures string, err error) {
	b, err := os.ReadFile(document)
	if err != nil {
		return "", "", err
	}
	_, inner, _, err := split(string(b))
	if err != nil {
		return "", "", fmt.Errorf("%s: %w", document, err)
	}
	result, figures, _ = strings.Cut(inner, " -->\n")
	return result, figures, nil
}

func split(text string) (before, inner, after string, err error) {
	before, rest, ok := strings.Cut(text, markBegin)
	inner, after, ok2 := strings.Cut(rest, markEnd)
	if !ok || !ok2 {
		return "", "", "", fmt.Errorf("no lines %q and %q", markBegin+"… -->", markEnd)
	}
	return before, inner, after, nil
}

// Figures are the tables of a document, in Markdown.
func (r *Result) Figures() string {
	var b strings.Builder
	m := r.Machine
	fmt.Fprintf(&b, "\nMeasured on %s at commit %s: %s, %d processors, %s, kernel %s, stores on %s, %s. Medians of %d rounds of %d ms, "+
		"each of them the median of its batches; in brackets the time of processors.\n\n",
		r.Started.Format("2 January 2006"), r.Commit, m.CPU, m.Processors, m.System, m.Kernel, m.FileSystem, m.Go, r.Settings.Rounds, r.Settings.Millis)
	if m.Busy() {
		fmt.Fprintf(&b, "**These figures are provisional: the machine had other work (load %.1f). Counts and sizes hold, ratios roughly, times do not, "+
			"and no goal is judged by them.**\n\n", m.Load)
	}
	b.WriteString("| work | goal | measured | reached |\n|---|---|---|---|\n")
	for _, g := range goals {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", g.work, g.want, g.measured(r), g.reached(r))
	}
	b.WriteString("\n### The machine\n\n| limit | at once | time |\n|---|---|---|\n")
	for _, row := range r.rows(func(row *Row) bool { return row.Suite == "limits" }) {
		fmt.Fprintf(&b, "| %s | %d | %s |\n", row.Work, row.Workers, Value(row.Value, row.Unit))
	}
	r.contenders(&b)
	r.changes(&b)
	return b.String() + "\n"
}

// documented are the works that the document has tables of.
var documented = []struct {
	title, work string
	workers     int
}{
	{"ValidateSession", "validate", 1}, {"ValidateSession on two processors", "validate", 2},
	{"ValidateSession of the newest 1 %", "validate newest 1 %", 1}, {"ValidateSessionUser", "validate+user", 1},
	{"CreateSession, 1 writer", "create", 1}, {"CreateSession, 64 writers, for each session", "create", 64},
	{"CreateSession, 512 writers, for each session", "create", 512},
	{"ListUserSessions of 10", "list of 10 sessions", 1},
	{"DeleteUser with 10 sessions made over time", "delete user with 10 made over time", 1},
	{"DeleteUser with 1,000 sessions made over time", deleteThousand, 1}, {"Refresh, 64 at once", "refresh", 64},
	{"Size of the files", "file", 0}, {"Open", "open", 0}, {"Check", "check of all", 0},
	{"Pages of one create", "pages of create", 1}, {"Pages of one refresh", "pages of refresh", 1},
	{"Pages of deleting a user with 10 made over time", "pages of delete user with 10 made over time", 1},
	{"Pages of deleting a user with 1,000 made over time", "pages of " + deleteThousand, 1},
}

// contenders writes one table for each of a few works: the time of each
// contender by the number of sessions.
func (r *Result) contenders(b *strings.Builder) {
	for _, c := range documented {
		sizes := r.sizes(c.work)
		if len(sizes) == 0 {
			continue
		}
		fmt.Fprintf(b, "\n### %s\n\n| contender | durability |", c.title)
		for _, n := range sizes {
			fmt.Fprintf(b, " %s sessions |", Count(n))
		}
		b.WriteString("\n|---|---|" + strings.Repeat("---|", len(sizes)) + "\n")
		for _, p := range r.Peers {
			r.contender(b, p, c.work, c.workers, sizes)
		}
	}
}

func (r *Result) contender(b *strings.Builder, p PeerInfo, work string, workers int, sizes []int) {
	line, any := fmt.Sprintf("| %s | %s |", p.Name, p.Durability), false
	for _, n := range sizes {
		row := r.Find(work, n, workers, p.Name)
		if row == nil {
			line += " – |"
			continue
		}
		any = true
		line += " " + Value(row.Value, row.Unit)
		if row.Ratio > 0 && row.Peer != r.Settings.Floor && row.Unit == NsPerOp {
			line += fmt.Sprintf(", %.2g×", row.Ratio)
		}
		if row.CPU > 0 && row.Unit == NsPerOp {
			line += " (" + Value(row.CPU, Ns) + ")"
		}
		line += " |"
	}
	if any {
		b.WriteString(line + "\n")
	}
}
