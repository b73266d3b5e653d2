package importer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/snibdb/snib"
)

// Accounts is the part of a database that Run uses: *snib.DB has it, and so may a
// client of a program that has the file open. ImportUsers takes rows and calls
// Each one at a time, in order, from any goroutine.
type Accounts interface {
	ImportUsers(ctx context.Context, rows iter.Seq2[snib.UserImport, error], o snib.ImportOptions) (snib.ImportReport, error)
	GetUser(ctx context.Context, id snib.UserID) (snib.User, error) // with Identities
}

// Options are for Run. The zero value is the default.
type Options struct {
	// DryRun gives the report of a run, writes nothing to the database and saves no
	// state.
	DryRun bool

	// Update replaces users that are as an earlier import left them:
	// snib.ImportOptions.Update.
	Update bool

	// State is the path of the file from which an interrupted run goes on. "" is
	// the path of the source with ".snib-state", "-" is no file. It has
	// identifiers of rows that collide and mode 0600, and is removed when the
	// run has finished.
	State string

	// BatchSize is the number of rows after which the state is saved, 1 to
	// 1,000,000. Default 10,000. Transactions are smaller: snib.DB.ImportUsers
	// commits at most 1,000 rows at once.
	BatchSize int

	// Progress is called as rows are committed, about 100 times a run. nil
	// disables the callback.
	Progress func(Progress)

	// Each is called with the outcome of each row, in order, once it is committed.
	// nil disables the callback.
	Each func(snib.ImportedRow)
}

// Progress is how far a run has come.
type Progress struct {
	Rows        int   // committed, those before an interruption included
	Done, Total int64 // bytes of the file that were read, or rows of a database
	Bytes       bool  // that they are bytes
}

// Run imports the users of a source. The same source can be
// run again: after an interruption it goes on where the state file says, and the
// outcome in the database is that of one run.
//
// The report is never nil. It counts committed rows, with an error too: that of
// Open, a *SyntaxError, errors of snib.DB.ImportUsers and of the state file.
// Refused rows are no error.
func Run(ctx context.Context, db Accounts, source Source, o Options) (*Report, error) {
	began := time.Now()
	r := &run{
		ctx: ctx, db: db, source: source, o: o,
		report: &Report{Source: source.From, DryRun: o.DryRun, Update: o.Update},
	}
	r.o.BatchSize = cmp.Or(o.BatchSize, 10_000)
	err := r.run()
	r.report.finish(began)
	if err != nil {
		return r.report, fmt.Errorf("import from %s: %w", short(source.From), err)
	}
	return r.report, nil
}

// A run is one call of Run.
type run struct {
	ctx    context.Context
	db     Accounts
	source Source
	o      Options
	report *Report
	reader *Reader

	file  *stateFile // nil without one
	last  int        // number of the last row that is committed
	saved int        // rows since the state was saved
	told  int64      // hundredths that Progress was told

	waiting []Row // handed to the library and not committed, in order
	clashes []clash
}

func (r *run) run() (err error) {
	if r.o.BatchSize < 1 || r.o.BatchSize > 1_000_000 {
		return errors.New("Options.BatchSize must be 1 to 1,000,000")
	}
	if r.reader, err = Open(r.ctx, r.source); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.reader.Close()) }()
	if err := r.resume(); err != nil {
		return err
	}
	r.report.Unit = r.reader.Unit
	_, err = r.db.ImportUsers(r.ctx, r.users(), snib.ImportOptions{
		Update: r.o.Update, DryRun: r.o.DryRun, Each: r.committed,
	})
	r.report.Finished = err == nil
	if r.file != nil && !r.report.Finished {
		err = errors.Join(err, r.save())
	}
	// Also after an error: the report has collisions, and they need both sides.
	err = errors.Join(err, r.explain())
	if r.file != nil && r.report.Finished {
		err = errors.Join(err, r.file.remove())
	}
	return err
}

// users gives the rows that are not committed yet to the library. A row that was
// refused when it was read goes along, as one that the library refuses, so that
// all are counted in order.
func (r *run) users() iter.Seq2[snib.UserImport, error] {
	skip := r.last
	return func(yield func(snib.UserImport, error) bool) {
		n := 0
		for row, err := range r.reader.Rows() {
			if n++; n%1000 == 0 && err == nil {
				err = r.ctx.Err()
			}
			if err != nil {
				yield(snib.UserImport{}, err)
				return
			}
			if row.User.Row <= skip {
				continue
			}
			r.waiting = append(r.waiting, row)
			u := row.User
			if row.Refused != nil {
				u = snib.UserImport{ID: u.ID, Row: u.Row, DisabledReason: "refused when it was read"}
			}
			if !yield(u, nil) {
				return
			}
		}
	}
}

// committed takes the outcome of the first row that waits.
func (r *run) committed(out snib.ImportedRow) {
	row := r.waiting[0]
	r.waiting = r.waiting[1:]
	r.report.count(&row, &out)
	if out.Outcome == snib.RowRefused {
		r.refused(&row, &out)
		if row.Refused != nil {
			out.Err = row.Refused
		}
	}
	if r.o.Each != nil {
		r.o.Each(out)
	}
	r.last = out.Row
	if r.file != nil {
		if out.Outcome != snib.RowRefused {
			r.file.saw(out.ID)
		}
		if r.saved++; r.saved >= r.o.BatchSize && r.file.err == nil {
			r.file.err = r.save()
		}
	}
	r.progress()
}

// refused notes a row and its kind.
func (r *run) refused(row *Row, out *snib.ImportedRow) {
	at := Spot{Row: out.Row, ID: short(string(out.ID))}
	kind := ""
	switch {
	case row.Refused != nil:
		kind, at.Place = row.Refused.Kind, row.Refused.Place
	case out.Holder != "":
		kind = "collision"
		r.report.Collisions++
		r.clash(row, out)
	default:
		kind = out.Err.Error()
		if wrong, ok := errors.AsType[*snib.InputError](out.Err); ok {
			kind = wrong.Field + " " + wrong.Reason
		}
	}
	r.report.RefusedKinds = addKind(r.report.RefusedKinds, kind, at)
}

func (r *run) progress() {
	if r.o.Progress == nil {
		return
	}
	done, total := r.reader.done(), r.reader.total
	if hundredth := done * 100 / max(1, total); hundredth > r.told {
		r.told = hundredth
		r.o.Progress(Progress{Rows: r.report.Rows, Done: done, Total: total, Bytes: r.reader.bytes})
	}
}
