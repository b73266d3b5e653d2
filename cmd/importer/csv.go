package importer

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"iter"
	"unicode/utf8"
)

// table reads CSV (RFC 4180) with a line of names. A fault of the quotes ends it,
// as the rest could be read as other rows. A row with another number of fields
// is a record with an error. needs are columns without which it is another file.
func table(in io.Reader, needs []string) iter.Seq2[record, error] {
	return func(yield func(record, error) bool) {
		limit := &limited{r: withoutBOM(in)}
		r := csv.NewReader(limit)
		r.FieldsPerRecord, r.ReuseRecord = -1, true
		var names []string
		for line := 0; ; {
			limit.mark = r.InputOffset()
			row, err := r.Read()
			if errors.Is(err, io.EOF) {
				if names == nil {
					yield(record{}, &SyntaxError{1, 0, "no line of column names"})
				}
				return
			}
			if err != nil {
				yield(record{}, csvFault(err, line+1))
				return
			}
			line, _ = r.FieldPos(0)
			if r.InputOffset()-limit.mark > maxRow {
				yield(record{}, csvFault(errTooLong, line))
				return
			}
			if names == nil {
				if names, err = columnNames(row, needs); err != nil {
					yield(record{}, err)
					return
				}
				continue
			}
			if !yield(tableRecord(names, row, line), nil) {
				return
			}
		}
	}
}

// csvFault names the place of a fault; line is where the row at fault begins.
func csvFault(err error, line int) error {
	if wrong, ok := errors.AsType[*csv.ParseError](err); ok {
		reason := wrong.Err.Error()
		if errors.Is(wrong.Err, csv.ErrQuote) || errors.Is(wrong.Err, csv.ErrBareQuote) {
			reason = "a quotation mark out of place"
		}
		return &SyntaxError{wrong.Line, wrong.Column, reason}
	}
	if errors.Is(err, errTooLong) {
		return &SyntaxError{line, 0, "a row " + err.Error()}
	}
	return err
}

func columnNames(row, needs []string) ([]string, error) {
	names := make([]string, len(row))
	seen := make(map[string]bool)
	for i, name := range row {
		if name == "" || seen[name] {
			return nil, &SyntaxError{1, 0, fmt.Sprintf("column %d has no name or that of another", i+1)}
		}
		names[i], seen[name] = name, true
	}
	for _, name := range needs {
		if !seen[name] {
			return nil, &SyntaxError{1, 0, fmt.Sprintf("no column %.40q, which the mapping needs", name)}
		}
	}
	return names, nil
}

func tableRecord(names, row []string, line int) record {
	if len(row) != len(names) {
		return record{row: line, err: &RowError{
			Kind: "another number of fields than the line of names", Place: place{line, 0}.String(),
		}}
	}
	fields := make(map[string]any, len(row))
	for i, text := range row {
		if !utf8.ValidString(text) {
			return record{row: line, err: &RowError{Kind: "not valid UTF-8", Place: short(names[i])}}
		}
		fields[names[i]] = text
	}
	return record{row: line, fields: fields}
}

// limited fails once more bytes than those of a row, and of reading ahead, were read
// since mark.
type limited struct {
	r       io.Reader
	n, mark int64
}

const readAhead = 64 << 10

func (l *limited) Read(p []byte) (int, error) {
	if l.n-l.mark > maxRow+readAhead {
		return 0, errTooLong
	}
	n, err := l.r.Read(p[:min(len(p), readAhead)])
	l.n += int64(n)
	return n, err
}

func withoutBOM(in io.Reader) io.Reader {
	r := bufio.NewReaderSize(in, readAhead)
	if head, err := r.Peek(len(bom)); err == nil && string(head) == string(bom) {
		_, _ = r.Discard(len(bom))
	}
	return r
}
