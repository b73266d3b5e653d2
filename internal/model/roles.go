package model

import (
	"maps"
	"slices"
)

const maxRoles = 16

// Grant gives a user a role.
func (m *Model) Grant(id, role string) error {
	return m.update(id, func(u *User) error {
		switch {
		case slices.Contains(u.Roles, role):
			return nil
		case len(u.Roles) >= maxRoles:
			return ErrTooLarge
		}
		u.Roles = append(u.Roles, role)
		slices.Sort(u.Roles)
		return nil
	})
}

// Withdraw takes a role from a user, unless the role is protected and the user
// is the last enabled one with it.
func (m *Model) Withdraw(id, role string) error {
	return m.update(id, func(u *User) error {
		if err := m.mayLose(u, role); err != nil {
			return err
		}
		u.Roles = slices.DeleteFunc(u.Roles, func(r string) bool { return r == role })
		if len(u.Roles) == 0 {
			u.Roles = nil
		}
		return nil
	})
}

// mayLose is ErrLastHolder if u alone can act by the protected role. One without an
// identity may have no way in.
func (m *Model) mayLose(u *User, role string) error {
	if role != m.Protected || u.Disabled || !slices.Contains(u.Roles, role) {
		return nil
	}
	for _, other := range m.Users {
		if other.ID != u.ID && !other.Disabled && len(other.Identities) > 0 && slices.Contains(other.Roles, role) {
			return nil
		}
	}
	return ErrLastHolder
}

// MayGo is ErrLastHolder if a user cannot be disabled or deleted.
func (m *Model) MayGo(id string) error {
	if u := m.Users[id]; u != nil {
		return m.mayLose(u, m.Protected)
	}
	return nil
}

// Holders returns the ids of the users with a role, in order.
func (m *Model) Holders(role string) (ids []string) {
	for _, id := range slices.Sorted(maps.Keys(m.Users)) {
		if slices.Contains(m.Users[id].Roles, role) {
			ids = append(ids, id)
		}
	}
	return ids
}
