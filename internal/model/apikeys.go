package model

import (
	"maps"
	"strings"
)

// APIKey is an API key.
type APIKey struct {
	ID, User, Token  string
	Epoch            int
	Created, Expires int64 // Expires 0: never
}

// Bounds of API keys.
const (
	maxKeys  = 50 // live ones of one user
	freshFor = 15 * 60 * 1000
)

// KeyAlive reports whether a key can be used if its user is not disabled.
func (m *Model) KeyAlive(k *APIKey) bool {
	return k.Epoch == m.Epoch && (k.Expires == 0 || m.Now < k.Expires)
}

// KeysOf returns a user's keys, dead ones too, by id.
func (m *Model) KeysOf(user string) []*APIKey {
	return Of(m.Keys, func(k *APIKey) string { return k.User }, user)
}

// CreateKey adds a key by a session whose log-in must be recent, or by "" for
// the user. Dead keys make room, the oldest first.
func (m *Model) CreateKey(session, user string, ttl int64, id, token string) error {
	if session != "" {
		s := m.Sessions[session]
		if s == nil || m.State(s) != Active {
			return ErrInvalidSession
		}
		if user = s.User; m.Now-s.Auth > freshFor || m.Users[user].holds() && s.Methods&provenFactors == 0 {
			return ErrNotFresh
		}
	}
	if _, err := m.admitted(user); err != nil {
		return err
	}
	live, have := 0, m.KeysOf(user)
	for _, k := range have {
		if m.KeyAlive(k) {
			live++
		}
	}
	if live >= maxKeys {
		return ErrAPIKeyLimit
	}
	excess := len(have) + 1 - maxKeys
	for _, k := range have {
		if excess > 0 && !m.KeyAlive(k) {
			delete(m.Keys, k.ID)
			excess--
		}
	}
	k := &APIKey{ID: id, User: user, Token: token, Epoch: m.Epoch, Created: m.Now}
	if ttl != 0 {
		k.Expires = m.Now + ttl
	}
	m.Keys[id] = k
	return nil
}

// ValidateKey returns the key of a token.
func (m *Model) ValidateKey(token string) (*APIKey, error) {
	for _, k := range m.Keys {
		if token != "" && k.Token == token && m.KeyAlive(k) && !m.Users[k.User].Disabled {
			return k, nil
		}
	}
	return nil, ErrInvalidAPIKey
}

// RevokeKey ends a key of a user, or of any for "".
func (m *Model) RevokeKey(id, user string) error {
	if !strings.HasPrefix(id, "key_") || malformed(user) {
		return ErrInvalidInput
	}
	maps.DeleteFunc(m.Keys, func(_ string, k *APIKey) bool { return k.ID == id && (user == "" || k.User == user) })
	return nil
}

// RevokeKeys ends all of a user's.
func (m *Model) RevokeKeys(user string) error {
	if m.Users[user] == nil {
		return ErrUserNotFound
	}
	m.endKeys(user)
	return nil
}

func (m *Model) endKeys(user string) {
	maps.DeleteFunc(m.Keys, func(_ string, k *APIKey) bool { return k.User == user })
}
