package snib

import (
	"slices"

	"github.com/snibdb/snib/codec"
)

// An ending is what a user loses with an update. It is gathered before
// anything is written, so that whatever cannot be read is met before; and it
// needs no record for that but where one decides, so that damage keeps no
// session alive.
type ending struct {
	userID   string
	ids      map[owned][]string
	detached []codec.Session // that stay and lose their family
}

// add gathers the records of one kind for which end says so; nil is all.
func (e *ending) add(tx *Tx, o owned, end func(id string) (bool, error)) error {
	ids, err := tx.members(o.byUser, e.userID)
	if err != nil {
		return err
	}
	for _, id := range ids {
		ends := true
		if end != nil {
			if ends, err = end(id); err != nil && !damagedOrMissing(err) {
				return err
			}
			ends = ends || err != nil
		}
		if ends {
			if e.ids == nil {
				e.ids = make(map[owned][]string)
			}
			e.ids[o] = append(e.ids[o], id)
		}
	}
	return nil
}

// addSessions gathers all sessions but the kept ones.
func (e *ending) addSessions(tx *Tx, kept []codec.Session) error {
	return e.add(tx, ownedSessions, func(id string) (bool, error) {
		return !slices.ContainsFunc(kept, func(s codec.Session) bool { return s.ID == id }), nil
	})
}

// addFamilies gathers all families but tombstones and those of kept sessions.
func (e *ending) addFamilies(tx *Tx, kept []codec.Session) error {
	return e.add(tx, ownedFamilies, func(id string) (bool, error) {
		f, err := tx.family(id)
		return f.RevokedAt == 0 && !slices.ContainsFunc(kept, func(s codec.Session) bool { return s.FamilyID == id }), err
	})
}

// write removes what was gathered.
func (e *ending) write(tx *Tx) error {
	for o, ids := range e.ids {
		if err := tx.deleteAll(o, e.userID, ids); err != nil {
			return err
		}
	}
	for _, s := range e.detached {
		if err := tx.put(spaceSessions, s.ID, s.Append(nil)); err != nil {
			return err
		}
	}
	return nil
}
