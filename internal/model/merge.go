package model

import "slices"

// Merge makes one user of those of two sessions, whose log-ins must be recent unless
// it is a guest's: the first stays, under another token, with the identities and roles
// of both. The second goes with all else, and must have neither factor nor live key.
func (m *Model) Merge(into, from, id, token string) error {
	s, a, err := m.recent(into)
	if err != nil {
		return err
	}
	_, b, err := m.recent(from)
	switch {
	case err != nil:
		return err
	case a == b:
		return ErrNotMergeable
	case slices.Contains(b.Roles, m.Protected) && !slices.Contains(a.Roles, m.Protected):
		if err := m.MayGo(b.ID); err != nil {
			return err
		}
	}
	roles := slices.Concat(a.Roles, b.Roles)
	slices.Sort(roles)
	roles = slices.Compact(roles)
	live := slices.ContainsFunc(m.KeysOf(b.ID), m.KeyAlive)
	switch {
	case a.Guest && !b.Guest:
		return ErrNotMergeable
	case len(a.Identities)+len(b.Identities) > maxIdentities, len(roles) > maxRoles:
		return ErrTooLarge
	case b.holds(), live:
		return ErrNotMergeable
	}
	m.DeleteUser(b.ID)
	a.Identities = append(a.Identities, b.Identities...)
	if len(roles) > 0 {
		a.Roles = roles
	}
	if a.Guest { // a stranger may hold another session of it
		m.endGuest(a)
	}
	a.Update = m.Now
	m.keep(s, id, token)
	return nil
}

// recent returns the session of a token, if its log-in is recent, and its user.
func (m *Model) recent(token string) (Session, *User, error) {
	s := m.Accept(token)
	if s == nil {
		return Session{}, nil, ErrInvalidSession
	}
	u := m.Users[s.User]
	if m.Now-s.Auth > freshFor && !u.Guest || u.holds() && s.Methods&provenFactors == 0 {
		return Session{}, nil, ErrNotFresh
	}
	return *s, u, nil
}
