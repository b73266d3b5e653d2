package arrivals

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
	"github.com/snibdb/snib/internal/fold"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/phc"
	"github.com/snibdb/snib/internal/records"
)

// A Row is a user on the way.
type Row struct {
	*User
	Number int   // in the source; zero: one more than the row before
	Weak   bool  // the digest has to be hashed
	Err    error // refuses it before it is looked at

	unused bool // its digest was not hashed, for nothing would be written
}

// An Arrival is the outcome of a row.
type Arrival struct {
	Row     int
	ID      string // of the user; of a refused row, as it was given
	Outcome Outcome
	Err     error // the refusal

	Holder    string // the user with the identity or value of a refused row
	HolderRow int    // the row by which that user came; zero is before, or long ago
}

// Outcome is that of a row.
type Outcome int

// The outcomes.
const (
	Imported Outcome = iota
	Updated
	Unchanged
	Kept
	Refused
)

// A Report counts the rows of the batches that are committed.
type Report struct {
	Rows       int
	Of         [Refused + 1]int // by Outcome
	Collisions int              // refused with a Holder
	Reasons    map[string]int   // refused, by the text of the error; the rest under ""
	Refusals   []Arrival        // the first ones
}

// Bounds of a Report and of the rows that it remembers.
const (
	maxRefusals = 1000
	maxReasons  = 100
	maxHolders  = 100_000
)

// Bounds of a batch: the time that others wait for it, its memory and, as
// digests are hashed before it, the time between two of them.
const (
	batchRows  = 1000
	batchBytes = 1 << 20
	batchWeak  = 64
)

// A Run takes many users in.
type Run struct {
	Update bool // replaces users that only an import has written
	Dry    bool // nothing stays, and what stands for a hash is of no use

	View   func(context.Context, func(Tx) error) error
	Begin  func(w kv.Tx) (tx Tx, end func(), err error)
	Commit func(context.Context, func(kv.Tx) error) error
	Hash   func(ctx context.Context, f phc.Foreign, old phc.Hash) (phc.Hash, error) // of a weak digest

	Each func(Arrival)           // told of each committed row, in order; may be nil
	Told func(done, total int64) // told of the rows so far; may be nil

	Report Report

	last  int // number of the row before
	batch []Row
	bytes int
	weak  int // rows whose digest has to be hashed

	seed maphash.Seed

	// Rows of the users made last, by a hash of the id: maxHolders at least.
	rows, older map[uint64]int
}

// All takes the rows of seq in. After an error of seq the rows before it count.
func (m *Run) All(ctx context.Context, seq iter.Seq2[Row, error]) error {
	m.seed, m.rows = maphash.MakeSeed(), make(map[uint64]int)
	for r, err := range seq {
		if err != nil {
			return errors.Join(err, m.flush(ctx))
		}
		m.add(r)
		if len(m.batch) >= batchRows || m.bytes >= batchBytes || m.weak >= batchWeak {
			if err := m.flush(ctx); err != nil {
				return err
			}
		}
	}
	if err := m.flush(ctx); err != nil {
		return err
	}
	if m.Told != nil {
		m.Told(int64(m.Report.Rows), int64(m.Report.Rows))
	}
	return nil
}

// add takes a row into the batch.
func (m *Run) add(r Row) {
	r.Number = cmp.Or(r.Number, m.last+1)
	m.last = r.Number
	if r.Weak {
		m.weak++
	}
	m.batch = append(m.batch, r)
	m.bytes += len(r.Attributes) + len(r.User.Hash)
	for _, x := range r.Identities {
		m.bytes += len(x.Identifier)
	}
}

// flush commits the batch.
func (m *Run) flush(ctx context.Context) error {
	if err := errors.Join(ctx.Err(), m.hash(ctx)); err != nil || len(m.batch) == 0 {
		return err
	}
	var out []Arrival
	err := m.Commit(ctx, func(w kv.Tx) error {
		out = make([]Arrival, 0, len(m.batch))
		ordered := records.NewOrdered(w)
		tx, end, err := m.Begin(ordered)
		if err != nil {
			return err
		}
		defer end()
		made := make(map[uint64]int)
		for i := range m.batch {
			a, err := m.decide(tx, &m.batch[i], made)
			if err != nil {
				return err
			}
			out = append(out, a)
		}
		return errors.Join(tx.Doomed, ordered.Flush())
	})
	if err != nil {
		return err
	}
	m.batch, m.bytes, m.weak = m.batch[:0], 0, 0
	for _, a := range out {
		m.count(a)
	}
	if m.Told != nil {
		m.Told(int64(m.Report.Rows), 0)
	}
	return nil
}

// count adds a committed row to the report.
func (m *Run) count(a Arrival) {
	r := &m.Report
	r.Rows++
	r.Of[a.Outcome]++
	switch a.Outcome {
	case Imported:
		if len(m.rows) >= maxHolders {
			m.older, m.rows = m.rows, make(map[uint64]int)
		}
		m.rows[m.key(a.ID)] = a.Row
	case Refused:
		if a.Holder != "" {
			r.Collisions++
		}
		if len(r.Refusals) < maxRefusals {
			r.Refusals = append(r.Refusals, a)
		}
		why := a.Err.Error()
		if _, known := r.Reasons[why]; !known && len(r.Reasons) >= maxReasons {
			why = ""
		}
		if r.Reasons == nil {
			r.Reasons = make(map[string]int)
		}
		r.Reasons[why]++
	}
	if m.Each != nil {
		m.Each(a)
	}
}

