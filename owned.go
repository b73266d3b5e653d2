package snib

import (
	"cmp"
	"slices"

	"github.com/snibdb/snib/codec"
)

// putOne writes one record of a user's, and its entry in the index by user if
// it is new.
func (tx *Tx) putOne(k *kind, userID, id string, record []byte, isNew bool) error {
	if isNew {
		if err := tx.put(k.byUser, pairKey(userID, id), nil); err != nil {
			return err
		}
	}
	return tx.put(k.space, id, record)
}

// deleteOne removes one record and its entry in the index by user.
func (tx *Tx) deleteOne(k *kind, userID, id string) error {
	tx.key = codec.AppendPair(tx.key[:0], userID, id)
	if err := tx.deleteKey(k.byUser); err != nil {
		return err
	}
	return tx.delete(k.space, id)
}

func (tx *Tx) deleteAll(k *kind, userID string, ids []string) error {
	for _, id := range ids {
		if err := tx.deleteOne(k, userID, id); err != nil {
			return err
		}
	}
	return nil
}

// evicted returns which records of a kind a user must lose for a new one, in
// the place of replaced ("" for none): those of the lowest rank above the
// bound of the options.
func (tx *Tx) evicted(k *kind, userID, replaced string) ([]string, error) {
	return tx.lowest(k, userID, k.bound(&tx.db.o)-1, replaced)
}

// lowest returns the records of a kind by which a user, without replaced, has
// more than most: those of the lowest rank, the oldest first. A record that
// cannot be read is the lowest; it must not keep the user out.
func (tx *Tx) lowest(k *kind, userID string, most int, replaced string) ([]string, error) {
	have, err := tx.count(k.byUser, userID, most+1)
	if err != nil || have <= most {
		return nil, err
	}
	ids, err := tx.members(k.byUser, userID)
	if err != nil {
		return nil, err
	}
	ids = slices.DeleteFunc(ids, func(id string) bool { return id == replaced })
	if len(ids) <= most {
		return nil, nil
	}
	ranks := make(map[string]int64, len(ids))
	for _, id := range ids {
		l, err := tx.life(k, id)
		switch {
		case err == nil:
			ranks[id] = tx.rank(l)
		case !damagedOrMissing(err):
			return nil, err
		}
	}
	slices.SortStableFunc(ids, func(a, b string) int { return cmp.Compare(ranks[a], ranks[b]) })
	return ids[:len(ids)-most], nil
}
