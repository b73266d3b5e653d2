package peer

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"
)

// Conform checks a contender before it is measured. A contender must accept a
// live session for its user, and nothing else. It must refuse a session that has
// ended, expired or gone with its user, at once and after the store was opened
// again. dir must be empty. Parts that a contender lacks are passed over.
func Conform(p Peer, dir string) error {
	c := &conformity{peer: p, dir: filepath.Join(dir, "conform"), now: time.Now()}
	if err := c.run(); err != nil {
		return fmt.Errorf("%s: %w", p.Name, err)
	}
	return nil
}

// conformity is one run of the check, with the tokens to accept and to refuse so
// far. It tries all of them again after each step.
type conformity struct {
	peer  Peer
	dir   string
	now   time.Time
	store Store
	live  map[string]string // token to user
	dead  []string
}

func (c *conformity) run() (err error) {
	c.live = map[string]string{}
	if err := c.open(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.store.Close()) }()
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"fill", c.fill}, {"create", c.create}, {"foreign tokens", c.foreign}, {"user", c.user}, {"extend", c.extend},
		{"end", c.end}, {"list", c.list}, {"closures", c.closures}, {"refresh", c.refresh}, {"reopen", c.reopen},
		{"delete user", c.deleteUser}, {"reopen after delete", c.reopen}, {"expire", c.expire},
	} {
		if err := step.do(); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
		if err := c.look(); err != nil {
			return fmt.Errorf("after %s: %w", step.name, err)
		}
	}
	return nil
}

func (c *conformity) open() (err error) {
	c.store, err = c.peer.Open(c.dir, Options{Now: func() time.Time { return c.now }})
	return err
}

// look validates every token that there was.
func (c *conformity) look() error {
	for token, user := range c.live {
		got, err := c.store.Validate(token)
		if err != nil {
			return fmt.Errorf("a live session: %w", err)
		}
		if !c.peer.Bare && got != user {
			return fmt.Errorf("a session of %s is taken for one of %q", user, got)
		}
	}
	for _, token := range c.dead {
		if err := c.refused(token); err != nil {
			return err
		}
	}
	return nil
}

// list compares each user's list with the sessions that are live.
func (c *conformity) list() error {
	s, ok := c.store.(Lister)
	if !ok {
		return nil
	}
	want := map[string]int{}
	for _, id := range c.live {
		want[id]++
	}
	for _, u := range Users(3) {
		if got, err := s.ListSessions(u.ID); err != nil || got != want[u.ID] {
			return fmt.Errorf("%d sessions of %s are listed, %v; want %d", got, u.ID, err, want[u.ID])
		}
	}
	return nil
}

func (c *conformity) refused(token string) error {
	if _, err := c.store.Validate(token); !errors.Is(err, ErrRefused) {
		return fmt.Errorf("a dead or foreign token: got %v, want ErrRefused", err)
	}
	return nil
}

func (c *conformity) fill() error {
	const each = 4
	var owners, tokens []string
	for range each {
		for _, u := range Users(3) {
			owners = append(owners, u.ID)
		}
	}
	if err := c.store.AddUsers(Users(3)); err != nil {
		return err
	}
	err := c.store.AddSessions(owners, func(token string) { tokens = append(tokens, token) })
	if err == nil && len(tokens) != len(owners) {
		err = fmt.Errorf("filled %d sessions, want %d", len(tokens), len(owners))
	}
	for i, token := range tokens {
		c.live[token] = owners[i]
	}
	return err
}

func (c *conformity) create() error {
	for _, user := range Users(3) {
		token, err := c.store.CreateSession(user.ID)
		if err != nil {
			return err
		}
		if c.live[token] != "" {
			return errors.New("one token for two sessions")
		}
		c.live[token] = user.ID
	}
	return nil
}

