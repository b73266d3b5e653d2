package records

import (
	"bytes"

	"github.com/snibdb/snib/codec"
)

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
