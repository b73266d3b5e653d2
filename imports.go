package snib

import (
	"context"
	"errors"
	"iter"

	"github.com/snibdb/snib/internal/arrivals"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/phc"
	"github.com/snibdb/snib/internal/records"
)

// ImportOptions are for [DB.ImportUsers]. The zero value is the default.
type ImportOptions struct {
	// Update replaces users who are here under the ID of a row and have not
	// been changed here, nor logged in by their password: attributes,
	// identities, times, disabled or not, and the hash, as the row has them. If
	// that changes the hash or an identity, or disables, their sessions and
	// tokens end as they do by the method for that.
	Update bool

	// DryRun reports what a run would do and writes nothing to the database. It
	// takes as long, and about the size of the new users without their hashes in
	// a temporary file beside the database, "<name>.sorting-*", mode 0600. A row
	// that comes twice counts as in a run, but one with a digest too weak to be
	// stored as it is: Updated, or without an ID Refused, for Unchanged.
	DryRun bool

	// Each is called for every row, in order, once its batch is committed (in a
	// dry run, decided). nil disables the callback.
	Each func(ImportedRow)
}

// ImportedRow is the outcome of one row of an import.
type ImportedRow struct {
	Row     int           // UserImport.Row
	ID      UserID        // of the user; of a refused row, as it was given
	Outcome ImportOutcome // imported, updated, unchanged, kept or refused
	Err     error         // why it was refused, as ImportUser would have

	// Of a row refused because another user has its ID, an identity or a
	// unique value: that user, and the row by which the user came. Zero is a
	// user who was here before, or came more than 100,000 users ago. A dry run
	// makes ids for new users that the run itself does not use.
	Holder    UserID
	HolderRow int // zero is a user of before
}

// ImportOutcome is the outcome of a row.
type ImportOutcome int

// The outcomes.
const (
	RowImported  ImportOutcome = iota // the user is new
	RowUpdated                        // the user is as the row says, and was not
	RowUnchanged                      // the user is as the row says, and was
	RowKept                           // the user is otherwise and was left so: changed here, or without Update
	RowRefused                        // nothing was written: Err
)

// String returns the outcome as a word.
func (o ImportOutcome) String() string {
	return [...]string{RowImported: "imported", RowUpdated: "updated", RowUnchanged: "unchanged", RowKept: "kept", RowRefused: "refused"}[o]
}

// ImportReport is the result of ImportUsers. Its counts are of rows whose
// batches are committed; there is no partial batch.
type ImportReport struct {
	Rows int // all rows; the sum of the next five

	Imported, Updated, Unchanged, Kept, Refused int // by ImportOutcome

	Collisions int            // rows refused for what another user has
	Reasons    map[string]int // rows refused, by the text of the error; from the 101st text on under ""
	Refusals   []ImportedRow  // the first 1,000
}

