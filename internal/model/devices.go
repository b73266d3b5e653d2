package model

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// Device is a known device of a user, with the token that it has been given.
type Device struct {
	ID, User, Token                 string
	Epoch                           int
	Created, Used, Expires, Trusted int64 // Trusted: until then
}

const maxDevices = 20

// DeviceAlive reports whether a device is known.
func (m *Model) DeviceAlive(d *Device) bool { return d.Epoch == m.Epoch && m.Now < d.Expires }

// DevicesOf returns a user's devices, dead ones too, by id.
func (m *Model) DevicesOf(user string) []*Device {
	return Of(m.Devices, func(d *Device) string { return d.User }, user)
}

func (m *Model) endDevices(user string) {
	maps.DeleteFunc(m.Devices, func(_ string, d *Device) bool { return d.User == user })
}

// KnownDevice returns the known device of a user that has the token, or nil.
func (m *Model) KnownDevice(user, token string) *Device {
	for _, d := range m.DevicesOf(user) {
		if d.Token == token && m.DeviceAlive(d) {
			return d
		}
	}
	return nil
}

// Remember makes the device of a token known to the user of an active session,
// if it is not. id and token are those that a new one gets. It returns the id.
func (m *Model) Remember(session, user, carried, id, token string) (string, error) {
	if err := m.proves(session, user); err != nil {
		return "", err
	}
	d := m.KnownDevice(user, carried)
	switch {
	case d == nil:
		d = m.newDevice(user, id, token)
	case m.Now-d.Used < min(day, m.DeviceLife/2):
		return d.ID, nil
	}
	d.Used, d.Expires = m.Now, m.Now+m.DeviceLife
	return d.ID, nil
}

// Trust does the work of Remember, gives the device the token, and trusts it.
func (m *Model) Trust(session, user, carried string, life int64, id, token string) (string, error) {
	if err := m.proves(session, user); err != nil {
		return "", err
	}
	s := m.Sessions[session]
	if m.Users[user].holds() && (m.Now-s.Auth > freshFor || s.Methods&provenFactors == 0) {
		return "", ErrNotFresh
	}
	d := m.KnownDevice(user, carried)
	if d == nil {
		d = m.newDevice(user, id, token)
	}
	d.Token, d.Used, d.Expires = token, m.Now, m.Now+m.DeviceLife
	d.Trusted = min(m.Now+life, d.Expires)
	return d.ID, nil
}

// proves reports whether a session is a log-in of the user's.
func (m *Model) proves(session, user string) error {
	s := m.Sessions[session]
	switch {
	case session == "":
		return ErrInvalidInput
	case s == nil, s.User != user, m.State(s) != Active:
		return ErrInvalidSession
	}
	return nil
}

// newDevice adds one. At the bound those go that end first.
func (m *Model) newDevice(user, id, token string) *Device {
	have := m.DevicesOf(user)
	rank := func(d *Device) int64 {
		if d.Epoch != m.Epoch {
			return 0
		}
		return d.Expires
	}
	slices.SortStableFunc(have, func(a, b *Device) int { return cmp.Compare(rank(a), rank(b)) })
	for _, d := range have[:max(0, len(have)+1-maxDevices)] {
		delete(m.Devices, d.ID)
	}
	d := &Device{ID: id, User: user, Token: token, Epoch: m.Epoch, Created: m.Now}
	m.Devices[id] = d
	return d
}

// RevokeDevice ends a device of a user.
func (m *Model) RevokeDevice(id, user string) error {
	if !strings.HasPrefix(id, "dev_") || malformed(user) {
		return ErrInvalidInput
	}
	maps.DeleteFunc(m.Devices, func(_ string, d *Device) bool { return d.ID == id && d.User == user })
	return nil
}

// RevokeDevices ends those of a user.
func (m *Model) RevokeDevices(user string) error {
	if m.Users[user] == nil {
		return ErrUserNotFound
	}
	m.endDevices(user)
	return nil
}
