package report

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Table writes all rows as one table.
func (r *Result) Table(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "work\tsessions\tworkers\tcontender\tvalue\t±\tbatches 10–90 %\tcpu\t× floor\t× checks\t× before\tper second\tallocs\tp50\tp99\tp99.9\tdurability")
	for i := range r.Rows {
		row := &r.Rows[i]
		if i > 0 && row.Peer == r.Settings.Floor && row.group() != r.Rows[i-1].group() {
			fmt.Fprintln(t, strings.Repeat("\t", 16))
		}
		fmt.Fprintln(t, strings.Join(r.cells(row), "\t"))
	}
	return t.Flush()
}

func (r *Result) cells(row *Row) []string {
	spread := ""
	if len(row.Rounds) > 1 {
		spread = fmt.Sprintf("%.0f%%", 100*Spread(row.Rounds))
	}
	cells := []string{row.Work, Count(row.Sessions), orDash(row.Workers > 0, fmt.Sprint(row.Workers)), row.Peer, Value(row.Value, row.Unit), spread}
	batches := "-"
	if b := row.Batches; b != nil {
		batches = Value(b.P10, Ns) + "–" + Value(b.P90, Ns)
	}
	cells = append(cells, batches, orDash(row.CPU > 0, Value(row.CPU, Ns)), ratio(row.Ratio), ratio(row.Checked), r.beforeCell(row),
		orDash(row.Unit == NsPerOp && row.Value > 0, Count(int(1e9/max(1, row.Value)))),
		orDash(row.Heap > 0 || row.Allocs > 0, fmt.Sprintf("%.1f", row.Allocs)))
	latency := row.Response
	if latency == nil {
		latency = row.Service
	}
	if latency != nil {
		cells = append(cells, Value(float64(latency.P50), Ns), Value(float64(latency.P99), Ns), Value(float64(latency.P999), Ns))
	} else {
		cells = append(cells, "-", "-", "-")
	}
	return append(cells, r.durability(row.Peer))
}

func (r *Result) durability(peer string) string {
	for _, p := range r.Peers {
		if p.Name == peer {
			return p.Durability
		}
	}
	return ""
}

// beforeCell is the ratio to the commit before, with that of the best and of
// the worst round: below 1 the present commit is faster.
func (r *Result) beforeCell(row *Row) string {
	if row.Before == 0 {
		return "-"
	}
	list := quotients(row.Rounds, r.Find(row.Work, row.Sessions, row.Workers, Before).Rounds)
	return fmt.Sprintf("%.2f (%.2f–%.2f)", row.Before, slices.Min(list), slices.Max(list))
}

func ratio(v float64) string { return orDash(v > 0, fmt.Sprintf("%.2f", v)) }

func orDash(ok bool, text string) string {
	if ok {
		return text
	}
	return "-"
}

// Count writes a number as people say it: 10 k, 1 M.
func Count(n int) string {
	switch {
	case n == 0:
		return "-"
	case n >= 1_000_000:
		return trim(fmt.Sprintf("%.2f", float64(n)/1e6)) + " M"
	case n >= 10_000:
		return trim(fmt.Sprintf("%.1f", float64(n)/1e3)) + " k"
	}
	return fmt.Sprint(n)
}

func trim(s string) string { return strings.TrimSuffix(strings.TrimRight(s, "0"), ".") }

// Value writes a figure in its unit with three digits that count.
func Value(v float64, unit string) string {
	switch unit {
	case NsPerOp, Ns:
		return duration(v)
	case Bytes, BytesPerOp:
		return size(v)
	}
	return fmt.Sprintf("%.3g", v)
}

func duration(ns float64) string {
	switch {
	case ns < 1000:
		return fmt.Sprintf("%.3g ns", ns)
	case ns < 1e6:
		return fmt.Sprintf("%.3g µs", ns/1e3)
	case ns < 1e9:
		return fmt.Sprintf("%.3g ms", ns/1e6)
	}
	return time.Duration(ns).Round(10 * time.Millisecond).String()
}

func size(b float64) string {
	switch {
	case b < 1000:
		return fmt.Sprintf("%.0f B", b)
	case b < 1e6:
		return fmt.Sprintf("%.1f kB", b/1e3)
	case b < 1e9:
		return fmt.Sprintf("%.1f MB", b/1e6)
	}
	return fmt.Sprintf("%.2f GB", b/1e9)
}
