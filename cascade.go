package snib

import (
	"errors"
	"slices"

	"github.com/snibdb/snib/codec"
)

// A cascade is the set of records that a user loses with an update. It is
// gathered before anything is written, so that a transaction decides before it
// writes. It reads a record only where that decides, so that damage keeps no
// session alive.
type cascade struct {
	userID   string
	whole    []*kind // all that the user has of these
	keys     map[*kind][]codec.OwnedKey
	detached []codec.Session // that stay and lose their family
}

// add gathers the records of one kind for which ends returns true, and those
// that cannot be read.
func (c *cascade) add(tx *Tx, k *kind, ends func(key codec.OwnedKey, value []byte) (bool, error)) error {
	return tx.scanOwner(k.space, tx.owner(c.userID), 0, func(key codec.OwnedKey, value []byte) error {
		is, err := ends(key, value)
		switch {
		case errors.Is(err, codec.ErrNewer):
			return damaged(k.space, err)
		case err == nil && !is:
			return nil
		}
		if c.keys == nil {
			c.keys = make(map[*kind][]codec.OwnedKey)
		}
		c.keys[k] = append(c.keys[k], key)
		return nil
	})
}

// on gathers what an occasion ends: all records of the kinds that it ends, but
// the kept ones and tombstones, which remember a reuse.
func (c *cascade) on(tx *Tx, o occasion, kept ...codec.OwnedKey) error {
	for _, k := range kinds {
		switch {
		case k.ends&o == 0:
			continue
		case k != kindFamily && len(kept) == 0: // only families have tombstones
			c.whole = append(c.whole, k)
			continue
		}
		err := c.add(tx, k, func(key codec.OwnedKey, value []byte) (bool, error) {
			if slices.Contains(kept, key) || k != kindFamily {
				return !slices.Contains(kept, key), nil
			}
			l, err := k.life(key[:], value)
			return !l.revoked, err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// write removes the records that were gathered.
func (c *cascade) write(tx *Tx) error {
	for _, k := range c.whole {
		if err := tx.deleteOwner(k.space, tx.owner(c.userID)); err != nil {
			return err
		}
	}
	for _, k := range kinds {
		if err := tx.deleteOwned(k, c.keys[k]...); err != nil {
			return err
		}
	}
	for i := range c.detached {
		s := &c.detached[i]
		if err := tx.putOwned(kindSession, s.Key, s.Append(nil)); err != nil {
			return err
		}
	}
	return nil
}

// deleteOwnedBy removes everything that belongs to a user: of every kind, also
// of those that a later program has added to the file, and what lies in
// quarantine. It reads nothing.
func (tx *Tx) deleteOwnedBy(userID string) error {
	owner := tx.owner(userID)
	for _, space := range tx.db.ownedSpaces {
		if err := tx.deleteOwner(space, owner); err != nil {
			return err
		}
	}
	return tx.deleteOwner(spaceQuarantine, owner)
}
