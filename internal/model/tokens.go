package model

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// Session is a session, with the token that it has been given.
type Session struct {
	ID, User, Family, Token          string
	Epoch                            int
	Created, Auth, Used              int64
	ActiveUntil, IdleUntil, Absolute int64

	Traits
	Replaced bool // in its family, under a token that no refresh token gives
}

// Traits are what a log-in says of its session, and of all that come of it.
type Traits struct {
	Methods      int // bits; 1 is the password
	Persistent   bool
	Room         string // an attribute
	Active, Idle int64  // a life of its own: 0 is the policy's, a negative Idle none
	Life         int64  // likewise, from the log-in
}

const byPassword = 1

// short reports whether a session has a life of its own.
func (t *Traits) short() bool { return t.Active != 0 || t.Idle != 0 || t.Life != 0 }

// orPolicy is a duration of its own, or that of the policy.
func orPolicy(own, policy int64) int64 {
	if own == 0 {
		return policy
	}
	return max(0, min(own, policy))
}

// Family is a family of refresh tokens.
type Family struct {
	ID, User, Session   string
	Current, Previous   string   // tokens
	Spent               []string // all others that it has ever had
	Epoch, Process      int      // Process: which gave Current
	Revoked             bool
	RevokedAt           int64
	Rotations           uint64
	Created, Rotated    int64
	IdleUntil, Absolute int64

	Traits

	Client  string // the network that Current was given to; "" is unknown
	Foreign int    // generations in a row that were repeated elsewhere
	Counted bool   // this one is among them
	Repeats uint32
}

// The states of a session.
const (
	Dead = iota
	Active
	Idle
)

// State returns where a session is in its life.
func (m *Model) State(s *Session) int {
	switch {
	case s.Epoch != m.Epoch:
		return Dead
	case m.Now < s.ActiveUntil:
		return Active
	case m.Now < s.IdleUntil:
		return Idle
	}
	return Dead
}

// Alive reports whether a family's token can be used, or its revocation is
// still remembered.
func (m *Model) Alive(f *Family) bool {
	until := f.IdleUntil
	if f.Revoked {
		until = f.Absolute
	}
	return f.Epoch == m.Epoch && m.Now < until
}

// Of returns the part of a map that belongs to a user, by id.
func Of[T any](all map[string]*T, owner func(*T) string, user string) (out []*T) {
	for _, id := range slices.Sorted(maps.Keys(all)) {
		if owner(all[id]) == user {
			out = append(out, all[id])
		}
	}
	return out
}

// SessionsOf returns a user's sessions, dead ones too, by id.
func (m *Model) SessionsOf(user string) []*Session {
	return Of(m.Sessions, func(s *Session) string { return s.User }, user)
}

// FamiliesOf returns a user's families, in any state, by id.
func (m *Model) FamiliesOf(user string) []*Family {
	return Of(m.Families, func(f *Family) string { return f.User }, user)
}

// Presented returns the session that a token leads to, or nil.
func (m *Model) Presented(token string) *Session {
	for _, s := range m.Sessions {
		if token != "" && s.Token == token {
			return s
		}
	}
	return nil
}

// presentedFamily returns the family that a token is or was one of, or nil.
func (m *Model) presentedFamily(token string) *Family {
	for _, f := range m.Families {
		if token == "" {
			break // an absent one is ""
		}
		if token == f.Current || token == f.Previous || slices.Contains(f.Spent, token) {
			return f
		}
	}
	return nil
}

// enter says whether a user may get a session.
func (m *Model) enter(user string, version uint64, methods uint16) (*User, error) {
	u, err := m.admitted(user)
	switch {
	case err == nil && version != u.Version:
		return nil, ErrInvalidCredentials
	case err == nil && m.second(u) && methods&secondFactors == 0:
		return nil, ErrSecondFactor
	}
	return u, err
}

// admitted returns a user that exists and is not disabled.
func (m *Model) admitted(user string) (*User, error) {
	u := m.Users[user]
	switch {
	case u == nil:
		return nil, ErrUserNotFound
	case u.Disabled:
		return nil, ErrUserDisabled
	}
	return u, nil
}

