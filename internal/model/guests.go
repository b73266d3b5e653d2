package model

import (
	"maps"
	"slices"
)

const guestAge = 30 * day

// CreateGuest adds a user without identity and password, with a session.
func (m *Model) CreateGuest(id string, version uint64, session, token string, t Traits, replaced ...string) error {
	m.Users[id] = &User{
		ID: id, Guest: true, Seen: m.Now, Version: version, Created: m.Now, Update: m.Now,
		Identities: []Identity{}, Attributes: map[string]any{},
	}
	return m.CreateSession(id, version, session, token, t, replaced...)
}

// upgrade makes an ordinary user of a guest with a way in.
func (m *Model) upgrade(u *User) {
	if !u.Guest || len(u.Identities) == 0 && u.Password == "" {
		return
	}
	u.Guest = false
	m.endGuest(u)
}

// endGuest ends all by which somebody else could be in the account of a guest.
func (m *Model) endGuest(u *User) {
	u.Version++
	u.Seed, u.Step, u.Passkeys = "", 0, nil
	m.endSessions(u.ID, nil)
	m.endFamilies(u.ID, nil)
	m.endLinks(u.ID)
	m.endDevices(u.ID)
	m.endKeys(u.ID)
}

// sweepGuests removes the guests not seen for 30 days, and returns how many.
func (m *Model) sweepGuests() (n int) {
	for _, id := range slices.Sorted(maps.Keys(m.Users)) {
		u := m.Users[id]
		if !u.Guest {
			continue
		}
		seen, live := m.seen(u)
		switch {
		case m.Now-seen < guestAge:
			if !live && seen-u.Seen >= day {
				u.Seen = seen
			}
		case m.mayLose(u, m.Protected) == nil:
			m.DeleteUser(id)
			n++
		}
	}
	return n
}

// seen returns when a guest was last seen, and whether the record that tells can
// still be used.
func (m *Model) seen(u *User) (seen int64, live bool) {
	seen, live = u.Seen, true
	sight := func(at int64, epoch int, until int64) {
		if at > seen {
			seen, live = at, epoch == m.Epoch && m.Now < until
		}
	}
	for _, s := range Of(m.Sessions, func(s *Session) string { return s.User }, u.ID) {
		sight(max(s.Used, min(m.Now, s.ActiveUntil)), s.Epoch, s.IdleUntil)
	}
	for _, f := range Of(m.Families, func(f *Family) string { return f.User }, u.ID) {
		if f.Revoked {
			sight(f.RevokedAt, f.Epoch, f.IdleUntil)
		} else {
			sight(f.Rotated, f.Epoch, f.IdleUntil)
		}
	}
	for _, d := range m.DevicesOf(u.ID) {
		sight(d.Used, d.Epoch, d.Expires)
	}
	return seen, live
}
