package report

import (
	"fmt"
	"strings"
)

// changes writes how the present commit stands to the one before, where that was
// measured in the same run.
func (r *Result) changes(b *strings.Builder) {
	if r.Settings.Before == "" {
		return
	}
	fmt.Fprintf(b, "\n### Against commit %s\n\nNow, before in brackets, and the median of the ratios within each round: below 1× is less.\n\n| work |", r.Settings.Before)
	for _, n := range r.Settings.Sessions {
		fmt.Fprintf(b, " %s sessions |", Count(n))
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(r.Settings.Sessions)) + "\n")
	for _, c := range documented {
		line, any := "| "+c.title+" |", false
		for _, n := range r.Settings.Sessions {
			row := r.Find(c.work, n, c.workers, subject)
			if row == nil || row.Before == 0 {
				line += " – |"
				continue
			}
			any = true
			before := r.Find(c.work, n, c.workers, Before)
			line += fmt.Sprintf(" %s (%s), %.2g× |", Value(row.Value, row.Unit), Value(before.Value, before.Unit), row.Before)
		}
		if any {
			b.WriteString(line + "\n")
		}
	}
}