func (m *Model) deadlines(s *Session) {
	s.Used = m.Now
	s.ActiveUntil = min(m.Now+orPolicy(s.Traits.Active, m.Active), s.Absolute)
	s.IdleUntil = min(s.ActiveUntil+orPolicy(s.Traits.Idle, m.Idle), s.Absolute)
}

// put adds a session under the bound per user.
func (m *Model) put(s Session) {
	s.Epoch, s.Created = m.Epoch, cmp.Or(s.Created, m.Now)
	have := m.SessionsOf(s.User)
	slices.SortStableFunc(have, func(a, b *Session) int { return cmp.Compare(m.last(a), m.last(b)) })
	for i := 0; len(have)-i >= m.MaxSessions; i++ {
		delete(m.Sessions, have[i].ID)
	}
	m.Sessions[s.ID] = &s
}

func (m *Model) last(s *Session) int64 {
	if s.Epoch != m.Epoch {
		return 0
	}
	return s.IdleUntil
}

// CreateSession adds a session of no family. version 0 is not compared.
// The tokens that it replaces end before it takes a place.
func (m *Model) CreateSession(user string, version uint64, id, token string, t Traits, replaced ...string) error {
	if _, err := m.enter(user, version, uint16(t.Methods)); err != nil {
		return err
	}
	m.replace(replaced)
	s := Session{ID: id, User: user, Token: token, Auth: m.Now, Absolute: m.Now + orPolicy(t.Life, m.Absolute), Traits: t}
	m.deadlines(&s)
	m.put(s)
	return nil
}

// Renew replaces the session of a token.
func (m *Model) Renew(token, id, newToken string) error {
	m.Accept(token) // a session of a family too is known to be held
	old := m.Presented(token)
	if old == nil || m.State(old) == Dead || old.Family != "" {
		return ErrInvalidSession
	}
	m.keep(*old, id, newToken)
	return nil
}

// keep gives a session, which may have ended by now, another token: in its family
// as long as that is there, and else to the deadline that it has.
func (m *Model) keep(old Session, id, token string) {
	next := old
	next.ID, next.Token, next.Created, next.Used = id, token, 0, m.Now
	switch f := m.Families[old.Family]; {
	case old.Family == "":
		m.deadlines(&next)
	case f == nil || f.Session != old.ID:
		next.Family, next.Absolute, next.Replaced = "", next.IdleUntil, false
	default:
		next.ActiveUntil = min(m.Now+m.RefreshSession, f.Absolute)
		next.IdleUntil, next.Replaced = next.ActiveUntil, true
		m.Memory.move(f.User, old.ID, id)
		f.Session = id
	}
	delete(m.Sessions, old.ID)
	m.put(next)
}

// bearer returns the active session of a token, as it would be after the password
// was given again.
func (m *Model) bearer(token, password string) (s Session, err error) {
	old := m.Accept(token)
	switch {
	case old == nil:
		return s, ErrInvalidSession
	case password == "" || m.Users[old.User].Password != password:
		return s, ErrInvalidCredentials
	}
	s = *old
	if m.second(m.Users[s.User]) {
		return s, nil // by the password alone it is as old as before
	}
	s.Methods |= byPassword
	s.Auth = m.Now
	if s.Family == "" && !s.short() {
		s.Absolute = m.Now + m.Absolute
	}
	return s, nil
}

// Reauthenticate replaces the active session of a token by one that has
// authenticated now; the refresh token that gave it has not.
func (m *Model) Reauthenticate(token, password, id, newToken string) error {
	s, err := m.bearer(token, password)
	switch {
	case err != nil:
		return err
	case m.second(m.Users[s.User]):
		return ErrSecondFactor
	}
	m.keep(s, id, newToken)
	return nil
}

// ChangePassword sets a password for the bearer of a session who knows the
// current one. It comes back under another token, and everything else ends.
func (m *Model) ChangePassword(token, current, password, id, newToken string) error {
	s, err := m.bearer(token, current)
	if err == nil {
		err = m.setPassword(s.User, password)
	}
	if err == nil {
		m.keep(s, id, newToken)
	}
	return err
}

