package snib

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"hash/maphash"
	"iter"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/snibdb/snib/codec"
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

const (
	maxRefusals = 1000
	maxReasons  = 100
	maxHolders  = 100_000
)

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
	m := &importer{db: db, o: o, told: db.o.told("import"), seed: maphash.MakeSeed(), rows: make(map[uint64]int)}
	// ErrNested and ErrClosed come before the first row is taken.
	if err := db.view(ctx, func(*Tx) error { return nil }); err != nil {
		return ImportReport{}, during("import users", err)
	}
	if seq == nil {
		return ImportReport{}, during("import users", &InputError{Field: "Seq", Code: CodeRequired, Reason: "is required"})
	}
	commit, end, err := db.importInto(o.DryRun)
	if err == nil {
		m.commit = commit
		db.o.Logger.Info("snib: users are being imported", "dry run", o.DryRun, "update", o.Update)
		defer end() // also if seq, Each or Options.Progress panics
		err = m.run(ctx, seq)
	}
	log := db.o.Logger.Info
	if err != nil {
		log = db.o.Logger.Warn
	}
	r := &m.report
	log("snib: the import of users has ended", "rows", r.Rows, "imported", r.Imported, "updated", r.Updated,
		"unchanged", r.Unchanged, "kept", r.Kept, "refused", r.Refused, "collisions", r.Collisions, "dry run", o.DryRun, "error", err)
	return m.report, during("import users", err)
}

// importInto returns the function that runs a batch in a transaction, and one
// that ends the import. A dry run writes to a store of its own.
func (db *DB) importInto(dry bool) (commit func(context.Context, func(kv.Tx) error) error, end func(), err error) {
	if !dry {
		return db.store.Exclusive, func() {}, nil
	}
	scratch, end, err := db.scratch()
	return func(ctx context.Context, fn func(kv.Tx) error) error {
		return db.store.View(ctx, func(base kv.Reader) error {
			return scratch.Exclusive(ctx, func(w kv.Tx) error { return fn(records.NewRehearsal(base, w)) })
		})
	}, end, err
}

// An importer is one run of ImportUsers.
type importer struct {
	db     *DB
	o      ImportOptions
	told   func(done, total int64)
	commit func(context.Context, func(kv.Tx) error) error
	report ImportReport
	last   int // number of the row before

	batch []importRow
	bytes int
	weak  int // rows whose digest has to be hashed

	seed maphash.Seed

	// Rows of the users made last, by a hash of the id: maxHolders at least.
	rows, older map[uint64]int
}

// An importRow is a row on its way.
type importRow struct {
	*preparedImport
	err    error // refuses it before it is looked at
	weak   bool  // its digest has to be hashed
	unused bool  // and was not, for nothing would be written
}

// Bounds of a batch: the time that others wait for it, its memory and, as
// digests are hashed before it, the time between two of them.
const (
	importRows  = 1000
	importBytes = 1 << 20
	importWeak  = 64
)

func (m *importer) run(ctx context.Context, seq iter.Seq2[UserImport, error]) error {
	for i, err := range seq {
		if err != nil {
			return errors.Join(err, m.flush(ctx)) // what came before it counts
		}
		m.add(i)
		if len(m.batch) >= importRows || m.bytes >= importBytes || m.weak >= importWeak {
			if err := m.flush(ctx); err != nil {
				return err
			}
		}
	}
	if err := m.flush(ctx); err != nil {
		return err
	}
	if m.told != nil {
		m.told(int64(m.report.Rows), int64(m.report.Rows))
	}
	return nil
}

// add takes a row into the batch.
func (m *importer) add(i UserImport) {
	if i.Row == 0 {
		i.Row = m.last + 1
	}
	m.last = i.Row
	p, err := m.db.o.prepare(i)
	if p == nil {
		p = &preparedImport{UserImport: &i}
	}
	r := importRow{preparedImport: p, weak: errors.Is(err, phc.ErrWeak)}
	if r.weak {
		m.weak++
	} else if err != nil {
		r.err = importError(&i, err)
	}
	m.batch = append(m.batch, r)
	m.bytes += len(p.attributes) + len(p.hash) + len(i.Identifier)
	for _, x := range i.Others {
		m.bytes += len(x.Identifier)
	}
}

