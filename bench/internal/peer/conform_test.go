package peer

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

// memory is a contender that is right, but for what a test breaks.
type memory struct {
	broken   string
	now      func() time.Time
	users    map[string]string
	sessions map[string]*kept // by id
	families map[string]*kept
}

type kept struct {
	user    string
	session string // of a family
	hash    [32]byte
	until   time.Time
}

func (m *memory) add(into map[string]*kept, user string) string {
	id := NewID("ses_", m.now())
	token, hash := NewToken(id)
	into[id] = &kept{user: user, hash: hash, until: m.now().Add(Life)}
	return token
}

func (m *memory) AddUsers(users []User) error {
	for _, u := range users {
		m.users[u.ID] = u.Identifier
	}
	return nil
}

func (m *memory) AddSessions(users []string, each func(string)) error {
	for _, id := range users {
		each(m.add(m.sessions, id))
	}
	return nil
}

func (m *memory) ListSessions(user string) (n int, err error) {
	for _, k := range m.sessions {
		if k.user == user || m.broken == "lists those of others" {
			n++
		}
	}
	return n, nil
}

func (m *memory) Update(fn func(func() error) error) error {
	err := fn(func() error { return nil })
	if m.broken == "takes a closure's error for none" {
		return nil
	}
	return err
}

func (m *memory) View(fn func() error) error {
	if m.broken == "runs no closure" {
		return nil
	}
	return fn()
}

func (m *memory) ViewUser(string) error  { return nil }
func (m *memory) Backup(io.Writer) error { return nil }

func (m *memory) CreateSession(user string) (string, error) {
	if m.users[user] == "" && m.broken != "creates for nobody" {
		return "", fmt.Errorf("no user")
	}
	return m.add(m.sessions, user), nil
}

func (m *memory) find(from map[string]*kept, token string) (string, *kept, error) {
	id, hash, ok := ParseToken(token)
	k := from[id]
	switch {
	case !ok || k == nil:
		return "", nil, ErrRefused
	case !SameHash(k.hash[:], hash[:]) && m.broken != "any secret":
		return "", nil, ErrRefused
	case !k.until.After(m.now()) && m.broken != "never expires":
		return "", nil, ErrRefused
	}
	return id, k, nil
}

func (m *memory) Validate(token string) (string, error) {
	_, k, err := m.find(m.sessions, token)
	if err != nil {
		return "", err
	}
	if m.broken == "wrong user" {
		return Users(1)[0].ID, nil
	}
	return k.user, nil
}

func (m *memory) ValidateUser(token string) (string, error) {
	user, err := m.Validate(token)
	if m.broken == "wrong identifier" {
		return "x", err
	}
	return m.users[user], err
}

func (m *memory) EndSession(token string) error {
	if id, _, err := m.find(m.sessions, token); err == nil && m.broken != "ends nothing" {
		delete(m.sessions, id)
	}
	return nil
}

func (m *memory) DeleteUser(user string) error {
	if m.broken != "keeps the user" {
		delete(m.users, user)
	}
	for id, k := range m.sessions {
		if k.user == user && m.broken != "keeps the sessions" || m.broken == "deletes too much" {
			delete(m.sessions, id)
		}
	}
	return nil
}

func (m *memory) Extend(token string) error {
	_, k, err := m.find(m.sessions, token)
	if err != nil || m.broken == "extend ends" {
		delete(m.sessions, token[:IDLength])
		return err
	}
	k.until = m.now().Add(Life)
	return nil
}

func (m *memory) StartFamily(user string) (string, string, error) {
	return m.rotate(NewID("rft_", m.now()), user)
}

func (m *memory) rotate(id, user string) (string, string, error) {
	token, hash := NewToken(id)
	session := m.add(m.sessions, user)
	m.families[id] = &kept{user: user, hash: hash, session: session[:IDLength], until: m.now().Add(Life)}
	return token, session, nil
}

func (m *memory) Refresh(token string) (string, string, error) {
	id, hash, _ := ParseToken(token)
	f := m.families[id]
	if f == nil || !SameHash(f.hash[:], hash[:]) && m.broken != "takes used refresh tokens" {
		return "", "", ErrRefused
	}
	if m.broken != "keeps the old session" {
		delete(m.sessions, f.session)
	}
	return m.rotate(id, f.user)
}

func (m *memory) Close() error { return nil }

// broken returns a contender with a defect; "" is none. What it keeps is there
// again when it is opened again.
func broken(defect string) Peer {
	m := &memory{broken: defect, users: map[string]string{}, sessions: map[string]*kept{}, families: map[string]*kept{}}
	opened := 0
	return Peer{Name: "memory", Durability: Synced, Open: func(_ string, o Options) (Store, error) {
		if opened++; opened > 1 && defect == "forgets" {
			clear(m.sessions)
		}
		m.now = o.Now
		return m, nil
	}}
}

// TestCheckFindsDefects: the check passes a contender that is right, and none
// with a defect that would make its figures worth nothing.
func TestCheckFindsDefects(t *testing.T) {
	if err := Conform(broken(""), t.TempDir()); err != nil {
		t.Fatalf("a contender without defect: %v", err)
	}
	for _, c := range []struct{ defect, step string }{
		{"any secret", "foreign tokens"}, {"never expires", "expire"}, {"wrong user", "fill"}, {"wrong identifier", "user"},
		{"ends nothing", "end"}, {"keeps the sessions", "delete user"}, {"keeps the user", "delete user"}, {"creates for nobody", "delete user"}, {"deletes too much", "delete user"},
		{"lists those of others", "list"}, {"takes a closure's error for none", "closures"}, {"runs no closure", "closures"},
		{"extend ends", "extend"}, {"takes used refresh tokens", "refresh"}, {"keeps the old session", "refresh"}, {"forgets", "reopen"},
	} {
		t.Run(c.defect, func(t *testing.T) {
			err := Conform(broken(c.defect), t.TempDir())
			if err == nil || !strings.Contains(err.Error(), c.step) {
				t.Errorf("got %v, want an error of the step %q", err, c.step)
			}
		})
	}
}

func TestTokens(t *testing.T) {
	now := time.UnixMilli(1_900_000_000_000)
	id := NewID("ses_", now)
	later := NewID("ses_", now.Add(time.Millisecond))
	if len(id) != IDLength || later <= id {
		t.Errorf("ids %q and %q: not of %d characters in the order of time", id, later, IDLength)
	}
	token, want := NewToken(id)
	got, hash, ok := ParseToken(token)
	if !ok || got != id || hash != want || len(token) != TokenLength {
		t.Errorf("%q was not read as it was made", token)
	}
	for _, wrong := range []string{"", token[1:], token + "A", strings.Replace(token, ".", "-", 1), token[:len(token)-1] + "!"} {
		if _, _, ok := ParseToken(wrong); ok {
			t.Errorf("%q was read as a token", wrong)
		}
	}
}

func TestPasswordHashIsOfThePassword(t *testing.T) {
	if got := PasswordHashOf(Password); got != Users(1)[0].PasswordHash {
		t.Errorf("the constant is %s, should be %s", Users(1)[0].PasswordHash, got)
	}
}
