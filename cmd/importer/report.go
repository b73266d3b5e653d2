package importer

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/snibdb/snib"
)

// Bounds of the lists in a report. Counts are exact beyond them.
const (
	MaxCollisions = 1000 // collisions that are listed
	MaxKinds      = 100  // kinds of refusals, and of parts left; the rest is one kind
	MaxKindRows   = 20   // rows that are listed of a kind
)

// otherKinds stands for kinds beyond MaxKinds.
const otherKinds = "other reasons"

// Report is the result of a run.
type Report struct {
	Source string `json:"source"`
	Unit   string `json:"unit"` // "line", "user" or "row": the meaning of row numbers
	DryRun bool   `json:"dry_run"`
	Update bool   `json:"update"`

	// ResumedAfter is the last row of an interrupted run where this one went on, or
	// 0. The counts are of both. Rows that were committed after the
	// state was saved last are looked at again, and counted as unchanged.
	ResumedAfter int  `json:"resumed_after"`
	Finished     bool `json:"finished"` // the whole source was read

	Rows      int `json:"rows"` // the sum of the next five
	Imported  int `json:"imported"`
	Updated   int `json:"updated"`
	Unchanged int `json:"unchanged"`
	Kept      int `json:"kept"` // changed here since, or there without Update
	Refused   int `json:"refused"`

	// Of the rows that are imported, updated or unchanged.
	WithPassword int `json:"with_password"`
	Identities   int `json:"secondary_identities"` // all but the primary ones
	Verified     int `json:"verified"`             // users with a verified identity
	Disabled     int `json:"disabled"`
	Created      int `json:"created_times"` // users whose time of creation is the source's

	Collisions    int         `json:"collisions"` // of the refused rows
	CollisionList []Collision `json:"collision_list"`
	RefusedKinds  []Kind      `json:"refused_kinds"` // the most frequent first
	Left          []Kind      `json:"left"`          // parts of rows that snib does not take

	Seconds float64 `json:"seconds"` // of this run
}

// Kind counts rows of a kind.
type Kind struct {
	Kind  string `json:"kind"`
	Count int    `json:"count"`
	Rows  []Spot `json:"rows"` // the first of them
}

// Spot is one row.
type Spot struct {
	Row   int    `json:"row"`
	Place string `json:"place,omitempty"` // in the row
	ID    string `json:"id,omitempty"`
}

// Collision is a row that was refused because another user has its id, an
// identity or a unique value.
type Collision struct {
	Row int    `json:"row"`
	ID  string `json:"id"`
	On  string `json:"on"` // "id", a provider, or "attribute" and its name

	Value string `json:"value"` // of this row; "" of an attribute

	Holder      string `json:"holder"`       // id of the other user; in a dry run maybe ""
	HolderRow   int    `json:"holder_row"`   // the row by which the user came, 0 for an earlier user
	HolderValue string `json:"holder_value"` // as the user has it; "" if it is not known
	ByCase      bool   `json:"by_case"`      // the two differ in case
}

// count adds the outcome of a row.
func (r *Report) count(row *Row, out *snib.ImportedRow) {
	r.Rows++
	switch out.Outcome {
	case snib.RowImported:
		r.Imported++
	case snib.RowUpdated:
		r.Updated++
	case snib.RowUnchanged:
		r.Unchanged++
	case snib.RowKept:
		r.Kept++
		return
	case snib.RowRefused:
		r.Refused++
		return
	}
	for _, kind := range row.Left {
		r.Left = addKind(r.Left, kind, Spot{Row: out.Row, ID: string(out.ID)})
	}
	u := &row.User
	r.Identities += len(u.Others)
	verified := !u.VerifiedAt.IsZero()
	for _, x := range u.Others {
		verified = verified || !x.VerifiedAt.IsZero()
	}
	for _, one := range []struct {
		n   *int
		yes bool
	}{
		{&r.WithPassword, u.PasswordHash != "" || u.PasswordKey != nil}, {&r.Verified, verified},
		{&r.Disabled, u.Disabled}, {&r.Created, !u.CreatedAt.IsZero()},
	} {
		if one.yes {
			*one.n++
		}
	}
}

