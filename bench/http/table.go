package main

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/snibdb/snib/bench/http/internal/drive"
	"github.com/snibdb/snib/bench/internal/report"
)

// measured is a server and what it did.
type measured struct {
	drive.Contender
	program, version string
	rounds           []drive.Round
	crash            drive.Crash
}

type results struct {
	config  *config
	machine report.Machine
	servers []measured
	missing []string
	took    time.Duration
}

// String writes the tables as Markdown.
func (r *results) String() string {
	var b strings.Builder
	m := r.machine
	fmt.Fprintf(&b, "Commit %s: %s, %d processors, %s, kernel %s, files on %s, %s. ", report.Commit(), m.CPU, m.Processors, m.System, m.Kernel, m.FileSystem, m.Go)
	fmt.Fprintf(&b, "Medians of %d rounds, %s for each work by %s clients, %d s in all. Other work kept %.2f of the processors busy.\n",
		r.config.rounds, r.config.limits.For, strings.Join(r.clients(), ", "), int(r.took.Seconds()), m.Load)
	if m.Busy() {
		b.WriteString("**Provisional: the machine was busy with other work, and the figures prove nothing.**\n")
	}
	if len(r.missing) > 0 {
		fmt.Fprintf(&b, "Not built here: %s.\n", strings.Join(r.missing, "; "))
	}
	r.settings(&b)
	for _, work := range drive.Works() {
		r.work(&b, work)
	}
	r.memory(&b)
	r.kills(&b)
	return b.String()
}

func (r *results) clients() (list []string) {
	for _, n := range r.config.limits.Clients {
		list = append(list, fmt.Sprint(n))
	}
	return list
}

func heading(b *strings.Builder, title string, columns ...string) {
	fmt.Fprintf(b, "\n**%s**\n\n| server | %s |\n|%s\n", title, strings.Join(columns, " | "), strings.Repeat("---|", len(columns)+1))
}

func row(b *strings.Builder, cells ...string) {
	fmt.Fprintf(b, "| %s |\n", strings.Join(cells, " | "))
}

func (r *results) settings(b *strings.Builder) {
	heading(b, "Settings", "version", "an answer promises", "passwords", "checked at each request", "log-out ends")
	for _, s := range r.servers {
		row(b, s.Name, s.version, s.Durable, s.Hash, s.Checks, s.LogOut)
	}
}

// work writes a table of rates and times: the median of the rounds, ± half of their
// range.
func (r *results) work(b *strings.Builder, work string) {
	var columns []string
	for _, n := range r.clients() {
		columns = append(columns, "by "+n, "p50, p99 ms")
	}
	heading(b, strings.ToUpper(work[:1])+work[1:]+", requests a second", columns...)
	for _, s := range r.servers {
		cells := []string{s.Name}
		for _, n := range r.config.limits.Clients {
			var rates, p50, p99 []float64
			refused := 0
			for _, round := range s.rounds {
				x := round.Samples[work][n]
				rates, p50, p99 = append(rates, x.PerSecond), append(p50, milliseconds(x.P50)), append(p99, milliseconds(x.P99))
				refused += x.Refused
			}
			rate := fmt.Sprintf("%s ± %.0f %%", digits(report.Median(rates)), 100*report.Spread(rates))
			if refused > 0 {
				rate += fmt.Sprintf(", %d asked to wait", refused)
			}
			cells = append(cells, rate, digits(report.Median(p50))+", "+digits(report.Median(p99)))
		}
		row(b, cells...)
	}
}

func (r *results) memory(b *strings.Builder) {
	most := slices.Max(r.config.limits.Clients)
	heading(b, "Resident memory, MB", "after the start", fmt.Sprintf("peak of %d log-ins at once", most))
	for _, s := range r.servers {
		var rest, peak []float64
		for _, round := range s.rounds {
			rest, peak = append(rest, round.RestMB), append(peak, round.PeakMB)
		}
		row(b, s.Name, digits(report.Median(rest)), fmt.Sprintf("%s ± %.0f %%", digits(report.Median(peak)), 100*report.Spread(peak)))
	}
}

func (r *results) kills(b *strings.Builder) {
	heading(b, "kill -9 among sign-ups and log-outs, and a new start", "sign-ups acknowledged", "lost", "log-outs acknowledged", "accepted again")
	for _, s := range r.servers {
		if s.Lost {
			row(b, s.Name, "not killed: "+s.Durable, "–", "–", "–")
			continue
		}
		c := s.crash
		row(b, s.Name, fmt.Sprint(c.SignUps), fmt.Sprint(c.Lost), fmt.Sprint(c.LogOuts), fmt.Sprint(c.Revived))
	}
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// digits writes a figure with two or three digits that say something.
func digits(f float64) string {
	switch {
	case f >= 100:
		return fmt.Sprintf("%.0f", f)
	case f >= 10:
		return fmt.Sprintf("%.1f", f)
	default:
		return fmt.Sprintf("%.2f", f)
	}
}

// The marks of the tables in a document.
const (
	begin = "<!-- figures of bench/http -->\n"
	end   = "<!-- end of figures of bench/http -->\n"
)

// update puts the tables into a document.
func update(name, text string) error {
	b, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	before, rest, ok := bytes.Cut(b, []byte(begin))
	_, after, closed := bytes.Cut(rest, []byte(end))
	if !ok || !closed {
		return fmt.Errorf("%s has not both marks: %s%s", name, begin, end)
	}
	return os.WriteFile(name, slices.Concat(before, []byte(begin), []byte("\n"+text+"\n"), []byte(end), after), 0o644)
}
