// Package model holds the promises of package snib, in plain maps: the
// reference that random operations on a database are compared with. It has no
// storage, hashing or concurrency, and shares no code with its counterpart. Ids
// and tokens are opaque text that the caller brings, as the database drew them.
package model

import (
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// The errors of operations, one for each sentinel that they can meet.
var (
	ErrUserNotFound        = errors.New("user not found")
	ErrUserDisabled        = errors.New("user disabled")
	ErrIdentityTaken       = errors.New("identity taken")
	ErrAttributeTaken      = errors.New("attribute taken")
	ErrInvalidCredentials  = errors.New("invalid credentials")
	ErrInvalidSession      = errors.New("invalid session")
	ErrInvalidRefresh      = errors.New("invalid refresh token")
	ErrReused              = errors.New("refresh token reused")
	ErrInvalidOneTimeToken = errors.New("invalid token")
	ErrDeviceNotFound      = errors.New("device not found")
	ErrOneTimeTokenLimit   = errors.New("limit of tokens")
	ErrInvalidAPIKey       = errors.New("invalid API key")
	ErrAPIKeyLimit         = errors.New("limit of API keys")
	ErrLastHolder          = errors.New("last holder")
	ErrNotFresh            = errors.New("not fresh")
	ErrNotMergeable        = errors.New("not mergeable")
	ErrInvalidInput        = errors.New("invalid input")
	ErrTooLarge            = errors.New("too large")
)

// Policy holds the options of the database; durations in milliseconds.
type Policy struct {
	Active, Idle, Absolute, ExtendEvery                 int64
	RefreshIdle, RefreshAbsolute, RefreshSession, Grace int64
	MaxSessions, MaxFamilies                            int
	DeviceLife                                          int64
	Protected                                           string // role
}

// Bounds that no option moves.
const (
	maxIdentities = 16
	maxLinks      = 32 // live ones, of all purposes
	maxSameLinks  = 3  // of one purpose
	linkInterval  = 60_000
	maxTombstones = 20 // families of a user that were revoked for reuse
	maxWatched    = 8  // answers of refreshing whose use is watched, of a user
	maxForeign    = 3  // generations in a row that were repeated elsewhere
	day           = 24 * 3600 * 1000
)

// Model is all accounts. The caller moves Now, in Unix milliseconds.
type Model struct {
	Policy
	Now     int64
	Process int // which one it is: another has another refresh key
	Epoch   int
	Memory  *Memory // of the process
	proven  string  // the user whose second step is being taken

	Users    map[string]*User
	Sessions map[string]*Session
	Families map[string]*Family
	Links    map[string]*Link // one-time tokens
	Devices  map[string]*Device
	Keys     map[string]*APIKey
	SignUps  map[string]SignUp // by token

	Invitations map[string]*Invitation
}

// User is an account.
type User struct {
	ID              string
	Identities      []Identity
	Attributes      map[string]any
	Password        string // "" is no password
	Imported        bool   // its hash came from another system
	Version         uint64
	Roles           []string // ascending
	Disabled        bool
	Seed            string   // of a second factor; "" without one
	Passkeys        []string // credential ids
	Step            int64    // of its last code
	Reason          string
	Guest           bool
	Seen            int64 // of a guest, as far as it is stored
	Created, Update int64
}

// New returns an empty model.
func New(p Policy, now int64) *Model {
	return &Model{
		Policy: p, Now: now, Memory: NewMemory(),
		Users: map[string]*User{}, Sessions: map[string]*Session{}, Families: map[string]*Family{}, Links: map[string]*Link{}, Devices: map[string]*Device{}, Keys: map[string]*APIKey{}, SignUps: map[string]SignUp{}, Invitations: map[string]*Invitation{},
	}
}

// Memory is the knowledge of a process that no file has. What a transaction has
// seen stays seen if it is rolled back.
type Memory struct {
	watched map[string][]string // by user: the sessions of the last answers
	used    map[string]bool     // sessions among them that were accepted
	repeats map[string]uint32   // and how often their answer was repeated
}

// NewMemory returns that of a process that begins.
func NewMemory() *Memory {
	return &Memory{map[string][]string{}, map[string]bool{}, map[string]uint32{}}
}

// watch begins to watch a session in the place of another. Above the bound the
// user's oldest is forgotten.
func (x *Memory) watch(user, before, session string) {
	all := slices.DeleteFunc(x.watched[user], func(s string) bool { return s == before })
	all = append(all, session)
	x.watched[user] = all[max(0, len(all)-maxWatched):]
	delete(x.used, session)
	delete(x.repeats, session)
}

// move lets a session take over all that is known of another.
func (x *Memory) move(user, before, session string) {
	all := x.watched[user]
	if i := slices.Index(all, before); i >= 0 {
		all[i], x.used[session], x.repeats[session] = session, x.used[before], x.repeats[before]
	}
}

func (x *Memory) watches(user, session string) bool {
	return slices.Contains(x.watched[user], session)
}

// Clone returns a copy that shares nothing but the memory, for a transaction
// that may be rolled back.
func (m *Model) Clone() *Model {
	c := *m
	c.Users, c.Sessions = map[string]*User{}, map[string]*Session{}
	c.Families, c.Links, c.Devices, c.Keys = map[string]*Family{}, map[string]*Link{}, map[string]*Device{}, map[string]*APIKey{}
	for id, d := range m.Devices {
		copied := *d
		c.Devices[id] = &copied
	}
	c.Families, c.Links, c.Keys = map[string]*Family{}, map[string]*Link{}, map[string]*APIKey{}
	for id, u := range m.Users {
		copied := *u
		copied.Identities, copied.Attributes = slices.Clone(u.Identities), maps.Clone(u.Attributes)
		copied.Roles = slices.Clone(u.Roles)
		c.Users[id] = &copied
	}
	for id, s := range m.Sessions {
		copied := *s
		c.Sessions[id] = &copied
	}
	for id, f := range m.Families {
		copied := *f
		copied.Spent = slices.Clone(f.Spent)
		c.Families[id] = &copied
	}
	for id, l := range m.Links {
		copied := *l
		c.Links[id] = &copied
	}
	for id, k := range m.Keys {
		copied := *k
		c.Keys[id] = &copied
	}
	c.Invitations = maps.Clone(m.Invitations) // none of which changes
	return &c
}

// Owner returns the user with an identity, or nil.
func (m *Model) Owner(x Identity) *User {
	for _, u := range m.Users {
		for _, have := range u.Identities {
			if have.key() == x.key() {
				return u
			}
		}
	}
	return nil
}

// Key is the value that the index "nick" (unique, folded) or "team" keeps for
// v, to be compared with ==; nil if it keeps nothing.
func Key(name string, v any) any {
	switch v := v.(type) {
	case string:
		if name == "nick" {
			v = strings.ToLower(strings.Join(strings.Fields(v), " "))
			if v == "" { // no value of a unique index
				return nil
			}
		}
		return v
	case float64:
		if v == float64(int64(v)) {
			return int64(v)
		}
		return v
	case []byte:
		return [1]string{string(v)}
	}
	return v
}

// Named returns the ids of the users whose attribute has the index value, in
// order.
func (m *Model) Named(name string, key any) (ids []string) {
	for id, u := range m.Users {
		if key != nil && Key(name, u.Attributes[name]) == key {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// Unset as a value removes an attribute.
type Unset struct{}

// merged returns u's attributes after changes, unless a unique one is taken.
func (m *Model) merged(u *User, changes map[string]any) (map[string]any, error) {
	out := maps.Clone(u.Attributes)
	if out == nil {
		out = map[string]any{}
	}
	maps.Copy(out, changes)
	maps.DeleteFunc(out, func(_ string, v any) bool { return v == Unset{} })
	if owners := m.Named("nick", Key("nick", out["nick"])); len(owners) > 0 && owners[0] != u.ID {
		return nil, ErrAttributeTaken
	}
	return out, nil
}

// CreateUser adds a user with these fields, enabled or disabled.
func (m *Model) CreateUser(u User, x Identity, attributes map[string]any) error {
	if m.Users[u.ID] != nil {
		return ErrInvalidInput
	}
	var err error
	if u.Attributes, err = m.merged(&u, attributes); err != nil {
		return err
	}
	if err := m.claim(x, u.ID); err != nil {
		return err
	}
	u.Identities = []Identity{x} // Version begins anywhere
	u.Created, u.Update = m.Now, m.Now
	m.Users[u.ID] = &u
	return nil
}

// update is the form of every update: change decides before it changes. One
// that changes nothing is no update.
func (m *Model) update(id string, change func(u *User) error) error {
	u := m.Users[id]
	if u == nil {
		return ErrUserNotFound
	}
	before := *u
	before.Identities, before.Attributes = slices.Clone(u.Identities), maps.Clone(u.Attributes)
	before.Roles = slices.Clone(u.Roles)
	if err := change(u); err != nil {
		return err
	}
	m.upgrade(u)
	if !reflect.DeepEqual(before, *u) {
		u.Update = m.Now
	}
	return nil
}

// DeleteUser removes a user and all that is the user's.
func (m *Model) DeleteUser(id string) {
	delete(m.Users, id)
	maps.DeleteFunc(m.Sessions, func(_ string, s *Session) bool { return s.User == id })
	maps.DeleteFunc(m.Families, func(_ string, f *Family) bool { return f.User == id })
	m.endLinks(id)
	m.endDevices(id)
	m.endKeys(id)
}

func (m *Model) endLinks(user string) {
	maps.DeleteFunc(m.Links, func(_ string, l *Link) bool { return l.User == user })
}

// UpdateAttributes merges changes into a user's attributes.
func (m *Model) UpdateAttributes(id string, changes map[string]any) error {
	return m.update(id, func(u *User) error {
		merged, err := m.merged(u, changes)
		if err == nil {
			u.Attributes = merged
		}
		return err
	})
}

// SetPassword sets or, with "", removes a password without the old one, and ends
// all that it opened.
func (m *Model) SetPassword(id, password string) error {
	err := m.setPassword(id, password)
	if err == nil {
		m.endKeys(id)
	}
	return err
}

// setPassword is SetPassword by the user, who has given the old one.
func (m *Model) setPassword(id, password string) error {
	return m.update(id, func(u *User) error {
		u.Password, u.Imported = password, false
		u.Version++
		m.endSessions(id, nil)
		m.endFamilies(id, nil)
		m.endLinks(id)
		m.endDevices(id)
		return nil
	})
}

// Disable shuts a user out.
func (m *Model) Disable(id, reason string) error {
	return m.update(id, func(u *User) error {
		if err := m.MayGo(id); err != nil {
			return err
		}
		u.Reason = reason
		if !u.Disabled {
			u.Disabled = true
			u.Version++
			m.endSessions(id, nil)
			m.endFamilies(id, nil)
			m.endLinks(id)
			m.endDevices(id)
		}
		return nil
	})
}

// Enable lets a user in again.
func (m *Model) Enable(id string) error {
	return m.update(id, func(u *User) error {
		if u.Disabled {
			u.Disabled, u.Reason = false, ""
			u.Version++
		}
		return nil
	})
}

// Authenticate returns the user with the identity and the password. An imported
// hash is replaced, which is an update.
func (m *Model) Authenticate(x Identity, password string) (*User, error) {
	u := m.Owner(x)
	if u == nil || u.Disabled || u.Password == "" || u.Password != password {
		return nil, ErrInvalidCredentials
	}
	if u.Imported {
		u.Imported, u.Update = false, m.Now
	}
	return u, nil
}
