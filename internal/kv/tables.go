package kv

import (
	"errors"
	"strings"
)

// Tables is a Reader of an engine whose store has tables of the application's: a
// column holds the id of the user whose row it is, as text. A name says the table
// and the column, see [ParseTable]. A table that is missing is empty. visit may read.
type Tables interface {
	// FindTable returns why rows cannot be read and removed by this name, "" if they
	// can. It is for people.
	FindTable(name string) (unfit string, err error)

	// CountOwners calls visit once for each id in the column, with the number of
	// rows, and perhaps several times with "" for rows without an id.
	CountOwners(name string, visit func(owner string, rows int) error) error

	// ReadOwned calls visit for each row of an owner.
	ReadOwned(name, owner string, visit func(row []Column) error) error

	// DeleteOwned removes rows of an owner from the tables, at most limit of them in
	// all, and returns how many, and the names of those that have more. Rows that
	// the store removes along with them, by a foreign key or a trigger, do not
	// count, here or against MaxWrites. ErrReadOnly outside of a Tx.
	DeleteOwned(names []string, owner string, limit int) (n int, left []string, err error)
}

// ErrRowTaken is of a row that cannot be moved to an owner who has one in its place.
var ErrRowTaken = errors.New("both owners have a row in one place")

// TableMover is a Tables that gives the rows of one owner to another. More than
// limit in all are ErrTooLarge, and rows of both in one place, by a constraint of the
// table, ErrRowTaken: none is moved then, and the transaction goes on. ErrReadOnly
// outside of a Tx.
type TableMover interface {
	MoveOwned(names []string, from, to string, limit int) (n int, err error)
}

// Column is a value in a row: nil, int64, float64, string, []byte, or JSON.
type Column struct {
	Name  string
	Value any
}

// JSON is a value as JSON.
type JSON string

// HasRows reports whether a Reader has rows of the application's, of either kind.
func HasRows(r Reader) bool {
	_, sets := As[Rows](r)
	_, tables := As[Tables](r)
	return sets || tables
}

// OwnerColumn is the column that a name does not say.
const OwnerColumn = "user_id"

// Table is what a name says. Schema may be empty.
type Table struct{ Schema, Name, Column string }

// ParseTable reads a name of the form [schema.]table[(column)]. Each part is
// letters, digits, _ and $, or anything in double quotes, with those inside
// doubled. It means what is written: letters keep their case.
func ParseTable(name string) (t Table, ok bool) {
	t.Column = OwnerColumn
	if t.Name, name, ok = identifier(name); !ok {
		return Table{}, false
	}
	if rest, dotted := strings.CutPrefix(name, "."); dotted {
		t.Schema = t.Name
		if t.Name, name, ok = identifier(rest); !ok {
			return Table{}, false
		}
	}
	if rest, more := strings.CutPrefix(name, "("); more {
		if t.Column, name, ok = identifier(rest); !ok || name != ")" {
			return Table{}, false
		}
		name = ""
	}
	return t, name == ""
}

// identifier takes one from the beginning of a text.
func identifier(text string) (id, rest string, ok bool) {
	if !strings.HasPrefix(text, `"`) {
		end := strings.IndexFunc(text, func(r rune) bool {
			return r < 0x80 && r != '_' && r != '$' && (r < '0' || r > '9') && (r|0x20 < 'a' || r|0x20 > 'z')
		})
		if end < 0 {
			end = len(text)
		}
		return text[:end], text[end:], end > 0
	}
	for rest = text[1:]; ; {
		part, after, closed := strings.Cut(rest, `"`)
		if !closed {
			return "", "", false
		}
		id += part
		if !strings.HasPrefix(after, `"`) {
			return id, after, id != "" && !strings.ContainsRune(id, 0)
		}
		id, rest = id+`"`, after[1:]
	}
}
