package snibpg_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/snibdb/snib"
)

// A mill is a load in a child. It prints a line when a step was acknowledged:
//
//	user NAME
//	pair NAME SESSION REFRESH
//	revoked NAME SESSION
//	deleted NAME
//	error TEXT
type mill struct {
	db    *snib.DB
	stop  chan struct{}
	group sync.WaitGroup
}

// answer is that of the child.
func (m *mill) answer(verb, arg string) string {
	switch verb {
	case "mill":
		m.stop = make(chan struct{})
		for n := range 4 {
			m.group.Go(func() { m.run(fmt.Sprintf("%s-%d", arg, n)) })
		}
		return "milling"
	case "stop":
		close(m.stop)
		m.group.Wait()
		return "stopped"
	}
	return answer(m.db, verb, arg)
}

func (m *mill) run(prefix string) {
	for i := 0; ; i++ {
		select {
		case <-m.stop:
			return
		default:
		}
		if err := m.round(fmt.Sprintf("%s-%d@example.com", prefix, i), i); err != nil {
			fmt.Println("error", err)
		}
	}
}

// round is the life of one user.
func (m *mill) round(name string, i int) error {
	u, err := m.db.CreateUser(ctx, snib.NewUser{Provider: "email", Identifier: name})
	if err != nil {
		return fmt.Errorf("create: %w", err)
	}
	fmt.Println("user", name)
	s, r, err := m.db.CreateRefreshToken(ctx, u, snib.SessionOptions{})
	for range 2 {
		if err != nil {
			return fmt.Errorf("refresh: %w", err)
		}
		fmt.Println("pair", name, s.Token.Reveal(), r.Token.Reveal())
		s, r, err = m.db.Refresh(ctx, r.Token.Reveal())
	}
	if err != nil {
		return fmt.Errorf("refresh: %w", err)
	}
	fmt.Println("pair", name, s.Token.Reveal(), r.Token.Reveal())
	extra, err := m.db.CreateSession(ctx, u, snib.SessionOptions{})
	if err != nil {
		return fmt.Errorf("session: %w", err)
	}
	if err := m.db.RevokeToken(ctx, extra.Token.Reveal()); err != nil {
		return fmt.Errorf("revoke: %w", err)
	}
	fmt.Println("revoked", name, extra.Token.Reveal())
	if i%3 != 0 {
		return nil
	}
	if err := m.db.DeleteUser(ctx, u.ID); err != nil {
		return fmt.Errorf("delete: %w", err)
	}
	fmt.Println("deleted", name)
	return nil
}

// books are what three processes were told, user by user.
type books struct {
	*testing.T
	db    *snib.DB
	lossy bool

	mu    sync.Mutex
	users map[string]*bookedUser
	acked int
	stale int // revoked sessions that this process has accepted afterwards
}

// bookedUser is one user as the books have it.
type bookedUser struct {
	session, refresh string
	revoked          string
	deleted          bool
}

// keep reads the lines of a process until it has stopped.
func (b *books) keep(c *child) {
	for {
		fields := strings.Fields(c.line())
		if len(fields) == 0 || fields[0] == "stopped" {
			if len(fields) == 0 {
				b.Error("a process has ended")
			}
			return
		}
		switch fields[0] {
		case "milling":
		case "error":
			if !b.lossy {
				b.Errorf("a call of a process: %s", strings.Join(fields[1:], " "))
			}
		default:
			b.enter(fields)
		}
	}
}

func (b *books) enter(fields []string) {
	if fields[0] == "revoked" {
		b.ask(fields[2])
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.acked++
	a := b.users[fields[1]]
	switch fields[0] {
	case "user":
		b.users[fields[1]] = &bookedUser{}
	case "pair":
		a.session, a.refresh = fields[2], fields[3]
	case "revoked":
		a.revoked = fields[2]
	case "deleted":
		a.deleted = true
	}
}

// ask counts a revoked session that this process accepts. It has no lock while it waits
// for a server: the test takes it between the kill and the promotion.
func (b *books) ask(revoked string) {
	_, err := b.db.ValidateSession(ctx, revoked)
	switch {
	case err == nil:
		b.mu.Lock()
		b.stale++
		b.mu.Unlock()
	case !errors.Is(err, snib.ErrInvalidSession):
		b.Errorf("validate: %v", err)
	}
}

func (b *books) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.acked
}

// audit compares the books with the accounts. Each user must be there whole, with a
// session and a refresh token that goes on, or not at all.
func (b *books) audit() (lost map[string]int) {
	lost = map[string]int{}
	for name, a := range b.users {
		_, err := b.db.GetUserByProviderID(ctx, "email", name)
		if err != nil && !errors.Is(err, snib.ErrUserNotFound) {
			b.Errorf("look up: %v", err)
		}
		_, session := b.db.ValidateSession(ctx, a.session)
		_, _, refresh := b.db.Refresh(ctx, a.refresh)
		_, revoked := b.db.ValidateSession(ctx, a.revoked)
		for what, wrong := range map[string]bool{
			"users":       (err == nil) == a.deleted,
			"sessions":    a.session != "" && (session == nil) == a.deleted,
			"refreshes":   a.refresh != "" && (refresh == nil) == a.deleted,
			"revocations": a.revoked != "" && revoked == nil,
		} {
			if wrong {
				lost[what]++
			}
		}
	}
	return lost
}

// TestThreeProcesses: three processes create, refresh, revoke and delete while the
// primary is killed and the standby promoted. Nothing that one of them was told is
// lost or half done, and no call fails. Without a synchronous standby the same run
// must lose some, or it could not tell.
//
// SNIB_KILL_MS raises the load before the kill and after the promotion.
func TestThreeProcesses(t *testing.T) {
	for _, synchronous := range []bool{true, false} {
		t.Run(map[bool]string{true: "Synchronous", false: "Asynchronous"}[synchronous], func(t *testing.T) {
			t.Parallel()
			three(t, synchronous)
		})
	}
}

func three(t *testing.T, synchronous bool) {
	primary, standby := pair(t, synchronous)
	b := &books{T: t, users: map[string]*bookedUser{}, lossy: !synchronous}
	b.db, _ = program(t, anyOf(primary, standby), nil)
	var group sync.WaitGroup
	var children []*child
	for i := range 3 {
		c := newChildOn(t, anyOf(primary, standby), "snib", 0)
		children = append(children, c)
		fmt.Fprintf(c.in, "mill p%d\n", i)
		group.Go(func() { b.keep(c) })
	}
	further := func(what string, n int) {
		from := b.count()
		reach(t, what, func() bool { return b.count() >= from+n })
	}
	load := time.Duration(number("SNIB_KILL_MS", 500)) * time.Millisecond
	further("acknowledged steps", 60)
	time.Sleep(load)
	if !synchronous {
		fallBehind(t, primary)
		further("steps that the standby does not get", 60)
	}
	primary.Kill()
	before := b.count()
	must(t, standby.Promote(ctx))
	further("steps after the promotion", 60)
	time.Sleep(load)
	for _, c := range children {
		fmt.Fprintln(c.in, "stop")
	}
	group.Wait()

	lost, total := b.audit(), 0
	for _, n := range lost {
		total += n
	}
	t.Logf("%d steps acknowledged to three processes, %d before the kill, %d users; lost: %v; %d late reads", b.count(), before, len(b.users), lost, b.stale)
	switch {
	case synchronous && total+b.stale > 0:
		t.Error("acknowledged writes were lost, or not seen")
	case !synchronous && total == 0:
		t.Error("nothing was lost without a synchronous standby: this test could not tell")
	}
	check(t, b.db)
	must(t, b.db.Close())
}
