package snib

import (
	"slices"

	"github.com/snibdb/snib/codec"
)

// A cascade is the set of records that a user loses with an update. It is
// gathered before anything is written, so that an unreadable record is met
// before; and it decodes only where a record decides, so that damage keeps no
// session alive.
type cascade struct {
	userID   string
	ids      map[*kind][]string
	detached []codec.Session // that stay and lose their family
}

// add gathers the records of one kind for which ends returns true; nil is all.
// Records that cannot be read are gathered too.
func (c *cascade) add(tx *Tx, k *kind, ends func(id string) (bool, error)) error {
	ids, err := tx.members(k.byUser, c.userID)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if ends != nil {
			is, err := ends(id)
			if err != nil && !damagedOrMissing(err) {
				return err
			}
			if err == nil && !is {
				continue
			}
		}
		if c.ids == nil {
			c.ids = make(map[*kind][]string)
		}
		c.ids[k] = append(c.ids[k], id)
	}
	return nil
}

// on gathers what an occasion ends: all records of the kinds that it ends, but
// the kept ones, by their ids, and tombstones, which remember a reuse.
func (c *cascade) on(tx *Tx, o occasion, kept ...string) error {
	for _, k := range kinds {
		if k.ends&o == 0 {
			continue
		}
		if err := c.add(tx, k, func(id string) (bool, error) {
			if slices.Contains(kept, id) {
				return false, nil
			}
			if k != kindFamily { // the only kind with tombstones: others end unread
				return true, nil
			}
			l, err := tx.life(k, id)
			return !l.revoked, err
		}); err != nil {
			return err
		}
	}
	return nil
}

// all gathers everything that belongs to the user.
func (c *cascade) all(tx *Tx) error {
	for _, k := range kinds {
		if err := c.add(tx, k, nil); err != nil {
			return err
		}
	}
	return nil
}

// write removes the records that were gathered.
func (c *cascade) write(tx *Tx) error {
	for _, k := range kinds {
		if err := tx.deleteAll(k, c.userID, c.ids[k]); err != nil {
			return err
		}
	}
	for _, s := range c.detached {
		if err := tx.put(spaceSessions, s.ID, s.Append(nil)); err != nil {
			return err
		}
	}
	return nil
}