// flush commits the batch.
func (m *importer) flush(ctx context.Context) error {
	if err := errors.Join(ctx.Err(), m.hash(ctx)); err != nil || len(m.batch) == 0 {
		return err
	}
	var out []ImportedRow
	err := m.commit(ctx, func(w kv.Tx) error {
		out = make([]ImportedRow, 0, len(m.batch))
		ordered := records.NewOrdered(w)
		tx, err := m.db.begin(ordered, ordered)
		if err != nil {
			return err
		}
		defer tx.end()
		made := make(map[uint64]int)
		for i := range m.batch {
			row, err := m.decide(tx, &m.batch[i], made)
			if err != nil {
				return err
			}
			out = append(out, row)
		}
		return errors.Join(tx.rec.Doomed, ordered.Flush())
	})
	if err != nil {
		return err
	}
	m.batch, m.bytes, m.weak = m.batch[:0], 0, 0
	for _, row := range out {
		m.count(row)
	}
	if m.told != nil {
		m.told(int64(m.report.Rows), 0)
	}
	return nil
}

// count adds a committed row to the report.
func (m *importer) count(row ImportedRow) {
	r := &m.report
	r.Rows++
	*[]*int{&r.Imported, &r.Updated, &r.Unchanged, &r.Kept, &r.Refused}[row.Outcome]++
	switch row.Outcome {
	case RowImported:
		if len(m.rows) >= maxHolders {
			m.older, m.rows = m.rows, make(map[uint64]int)
		}
		m.rows[m.key(row.ID)] = row.Row
	case RowRefused:
		if row.Holder != "" {
			r.Collisions++
		}
		if len(r.Refusals) < maxRefusals {
			r.Refusals = append(r.Refusals, row)
		}
		why := row.Err.Error()
		if _, known := r.Reasons[why]; !known && len(r.Reasons) >= maxReasons {
			why = ""
		}
		if r.Reasons == nil {
			r.Reasons = make(map[string]int)
		}
		r.Reasons[why]++
	}
	if m.o.Each != nil {
		m.o.Each(row)
	}
}

func (m *importer) key(id UserID) uint64 { return maphash.String(m.seed, string(id)) }

// decide carries a row out, or refuses it. made are the users of this batch.
func (m *importer) decide(tx *Tx, r *importRow, made map[uint64]int) (ImportedRow, error) {
	out := ImportedRow{Row: r.Row, ID: r.ID}
	holder, err := "", r.err
	if err == nil {
		holder, err = m.place(tx, r, &out)
	}
	switch {
	case err == nil:
		if out.Outcome == RowImported {
			made[m.key(out.ID)] = out.Row
		}
	case errors.Is(err, ErrInvalidInput), errors.Is(err, ErrIdentityTaken), errors.Is(err, ErrAttributeTaken):
		out.Outcome, out.Err, out.Holder = RowRefused, err, UserID(holder)
		out.HolderRow = cmp.Or(made[m.key(out.Holder)], m.rows[m.key(out.Holder)], m.older[m.key(out.Holder)])
	default:
		return out, err
	}
	return out, nil
}

