package records

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/kv"
)

// A merge makes one user of two: one stays, and gets of the other all that is worth
// something without a token of the other's. Owned records are found by tokens that
// name the owner, so that a session, a device or a key cannot change hands: it ends,
// or refuses the merge. Everything is looked at before anything is written.

// An Obstacle refuses a merge. Nothing was written.
type Obstacle struct {
	Code string // as of the root's MergeError
	Name string // of the bucket whose rows are in the way; "" of tables, and else
}

// Error names the obstacle.
func (o *Obstacle) Error() string { return "merge refused: " + o.Code }

// Codes of obstacles. Those of kinds come from their titles: see [Kind.obstacle].
const (
	MergeSameUser   = "same_user"
	MergeGuest      = "guest"      // stays, and the other is none
	MergeIdentities = "identities" // together above the bound
	MergeRoles      = "roles"      // likewise
	MergeRows       = "rows"       // too many, or too large
	MergeRowTaken   = "row_taken"  // both have one under the rest of its key
)

// obstacle is that of a live record of a kind.
func (k *Kind) obstacle() *Obstacle {
	return &Obstacle{Code: strings.ReplaceAll(strings.ToLower(k.Title), " ", "_")}
}

// Merged is the result of a merge.
type Merged struct {
	User         codec.User // the one that stays, as written
	Rows, Events int        // how many have moved
}

// Merge gives into the identities, roles, events and rows of from, and deletes from
// with all else. The caller has verified both, and the rule of protected roles. An
// Obstacle, a record of from that cannot be judged, and a kind of records that only a
// later program knows refuse it, before anything is written. Rows of tables move first.
func (tx *Tx) Merge(into, from *codec.User) (m Merged, err error) {
	if m.User, err = tx.union(into, from); err == nil {
		err = tx.mayLeave(from)
	}
	var events []codec.Event
	if err == nil && (from.GuestSeenAt == 0 || into.GuestSeenAt != 0) {
		// Those of a guest tell of no way into the account. A stranger with the session
		// could push out by them the events that do.
		events, err = tx.eventsToMove(from.ID)
	}
	if err == nil {
		m.Rows, err = tx.rowsToMove(into.ID, from.ID)
	}
	if err != nil {
		return Merged{}, err
	}
	m.Events = len(events)
	return m, tx.DoomIf(true, tx.writeMerge(&m, into, from, events))
}

// union is the record of the user that stays.
func (tx *Tx) union(into, from *codec.User) (u codec.User, err error) {
	u = *into
	u.Identities = slices.Concat(into.Identities, from.Identities)
	if u.Roles = MergeNames(into.Roles, from.Roles); len(u.Roles) == 0 {
		u.Roles = nil // as it is read
	}
	u.UpdatedAt = tx.Now
	switch {
	case into.ID == from.ID:
		err = &Obstacle{Code: MergeSameUser}
	case into.GuestSeenAt != 0 && from.GuestSeenAt == 0:
		err = &Obstacle{Code: MergeGuest}
	case len(u.Identities) > MaxIdentities:
		err = &Obstacle{Code: MergeIdentities}
	case len(u.Roles) > MaxRoles:
		err = &Obstacle{Code: MergeRoles}
	}
	return u, err
}

