package model

import "maps"

// Invitation is an operator's, for an identity.
type Invitation struct {
	Identity
	ID, Token string
	Expires   int64
	Epoch     int
	Role      string
}

func (m *Model) live(i *Invitation) bool { return i.Epoch == m.Epoch && m.Now < i.Expires }

// Invite makes an invitation in the place of those for the same identity.
func (m *Model) Invite(x Identity, ttl int64, role, id, token string) {
	maps.DeleteFunc(m.Invitations, func(_ string, i *Invitation) bool { return i.key() == x.key() })
	m.Invitations[id] = &Invitation{x, id, token, m.Now + ttl, m.Epoch, role}
}

// LiveInvitations returns the ids of the live ones.
func (m *Model) LiveInvitations() map[string]bool {
	out := map[string]bool{}
	for id, i := range m.Invitations {
		if m.live(i) {
			out[id] = true
		}
	}
	return out
}

// AcceptInvitation makes a user by a token.
func (m *Model) AcceptInvitation(token string, u User, attributes map[string]any) error {
	for id, i := range m.Invitations {
		if token == "" || i.Token != token || !m.live(i) {
			continue
		}
		x := i.Identity
		if m.holder(x) != "" {
			return ErrIdentityTaken
		}
		x.Verified = m.Now
		if err := m.CreateUser(u, x, attributes); err != nil {
			return err
		}
		if i.Role != "" {
			m.Users[u.ID].Roles = []string{i.Role}
		}
		delete(m.Invitations, id)
		return nil
	}
	return ErrInvalidOneTimeToken
}

// sweepInvitations removes the ones dead for a day.
func (m *Model) sweepInvitations() int {
	before := len(m.Invitations)
	maps.DeleteFunc(m.Invitations, func(_ string, i *Invitation) bool { return i.Epoch != m.Epoch || m.Now-i.Expires >= day })
	return before - len(m.Invitations)
}
