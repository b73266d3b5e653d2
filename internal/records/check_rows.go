package records

import (
	"bytes"
	"errors"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/token"
)

// Orphans counts rows in a declared bucket that are of no user. The application
// may have put them there before the user, or lost the user to damage; they are
// its data, and Repair leaves them.
type Orphans struct {
	Bucket string
	UserID string // "" for keys that do not begin with a user id and a zero byte
	Rows   int
}

const maxOrphans = 1000

// leaving checks INV-21: the user of a tombstone is gone. Repair makes one
// that cannot be read anew, for all buckets that are declared.
func (c *checker) leaving() error {
	return c.each(SpaceLeaving, func(key, value []byte) error {
		id := string(key)
		l, err := codec.DecodeLeaving(key, value)
		switch {
		case errors.Is(err, codec.ErrNewer) && c.repair != nil:
			return c.tx.Damaged(SpaceLeaving, err)
		case err != nil:
			c.found(2, SpaceLeaving, printable(SpaceLeaving, key), "record cannot be read")
			l = codec.Leaving{ID: id, LeftAt: c.tx.Now, Buckets: c.declared.Owned}
		}
		exists, getErr := c.tx.Has(SpaceUsers, id)
		switch {
		case getErr != nil:
			return getErr
		case exists:
			c.found(21, SpaceLeaving, id, "its user exists")
			return c.remove(SpaceLeaving, key)
		case err == nil:
			c.report.Leaving++
			c.seen(0, l.LeftAt)
			return nil
		case len(l.Buckets) == 0 || !token.ValidUserID(id):
			return c.remove(SpaceLeaving, key)
		case c.repair != nil:
			return c.tx.Put(SpaceLeaving, id, l.Append(nil))
		}
		return nil
	})
}

// rows counts the rows of the application's, and those of no user.
func (c *checker) rows() error {
	if c.repair != nil || len(c.declared.Owned) == 0 {
		return nil
	}
	if tables, ok := kv.As[kv.Tables](c.tx.R); ok {
		return c.tables(tables)
	}
	rows, err := kv.RowsOf(c.tx.R)
	if err != nil {
		return err
	}
	for _, bucket := range c.declared.Owned {
		w := rowWalk{checker: c, bucket: bucket}
		if err := rows.ScanRows([]string{bucket}, nil, nil, 0, w.row); err != nil {
			return err
		}
	}
	return nil
}

// A rowWalk goes through one bucket. The rows of a user lie together, so the
// user is looked up once.
type rowWalk struct {
	*checker
	bucket  string
	begun   bool
	id      string
	owned   bool // by a user, present or leaving
	unowned int  // position among the orphans of the keys without an id, from 1
}

func (w *rowWalk) row(key, _ []byte) error {
	if err := w.step(); err != nil {
		return err
	}
	w.report.Rows++
	raw, _, ok := bytes.Cut(key, []byte{0})
	if !ok || !token.ValidUserID(string(raw)) {
		raw = nil
	}
	if !w.begun || w.id != string(raw) {
		w.begun, w.id = true, string(raw)
		var err error
		if w.owned, err = w.known(w.id); err != nil {
			return err
		}
		if !w.owned {
			w.orphan()
		}
	}
	if w.owned {
		return nil
	}
	w.report.OrphanRows++
	if at := len(w.report.Orphans); w.id == "" && w.unowned > 0 {
		w.report.Orphans[w.unowned-1].Rows++
	} else if at > 0 && w.report.Orphans[at-1].Bucket == w.bucket && w.report.Orphans[at-1].UserID == w.id {
		w.report.Orphans[at-1].Rows++
	}
	return nil
}

// known reports whether rows of an id have a user, present or leaving.
func (w *rowWalk) known(id string) (bool, error) {
	if id == "" {
		return false, nil
	}
	exists, err := w.tx.Has(SpaceUsers, id)
	if exists || err != nil {
		return exists, err
	}
	return w.tx.Has(SpaceLeaving, id)
}

// orphan begins to count the rows of an id, or those without an id.
func (w *rowWalk) orphan() {
	if w.id == "" && w.unowned > 0 || len(w.report.Orphans) == maxOrphans {
		return
	}
	w.report.Orphans = append(w.report.Orphans, Orphans{Bucket: w.bucket, UserID: w.id})
	if w.id == "" {
		w.unowned = len(w.report.Orphans)
	}
}

// tables counts what rows counts, by engines whose rows lie in tables.
func (c *checker) tables(tables kv.Tables) error {
	for _, name := range c.declared.Owned {
		w := tableWalk{checker: c, table: name}
		err := tables.CountOwners(name, w.owner)
		if err == nil {
			err = w.look()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// ownersAtOnce is how many users are looked up in one trip.
const ownersAtOnce = 1000

// A tableWalk goes through the owners of one table. Users are looked up in pages.
type tableWalk struct {
	*checker
	table   string
	page    []Orphans
	unowned int // position among the orphans of the rows without an id, from 1
}

func (w *tableWalk) owner(id string, rows int) error {
	if err := w.step(); err != nil {
		return err
	}
	w.report.Rows += rows
	if !token.ValidUserID(id) {
		w.orphan(Orphans{Bucket: w.table, Rows: rows})
		return nil
	}
	if w.page = append(w.page, Orphans{w.table, id, rows}); len(w.page) < ownersAtOnce {
		return nil
	}
	return w.look()
}

// look finds the owners of a page that do not exist, neither present nor leaving.
func (w *tableWalk) look() error {
	refs := make([]kv.Ref, 0, 2*len(w.page))
	for _, o := range w.page {
		refs = append(refs, kv.Ref{Space: SpaceUsers, Key: []byte(o.UserID)}, kv.Ref{Space: SpaceLeaving, Key: []byte(o.UserID)})
	}
	known := make([]bool, len(w.page))
	err := w.tx.R.GetMany(refs, func(i int, _ []byte, ok bool) error {
		known[i/2] = known[i/2] || ok
		return nil
	})
	if err != nil {
		return err
	}
	for i, o := range w.page {
		if !known[i] {
			w.orphan(o)
		}
	}
	w.page = w.page[:0]
	return nil
}

func (w *tableWalk) orphan(o Orphans) {
	w.report.OrphanRows += o.Rows
	if o.UserID == "" && w.unowned > 0 {
		w.report.Orphans[w.unowned-1].Rows += o.Rows
		return
	}
	if len(w.report.Orphans) == maxOrphans {
		return
	}
	w.report.Orphans = append(w.report.Orphans, o)
	if o.UserID == "" {
		w.unowned = len(w.report.Orphans)
	}
}
