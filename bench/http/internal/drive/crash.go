package drive

import (
	"errors"
	"fmt"
	"sync"
)

// A Crash is the count after a SIGKILL.
type Crash struct {
	SignUps, Lost    int // acknowledged, and of those not accepted afterwards
	LogOuts, Revived int // acknowledged, and of those accepted afterwards
}

// A witness notes each acknowledgement.
type witness struct {
	mu       sync.Mutex
	signedUp map[int]session // whose log-out was not asked for
	ended    []session       // whose log-out was acknowledged
	users    int             // begun
	answers  int
	enough   chan struct{} // closed at the answer that is the last to wait for
	after    int
}

// Kill lets clients sign up, and log every second user out again, ends the server
// with SIGKILL after some answers, starts it again and presents the sessions of
// acknowledged requests. Requests under way at the kill do not count.
func Kill(program string, c Contender, dir string, clients, answers int) (found Crash, err error) {
	p, err := Start(program, c, dir)
	if err != nil {
		return found, err
	}
	w := &witness{signedUp: map[int]session{}, enough: make(chan struct{}), after: answers}
	var group sync.WaitGroup
	failed := make(chan error, clients)
	for number := range clients {
		group.Go(func() { failed <- w.act(p.Addr, number) })
	}
	var early error
	select {
	case <-w.enough:
	case early = <-failed:
	}
	if err := p.Kill(); err != nil {
		return found, err
	}
	group.Wait()
	if early != nil {
		return found, fmt.Errorf("%s: before the kill: %w", c.Name, early)
	}
	again, err := Start(program, c, dir)
	if err != nil {
		return found, fmt.Errorf("after the kill: %w", err)
	}
	defer func() { err = errors.Join(err, again.Stop()) }()
	return w.count(again.Addr)
}

// act signs users up and every second one out, the first one if its number is odd,
// until the server is gone, which it takes for the kill if that was due.
func (w *witness) act(addr string, number int) error {
	c := &client{addr: addr}
	defer c.close()
	for ; ; number++ {
		user := w.begin()
		s, err := enterUntil(c, user)
		if err != nil {
			return w.due(err)
		}
		w.acknowledge(func() { w.signedUp[user] = s })
		if number%2 == 0 {
			continue
		}
		w.forget(user) // from here on it may be there or not
		if _, _, err := c.expect(logOut(s)); err != nil {
			return w.due(err)
		}
		w.acknowledge(func() { w.ended = append(w.ended, s) })
	}
}

// enterUntil repeats a sign-up that is refused for the number of them.
func enterUntil(c *client, user int) (s session, err error) {
	_, _, err = persist(c, user, func(c *client, user int) error {
		s, err = c.enter(signUp(user))
		return err
	})
	return s, err
}

func (w *witness) begin() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.users++
	return w.users
}

func (w *witness) acknowledge(note func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	note()
	if w.answers++; w.answers == w.after {
		close(w.enough)
	}
}

func (w *witness) forget(user int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.signedUp, user)
}

// due returns nil if an error is that of the kill.
func (w *witness) due(err error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s := statusError(0); w.answers >= w.after && !errors.As(err, &s) {
		return nil
	}
	return err
}

func (w *witness) count(addr string) (found Crash, err error) {
	c := &client{addr: addr}
	defer c.close()
	found.SignUps, found.LogOuts = len(w.signedUp), len(w.ended)
	for _, s := range w.signedUp {
		accepted, err := accepts(c, s)
		if err != nil {
			return found, err
		}
		if !accepted {
			found.Lost++
		}
	}
	for _, s := range w.ended {
		accepted, err := accepts(c, s)
		if err != nil {
			return found, err
		}
		if accepted {
			found.Revived++
		}
	}
	return found, nil
}

// accepts reports whether a session is accepted. An answer but yes and no is an
// error.
func accepts(c *client, s session) (bool, error) {
	switch status, _, _, err := c.do(me(s)); {
	case err != nil:
		return false, err
	case status == 200:
		return true, nil
	case status == 401:
		return false, nil
	default:
		return false, statusError(status)
	}
}

// Check does each request once, and those that must be refused. A server that fails
// it is not measured.
func Check(program string, c Contender, dir string) (err error) {
	p, err := Start(program, c, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Stop()) }()
	x := &client{addr: p.Addr}
	defer x.close()
	first, err := x.enter(signUp(1))
	if err != nil {
		return fmt.Errorf("sign-up: %w", err)
	}
	other, err := x.enter(signUp(2))
	if err != nil {
		return fmt.Errorf("second sign-up: %w", err)
	}
	if _, err := x.enter(signUp(2)); err == nil {
		return errors.New("an address signs up twice")
	}
	if _, err := x.enter(logInWith(1, "another password 7")); err == nil {
		return errors.New("a wrong password is accepted")
	}
	second, err := x.enter(logIn(1))
	if err != nil {
		return fmt.Errorf("log-in: %w", err)
	}
	for _, s := range []session{first, second, other} {
		if ok, err := accepts(x, s); err != nil || !ok {
			return fmt.Errorf("a session is refused: %v, %w", ok, err)
		}
	}
	if _, _, err := x.expect(logOut(second)); err != nil {
		return fmt.Errorf("log-out: %w", err)
	}
	if ok, err := accepts(x, second); err != nil || ok {
		return fmt.Errorf("a session that was logged out: accepted %v, %w", ok, err)
	}
	if ok, err := accepts(x, other); err != nil || !ok {
		return fmt.Errorf("another user's session: accepted %v, %w", ok, err)
	}
	if ok, err := accepts(x, first); err != nil || ok == (c.LogOut != one) {
		return fmt.Errorf("the same user's other session: accepted %v, %w; a log-out ends %s", ok, err, c.LogOut)
	}
	return nil
}
