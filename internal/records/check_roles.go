package records

import (
	"bytes"
	"slices"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/fold"
)

// userRoles checks INV-22 for a user: the roles can be, and have their entries.
func (c *checker) userRoles(u *codec.User) error {
	if RolesFault(u.Roles).Found() {
		c.note(LosesData, 22, SpaceUsers, u.ID, "has roles that nobody can have")
	}
	for _, r := range roleEntries(u) {
		ok, err := c.tx.Has(SpaceRoles, RoleKey(r, u.ID))
		if err != nil {
			return err
		}
		if !ok {
			c.note(Mendable, 22, SpaceRoles, u.ID, "entry of the user is missing")
		}
	}
	return nil
}

// mendRoles keeps INV-22 for a user, who loses the roles that cannot be.
func (c *checker) mendRoles(u *codec.User) (lost bool, err error) {
	if RolesFault(u.Roles).Found() {
		sound := slices.DeleteFunc(slices.Clone(u.Roles), func(r string) bool { return !fold.Name(r) })
		slices.Sort(sound)
		sound = slices.Compact(sound)
		u.Roles = sound[:min(len(sound), MaxRoles)]
		c.note(LosesData, 22, SpaceUsers, u.ID, "roles were dropped that nobody can have")
		lost = true
	}
	for _, r := range roleEntries(u) {
		key := RoleKey(r, u.ID)
		ok, err := c.tx.Has(SpaceRoles, key)
		if err == nil && !ok {
			c.note(Mendable, 22, SpaceRoles, u.ID, "entry was made")
			err = c.tx.Put(SpaceRoles, key, nil)
		}
		if err != nil {
			return lost, err
		}
	}
	return lost, nil
}

// guest checks INV-24: a guest has no way in but sessions. Repair makes another
// user of one who has.
func (c *checker) guest(u *codec.User) {
	if u.GuestSeenAt == 0 || len(u.Identities) == 0 && u.PasswordHash == "" {
		return
	}
	text := "is a guest with an identity or a password"
	if c.repair != nil {
		u.GuestSeenAt, text = 0, "is no guest any more"
	}
	c.note(Mendable, 24, SpaceUsers, u.ID, text)
}

// roles checks INV-22 from the other side: every entry is of a user with that
// role.
func (c *checker) roles() error {
	return c.each(SpaceRoles, func(key, value []byte) error {
		role, id, ok := codec.SplitPair(key)
		if !ok || len(value) > 0 {
			c.found(2, SpaceRoles, "", "record cannot be read")
			return c.remove(SpaceRoles, bytes.Clone(key))
		}
		return c.owner(22, SpaceRoles, key, string(id), func(u *codec.User) bool { return slices.Contains(roleEntries(u), string(role)) })
	})
}