func (m *Run) key(id string) uint64 { return maphash.String(m.seed, id) }

// decide carries a row out, or refuses it. made are the users of this batch.
func (m *Run) decide(tx Tx, r *Row, made map[uint64]int) (Arrival, error) {
	out := Arrival{Row: r.Number, ID: r.ID}
	holder, err := "", r.Err
	if err == nil {
		holder, err = m.place(tx, r, &out)
	}
	switch {
	case err == nil:
		if out.Outcome == Imported {
			made[m.key(out.ID)] = out.Row
		}
	case errors.Is(err, records.ErrInvalidInput), errors.Is(err, records.ErrIdentityTaken), errors.Is(err, records.ErrAttributeTaken):
		out.Outcome, out.Err, out.Holder = Refused, err, holder
		out.HolderRow = cmp.Or(made[m.key(holder)], m.rows[m.key(holder)], m.older[m.key(holder)])
	default:
		return out, err
	}
	return out, nil
}

// place writes the user of a row, unless the user is here and stays. holder is
// the user with whom a refused row collides.
func (m *Run) place(tx Tx, r *Row, out *Arrival) (holder string, err error) {
	have, err := tx.stored(r.User)
	if err != nil {
		return "", err
	}
	opened, err := tx.Open(&have)
	if err != nil {
		return "", err
	}
	if m.Dry {
		opened = m.sealed(opened)
		have.PasswordHash = opened
	}
	want, isNew := have, have.ID == ""
	if isNew {
		if want.ID, err = tx.id(r.ID); err != nil {
			return "", err
		}
	}
	if err := tx.fill(&want, r.User, opened); err != nil {
		return "", err
	}
	if m.Dry {
		// What stands for a hash is not sealed: a rehearsal cannot note the use
		// of a key.
		want.PasswordHash = string(r.User.Hash)
	}
	switch {
	case isNew:
	case bytes.Equal(want.Append(nil), have.Append(nil)):
		out.ID, out.Outcome = have.ID, Unchanged
		return "", nil
	case r.ID == "":
		return have.ID, records.ErrIdentityTaken
	case !m.Update && !slices.ContainsFunc(want.Identities, func(x codec.Identity) bool { return records.FindIdentity(&have, x) >= 0 }):
		return have.ID, tx.idTaken()
	case !m.Update || !untouched(&have):
		out.Outcome = Kept
		return "", nil
	}
	if owner, err := tx.taken(&want); err != nil {
		return owner, err
	}
	if r.unused { // the user has gone since it was looked for
		return "", tx.Input("PasswordHash", fold.Fault{Code: fold.NotAllowed, Reason: "must be hashed first: run again"})
	}
	if isNew {
		out.ID, out.Outcome = want.ID, Imported
		return "", tx.add(&want, r.User)
	}
	out.Outcome = Updated
	return "", tx.replace(&have, &want)
}

// hash hashes the digests of the batch that are too weak to be stored, outside of
// a transaction. It passes over users that are kept.
func (m *Run) hash(ctx context.Context) error {
	if m.weak > 0 {
		old, err := m.hashes(ctx)
		if err != nil {
			return err
		}
		if err := m.hashAll(ctx, old); err != nil {
			return err
		}
	}
	if m.Dry {
		for i := range m.batch {
			m.batch[i].User.Hash = phc.Hash(m.sealed(string(m.batch[i].User.Hash)))
		}
	}
	return nil
}

// hashes returns the stored hashes of the users whose digests are to be hashed.
func (m *Run) hashes(ctx context.Context) (old []phc.Hash, err error) {
	err = m.View(ctx, func(tx Tx) error {
		old = make([]phc.Hash, len(m.batch))
		for i := range m.batch {
			r := &m.batch[i]
			if !r.Weak {
				continue
			}
			u, err := tx.stored(r.User)
			if err != nil {
				return err
			}
			hash, err := tx.Open(&u)
			if err != nil {
				return err
			}
			old[i] = phc.Hash(hash)
			r.unused = u.ID != "" && r.ID != "" && !(m.Update && untouched(&u))
		}
		return nil
	})
	return old, err
}

// hashAll hashes as many at once as the processors can.
func (m *Run) hashAll(ctx context.Context, old []phc.Hash) error {
	var wait sync.WaitGroup
	next := make(chan int)
	errs := make([]error, len(m.batch))
	one := func(i int) {
		r := &m.batch[i]
		r.User.Hash, errs[i] = m.Hash(ctx, r.Foreign, old[i])
	}
	for range runtime.GOMAXPROCS(0) {
		wait.Go(func() {
			for i := range next {
				one(i)
			}
		})
	}
	for i := range m.batch {
		if m.batch[i].Weak && !m.batch[i].unused {
			next <- i
		}
	}
	close(next)
	wait.Wait()
	for i := range errs {
		if errors.Is(errs[i], kv.ErrBusy) { // the queue of the gate is short
			one(i)
		}
		if errs[i] != nil {
			return errs[i]
		}
	}
	return nil
}

// sealed stands for a hash in the records of a dry run, which lie in a temporary
// file: equal for equal hashes, and of no other use.
func (m *Run) sealed(hash string) string {
	const mark = "dry run "
	if hash == "" || strings.HasPrefix(hash, mark) {
		return hash
	}
	return mark + strconv.FormatUint(maphash.String(m.seed, hash), 16)
}
