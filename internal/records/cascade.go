package records

import (
	"errors"
	"slices"

	"github.com/snibdb/snib/codec"
)

// A Cascade is the set of records that a user loses with an update. It is
// gathered before anything is written, so that a transaction decides before it
// writes. It reads a record only where that decides, so that damage keeps no
// session alive.
type Cascade struct {
	UserID string

	notes []note  // events
	whole []*Kind // all that the user has of these
	keys  map[*Kind][]codec.OwnedKey
}

// A note is an event to be written.
type note struct {
	kind  EventKind
	about About
}

// Note gathers an event, which is written if there is an update at all.
func (c *Cascade) Note(kind EventKind, about About) { c.notes = append(c.notes, note{kind, about}) }

// Add gathers the records of one kind for which ends returns true, and the
// records that cannot be read.
func (c *Cascade) Add(tx *Tx, k *Kind, ends func(key codec.OwnedKey, value []byte) (bool, error)) error {
	return tx.ScanOwner(k.Space, tx.Owner(c.UserID), 0, func(key codec.OwnedKey, value []byte) error {
		is, err := ends(key, value)
		switch {
		case errors.Is(err, codec.ErrNewer):
			return tx.Damaged(k.Space, err)
		case err == nil && !is:
			return nil
		}
		if c.keys == nil {
			c.keys = make(map[*Kind][]codec.OwnedKey)
		}
		c.keys[k] = append(c.keys[k], key)
		return nil
	})
}

// On gathers the records that an occasion ends: all of the kinds that it ends,
// but the kept ones and tombstones, which remember a reuse.
func (c *Cascade) On(tx *Tx, o Occasion, kept ...codec.OwnedKey) error {
	for _, k := range Kinds {
		switch {
		case k.Ends&o == 0:
			continue
		case k != Families && len(kept) == 0: // only families have tombstones
			c.whole = append(c.whole, k)
			continue
		}
		err := c.Add(tx, k, func(key codec.OwnedKey, value []byte) (bool, error) {
			if slices.Contains(kept, key) || k != Families {
				return !slices.Contains(kept, key), nil
			}
			l, err := k.Life(key[:], value)
			return !l.Revoked, err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Write removes the records that were gathered, and writes the events.
func (c *Cascade) Write(tx *Tx) error {
	for _, k := range c.whole {
		if err := tx.deleteOwner(k.Space, tx.Owner(c.UserID)); err != nil {
			return err
		}
	}
	for _, k := range Kinds {
		if err := tx.DeleteOwned(k, c.keys[k]...); err != nil {
			return err
		}
	}
	for _, n := range c.notes {
		if err := tx.Note(c.UserID, n.kind, n.about); err != nil {
			return err
		}
	}
	return nil
}