func (c *conformity) foreign() error {
	for token := range c.live {
		wrong := []string{"", "x", token[:len(token)-1], token[1:]}
		if !c.peer.Bare {
			middle := len(token)/2 + 5
			other := byte('a')
			if token[middle] == other {
				other = 'b'
			}
			wrong = append(wrong, token[:middle]+string(other)+token[middle+1:])
		}
		for _, w := range wrong {
			if c.peer.Bare && len(w) >= IDLength && w[:IDLength] == token[:IDLength] {
				continue
			}
			if err := c.refused(w); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *conformity) user() error {
	s, ok := c.store.(UserStore)
	if !ok {
		return nil
	}
	want := map[string]string{}
	for _, u := range Users(3) {
		want[u.ID] = u.Identifier
	}
	for token, id := range c.live {
		got, err := s.ValidateUser(token)
		if err != nil || !c.peer.Bare && got != want[id] {
			return fmt.Errorf("got %q, %v; want %q", got, err, want[id])
		}
	}
	_, err := s.ValidateUser("x")
	if !errors.Is(err, ErrRefused) {
		return fmt.Errorf("a foreign token: %v", err)
	}
	return nil
}

func (c *conformity) extend() error {
	s, ok := c.store.(Extender)
	if !ok {
		return nil
	}
	for token := range c.live {
		if err := s.Extend(token); err != nil {
			return err
		}
	}
	return nil
}

func (c *conformity) end() error {
	s, ok := c.store.(Ender)
	if !ok {
		return nil
	}
	for _, user := range Users(3) {
		token, err := c.store.CreateSession(user.ID)
		if err == nil {
			err = s.EndSession(token)
		}
		if err != nil {
			return err
		}
		c.dead = append(c.dead, token)
	}
	return nil
}

// closures checks that each kind runs its function and returns its error.
func (c *conformity) closures() error {
	s, ok := c.store.(Closures)
	if !ok {
		return nil
	}
	failed, ran := errors.New("failed on purpose"), 0
	if err := s.Update(func(write func() error) error { ran++; return errors.Join(write(), failed) }); !errors.Is(err, failed) {
		return fmt.Errorf("a closure that fails: got %v", err)
	}
	if err := s.Update(func(write func() error) error { ran++; return write() }); err != nil {
		return err
	}
	if err := s.View(func() error { ran++; return nil }); err != nil {
		return err
	}
	if ran < 3 {
		return errors.New("a closure did not run")
	}
	return s.ViewUser(Users(1)[0].ID)
}

func (c *conformity) refresh() error {
	s, ok := c.store.(Refresher)
	if !ok {
		return nil
	}
	user := Users(1)[0].ID
	refresh, session, err := s.StartFamily(user)
	if err != nil {
		return err
	}
	used := refresh
	for range 3 {
		c.dead = append(c.dead, session)
		if refresh, session, err = s.Refresh(refresh); err != nil {
			return err
		}
		if got, err := c.store.Validate(session); err != nil || !c.peer.Bare && got != user {
			return fmt.Errorf("the new session: %q, %v", got, err)
		}
	}
	// A token long used comes from a copy; the fate of its family is the
	// contender's affair.
	if _, _, err := s.Refresh(used); !errors.Is(err, ErrRefused) {
		return fmt.Errorf("a used token: got %v, want ErrRefused", err)
	}
	return nil
}

func (c *conformity) reopen() error {
	if c.peer.Durability == Memory {
		return nil
	}
	if err := c.store.Close(); err != nil {
		return err
	}
	return c.open()
}

func (c *conformity) deleteUser() error {
	s, ok := c.store.(UserStore)
	if !ok {
		return nil
	}
	user := Users(2)[1].ID
	if err := s.DeleteUser(user); err != nil {
		return err
	}
	for token, id := range c.live {
		if id == user {
			c.dead = append(c.dead, token)
			delete(c.live, token)
		}
	}
	if _, err := c.store.CreateSession(user); err == nil && !c.peer.Bare {
		return errors.New("a session of a user who is gone")
	}
	return nil
}

func (c *conformity) expire() error {
	if c.peer.OwnClock || c.peer.Bare {
		return nil
	}
	c.now = c.now.Add(Life + time.Hour)
	for token := range c.live {
		c.dead = append(c.dead, token)
	}
	clear(c.live)
	return nil
}