// ImportUsers moves users of another system in, as ImportUser does one, in
// batches of at most 1,000 rows and 1 MiB. Each batch is one transaction, in key
// order, which others wait for; between batches they have their turn. Memory does
// not grow with the number of rows. Input that is sorted by ID, or better by ID
// and identifier, is imported several times as fast as one in no order.
//
// Rows take effect in the order of seq, whatever the batches are. A row that is
// refused leaves nothing behind, is reported, and the next one follows. A row
// whose ID is that of a user who is here is for that user if one of its
// identities is the user's, or with ImportOptions.Update; otherwise it is refused
// as a collision, and so is each row without an ID whose identity is somebody's,
// unless it says what is here. So the same input can be run again: after an error
// to go on, and after a change in the other system, with Update, to bring it.
//
// An error of seq ends the import, and so does ctx, between batches: the report
// then counts what is committed. Progress reports it as "import", by rows. Errors:
// that of seq or ctx as it is, ErrNoKey (at a row of a user whose hash is sealed
// under a key that is not given), ErrBusy, ErrFull, ErrUnknown (the last batch may be
// committed), errors of the file system (DryRun), and others of the file.
func (db *DB) ImportUsers(ctx context.Context, seq iter.Seq2[UserImport, error], o ImportOptions) (ImportReport, error) {
	// ErrNested and ErrClosed come before the first row is taken.
	if err := db.view(ctx, func(*Tx) error { return nil }); err != nil {
		return ImportReport{}, during("import users", err)
	}
	if seq == nil {
		return ImportReport{}, during("import users", missing("Seq"))
	}
	m, end, err := db.arrivals(&o)
	if err == nil {
		db.o.Logger.Info("snib: users are being imported", "dry run", o.DryRun, "update", o.Update)
		defer end() // also if seq, Each or Options.Progress panics
		err = m.All(ctx, db.o.rows(seq))
	}
	log := db.o.Logger.Info
	if err != nil {
		log = db.o.Logger.Warn
	}
	r := newImportReport(&m.Report)
	log("snib: the import of users has ended", "rows", r.Rows, "imported", r.Imported, "updated", r.Updated,
		"unchanged", r.Unchanged, "kept", r.Kept, "refused", r.Refused, "collisions", r.Collisions, "dry run", o.DryRun, "error", err)
	return r, during("import users", err)
}

// arrivals prepares an import, and returns a function that ends it. A dry run writes
// to a store of its own.
func (db *DB) arrivals(o *ImportOptions) (m *arrivals.Run, end func(), err error) {
	m = &arrivals.Run{
		Update: o.Update, Dry: o.DryRun, Told: db.o.told("import"), Commit: db.store.Exclusive, Hash: db.hashWeak,
		View: func(ctx context.Context, fn func(arrivals.Tx) error) error {
			return db.view(ctx, func(tx *Tx) error { return fn(tx.arriving()) })
		},
		Begin: func(w kv.Tx) (arrivals.Tx, func(), error) {
			tx, err := db.begin(w, w)
			if err != nil {
				return arrivals.Tx{}, nil, err
			}
			return tx.arriving(), tx.end, nil
		},
	}
	if o.Each != nil {
		m.Each = func(a arrivals.Arrival) { o.Each(newImportedRow(a)) }
	}
	if !o.DryRun {
		return m, func() {}, nil
	}
	scratch, end, err := db.scratch()
	m.Commit = func(ctx context.Context, fn func(kv.Tx) error) error {
		return db.store.View(ctx, func(base kv.Reader) error {
			return scratch.Exclusive(ctx, func(w kv.Tx) error { return fn(records.NewRehearsal(base, w)) })
		})
	}
	return m, end, err
}

// rows prepares the users of seq.
func (s *settings) rows(seq iter.Seq2[UserImport, error]) iter.Seq2[arrivals.Row, error] {
	return func(yield func(arrivals.Row, error) bool) {
		for i, err := range seq {
			r := arrivals.Row{Number: i.Row}
			if err == nil {
				r.User, r.Err = s.arrival(&i)
			}
			if r.Weak = errors.Is(r.Err, phc.ErrWeak); r.Weak {
				r.Err = nil
			} else if r.Err != nil {
				r.Err = importError(&i, r.Err)
			}
			if !yield(r, err) {
				return
			}
		}
	}
}

func newImportedRow(a arrivals.Arrival) ImportedRow {
	return ImportedRow{Row: a.Row, ID: UserID(a.ID), Outcome: ImportOutcome(a.Outcome), Err: a.Err, Holder: UserID(a.Holder), HolderRow: a.HolderRow}
}

func newImportReport(r *arrivals.Report) ImportReport {
	out := ImportReport{
		Rows: r.Rows, Imported: r.Of[arrivals.Imported], Updated: r.Of[arrivals.Updated], Unchanged: r.Of[arrivals.Unchanged],
		Kept: r.Of[arrivals.Kept], Refused: r.Of[arrivals.Refused], Collisions: r.Collisions, Reasons: r.Reasons,
	}
	for _, a := range r.Refusals {
		out.Refusals = append(out.Refusals, newImportedRow(a))
	}
	return out
}
