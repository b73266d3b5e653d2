package report

import (
	"fmt"
	"html"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// WriteHTML writes a page of plots, index.html in dir. It refers to nothing
// outside of itself, so it opens anywhere and at any time.
func WriteHTML(dir string, r *Result) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "index.html"), []byte(r.page()), 0o644)
}

func (r *Result) page() string {
	var b strings.Builder
	b.WriteString("<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">" +
		"<title>snib: measurements</title>\n<style>" + r.style() + "</style>\n<main><h1>snib: measurements</h1>\n")
	m := r.Machine
	fmt.Fprintf(&b, "<p>Commit %s, %s. %s, %d processors, %s, kernel %s, %s. Medians of %d rounds. Scales are logarithmic.</p>\n",
		html.EscapeString(r.Commit), r.Started.Format("2 January 2006"), html.EscapeString(m.CPU), m.Processors, m.System,
		html.EscapeString(m.Kernel), m.FileSystem, r.Settings.Rounds)
	b.WriteString(r.peersTable())
	for _, work := range r.works(func(row *Row) bool { return row.Service != nil || row.Response != nil }) {
		for _, n := range r.sizes(work) {
			r.section(&b, fmt.Sprintf("Latency: %s, %s sessions", work, Count(n)), r.latencyPlot(work, n))
		}
	}
	for _, n := range r.sizes("create") {
		r.section(&b, fmt.Sprintf("Throughput of create by writers, %s sessions", Count(n)), r.throughput("create", "writers", func(row *Row) float64 {
			return float64(row.Workers)
		}, func(row *Row) bool { return row.Sessions == n }))
	}
	for _, work := range []string{"validate", "validate+user", "create"} {
		r.section(&b, "Throughput of "+work+" by sessions in the store", r.throughput(work, "sessions", func(row *Row) float64 {
			return float64(row.Sessions)
		}, func(row *Row) bool { return row.Workers == 1 }))
	}
	for _, n := range r.sizes("file") {
		rows := r.rows(func(row *Row) bool { return row.Work == "file" && row.Sessions == n })
		r.section(&b, fmt.Sprintf("Size of the files, %s sessions", Count(n)), bars("size", rows, r.color))
	}
	var table strings.Builder
	_ = r.Table(&table) // a Builder does not fail
	fmt.Fprintf(&b, "<h2>All figures</h2>\n<pre>%s</pre>\n</main></html>\n", html.EscapeString(table.String()))
	return b.String()
}

func (r *Result) section(b *strings.Builder, title, svg string) {
	if svg != "" {
		fmt.Fprintf(b, "<section><h2>%s</h2>%s</section>\n", html.EscapeString(title), svg)
	}
}

func (r *Result) peersTable() string {
	var b strings.Builder
	b.WriteString("<table><tr><th>contender<th>durability of writes<th>\n")
	for _, p := range r.Peers {
		fmt.Fprintf(&b, "<tr><td>%s<td>%s<td>%s\n", html.EscapeString(p.Name), html.EscapeString(p.Durability), html.EscapeString(p.Note))
	}
	b.WriteString("</table>\n<p>")
	for _, module := range slices.Sorted(maps.Keys(r.Versions)) {
		fmt.Fprintf(&b, "%s %s. ", html.EscapeString(module), html.EscapeString(r.Versions[module]))
	}
	b.WriteString("</p>\n")
	return b.String()
}

// color gives each contender its own, the same in every plot.
func (r *Result) color(peer string) int {
	return slices.IndexFunc(r.Peers, func(p PeerInfo) bool { return p.Name == peer }) % colors
}

func (r *Result) rows(pass func(*Row) bool) (list []*Row) {
	for i := range r.Rows {
		if pass(&r.Rows[i]) {
			list = append(list, &r.Rows[i])
		}
	}
	return list
}

// works are the names of works that have such rows, in their order.
func (r *Result) works(pass func(*Row) bool) (list []string) {
	for _, row := range r.rows(pass) {
		if !slices.Contains(list, row.Work) {
			list = append(list, row.Work)
		}
	}
	return list
}

// sizes are the numbers of sessions at which a work was measured.
func (r *Result) sizes(work string) (list []int) {
	for _, row := range r.rows(func(row *Row) bool { return row.Work == work && row.Sessions > 0 }) {
		if !slices.Contains(list, row.Sessions) {
			list = append(list, row.Sessions)
		}
	}
	return list
}

// latencyPlot draws the distributions of a work over the part of operations
// that took longer, one in 2 to one in 100,000.
func (r *Result) latencyPlot(work string, sessions int) string {
	p := &plot{title: work, xLabel: "one operation in so many takes longer", yLabel: "latency"}
	var xs, ys []float64
	for _, row := range r.rows(func(row *Row) bool { return row.Work == work && row.Sessions == sessions && row.Workers <= 64 }) {
		l := row.Response
		if l == nil {
			l = row.Service
		}
		if l == nil || r.has(p, row.Peer) {
			continue
		}
		s := series{name: row.Peer, color: max(0, r.color(row.Peer))}
		for _, point := range l.Curve {
			if point[0] >= 50 && point[1] > 0 {
				x := 100 / (100 - point[0])
				s.points = append(s.points, [2]float64{x, point[1]})
				xs, ys = append(xs, x), append(ys, point[1])
			}
		}
		p.series = append(p.series, s)
	}
	if len(xs) == 0 {
		return ""
	}
	p.x, p.y = logAxis(xs, plain), logAxis(ys, duration)
	return p.svg()
}

func (r *Result) has(p *plot, peer string) bool {
	return slices.ContainsFunc(p.series, func(s series) bool { return s.name == peer })
}

// throughput draws operations a second of a work.
func (r *Result) throughput(work, xLabel string, x func(*Row) float64, pass func(*Row) bool) string {
	p := &plot{title: work, xLabel: xLabel, yLabel: "operations a second"}
	var xs, ys []float64
	for _, row := range r.rows(func(row *Row) bool { return row.Work == work && row.Value > 0 && pass(row) }) {
		i := slices.IndexFunc(p.series, func(s series) bool { return s.name == row.Peer })
		if i < 0 {
			i = len(p.series)
			p.series = append(p.series, series{name: row.Peer, color: max(0, r.color(row.Peer))})
		}
		point := [2]float64{x(row), 1e9 / row.Value}
		p.series[i].points = append(p.series[i].points, point)
		xs, ys = append(xs, point[0]), append(ys, point[1])
	}
	if len(xs) == 0 || slices.Min(xs) == slices.Max(xs) {
		return "" // one place is no line
	}
	p.x, p.y = logAxis(xs, plain), logAxis(ys, plain)
	return p.svg()
}

func plain(v float64) string { return Count(int(v + 0.5)) }
