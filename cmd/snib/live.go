package main

import (
	"context"
	"encoding/json"
	"iter"
	"sync"
	"unicode/utf8"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibops"
)

// A liveDB is the database of a program that runs, for importer.Run: rows go
// through the socket, and their outcomes come back once the program has committed
// them. So a state that is saved here is never ahead of the database there.
type liveDB struct{ *snibops.Client }

// GetUser returns the user with id and identities alone.
func (l liveDB) GetUser(ctx context.Context, id snib.UserID) (snib.User, error) {
	d, err := snibops.VerbUserShow.Do(ctx, l.Client, snibops.UserArgs{User: byID(string(id))}, nil)
	if err != nil {
		return snib.User{}, err
	}
	u := snib.User{ID: snib.UserID(d.User.ID)}
	for _, x := range d.User.Identities {
		u.Identities = append(u.Identities, snib.Identity(x))
	}
	return u, nil
}

// ImportUsers imports rows as snib.DB does. The report is empty: Each counts. The
// rows are read while outcomes come in, so a lock keeps the two apart.
func (l liveDB) ImportUsers(ctx context.Context, rows iter.Seq2[snib.UserImport, error], o snib.ImportOptions) (snib.ImportReport, error) {
	in := &upload{unfit: map[int]error{}}
	in.next, in.stop = iter.Pull2(rows)
	defer in.end()
	each := func(r snibops.ImportedRow) error {
		in.mu.Lock()
		defer in.mu.Unlock()
		if o.Each != nil {
			o.Each(in.outcome(r))
		}
		return nil
	}
	args := snibops.ImportArgs{Update: o.Update, DryRun: o.DryRun, All: true}
	_, err := snibops.VerbImport.With(ctx, l.Client, args, each, snibops.Exchange{Input: in.lines})
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.fault != nil {
		err = in.fault
	}
	return snib.ImportReport{}, err
}

// An upload is the rows on their way.
type upload struct {
	mu    sync.Mutex
	next  func() (snib.UserImport, error, bool)
	stop  func()
	ended bool
	fault error         // of the source
	unfit map[int]error // rows that have no form in the protocol, until their outcome
}

// end lets nothing read rows any more: a connection that has ended does not wait
// for its input.
func (u *upload) end() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.ended = true
	u.stop()
}

// lines gives the rows to the program. A fault of the source ends the input
// without an error, so that the program commits the rows before it.
func (u *upload) lines(yield func(json.RawMessage, error) bool) {
	for {
		line, ok := u.line()
		if !ok || !yield(line, nil) {
			return
		}
	}
}

func (u *upload) line() (json.RawMessage, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.ended {
		return nil, false
	}
	i, err, ok := u.next()
	if err != nil || !ok {
		u.fault = err
		return nil, false
	}
	row := snibops.NewImportRow(i)
	line, err := json.Marshal(row)
	switch {
	case err != nil || len(line) >= snibops.MaxFrame:
		err = &snib.InputError{Field: "Row", Code: snib.CodeTooLong, Reason: "is too large for the program"}
	case !wellFormed(row):
		err = &snib.InputError{Field: "Row", Code: snib.CodeMalformed, Reason: "has text that is not UTF-8"}
	default:
		return line, true
	}
	u.unfit[i.Row] = err
	// The program refuses this in its place, so that the order stays.
	line, err = json.Marshal(snibops.ImportRow{Row: i.Row, DisabledReason: "unfit"})
	return line, err == nil
}

// outcome is an answer of the program, as the library gives it.
func (u *upload) outcome(r snibops.ImportedRow) snib.ImportedRow {
	out := snib.ImportedRow{Row: r.Row, ID: snib.UserID(r.ID), Err: r.Err(), Holder: snib.UserID(r.Holder), HolderRow: r.HolderRow}
	for out.Outcome = snib.RowImported; out.Outcome < snib.RowRefused && out.Outcome.String() != r.Outcome; out.Outcome++ {
	}
	if err, ok := u.unfit[r.Row]; ok {
		out.Err = err
		delete(u.unfit, r.Row)
	}
	return out
}

// wellFormed reports whether all text of a row is UTF-8. JSON would change the rest, and
// an identifier must not come in as another.
func wellFormed(r snibops.ImportRow) bool {
	all := append([]string{r.ID, r.Provider, r.Identifier, r.PasswordHash, r.PasswordSource, r.PasswordPepper, r.DisabledReason}, r.Roles...)
	for _, x := range r.Others {
		all = append(all, x.Provider, x.Identifier)
	}
	if r.PasswordKey != nil {
		all = append(all, r.PasswordKey.Scheme)
	}
	for _, s := range all {
		if !utf8.ValidString(s) {
			return false
		}
	}
	return wellFormedValue(r.Attributes)
}

func wellFormedValue(v any) bool {
	switch v := v.(type) {
	case string:
		return utf8.ValidString(v)
	case map[string]any:
		for name, x := range v {
			if !utf8.ValidString(name) || !wellFormedValue(x) {
				return false
			}
		}
	case []any:
		for _, x := range v {
			if !wellFormedValue(x) {
				return false
			}
		}
	}
	return true
}