// place writes the user of a row, unless the user is here and stays. holder is
// the user with whom a refused row collides.
func (m *importer) place(tx *Tx, r *importRow, out *ImportedRow) (holder string, err error) {
	have, err := tx.importedUser(r.preparedImport)
	if err != nil {
		return "", err
	}
	opened, err := tx.openHash(&have)
	if err != nil {
		return "", err
	}
	if m.o.DryRun {
		opened = m.sealed(opened)
		have.PasswordHash = opened
	}
	want, isNew := have, have.ID == ""
	if isNew {
		if want.ID, err = tx.importID(r.ID); err != nil {
			return "", err
		}
	}
	if err := tx.fillImport(&want, r.preparedImport, opened); err != nil {
		return "", err
	}
	if m.o.DryRun {
		// What stands for a hash is not sealed: a rehearsal cannot note the use
		// of a key.
		want.PasswordHash = string(r.hash)
	}
	switch {
	case isNew:
	case bytes.Equal(want.Append(nil), have.Append(nil)):
		out.ID, out.Outcome = UserID(have.ID), RowUnchanged
		return "", nil
	case r.ID == "":
		return have.ID, ErrIdentityTaken
	case !m.o.Update && !slices.ContainsFunc(want.Identities, func(x codec.Identity) bool { return records.FindIdentity(&have, x) >= 0 }):
		return have.ID, errIDTaken()
	case !m.o.Update || !asImported(&have):
		out.Outcome = RowKept
		return "", nil
	}
	if owner, err := tx.importTaken(&want); err != nil {
		return owner, err
	}
	if r.unused { // the user has gone since it was looked for
		return "", &InputError{Field: "PasswordHash", Code: CodeNotAllowed, Reason: "must be hashed first: run again"}
	}
	if isNew {
		out.ID, out.Outcome = UserID(want.ID), RowImported
		return "", tx.addImported(&want, r.preparedImport)
	}
	out.Outcome = RowUpdated
	return "", tx.replaceImport(&have, &want)
}

// hash hashes the digests of the batch that are too weak to be stored, outside of
// a transaction. It passes over users that are kept.
func (m *importer) hash(ctx context.Context) error {
	if m.weak > 0 {
		old, err := m.hashes(ctx)
		if err != nil {
			return err
		}
		if err := m.hashAll(ctx, old); err != nil {
			return err
		}
	}
	if m.o.DryRun {
		for i := range m.batch {
			m.batch[i].hash = phc.Hash(m.sealed(string(m.batch[i].hash)))
		}
	}
	return nil
}

// hashes returns the stored hashes of the users whose digests are to be hashed.
func (m *importer) hashes(ctx context.Context) (old []phc.Hash, err error) {
	err = m.db.view(ctx, func(tx *Tx) error {
		old = make([]phc.Hash, len(m.batch))
		for i := range m.batch {
			r := &m.batch[i]
			if !r.weak {
				continue
			}
			u, err := tx.importedUser(r.preparedImport)
			if err != nil {
				return err
			}
			hash, err := tx.openHash(&u)
			if err != nil {
				return err
			}
			old[i] = phc.Hash(hash)
			r.unused = u.ID != "" && r.ID != "" && !(m.o.Update && asImported(&u))
		}
		return nil
	})
	return old, err
}

// hashAll hashes as many at once as the processors can.
func (m *importer) hashAll(ctx context.Context, old []phc.Hash) error {
	var wait sync.WaitGroup
	next := make(chan int)
	errs := make([]error, len(m.batch))
	for range runtime.GOMAXPROCS(0) {
		wait.Go(func() {
			for i := range next {
				errs[i] = m.batch[i].hashWeak(ctx, m.db, old[i])
			}
		})
	}
	for i := range m.batch {
		if m.batch[i].weak && !m.batch[i].unused {
			next <- i
		}
	}
	close(next)
	wait.Wait()
	for i, err := range errs {
		if errors.Is(err, ErrBusy) { // Options.Passwords.Queue is short
			err = m.batch[i].hashWeak(ctx, m.db, old[i])
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// sealed stands for a hash in the records of a dry run, which lie in a temporary
// file: equal for equal hashes, and of no other use.
func (m *importer) sealed(hash string) string {
	const mark = "dry run "
	if hash == "" || strings.HasPrefix(hash, mark) {
		return hash
	}
	return mark + strconv.FormatUint(maphash.String(m.seed, hash), 16)
}
