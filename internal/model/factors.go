package model

import "errors"

// ErrSecondFactor: the first step of a log-in was right, and there is another.
var ErrSecondFactor = errors.New("second factor needed")

// secondFactors are the methods that are one.
const secondFactors = provenFactors | 1<<6

// provenFactors are those but the trusted device.
const provenFactors = 1<<3 | 1<<4 | 1<<5

// AddFactor gives a user a second factor, whose code of a step has confirmed it,
// on evidence that is good without one.
func (m *Model) AddFactor(user string, version uint64, seed string, step int64) error {
	u, err := m.admitted(user)
	switch {
	case err != nil:
		return err
	case version != u.Version:
		return ErrInvalidCredentials
	}
	return m.setFactor(user, seed, step)
}

// ResetFactors takes the factor of a user away.
func (m *Model) ResetFactors(user string) error {
	err := m.setFactor(user, "", 0)
	if err == nil {
		m.endKeys(user)
	}
	return err
}

func (m *Model) setFactor(user, seed string, step int64) error {
	return m.update(user, func(u *User) error {
		u.Seed, u.Step = seed, step
		u.Version++
		m.endSessions(user, nil)
		m.endFamilies(user, nil)
		m.endLinks(user)
		m.endDevices(user)
		return nil
	})
}

// Finish is the second step of a log-in: the code of a step, and what is made
// then.
func (m *Model) Finish(user string, step int64, create func() error) error {
	u := m.Users[user]
	if step <= u.Step {
		return ErrInvalidCredentials
	}
	u.Step = step
	m.proven = user
	defer func() { m.proven = "" }()
	return create()
}

// second reports whether a user must still take the second step.
func (m *Model) second(u *User) bool { return u.Seed != "" && m.proven != u.ID }
