package records

import (
	"errors"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/token"
)

// A factor is the one record whose loss opens an account. Repair therefore drops
// none of a user who exists: it writes a lost one in its place, which no code
// satisfies.

// loseFactor reports a factor that breaks an invariant: its sealed value, or its
// passkey, is of no use. Repair makes a lost one of it.
func (c *checker) loseFactor(invariant int, m member, value []byte, fault string) error {
	c.found(invariant, m.Space, m.Token.ID(m.key), fault)
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

// holder checks of a user whose record says so that there is a factor.
func (c *checker) holder(u *codec.User) error {
	if u.Flags&UserHasFactor == 0 || c.ownersLost {
		return nil
	}
	all, err := c.tx.Factors(u.ID)
	if err == nil && !all.Needed() {
		c.found(19, SpaceUsers, u.ID, "second factor is missing")
	}
	if unreadable(err) || errors.Is(err, ErrNewerFormat) { // reported where the space is walked
		return nil
	}
	return err
}

// factor checks that the user of a confirmed factor says so that there is one.
// mendHolders sees to it.
func (c *checker) factor(run *ownerRun, m member, value []byte) error {
	f, err := codec.DecodeFactor(m.raw, value)
	if err != nil {
		return c.tx.Damaged(SpaceFactors, err)
	}
	if isFactor(&f) && !run.holder && c.repair == nil {
		c.found(19, SpaceFactors, token.Factor.ID(m.key), "its user does not say so that there is one")
	}
	if f.Type == FactorPasskey {
		return c.passkey(m, &f, value)
	}
	return nil
}

// mendHolders closes the account of a user who had a factor and has none after
// Repair: it could not be read, its key was damaged, or the key of owners is lost
// and nothing else tells whose it was. And it notes in the record of a user that
// there is a factor.
func (c *checker) mendHolders() error {
	if c.repair == nil {
		return nil
	}
	lost := make(map[codec.Owner]codec.OwnedKey, len(c.unreadable))
	for _, key := range c.unreadable {
		lost[key.Owner()] = key
	}
	return c.each(SpaceUsers, func(key, value []byte) error {
		u, err := codec.DecodeUser(key, value)
		if err != nil {
			return c.tx.Damaged(SpaceUsers, err) // unreachable: it was mended
		}
		all, err := c.tx.Factors(u.ID)
		if err != nil {
			return err
		}
		at, unread := lost[c.tx.Owner(u.ID)]
		flagged := u.Flags&UserHasFactor != 0
		switch {
		case !all.Needed() && !flagged && !unread:
			return nil
		case !all.Needed() && !unread:
			c.found(19, SpaceUsers, u.ID, "second factor is missing")
			at, err = c.tx.NewKey(Factors, u.ID)
		}
		if err == nil && (unread || !all.Needed()) {
			err = c.putLost(at, u.ID)
		}
		if err != nil || flagged {
			return err
		}
		c.note(Mendable, 19, SpaceUsers, u.ID, "it was noted that there is a second factor")
		u.Flags |= UserHasFactor
		return c.tx.Put(SpaceUsers, u.ID, u.Append(nil))
	})
}

// surplusFactors returns the records by which a user has more than may be: lists
// of recovery codes and factors that wait, all but the newest of each. Confirmed
// factors above the bound stay: a user is given no more, and loses none.
func (tx *Tx) surplusFactors(userID string) (keys []codec.OwnedKey, err error) {
	var all FactorSet
	err = tx.ScanOwner(SpaceFactors, tx.Owner(userID), 0, func(key codec.OwnedKey, value []byte) error {
		if f, err := codec.DecodeFactor(key[:], value); err == nil && f.UserID == userID {
			all = append(all, f) // the others are reported where the space is walked
		}
		return nil
	})
	codes, waiting := false, false
	for i := len(all) - 1; i >= 0; i-- {
		more := &waiting
		if f := &all[i]; f.Type == FactorRecovery {
			more = &codes
		} else if isFactor(f) {
			continue
		}
		if *more {
			keys = append(keys, all[i].Key)
		}
		*more = true
	}
	return keys, err
}
