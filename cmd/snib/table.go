package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/mattn/go-runewidth"
)

// A table prints rows in columns as wide as their widest cell. Text of
// strangers is quoted before it becomes a cell; ids and names of a program that
// lies do not reach the terminal as they are either.
type table struct {
	heads []string
	rows  [][]string
	give  int // the column that is cut for a terminal that is too narrow; -1: no column
}

func newTable(give int, heads ...string) *table { return &table{heads: heads, give: give} }

func (t *table) row(cells ...string) {
	for i, cell := range cells {
		cells[i] = oneLine(cell)
	}
	t.rows = append(t.rows, cells)
}

// print writes the table, within width cells if that is not 0.
func (t *table) print(w io.Writer, width int, bold func(string) string) error {
	widths := make([]int, len(t.heads))
	for _, row := range append([][]string{t.heads}, t.rows...) {
		for i, cell := range row {
			widths[i] = max(widths[i], runewidth.StringWidth(cell))
		}
	}
	if width > 0 && t.give >= 0 {
		total := 2 * (len(widths) - 1)
		for _, n := range widths {
			total += n
		}
		least := max(12, runewidth.StringWidth(t.heads[t.give]))
		if over := total - width; over > 0 && widths[t.give] > least {
			widths[t.give] = max(least, widths[t.give]-over)
		}
	}
	if err := t.line(w, widths, t.heads, bold); err != nil {
		return err
	}
	plain := func(s string) string { return s }
	for _, row := range t.rows {
		if err := t.line(w, widths, row, plain); err != nil {
			return err
		}
	}
	return nil
}

func (t *table) line(w io.Writer, widths []int, cells []string, style func(string) string) error {
	var b strings.Builder
	for i, cell := range cells {
		cell = runewidth.Truncate(cell, widths[i], "…")
		b.WriteString(cell)
		if i < len(cells)-1 {
			b.WriteString(strings.Repeat(" ", widths[i]-runewidth.StringWidth(cell)+2))
		}
	}
	_, err := fmt.Fprintln(w, style(strings.TrimRight(b.String(), " ")))
	return err
}

// A facts is a list of names with values, under each other.
type facts struct{ names, values []string }

// add adds a line; one without a value is left out.
func (f *facts) add(name, value string) {
	if value != "" {
		f.names, f.values = append(f.names, name), append(f.values, oneLine(value))
	}
}

func (f *facts) print(w io.Writer) error {
	wide := 0
	for _, n := range f.names {
		wide = max(wide, runewidth.StringWidth(n))
	}
	for i, n := range f.names {
		if _, err := fmt.Fprintf(w, "%s  %s\n", runewidth.FillRight(n, wide), f.values[i]); err != nil {
			return err
		}
	}
	return nil
}

// at is a time for people, in UTC.
func at(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04Z")
}

// day is the date of a time.
func day(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.DateOnly)
}

// size is a number of bytes for people.
func size(n int64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	value, prefix := float64(n)/unit, 0
	for value >= unit && prefix < 3 {
		value /= unit
		prefix++
	}
	return fmt.Sprintf("%.1f %ciB", value, "KMGT"[prefix])
}

// plural is "1 user", "2 users".
func plural[N int | int64](n N, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	if before, ok := strings.CutSuffix(noun, "ity"); ok {
		noun = before + "itie"
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
