package users

import (
	"slices"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/records"
)

// MayLose returns an ErrLastHolder that names the role if u is the last enabled user
// with one of these roles that is protected.
func MayLose(tx *records.Tx, u *codec.User, roles ...string) error {
	if u.DisabledAt != 0 {
		return nil // holds none of use
	}
	for _, role := range roles {
		if !slices.Contains(tx.Protected, role) || !slices.Contains(u.Roles, role) {
			continue
		}
		held, err := tx.Held(role, u.ID, true)
		if err == nil && !held {
			err = tx.LastHolder(role)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Grant gives a user a role. ErrTooMany.
func Grant(u *codec.User, c *records.Cascade, role string) error {
	at, has := slices.BinarySearch(u.Roles, role)
	switch {
	case has:
		return nil
	case len(u.Roles) >= records.MaxRoles:
		return records.ErrTooMany
	}
	u.Roles = slices.Insert(slices.Clone(u.Roles), at, role)
	c.Note(records.EventRoleGranted, records.About{Detail: role})
	return nil
}

// Withdraw takes a role from a user.
func Withdraw(tx *records.Tx, u *codec.User, c *records.Cascade, role string) error {
	c.Note(records.EventRoleWithdrawn, records.About{Detail: role}) // if there is a change
	if err := MayLose(tx, u, role); err != nil {
		return err
	}
	u.Roles = slices.DeleteFunc(slices.Clone(u.Roles), func(have string) bool { return have == role })
	if len(u.Roles) == 0 {
		u.Roles = nil // as it is read
	}
	return nil
}