// mayLeave asks each kind whether a record of the other user is in the way.
func (tx *Tx) mayLeave(u *codec.User) error {
	for _, space := range tx.Owned {
		k := KindOf(space)
		switch {
		case k == nil: // of a later program, which has a rule for it
			n, err := tx.CountOwner(space, tx.Owner(u.ID), 1)
			if err == nil && n > 0 {
				err = tx.Damaged(space, codec.ErrNewer)
			}
			if err != nil {
				return err
			}
		case k.Merge == MergeRefuses:
			held, err := tx.holds(k, u)
			if err == nil && held {
				err = k.obstacle()
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// holds reports whether a user has a live record of a kind. One that cannot be read
// is an error: it may be live.
func (tx *Tx) holds(k *Kind, u *codec.User) (held bool, err error) {
	if k == Factors { // one that waits to be confirmed protects nothing yet
		all, err := tx.FactorsOf(u)
		return all.Needed(), err
	}
	err = tx.ScanOwner(k.Space, tx.Owner(u.ID), 0, func(key codec.OwnedKey, value []byte) error {
		l, err := k.Life(key[:], value)
		if err != nil {
			return tx.Damaged(k.Space, err)
		}
		held = held || l.Who.Is(u.ID) && !tx.ended(l) && tx.Now < l.Until
		return nil
	})
	return held, err
}

// eventsToMove returns the events of a user. One that is damaged stays behind, and
// goes with its user.
func (tx *Tx) eventsToMove(userID string) (events []codec.Event, err error) {
	err = tx.EachEvent(userID, func(e *codec.Event, err error) error {
		switch {
		case errors.Is(err, codec.ErrNewer):
			return tx.Damaged(SpaceEvents, err)
		case err == nil:
			events = append(events, *e)
		}
		return nil
	})
	return events, err
}

// rowsToMove counts the rows of from, in all buckets, after a look at each place
// where one would come to lie. Rows in tables it moves, all together, as the first write
// of the merge. A look ahead would miss the constraints of the table.
func (tx *Tx) rowsToMove(into, from string) (n int, err error) {
	if len(tx.Declared.Owned) == 0 {
		return 0, nil
	}
	if tables, ok := kv.As[kv.TableMover](tx.R); ok {
		n, err = tables.MoveOwned(tx.Declared.Owned, from, into, MaxRows)
		switch {
		case errors.Is(err, kv.ErrTooLarge):
			return 0, &Obstacle{Code: MergeRows}
		case errors.Is(err, kv.ErrRowTaken):
			return 0, &Obstacle{Code: MergeRowTaken}
		}
		return n, tx.DoomIf(tx.W != nil, err)
	}
	rows, err := kv.RowsOf(tx.R)
	if err != nil {
		return 0, err
	}
	w := rowWeight{rows: rows}
	for _, bucket := range tx.Declared.Owned {
		first, behind := rowRange(from)
		var rests []string
		err := w.weigh([]string{bucket}, first, behind, func(key []byte) { rests = append(rests, string(key[len(first):])) })
		if errors.Is(err, errEnough) {
			err = &Obstacle{MergeRows, bucket}
		}
		if err != nil {
			return 0, err
		}
		if err := tx.rowsFree(rows, bucket, into, rests); err != nil {
			return 0, err
		}
	}
	return w.n, nil
}

// maxRowKey is the longest key of a row, in bytes: that of bbolt.
const maxRowKey = 32 << 10

// rowsFree returns an Obstacle if a user has a row already with one of these rests
// behind the id.
func (tx *Tx) rowsFree(rows kv.Rows, bucket, userID string, rests []string) error {
	some := false
	first, behind := rowRange(userID)
	err := rows.ScanRows([]string{bucket}, first, behind, 1, func(_, _ []byte) error { some = true; return nil })
	for _, rest := range rests {
		if err != nil {
			break
		}
		key := append(RowKey(userID), rest...)
		if len(key) > maxRowKey {
			return &Obstacle{MergeRows, bucket}
		}
		if !some {
			continue
		}
		taken := false
		err = rows.ScanRows([]string{bucket}, key, append(key[:len(key):len(key)], 0), 1, func(_, _ []byte) error { taken = true; return nil })
		if err == nil && taken {
			err = &Obstacle{MergeRowTaken, bucket}
		}
	}
	return err
}

// MaxRowBytes bounds the keys and values of the rows that a merge moves, MaxRows
// their number.
const MaxRowBytes = 16 << 20

// A rowWeight counts rows, those in sets inside the set as well, and their bytes.
type rowWeight struct {
	rows     kv.Rows
	n, bytes int
}

// weigh counts the rows of a range, and ends with errEnough above the bounds.
func (w *rowWeight) weigh(path []string, from, to []byte, visit func(key []byte)) error {
	return w.rows.ScanRows(path, from, to, 0, func(key, value []byte) error {
		w.n++
		w.bytes += len(key) + len(value)
		if w.n > MaxRows || w.bytes > MaxRowBytes {
			return errEnough
		}
		visit(key)
		if value != nil {
			return nil
		}
		inside := append(path[:len(path):len(path)], string(key)) // missing, if it is a row put in this transaction
		return w.weigh(inside, nil, nil, func([]byte) {})
	})
}

// writeMerge writes a merge. The event of it comes before the deletion, so that a
// consumer of the outbox learns of the heir first.
func (tx *Tx) writeMerge(m *Merged, into, from *codec.User, events []codec.Event) error {
	if tx.W == nil {
		return kv.ErrReadOnly
	}
	if err := tx.moveEvents(into.ID, events); err != nil {
		return err
	}
	if err := tx.moveRows(into.ID, from.ID); err != nil {
		return err
	}
	for _, x := range from.Identities {
		if err := tx.Note(into.ID, EventIdentityLinked, About{Detail: x.Provider + " " + x.Identifier}); err != nil {
			return err
		}
	}
	for _, role := range m.User.Roles {
		if slices.Contains(into.Roles, role) {
			continue
		}
		if err := tx.Note(into.ID, EventRoleGranted, About{Detail: role}); err != nil {
			return err
		}
	}
	if err := tx.Note(into.ID, EventUserMerged, About{Detail: from.ID}); err != nil {
		return err
	}
	if err := tx.deleteUser(from.ID); err != nil {
		return err
	}
	return tx.PutUser(into, &m.User)
}

// moveRows moves the rows of one user to another, but for those in tables.
func (tx *Tx) moveRows(into, from string) error {
	if _, moved := kv.As[kv.TableMover](tx.W); moved || len(tx.Declared.Owned) == 0 {
		return nil
	}
	rows, err := kv.RowsOf(tx.W)
	for _, bucket := range tx.Declared.Owned {
		if err == nil {
			_, err = rows.MoveRows(bucket, RowKey(from), RowKey(into))
		}
	}
	return err
}

// moveEvents writes events of one user as those of another, with their times. The
// records that they are about are gone, so that an id of one would name another
// record or none. The oldest above the bound of a class go.
func (tx *Tx) moveEvents(userID string, events []codec.Event) error {
	owner := tx.Owner(userID)
	for _, e := range events {
		key, err := tx.movedKey(owner, e.Key)
		if err != nil {
			return err
		}
		e.Key, e.UserID, e.Subject = key, userID, codec.OwnID{}
		if err := tx.PutOwned(Events, key, e.Append(nil)); err != nil {
			return err
		}
	}
	if len(events) == 0 {
		return nil
	}
	tooMany, err := tx.surplusEvents(userID)
	if err != nil {
		return err
	}
	return tx.DeleteOwned(Events, tooMany...)
}

// movedKey returns the key of an event under another owner: of the same own id, or of
// one with other random bytes where that is taken.
func (tx *Tx) movedKey(owner codec.Owner, old codec.OwnedKey) (codec.OwnedKey, error) {
	key := codec.MakeOwnedKey(owner, old.OwnID())
	for range 8 {
		if taken, err := tx.Has(SpaceEvents, string(key[:])); !taken || err != nil {
			return key, err
		}
		var random [2]byte
		if _, err := io.ReadFull(tx.Rand, random[:]); err != nil {
			return codec.OwnedKey{}, fmt.Errorf("reading random bytes: %w", err)
		}
		key = codec.MakeOwnedKey(owner, codec.NewEventID(old.Time(), codec.EventNumber(old), codec.EventClass(old), random))
	}
	return codec.OwnedKey{}, errors.New("no free id: the random bytes repeat")
}
