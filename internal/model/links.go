package model

import (
	"maps"
	"slices"
	"strings"
)

// Link is a one-time token.
type Link struct {
	ID, User, Purpose, Token string
	Epoch                    int
	Version                  uint64 // of the user's credentials
	Created, Expires         int64
	Move                     Identity // of BeginMove
	Mailed                   Identity // of StoreReset; zero of CreateReset
}

// linkStands reports whether nothing has ended a one-time token, but perhaps
// time.
func (m *Model) linkStands(l *Link) bool {
	u := m.Users[l.User]
	return l.Epoch == m.Epoch && u != nil && !u.Disabled && l.Version == u.Version
}

// LinkAlive reports whether a one-time token can be used.
func (m *Model) LinkAlive(l *Link) bool { return m.linkStands(l) && m.Now < l.Expires }

// LinksOf returns a user's one-time tokens, dead ones too, by id.
func (m *Model) LinksOf(user string) []*Link {
	return Of(m.Links, func(l *Link) string { return l.User }, user)
}

// LinkWait returns the time before which a user gets no one-time token for a
// purpose, or 0.
func (m *Model) LinkWait(user, purpose string) (until int64) {
	var all, same []int64 // when they expire
	for _, l := range m.LinksOf(user) {
		if m.LinkAlive(l) {
			all = append(all, l.Expires)
		}
		if l.Purpose != purpose || !m.linkStands(l) {
			continue
		}
		if m.LinkAlive(l) {
			same = append(same, l.Expires)
		}
		if next := l.Created + linkInterval; m.Now < next {
			until = max(until, next)
		}
	}
	if len(all) >= maxLinks {
		until = max(until, slices.Min(all))
	}
	if len(same) >= maxSameLinks {
		until = max(until, slices.Min(same))
	}
	return until
}

// CreateLink adds a one-time token unless a bound is reached. Dead ones make
// room, the oldest first; live ones never do.
func (m *Model) CreateLink(user, purpose string, ttl int64, id, token string) error {
	u, err := m.admitted(user)
	if err != nil {
		return err
	}
	if m.LinkWait(user, purpose) > 0 {
		return ErrOneTimeTokenLimit
	}
	have := m.LinksOf(user)
	excess := len(have) + 1 - maxLinks
	for _, l := range have {
		if excess > 0 && !m.LinkAlive(l) {
			delete(m.Links, l.ID)
			excess--
		}
	}
	m.Links[id] = &Link{
		ID: id, User: user, Purpose: purpose, Token: token,
		Epoch: m.Epoch, Version: u.Version, Created: m.Now, Expires: m.Now + ttl,
	}
	return nil
}

// RevokeLink ends a one-time token of a user.
func (m *Model) RevokeLink(id, user string) error {
	if !strings.HasPrefix(id, "ott_") || malformed(user) {
		return ErrInvalidInput
	}
	maps.DeleteFunc(m.Links, func(_ string, l *Link) bool { return l.ID == id && l.User == user })
	return nil
}

// RevokeLinks ends those of a user for a purpose, or all for "".
func (m *Model) RevokeLinks(user, purpose string) error {
	if m.Users[user] == nil {
		return ErrUserNotFound
	}
	maps.DeleteFunc(m.Links, func(_ string, l *Link) bool { return l.User == user && (purpose == "" || l.Purpose == purpose) })
	return nil
}

// PeekLink returns the one-time token that UseLink would accept.
func (m *Model) PeekLink(purpose, token string) (*Link, error) {
	for _, l := range m.Links {
		if l.Token == token && l.Purpose == purpose && m.LinkAlive(l) {
			return l, nil
		}
	}
	return nil, ErrInvalidOneTimeToken
}

// UseLink accepts a one-time token, once.
func (m *Model) UseLink(purpose, token string) (user string, err error) {
	l, err := m.PeekLink(purpose, token)
	if err != nil {
		return "", err
	}
	delete(m.Links, l.ID)
	return l.User, nil
}

// ResetPurpose is that of the one-time tokens that set a forgotten password.
const ResetPurpose = "snib:reset"

// mayReset reports whether the password can be set by a mail to x: it is proven, or
// nothing else leads to the account.
func (u *User) mayReset(x Identity) bool {
	i := u.find(x)
	return i >= 0 && (u.Identities[i].Verified != 0 || len(u.Identities) == 1 && !u.holds())
}

// StoreReset makes the newest link for the user with x, and those void that were mailed
// before.
func (m *Model) StoreReset(x Identity, ttl int64, id, token string) error {
	u := m.Owner(x)
	if u == nil || !u.mayReset(x) {
		return ErrUserNotFound
	}
	mailed := u.Identities[u.find(x)]
	mailed.Verified = 0
	return m.createReset(u.ID, mailed, ttl, id, token)
}

// CreateReset is StoreReset by an operator, for any user. All older links are void.
func (m *Model) CreateReset(user string, ttl int64, id, token string) error {
	return m.createReset(user, Identity{}, ttl, id, token)
}

func (m *Model) createReset(user string, mailed Identity, ttl int64, id, token string) error {
	if err := m.CreateLink(user, ResetPurpose, ttl, id, token); err != nil {
		return err
	}
	m.Links[id].Mailed = mailed
	byMail := mailed != Identity{}
	maps.DeleteFunc(m.Links, func(other string, l *Link) bool {
		return l.User == user && l.Purpose == ResetPurpose && other != id && (!byMail || l.Mailed != Identity{})
	})
	return nil
}

// FinishReset uses a link and sets the password; the address of the mail is proven
// by it.
func (m *Model) FinishReset(token, password string) (user string, err error) {
	l, err := m.PeekLink(ResetPurpose, token)
	if err != nil {
		return "", err
	}
	mailed := l.Mailed != Identity{}
	if mailed {
		u := m.Users[l.User]
		i := u.find(l.Mailed)
		if !u.mayReset(l.Mailed) || u.Identities[i].Identifier != l.Mailed.Identifier {
			return "", ErrInvalidOneTimeToken
		}
		if u.Identities[i].Verified == 0 {
			u.Identities[i].Verified = m.Now
		}
	}
	return l.User, m.SetPassword(l.User, password)
}
