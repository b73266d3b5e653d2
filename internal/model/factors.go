package model

import (
	"errors"
	"slices"
)

// ErrSecondFactor: the first step of a log-in was right, and there is another.
var ErrSecondFactor = errors.New("second factor needed")

// ErrPasskeyTaken: the credential is registered.
var ErrPasskeyTaken = errors.New("passkey taken")

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
	err := m.changeFactors(user, func(u *User) { u.Seed, u.Step, u.Passkeys = "", 0, nil })
	if err == nil {
		m.endKeys(user)
	}
	return err
}

func (m *Model) setFactor(user, seed string, step int64) error {
	return m.changeFactors(user, func(u *User) { u.Seed, u.Step = seed, step })
}

// changeFactors ends the credentials that a change of factors ends.
func (m *Model) changeFactors(user string, change func(u *User)) error {
	return m.update(user, func(u *User) error {
		change(u)
		u.Version++
		m.endSessions(user, nil)
		m.endFamilies(user, nil)
		m.endLinks(user)
		m.endDevices(user)
		return nil
	})
}

// AddPasskey gives a user a passkey, on evidence that is good without a factor. A
// credential is one user's alone.
func (m *Model) AddPasskey(user string, version uint64, credential string) error {
	u, err := m.admitted(user)
	switch {
	case err != nil:
		return err
	case version != u.Version:
		return ErrInvalidCredentials
	case m.keeper(credential) != nil:
		return ErrPasskeyTaken
	}
	return m.changeFactors(user, func(u *User) { u.Passkeys = append(slices.Clone(u.Passkeys), credential) })
}

// Keeper returns the id of the user of a credential, or "".
func (m *Model) Keeper(credential string) string {
	if u := m.keeper(credential); u != nil {
		return u.ID
	}
	return ""
}

// keeper returns the user of a credential, or nil.
func (m *Model) keeper(credential string) *User {
	for _, u := range m.Users {
		if slices.Contains(u.Passkeys, credential) {
			return u
		}
	}
	return nil
}

// UsePasskey makes something for the user of a credential, who need not take
// another step.
func (m *Model) UsePasskey(credential string, create func(u *User) error) error {
	u := m.keeper(credential)
	switch {
	case u == nil:
		return ErrInvalidCredentials
	case u.Disabled:
		return ErrUserDisabled
	}
	m.proven = u.ID
	defer func() { m.proven = "" }()
	return create(u)
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
func (m *Model) second(u *User) bool { return u.holds() && m.proven != u.ID }

// holds reports whether a user has a second factor.
func (u *User) holds() bool { return u.Seed != "" || len(u.Passkeys) > 0 }
