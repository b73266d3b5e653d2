package model

import (
	"slices"
	"strings"
)

// Identity is a way in.
type Identity struct {
	Provider, Identifier string
	Verified             int64 // 0 is not verified
}

// key is how an identity is compared.
func (x Identity) key() string {
	if x.Provider == "email" {
		return x.Provider + " " + strings.ToLower(x.Identifier)
	}
	return x.Provider + " " + x.Identifier
}

// find returns where u has an identity, or -1.
func (u *User) find(x Identity) int {
	return slices.IndexFunc(u.Identities, func(have Identity) bool { return have.key() == x.key() })
}

// write puts an identity over the same one. Only the same spelling stays
// verified without a new proof.
func (u *User) write(i int, x Identity) {
	if x.Verified == 0 && x.Identifier == u.Identities[i].Identifier {
		x.Verified = u.Identities[i].Verified
	}
	u.Identities[i] = x
}

// claim is ErrIdentityTaken if another than the user id has x and has verified
// it, or x is not verified. Otherwise that user loses x, and is disabled if
// nothing else leads to the account.
func (m *Model) claim(x Identity, id string) error {
	owner := m.Owner(x)
	if owner == nil || owner.ID == id {
		return nil
	}
	i := owner.find(x)
	if x.Verified == 0 || owner.Identities[i].Verified != 0 {
		return ErrIdentityTaken
	}
	return m.update(owner.ID, func(u *User) error {
		u.Identities = slices.Delete(u.Identities, i, i+1)
		u.Version++
		m.endLinks(u.ID)
		if len(u.Identities) == 0 && !u.Disabled && m.mayLose(u, m.Protected) == nil {
			u.Disabled, u.Reason = true, "identity-claimed"
			m.endSessions(u.ID, nil)
			m.endFamilies(u.ID, nil)
			m.endDevices(u.ID)
		}
		return nil
	})
}

// UpdateProviderID replaces the identity of the same provider, or the only one.
func (m *Model) UpdateProviderID(id string, x Identity) error {
	return m.update(id, func(u *User) error {
		at, err := u.replaced(x.Provider)
		if err == nil {
			err = m.claim(x, id)
		}
		if err != nil {
			return err
		}
		if at == len(u.Identities) {
			u.Identities = append(u.Identities, x)
		} else if u.Identities[at].key() == x.key() {
			u.write(at, x)
			return nil
		} else {
			u.Identities[at] = x
		}
		u.Version++
		m.endLinks(id)
		return nil
	})
}

// replaced returns the position of the identity that one of provider replaces.
func (u *User) replaced(provider string) (int, error) {
	var of []int
	for i, have := range u.Identities {
		if have.Provider == provider {
			of = append(of, i)
		}
	}
	if len(of) == 0 && len(u.Identities) <= 1 {
		return 0, nil
	}
	if len(of) != 1 {
		return 0, ErrInvalidInput
	}
	return of[0], nil
}

// Link adds an identity, or verifies one that is there.
func (m *Model) Link(id string, x Identity) error {
	return m.update(id, func(u *User) error {
		if i := u.find(x); i >= 0 {
			if x.Verified != 0 {
				u.write(i, x)
			}
			return nil
		}
		if len(u.Identities) == maxIdentities {
			return ErrTooLarge
		}
		if err := m.claim(x, id); err != nil {
			return err
		}
		u.Identities = append(u.Identities, x)
		return nil
	})
}

// Unlink removes an identity.
func (m *Model) Unlink(id string, x Identity) error {
	return m.update(id, func(u *User) error {
		i := u.find(x)
		switch {
		case i < 0:
			return nil
		case len(u.Identities) == 1:
			return ErrInvalidInput
		}
		u.Identities = slices.Delete(u.Identities, i, i+1)
		u.Version++
		m.endLinks(id)
		return nil
	})
}

// MovePurpose is that of the one-time tokens that move a user.
const MovePurpose = "snib:move"

// BeginMove adds a one-time token that moves the user to x.
func (m *Model) BeginMove(user string, x Identity, ttl int64, id, token string) error {
	u := m.Users[user]
	if u == nil {
		return ErrUserNotFound
	}
	if _, err := u.replaced(x.Provider); err != nil {
		return err
	}
	if err := m.CreateLink(user, MovePurpose, ttl, id, token); err != nil {
		return err
	}
	m.Links[id].Move = x
	return nil
}

// FinishMove uses a token of BeginMove and returns the user, and the identity
// that is gone.
func (m *Model) FinishMove(token string) (user string, gone Identity, err error) {
	l, err := m.PeekLink(MovePurpose, token)
	if err != nil {
		return "", gone, err
	}
	before := slices.Clone(m.Users[l.User].Identities)
	x := l.Move
	x.Verified = m.Now
	if err := m.UpdateProviderID(l.User, x); err != nil {
		return "", gone, err
	}
	delete(m.Links, l.ID)
	for i, now := range m.Users[l.User].Identities {
		if i < len(before) && now.key() != before[i].key() {
			gone = before[i]
		}
	}
	return l.User, gone, nil
}
