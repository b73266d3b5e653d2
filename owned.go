package snib

import (
	"cmp"
	"errors"
	"slices"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/kv"
)

// Records that belong to a user, with the index by user that leads to them.
type owned struct{ records, byUser kv.Space }

var (
	ownedSessions = owned{spaceSessions, spaceUserSessions}
	ownedFamilies = owned{spaceFamilies, spaceUserFamilies}
	ownedOneTime  = owned{spaceOneTime, spaceUserOneTime}
)

// putOne writes one record, and its entry in the index by user if it is new.
func (tx *Tx) putOne(o owned, userID, id string, record []byte, isNew bool) error {
	if isNew {
		if err := tx.put(o.byUser, pairKey(userID, id), nil); err != nil {
			return err
		}
	}
	return tx.put(o.records, id, record)
}

// deleteOne removes one record and its entry in the index by user.
func (tx *Tx) deleteOne(o owned, userID, id string) error {
	tx.key = codec.AppendPair(tx.key[:0], userID, id)
	if err := tx.deleteKey(o.byUser); err != nil {
		return err
	}
	return tx.delete(o.records, id)
}

func (tx *Tx) deleteAll(o owned, userID string, ids []string) error {
	for _, id := range ids {
		if err := tx.deleteOne(o, userID, id); err != nil {
			return err
		}
	}
	return nil
}

// excess returns which records of one kind a user must lose to have at most
// most when there is one more, in the place of instead ("" for none): those
// whose end comes first. until returns when that is, 0 for a dead one. A
// record that cannot be read goes first; it must not keep the user out.
func (tx *Tx) excess(o owned, userID string, most int, instead string, until func(id string) (int64, error)) ([]string, error) {
	have, err := tx.count(o.byUser, userID, most)
	if err != nil || have < most {
		return nil, err
	}
	ids, err := tx.members(o.byUser, userID)
	if err != nil {
		return nil, err
	}
	ids = slices.DeleteFunc(ids, func(id string) bool { return id == instead })
	n := len(ids) + 1 - most
	if n <= 0 {
		return nil, nil
	}
	ends := make(map[string]int64, len(ids))
	for _, id := range ids {
		end, err := until(id)
		if err != nil && !damagedOrMissing(err) {
			return nil, err
		}
		ends[id] = end
	}
	slices.SortStableFunc(ids, func(a, b string) int { return cmp.Compare(ends[a], ends[b]) })
	return ids[:n], nil
}

// damagedOrMissing reports whether err is that a record which should be there
// is damaged or missing. One of a newer version is neither.
func damagedOrMissing(err error) bool {
	return errors.Is(err, ErrCorrupt) || errors.Is(err, ErrInvalidSession) ||
		errors.Is(err, ErrInvalidRefreshToken) || errors.Is(err, ErrInvalidOneTimeToken)
}
