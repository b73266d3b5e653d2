package importer

import (
	"fmt"
	"strings"

	"github.com/snibdb/snib"
)

// SyntaxError is a fault of a file behind which nothing can be read.
type SyntaxError struct {
	Line, Column int    // from 1; Column counts bytes, 0 is the whole line
	Reason       string // never a part of the file
}

// Error names the place.
func (e *SyntaxError) Error() string { return place{e.Line, e.Column}.String() + ": " + e.Reason }

// RowError is the reason why a row is refused before the library sees it.
type RowError struct {
	Kind  string // the same for all such rows; never a value but the name of an algorithm
	Place string // of the fault, "line 3, column 7" or the name of a field; "" is the whole row
}

// Error has the place and the kind.
func (e *RowError) Error() string {
	if e.Place == "" {
		return e.Kind
	}
	return e.Place + ": " + e.Kind
}

func refusedRow(u snib.UserImport, err *RowError) Row {
	return Row{User: snib.UserImport{Row: u.Row, ID: u.ID}, Refused: err}
}

// A place in a file.
type place struct{ Line, Column int }

func (p place) String() string {
	if p.Column == 0 {
		return fmt.Sprintf("line %d", p.Line)
	}
	return fmt.Sprintf("line %d, column %d", p.Line, p.Column)
}

// after returns the place offset bytes after p, through data.
func (p place) after(data []byte, offset int) place {
	for _, c := range data[:max(0, min(offset, len(data)))] {
		if c == '\n' {
			p.Line, p.Column = p.Line+1, 0
		}
		p.Column++
	}
	return p
}

// short makes text of a file fit for a report: at most 40 printable bytes.
func short(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < 0x20 || r > 0x7e {
			return '?'
		}
		return r
	}, s)
	if len(s) > 40 {
		s = s[:40] + "…"
	}
	return s
}