// addKind counts one more of a kind.
func addKind(list []Kind, kind string, at Spot) []Kind {
	i := slices.IndexFunc(list, func(k Kind) bool { return k.Kind == kind })
	if i < 0 && len(list) >= MaxKinds-1 && kind != otherKinds {
		return addKind(list, otherKinds, at)
	}
	if i < 0 {
		i = len(list)
		list = append(list, Kind{Kind: kind})
	}
	k := &list[i]
	if k.Count++; len(k.Rows) < MaxKindRows {
		k.Rows = append(k.Rows, at)
	}
	return list
}

// WriteText writes the report for a person. Texts of the source are quoted: they
// may hold commands to the terminal.
func (r *Report) WriteText(w io.Writer) error {
	p := &printer{w: w}
	verb := "imported"
	if r.DryRun {
		verb = "would be imported"
	}
	p.line("source               %s", r.Source)
	if r.ResumedAfter > 0 {
		p.line("resumed              after %s %d of an interrupted run, whose counts are included", r.Unit, r.ResumedAfter)
	}
	if !r.Finished {
		p.line("NOT FINISHED         run it again to go on")
	}
	p.line("rows                 %d in %.1f s", r.Rows, r.Seconds)
	p.line("  %-18s %d", verb, r.Imported)
	p.line("  %-18s %d", "updated", r.Updated)
	p.line("  %-18s %d", "unchanged", r.Unchanged)
	p.line("  %-18s %d", "kept", r.Kept)
	p.line("  %-18s %d, of them %d collisions", "refused", r.Refused, r.Collisions)
	p.line("of the users")
	p.line("  %-18s %d", "with a password", r.WithPassword)
	p.line("  %-18s %d", "further identities", r.Identities)
	p.line("  %-18s %d", "verified", r.Verified)
	p.line("  %-18s %d", "disabled", r.Disabled)
	p.line("  %-18s %d", "times of creation", r.Created)
	if r.Collisions > 0 {
		p.line("collisions")
		for _, c := range r.CollisionList {
			p.line("  %s", r.collision(&c))
		}
		if more := r.Collisions - len(r.CollisionList); more > 0 {
			p.line("  and %d more", more)
		}
	}
	r.kinds(p, "refused, by kind", r.RefusedKinds)
	r.kinds(p, "not taken over", r.Left)
	return p.err
}

func (r *Report) collision(c *Collision) string {
	text := fmt.Sprintf("%s %d: %s", r.Unit, c.Row, c.On)
	if c.Value != "" {
		text += fmt.Sprintf(" %q", c.Value)
	}
	whose := fmt.Sprintf("user %q, who was here before", c.Holder)
	if c.HolderRow != 0 {
		whose = fmt.Sprintf("%s %d", r.Unit, c.HolderRow)
	}
	text += " is taken by " + whose
	if c.ByCase {
		text += ", the same but for case"
	}
	if c.HolderValue != "" && c.HolderValue != c.Value {
		text += fmt.Sprintf(": %q", c.HolderValue)
	}
	return text
}

func (r *Report) kinds(p *printer, title string, list []Kind) {
	if len(list) == 0 {
		return
	}
	p.line("%s", title)
	for _, k := range list {
		rows := make([]string, len(k.Rows))
		for i, at := range k.Rows {
			rows[i] = fmt.Sprint(at.Row)
		}
		more := ""
		if k.Count > len(k.Rows) {
			more = ", …"
		}
		p.line("  %6d  %s: %s %s%s", k.Count, printable(k.Kind), r.Unit, strings.Join(rows, ", "), more)
	}
}

// printable replaces characters that a terminal could take for more than text.
func printable(s string) string {
	q := fmt.Sprintf("%q", s)
	return strings.ReplaceAll(q[1:len(q)-1], `\"`, `"`)
}

// A printer keeps the first error of its writer.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", args...)
	}
}

// finish sorts the lists and notes the time.
func (r *Report) finish(began time.Time) {
	r.Seconds = time.Since(began).Seconds()
	for _, list := range [][]Kind{r.RefusedKinds, r.Left} {
		slices.SortStableFunc(list, func(a, b Kind) int { return b.Count - a.Count })
	}
}
