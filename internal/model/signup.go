package model

import "maps"

// SignUp is the content of the token of a sign-up. It is no record: a rollback, or a
// restart with its key, leaves it good.
type SignUp struct {
	Identity
	Expires        int64
	Epoch, Process int
}

// BeginSignUp notes the token of a sign-up, and returns the verified holder of the
// identity.
func (m *Model) BeginSignUp(x Identity, ttl int64, token string) (holder string) {
	maps.DeleteFunc(m.SignUps, func(_ string, up SignUp) bool { return m.Now >= up.Expires }) // dead anyway
	m.SignUps[token] = SignUp{x, m.Now + ttl, m.Epoch, m.Process}
	return m.holder(x)
}

func (m *Model) holder(x Identity) string {
	if u := m.Owner(x); u != nil && u.Identities[u.find(x)].Verified != 0 {
		return u.ID
	}
	return ""
}

// PeekSignUp returns the identity of a token.
func (m *Model) PeekSignUp(token string) (Identity, error) {
	up, known := m.SignUps[token]
	switch {
	case !known || m.Now >= up.Expires || up.Epoch != m.Epoch || up.Process != m.Process:
		return Identity{}, ErrInvalidOneTimeToken
	case m.holder(up.Identity) != "":
		return Identity{}, ErrIdentityTaken
	}
	up.Verified = m.Now
	return up.Identity, nil
}

// FinishSignUp makes a user of a token.
func (m *Model) FinishSignUp(token string, u User, attributes map[string]any) error {
	x, err := m.PeekSignUp(token)
	if err != nil {
		return err
	}
	return m.CreateUser(u, x, attributes)
}
