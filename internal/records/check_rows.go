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
