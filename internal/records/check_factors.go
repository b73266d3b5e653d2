package records

import (
	"github.com/snibdb/snib/codec"
)

// A factor is the one record whose loss opens an account. Repair therefore drops
// none of a user who exists: it writes a lost one in its place, which no code
// satisfies.

// loseFactor reports a record whose sealed value is of no use. Of the owned
// records only factors have one.
func (c *checker) loseFactor(m member, value []byte, fault string) error {
	c.found(16, m.Space, m.Token.ID(m.key), fault)
	if c.repair == nil {
		return nil
	}
	if err := c.quarantine(m.Space, m.key.Owner(), m.key[:], value); err != nil {
		return err
	}
	f, err := codec.DecodeFactor(m.key[:], value)
	if err != nil {
		return c.tx.Damaged(m.Space, err)
	}
	return c.tx.LoseFactor(f)
}

// moveLost reports a factor that is not under the owner of its user, as after
// the loss of the key of owners. Its seed is sealed for the key where it lies.
func (c *checker) moveLost(m member, userID string) error {
	if err := c.end(m, m.Invariant, "is not under its user"); err != nil || c.repair == nil {
		return err
	}
	return c.putLost(codec.MakeOwnedKey(c.tx.Owner(userID), m.key.OwnID()), userID)
}

func (c *checker) putLost(key codec.OwnedKey, userID string) error {
	f := c.tx.lost(codec.Factor{Key: key, UserID: userID, Epoch: c.tx.State.Epoch, UsedAt: key.Time()})
	return c.tx.PutFactor(&f)
}

// replaceUnreadable puts lost factors in the place of those that could not be
// read, for the users under whose owner they were.
func (c *checker) replaceUnreadable() error {
	if c.repair == nil || len(c.unreadable) == 0 {
		return nil
	}
	keys := make(map[codec.Owner]codec.OwnedKey, len(c.unreadable))
	for _, key := range c.unreadable {
		keys[key.Owner()] = key
	}
	return c.each(SpaceUsers, func(id, _ []byte) error {
		key, ok := keys[c.tx.Owner(string(id))]
		if !ok {
			return nil
		}
		return c.putLost(key, string(id))
	})
}
