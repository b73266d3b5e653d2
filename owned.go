package snib

import "github.com/snibdb/snib/internal/kv"

// Records that belong to a user, with the index by user that leads to them.
type owned struct{ records, byUser kv.Space }

var (
	ownedSessions = owned{spaceSessions, spaceUserSessions}
	ownedFamilies = owned{spaceFamilies, spaceUserFamilies}
	ownedOneTime  = owned{spaceOneTime, spaceUserOneTime}
	ownedSpaces   = []owned{ownedSessions, ownedFamilies, ownedOneTime}
)

// deleteOwned removes all records of one kind that belong to a user.
func (tx *Tx) deleteOwned(o owned, userID string) error {
	ids, err := tx.members(o.byUser, userID)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if err := tx.deleteOne(o, userID, id); err != nil {
			return err
		}
	}
	return nil
}

// deleteOne removes one record and its entry in the index by user.
func (tx *Tx) deleteOne(o owned, userID, id string) error {
	if err := tx.delete(o.byUser, pairKey(userID, id)); err != nil {
		return err
	}
	return tx.delete(o.records, id)
}

// putOne writes one record, and its entry in the index by user if it is new.
func (tx *Tx) putOne(o owned, userID, id string, record []byte, isNew bool) error {
	if isNew {
		if err := tx.put(o.byUser, pairKey(userID, id), nil); err != nil {
			return err
		}
	}
	return tx.put(o.records, id, record)
}