// ChangeCredentials gives the active session of a token another one after a
// change, even if that has ended it.
func (m *Model) ChangeCredentials(token, id, newToken string, change func(user string) error) error {
	old := m.Accept(token)
	if old == nil {
		return ErrInvalidSession
	}
	s := *old
	err := change(s.User)
	if err == nil {
		m.keep(s, id, newToken)
	}
	return err
}

// SetRoom changes an attribute of a session, and of those that its refresh token
// gives later.
func (m *Model) SetRoom(user, id, room string) error {
	s := m.Sessions[id]
	if s == nil || s.User != user || m.State(s) == Dead {
		return ErrInvalidSession
	}
	s.Room = room
	if f := m.Families[s.Family]; f != nil {
		f.Room = room
	}
	return nil
}

// Extend gives the session of a token later deadlines, if it is time.
func (m *Model) Extend(token string) error {
	m.Accept(token)
	s := m.Presented(token)
	if s == nil || m.State(s) == Dead {
		return ErrInvalidSession
	}
	active := orPolicy(s.Traits.Active, m.Active)
	if s.short() { // its own life is the distance of its deadlines, which the absolute one may have cut
		active = min(active, s.ActiveUntil-s.Used)
	}
	if s.Family == "" && (m.State(s) == Idle || m.Now-s.Used >= min(m.ExtendEvery, active/2)) {
		m.deadlines(s)
	}
	return nil
}

// malformed reports whether the text that a test uses as a user's id cannot be
// an id.
func malformed(user string) bool { return strings.ContainsRune(user, 0) }

// EndSession ends a session and its family; one of another user than user, if
// that is given, is unknown. Text that cannot be an id is ErrInvalidInput.
func (m *Model) EndSession(id, user string) error {
	if !strings.HasPrefix(id, "ses_") || malformed(user) {
		return ErrInvalidInput
	}
	s := m.Sessions[id]
	if s == nil || user != "" && s.User != user {
		return nil
	}
	if f := m.Families[s.Family]; f != nil && !f.Revoked {
		delete(m.Families, f.ID)
	}
	delete(m.Sessions, id)
	return nil
}

// RevokeToken ends the session or family that a token stands for.
func (m *Model) RevokeToken(token string) {
	if s := m.Presented(token); s != nil {
		m.EndSession(s.ID, "")
	} else if f := m.presentedFamily(token); f != nil {
		m.Revoke(f.ID, "")
	}
}

func (m *Model) replace(tokens []string) {
	for _, token := range tokens {
		m.RevokeToken(token)
	}
}

// keepable is ErrInvalidInput if one of the sessions is of another user, or
// cannot be one.
func (m *Model) keepable(user string, keep []string) error {
	for _, id := range keep {
		if s := m.Sessions[id]; s != nil && s.User != user || !strings.HasPrefix(id, "ses_") {
			return ErrInvalidInput
		}
	}
	return nil
}

func (m *Model) endSessions(user string, keep []string) {
	maps.DeleteFunc(m.Sessions, func(id string, s *Session) bool { return s.User == user && !slices.Contains(keep, id) })
}

// endFamilies ends a user's but those of the kept sessions; tombstones stay.
func (m *Model) endFamilies(user string, keep []string) {
	maps.DeleteFunc(m.Families, func(id string, f *Family) bool {
		kept := slices.ContainsFunc(keep, func(s string) bool { return m.Sessions[s] != nil && m.Sessions[s].Family == id })
		return f.User == user && !f.Revoked && !kept
	})
}

// EndSessions ends a user's sessions and families but the kept ones.
func (m *Model) EndSessions(user string, keep ...string) error {
	return m.update(user, func(u *User) error {
		if err := m.keepable(user, keep); err != nil {
			return err
		}
		u.Version++
		m.endSessions(user, keep)
		m.endFamilies(user, keep)
		m.endLinks(user)
		m.endDevices(user)
		return nil
	})
}

