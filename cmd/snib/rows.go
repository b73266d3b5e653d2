package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/snibdb/snib/snibops"
)

// maxRow bounds a line of an import, in bytes.
const maxRow = 1<<20 - 64

// ownRows reads the format of the library: snibops.ImportRow, one a line.
func ownRows(r io.Reader) iter.Seq2[json.RawMessage, error] {
	return func(yield func(json.RawMessage, error) bool) {
		lines := bufio.NewScanner(r)
		lines.Buffer(make([]byte, 0, 64<<10), maxRow)
		for n := 1; lines.Scan(); n++ {
			text := lines.Bytes()
			if strings.TrimSpace(string(text)) == "" {
				continue
			}
			var row snibops.ImportRow
			d := json.NewDecoder(bytes.NewReader(text))
			d.UseNumber() // 64 bits of an integer stay
			d.DisallowUnknownFields()
			if err := d.Decode(&row); err != nil {
				yield(nil, fmt.Errorf("line %d: not a row: %w", n, err))
				return
			}
			if row.Row == 0 {
				row.Row = n
			}
			line, err := json.Marshal(row)
			if err != nil {
				err = fmt.Errorf("line %d: %w", n, err)
			}
			if !yield(line, err) || err != nil {
				return
			}
		}
		if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
			yield(nil, fmt.Errorf("a line is longer than %s", size(maxRow)))
		} else if err != nil {
			yield(nil, err)
		}
	}
}

// importRows imports rows from standard input, in the library's own form. Without a
// file to read again there is no state and no report with both sides of collisions:
// the same input is given again to go on.
func (a *app) importRows(c *cobra.Command, client *snibops.Client, args snibops.ImportArgs) error {
	m := a.meter("import", true)
	defer m.end()
	read := &counted{r: a.in}
	input := func(yield func(json.RawMessage, error) bool) {
		for row, err := range ownRows(read) {
			if !yield(row, err) {
				return
			}
		}
	}
	row := func(r snibops.ImportedRow) error {
		m.end()
		return a.print(r, func(w io.Writer) error { return outcome(w, r) })
	}
	x := snibops.Exchange{Input: input, Progress: func(snibops.Progress) { m.at(read.n.Load(), 0) }}
	count, err := snibops.VerbImport.With(c.Context(), client, args, row, x)
	m.end()
	if err != nil {
		return hint(err, "rows of whole batches before are in: give the same input again to go on")
	}
	return a.print(count, func(w io.Writer) error {
		f := new(facts)
		f.add("Rows", fmt.Sprint(count.Rows))
		f.add("imported", fmt.Sprint(count.Imported))
		f.add("updated", fmt.Sprint(count.Updated))
		f.add("unchanged", fmt.Sprint(count.Unchanged))
		f.add("kept", fmt.Sprint(count.Kept))
		f.add("refused", fmt.Sprintf("%d, collisions %d", count.Refused, count.Collisions))
		for _, reason := range slices.Sorted(maps.Keys(count.Reasons)) {
			f.add("", fmt.Sprintf("%d: %s", count.Reasons[reason], oneLine(reason)))
		}
		return f.print(w)
	})
}

// outcome prints a row.
func outcome(w io.Writer, r snibops.ImportedRow) error {
	line := fmt.Sprintf("row %d: %s", r.Row, r.Outcome)
	if r.ID != "" {
		line += " " + r.ID
	}
	if r.Reason != "" {
		line += ": " + r.Reason
	}
	if r.Holder != "" {
		line += " (" + r.Holder
		if r.HolderRow > 0 {
			line += fmt.Sprintf(", row %d", r.HolderRow)
		}
		line += ")"
	}
	_, err := fmt.Fprintln(w, oneLine(line))
	return err
}
