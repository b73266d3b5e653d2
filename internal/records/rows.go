package records

import (
	"errors"
	"slices"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/kv"
)

// Rows of the application's lie beside the accounts, in buckets that the file
// declares. The key of a row begins with the id of its user and a zero byte,
// which no id contains: the range of one id has no row of another, though that
// may begin with it. They go with the user. A user with many leaves at once, by a
// tombstone in the space leaving, and the rows follow in steps.

// MaxRows is how many rows go in the commit that deletes a user, in all buckets
// together.
const MaxRows = 10_000

// RowKey returns the beginning of the keys of a user's rows.
func RowKey(userID string) []byte { return append([]byte(userID), 0) }

func rowRange(userID string) (from, to []byte) { return RowKey(userID), append([]byte(userID), 1) }

// RemoveRows removes at most limit rows of a deleted user, from the
// buckets that are declared and those that the user's tombstone names. While
// there are more the tombstone says so. It writes only if there is something to
// write.
func (tx *Tx) RemoveRows(userID string, limit int) (removed int, err error) {
	leaving, known, err := tx.Leaving(userID)
	if err != nil {
		return 0, err
	}
	buckets := MergeNames(tx.Declared.Owned, leaving.Buckets)
	if len(buckets) == 0 {
		return 0, nil
	}
	left, removed, err := tx.removeRows(userID, buckets, limit)
	switch {
	case err != nil:
		return removed, tx.doom(err)
	case removed > 0:
		err = tx.beforeWrite()
	}
	switch {
	case err != nil:
	case len(left) > 0:
		if !known {
			leaving = codec.Leaving{ID: userID, LeftAt: tx.Now}
		}
		leaving.Buckets = left
		err = tx.Put(SpaceLeaving, userID, leaving.Append(nil))
	case len(left) == 0 && known:
		err = tx.Delete(SpaceLeaving, userID)
	}
	return removed, err
}

// removeRows removes at most limit rows, and returns the buckets in which there
// are more.
func (tx *Tx) removeRows(userID string, buckets []string, limit int) (left []string, removed int, err error) {
	if tables, ok := kv.As[kv.Tables](tx.W); ok {
		removed, left, err = tables.DeleteOwned(buckets, userID, limit)
		return left, removed, err
	}
	rows, err := kv.RowsOf(tx.W)
	if err != nil {
		return nil, 0, err
	}
	from, to := rowRange(userID)
	for _, bucket := range buckets {
		n, err := rows.DeleteRows(bucket, from, to, limit-removed)
		if removed += n; err != nil {
			return nil, removed, err
		}
		if removed < limit {
			continue
		}
		more := false
		err = rows.ScanRows([]string{bucket}, from, to, 1, func(_, _ []byte) error { more = true; return nil })
		if err != nil {
			return nil, removed, err
		}
		if more {
			left = append(left, bucket)
		}
	}
	return left, removed, nil
}

// Leaving returns the tombstone of a user. One that cannot be read is known and
// names no bucket: its key counts.
func (tx *Tx) Leaving(userID string) (l codec.Leaving, known bool, err error) {
	value, known, err := tx.R.Get(SpaceLeaving, []byte(userID))
	if err != nil || !known {
		return l, false, err
	}
	l, err = codec.DecodeLeaving([]byte(userID), value)
	switch {
	case errors.Is(err, codec.ErrNewer):
		return l, true, tx.Damaged(SpaceLeaving, err)
	case err != nil:
		l = codec.Leaving{ID: userID, LeftAt: tx.Now}
	}
	return l, true, nil
}

// SweepLeaving removes at most limit rows of a deleted user, and reports
// whether that is all it can do. It touches nothing of an existing user, and
// leaves a tombstone of a later program to that.
func (tx *Tx) SweepLeaving(userID string, limit int) (removed int, done bool, err error) {
	exists, err := tx.Has(SpaceUsers, userID)
	if err != nil || exists {
		return 0, true, err
	}
	removed, err = tx.RemoveRows(userID, limit)
	if errors.Is(err, ErrNewerFormat) {
		return 0, true, nil
	}
	return removed, removed < limit, err
}

// MergeNames returns all names of both lists, sorted.
func MergeNames(a, b []string) []string {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}