// DeleteDead removes a user's dead sessions and returns how many.
func (m *Model) DeleteDead(user string) int {
	n := len(m.Sessions)
	maps.DeleteFunc(m.Sessions, func(_ string, s *Session) bool { return s.User == user && m.State(s) == Dead })
	return n - len(m.Sessions)
}

// CreateFamily starts a family with its first session.
func (m *Model) CreateFamily(user string, version uint64, id, token, session, sessionToken string, t Traits, replaced ...string) error {
	if _, err := m.enter(user, version, uint16(t.Methods)); err != nil {
		return err
	}
	m.replace(replaced)
	have := slices.DeleteFunc(m.FamiliesOf(user), m.tombstone) // these are no part of the bound
	slices.SortStableFunc(have, func(a, b *Family) int { return cmp.Compare(m.lastUse(a), m.lastUse(b)) })
	for i := 0; len(have)-i >= m.MaxFamilies; i++ {
		delete(m.Families, have[i].ID)
	}
	f := &Family{
		ID: id, User: user, Session: session, Current: token, Epoch: m.Epoch, Process: m.Process,
		Created: m.Now, Rotated: m.Now, Absolute: m.Now + orPolicy(t.Life, m.RefreshAbsolute), Traits: t,
	}
	f.Traits.Life = 0 // its deadline is fixed
	f.IdleUntil = min(m.Now+m.RefreshIdle, f.Absolute)
	m.Families[id] = f
	m.familySession(f, sessionToken)
	return nil
}

func (m *Model) lastUse(f *Family) int64 {
	if f.Revoked || f.Epoch != m.Epoch {
		return 0
	}
	return f.IdleUntil
}

// tombstone reports whether a family's revocation is remembered.
func (m *Model) tombstone(f *Family) bool { return f.Revoked && m.Alive(f) }

func (m *Model) familySession(f *Family, token string) {
	until := min(m.Now+m.RefreshSession, f.Absolute)
	m.put(Session{
		ID: f.Session, User: f.User, Family: f.ID, Token: token, Auth: f.Created, Used: m.Now,
		ActiveUntil: until, IdleUntil: until, Absolute: f.Absolute, Traits: f.Traits,
	})
}

// Revoke ends a family and its session; a tombstone stays, and so does a
// family of another user than user, if that is given.
func (m *Model) Revoke(id, user string) error {
	if !strings.HasPrefix(id, "rft_") || malformed(user) {
		return ErrInvalidInput
	}
	if f := m.Families[id]; f != nil && !f.Revoked && (user == "" || f.User == user) {
		delete(m.Sessions, f.Session)
		delete(m.Families, id)
	}
	return nil
}

// RevokeAll ends all families of a user.
func (m *Model) RevokeAll(user string) error {
	return m.update(user, func(u *User) error {
		u.Version++
		for _, f := range m.FamiliesOf(user) {
			m.Revoke(f.ID, "")
		}
		maps.DeleteFunc(m.Sessions, func(_ string, s *Session) bool { return s.User == user && s.Family != "" })
		m.endLinks(user)
		return nil
	})
}

// Accept returns the session of a token if it is accepted, and notes its use.
func (m *Model) Accept(token string) *Session {
	s := m.Presented(token)
	if s == nil || m.State(s) != Active {
		return nil
	}
	m.Memory.used[s.ID] = true
	return s
}

