package records

import (
	"bytes"
	"errors"

	"github.com/snibdb/snib/codec"
)

// A factor is the one record whose loss opens an account. Repair therefore drops
// none of a user who exists: it writes a lost one in its place, which no code
// satisfies.

// loseFactor reports a factor that breaks an invariant: its sealed value, or its
// passkey, is of no use. Repair makes a lost one of it.
func (c *checker) loseFactor(invariant int, m member, value []byte, fault string) error {
	c.breach(m, invariant, fault)
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
func (c *checker) factor(m member, value []byte) error {
	f, err := codec.DecodeFactor(m.raw, value)
	if err != nil {
		return c.tx.Damaged(SpaceFactors, err)
	}
	if isFactor(&f) && !m.holder && c.repair == nil {
		c.breach(m, 19, "its user does not say so that there is one")
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

// passkey checks INV-25 for a passkey: its content decodes, and its entry leads to
// its user. Repair makes a lost factor of one that is of no use, or whose
// credential is another user's.
func (c *checker) passkey(m member, f *codec.Factor, value []byte) error {
	p, err := codec.DecodePasskey(f.Passkey)
	if hash := PasskeyHash(p.CredentialID); err != nil || f.Hash != hash {
		return c.loseFactor(25, m, value, "passkey has no content that can be read")
	}
	if c.repair == nil {
		return c.leads(25, SpacePasskeys, string(f.Hash[:]), f.UserID)
	}
	ok, err := c.claim(25, SpacePasskeys, string(f.Hash[:]), f.UserID, func(u *codec.User) bool {
		all, err := c.tx.Factors(u.ID)
		return err == nil && all.passkey(f.Hash) != nil
	})
	if err == nil && !ok {
		err = c.loseFactor(25, m, value, "passkey is another user's")
	}
	return err
}

// passkeys checks INV-25 from the other side: every entry leads to a user with
// that passkey.
func (c *checker) passkeys() error {
	if c.ownersLost { // nothing is found under its user
		return nil
	}
	return c.each(SpacePasskeys, func(key, value []byte) error {
		ref, err := codec.DecodeUserRef(codec.SpacePasskeys, key, value)
		if err != nil || len(key) != 32 {
			c.found(2, SpacePasskeys, "", "record cannot be read")
			return c.remove(SpacePasskeys, bytes.Clone(key))
		}
		hash := [32]byte(key)
		return c.owner(25, SpacePasskeys, key, ref.UserID, func(u *codec.User) bool {
			all, err := c.tx.Factors(u.ID)
			return err != nil || all.passkey(hash) != nil // reported where the space is walked
		})
	})
}