// Refresh uses a refresh token for a client. The answer of the database is
// judged against the rules: session and next are the tokens it gave.
//
// The parent repeats the same answer within the grace after the rotation. Later
// its successor decides: known used, it is reuse; known unused or not known,
// the parent replaces it, and the lost pair ends. No ended secret is issued
// again. Three generations in a row whose rotation and repetition came from
// different networks are reuse, and so is every other token of the family.
func (m *Model) Refresh(client, token, next, session, sessionToken string) error {
	f := m.presentedFamily(token)
	if f == nil || !m.Alive(f) || m.Users[f.User].Disabled {
		return ErrInvalidRefresh
	}
	known := f.Process == m.Process && m.Memory.watches(f.User, f.Session)
	switch {
	case f.Revoked:
		return ErrReused
	case token == f.Current:
		f.Spent = append(f.Spent, f.Previous)
		f.Previous = f.Current
		f.Rotations++
		if !f.Counted {
			f.Foreign = 0
		}
		f.Counted = false
		m.give(f, client, next, session, sessionToken)
	case token != f.Previous:
		return m.reused(f)
	case m.Now >= f.Rotated+m.Grace && known && m.Memory.used[f.Session]:
		return m.reused(f)
	case m.Now >= f.Rotated+m.Grace, f.Process != m.Process: // who could not say the same
		f.Spent = append(f.Spent, f.Current)
		m.give(f, client, next, session, sessionToken)
	default:
		return m.repeat(f, client, session, sessionToken)
	}
	return nil
}

// give makes an answer that there was not before.
func (m *Model) give(f *Family, client, next, session, sessionToken string) {
	f.Repeats += m.Memory.repeats[f.Session]
	m.Memory.watch(f.User, f.Session, session)
	delete(m.Sessions, f.Session)
	f.Current, f.Session, f.Client, f.Process, f.Rotated = next, session, client, m.Process, m.Now
	f.IdleUntil = min(m.Now+m.RefreshIdle, f.Absolute)
	m.familySession(f, sessionToken)
}

func (m *Model) repeat(f *Family, client, session, sessionToken string) error {
	if client != "" && f.Client != "" && client != f.Client && !f.Counted {
		f.Counted = true
		f.Foreign++
	}
	if f.Foreign >= maxForeign {
		return m.reused(f)
	}
	if m.Memory.watches(f.User, f.Session) {
		m.Memory.repeats[f.Session]++
	}
	if s := m.Sessions[f.Session]; s == nil || m.State(s) != Active || s.Replaced { // another in its place
		m.Memory.move(f.User, f.Session, session)
		delete(m.Sessions, f.Session)
		f.Session = session
		m.familySession(f, sessionToken)
	}
	return nil
}

// reused ends a family for reuse. Of a user's that are remembered, the newest
// stay.
func (m *Model) reused(f *Family) error {
	delete(m.Sessions, f.Session)
	f.Revoked, f.RevokedAt, f.Session = true, m.Now, ""
	old := slices.DeleteFunc(m.FamiliesOf(f.User), func(f *Family) bool { return !m.tombstone(f) })
	slices.SortStableFunc(old, func(a, b *Family) int { return cmp.Compare(a.RevokedAt, b.RevokedAt) })
	for i := 0; len(old)-i > maxTombstones; i++ {
		delete(m.Families, old[i].ID)
	}
	return ErrReused
}

// EndEverything ends all sessions, families, one-time tokens, devices and API keys.
func (m *Model) EndEverything() { m.Epoch++ }

// Sweep removes the records that have been dead for a day and returns how many.
func (m *Model) Sweep() int {
	old := func(epoch int, until int64) bool { return epoch != m.Epoch || m.Now-until >= day }
	guests := m.sweepGuests()
	n := guests + len(m.Sessions) + len(m.Families) + len(m.Links) + len(m.Devices) + len(m.Keys)
	maps.DeleteFunc(m.Sessions, func(_ string, s *Session) bool { return old(s.Epoch, s.IdleUntil) })
	maps.DeleteFunc(m.Families, func(_ string, f *Family) bool {
		if f.Revoked {
			return old(f.Epoch, f.Absolute)
		}
		return old(f.Epoch, f.IdleUntil)
	})
	maps.DeleteFunc(m.Links, func(_ string, l *Link) bool { return old(l.Epoch, l.Expires) })
	maps.DeleteFunc(m.Devices, func(_ string, d *Device) bool { return old(d.Epoch, d.Expires) })
	maps.DeleteFunc(m.Keys, func(_ string, k *APIKey) bool {
		return k.Epoch != m.Epoch || k.Expires != 0 && m.Now-k.Expires >= day
	})
	return m.sweepInvitations() + n - len(m.Sessions) - len(m.Families) - len(m.Links) - len(m.Devices) - len(m.Keys)
}
