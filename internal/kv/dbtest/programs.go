package dbtest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/snibdb/snib"
)

var programs = []subtest{
	{"a revocation at one program holds at the other", (*lab).revocation},
	{"sixteen writers and a revoker", (*lab).sixteen},
	{"a user is deleted while others write", (*lab).deletion},
	{"one identity for one user", (*lab).oneIdentity},
	{"events of all programs reach a consumer", (*lab).outbox},
	{"declarations", (*lab).declarations},
	{"redeclaring under an old program", (*lab).redeclare},
	{"a machine with a wrong clock", (*lab).wrongClock},
	{"failed guesses add up", (*lab).guesses},
}

// revocation: a nil of A is seen by the next call of B.
func (l *lab) revocation() {
	a, b := l.two(nil)
	u := l.user(a)
	for i := range 1000 {
		s := l.session(b, u)
		var err error
		switch i % 4 {
		case 0:
			err = a.RevokeToken(l.ctx, s.Token.Reveal())
		case 1:
			err = a.RevokeSession(l.ctx, u.ID, s.ID)
		case 2:
			err = a.RevokeUserSessions(l.ctx, u.ID)
		case 3:
			_, err = a.RenewSession(l.ctx, s.Token.Reveal())
		}
		l.fine(err)
		if _, err := b.ValidateSession(l.ctx, s.Token.Reveal()); !errors.Is(err, snib.ErrInvalidSession) {
			l.Fatalf("round %d: %v after the session was revoked", i, err)
		}
	}
}

// sixteen: a revocation is not starved by log-ins, and ends all that came before.
func (l *lab) sixteen() {
	a, b := l.two(&snib.Options{Sessions: snib.SessionPolicy{MaxPerUser: 20}})
	u := l.user(a)
	ctx, cancel := context.WithCancel(l.ctx)
	defer cancel()
	var writers sync.WaitGroup
	for i := range 16 {
		db := []*snib.DB{a, b}[i%2]
		writers.Go(func() {
			for ctx.Err() == nil {
				u, err := db.GetUser(l.ctx, u.ID)
				if err == nil {
					_, err = db.CreateSession(l.ctx, u, snib.SessionOptions{})
				}
				if err != nil && !errors.Is(err, snib.ErrInvalidCredentials) && !errors.Is(err, snib.ErrBusy) {
					l.Errorf("create: %v", err)
					return
				}
			}
		})
	}
	for range 20 {
		mine, err := a.GetUser(l.ctx, u.ID)
		l.fine(err)
		s, err := a.CreateSession(l.ctx, mine, snib.SessionOptions{})
		if errors.Is(err, snib.ErrInvalidCredentials) {
			continue
		}
		l.fine(err)
		l.fine(b.RevokeUserSessions(l.ctx, u.ID))
		if _, err := a.ValidateSession(l.ctx, s.Token.Reveal()); !errors.Is(err, snib.ErrInvalidSession) {
			l.Errorf("%v after all sessions were revoked", err)
		}
	}
	cancel()
	writers.Wait()
	l.fine(b.RevokeUserSessions(l.ctx, u.ID))
	list, err := a.ListUserSessions(l.ctx, u.ID)
	l.fine(err)
	if len(list) != 0 {
		l.Errorf("%d sessions are left", len(list))
	}
}

// deletion: a user leaves no record, although others write at the same time.
func (l *lab) deletion() {
	a, b := l.two(nil)
	for range 10 {
		u := l.user(a)
		name := fmt.Sprint("x", l.emails)
		var fns []func() error
		for i := range 8 {
			db := []*snib.DB{a, b}[i%2]
			fns = append(fns, func() error {
				_, err := db.CreateSession(l.ctx, u, snib.SessionOptions{})
				if err == nil {
					_, err = db.LinkIdentity(l.ctx, u.ID, fmt.Sprint("p", i), name)
				}
				if errors.Is(err, snib.ErrUserNotFound) || errors.Is(err, snib.ErrInvalidCredentials) {
					err = nil
				}
				return err
			})
		}
		fns = append(fns, func() error { return b.DeleteUser(l.ctx, u.ID) })
		for _, err := range l.race(fns...) {
			l.fine(err)
		}
		_, err := a.GetUser(l.ctx, u.ID)
		l.wants(err, snib.ErrUserNotFound)
	}
	l.checked(a)
}

// oneIdentity: of programs that make the same user at once, one does.
func (l *lab) oneIdentity() {
	a, b := l.two(nil)
	for i := range 20 {
		var fns []func() error
		for n := range 4 {
			db := []*snib.DB{a, b}[n%2]
			fns = append(fns, func() error {
				_, err := db.CreateUser(l.ctx, snib.NewUser{Provider: "email", Identifier: fmt.Sprintf("same%d@example.com", i)})
				return err
			})
		}
		errs := l.race(fns...)
		if count(errs, nil) != 1 || count(errs, snib.ErrIdentityTaken) != 3 {
			l.Fatalf("one of four must win: %v", errs)
		}
	}
}

// outbox: a consumer at one program gets each event of both once, in order.
func (l *lab) outbox() {
	a, b := l.two(&snib.Options{Outbox: []string{"mail"}})
	const each = 30
	var writers sync.WaitGroup
	for i := range 6 {
		db := []*snib.DB{a, b}[i%2]
		u := l.user(db)
		writers.Go(func() {
			for range each / 2 {
				_, err := db.DisableUser(l.ctx, u.ID, "test")
				if err == nil {
					_, err = db.EnableUser(l.ctx, u.ID)
				}
				if err != nil {
					l.Errorf("write: %v", err)
				}
			}
		})
	}
	ctx, cancel := context.WithTimeout(l.ctx, atAll)
	defer cancel()
	seen, last := 0, uint64(0)
	err := b.Events().Consume(ctx, "mail", func(_ context.Context, e snib.Event) error {
		if e.Position != last+1 {
			return fmt.Errorf("position %d after %d", e.Position, last)
		}
		last = e.Position
		if e.Kind == snib.EventUserDisabled || e.Kind == snib.EventUserEnabled {
			if seen++; seen == 6*each {
				return errEnough
			}
		}
		return nil
	})
	writers.Wait()
	if !errors.Is(err, errEnough) {
		l.Errorf("%d of %d events: %v", seen, 6*each, err)
	}
}

var errEnough = errors.New("enough")

// declarations: a program that declares otherwise than the store does not open.
func (l *lab) declarations() {
	l.open(&snib.Options{Indexes: []snib.Index{{Name: "nick", Unique: true}}, Providers: map[string]snib.IdentifierRule{"email": snib.Email}})
	l.open(nil)
	for field, o := range map[string]*snib.Options{
		"Options.Indexes":   {Indexes: []snib.Index{{Name: "nick"}}},
		"Options.Providers": {Providers: map[string]snib.IdentifierRule{"email": snib.Email, "username": snib.Username}},
	} {
		db, err := snib.OpenStore(l.ctx, l.engine, options(o))
		if err == nil {
			l.Errorf("%s differ, and it opens", field)
			db.Close()
		}
		l.wants(err, snib.ErrInvalidInput)
		if in, ok := errors.AsType[*snib.InputError](err); !ok || in.Field != field {
			l.Errorf("the error %v does not name %s", err, field)
		}
	}
}

// redeclare: a program that was open before keeps the rules of the new
// declarations, in the middle of its work.
func (l *lab) redeclare() {
	old, new := l.two(nil)
	users := []snib.User{l.user(old), l.user(old), l.user(new)}
	_, err := old.UpdateUserAttributes(l.ctx, users[0].ID, snib.Attributes{"nick": "ada"})
	l.fine(err)
	ctx, cancel := context.WithCancel(l.ctx)
	var writer sync.WaitGroup
	writer.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			_, err := old.UpdateUserAttributes(l.ctx, users[1].ID, snib.Attributes{"nick": fmt.Sprint("n", i%7)})
			if err != nil {
				l.Errorf("while it is redeclared: %v", err)
				return
			}
		}
	})
	defer writer.Wait()
	defer cancel()
	step := 0
	l.engine.between = func() { // each is to be in the indexes that are being built
		step++
		u := l.user(old)
		_, err := old.UpdateUserAttributes(l.ctx, u.ID, snib.Attributes{"nick": fmt.Sprint("step", step)})
		l.fine(err)
		_, err = old.LinkIdentity(l.ctx, users[2].ID, "step", fmt.Sprint(step))
		l.fine(err)
	}
	err = new.File().Redeclare(l.ctx, []snib.Index{{Name: "nick", Unique: true}}, nil)
	l.engine.between = nil
	if errors.Is(err, snib.ErrUnsupported) {
		l.Skip("the engine has no shadows")
	}
	l.fine(err)
	_, err = old.UpdateUserAttributes(l.ctx, users[2].ID, snib.Attributes{"nick": "ada"})
	l.wants(err, snib.ErrAttributeTaken)
	found, err := old.GetUserByAttribute(l.ctx, "nick", "ada")
	l.fine(err)
	if found.ID != users[0].ID {
		l.Errorf("found %v", found.ID)
	}
	for n := range step {
		_, err = new.GetUserByAttribute(l.ctx, "nick", fmt.Sprint("step", n+1))
		l.fine(err)
	}
	cancel()
	writer.Wait()
	l.checked(new)
	l.checked(old)
	l.open(&snib.Options{Indexes: []snib.Index{{Name: "nick", Unique: true}}})
	// Two users with one value: the old declarations stay.
	_, err = old.UpdateUserAttributes(l.ctx, users[2].ID, snib.Attributes{"team": "red"})
	l.fine(err)
	_, err = old.UpdateUserAttributes(l.ctx, users[1].ID, snib.Attributes{"team": "red"})
	l.fine(err)
	err = old.File().Redeclare(l.ctx, []snib.Index{{Name: "team", Unique: true}}, nil)
	if _, ok := errors.AsType[*snib.ConflictError](err); !ok {
		l.Errorf("%v, want a conflict", err)
	}
	_, err = new.GetUserByAttribute(l.ctx, "nick", "ada")
	l.fine(err)
}

// wrongClock: a machine that is a day ahead or behind changes nothing for others,
// and gets the same answers.
func (l *lab) wrongClock() {
	right := l.open(nil)
	u := l.user(right)
	for _, off := range []time.Duration{25 * time.Hour, -25 * time.Hour} {
		wrong := l.open(&snib.Options{Now: func() time.Time { return time.Now().Add(off) }})
		old := l.session(right, u)
		made := l.user(wrong)
		s := l.session(wrong, made)
		for _, db := range []*snib.DB{right, wrong} {
			for _, x := range []snib.Session{old, s} {
				if _, err := db.ValidateSession(l.ctx, x.Token.Reveal()); err != nil {
					l.Errorf("clock off by %v: %v", off, err)
				}
			}
			stats, err := db.Stats(l.ctx)
			l.fine(err)
			if stats.ClockBehind != 0 {
				l.Errorf("clock off by %v: behind by %v", off, stats.ClockBehind)
			}
		}
		if d := made.CreatedAt.Sub(u.CreatedAt); d < -time.Hour || d > time.Hour {
			l.Errorf("clock off by %v: a user is made %v after another", off, d)
		}
		_, _, err := wrong.LogIn(l.ctx, "email", u.Identities[0].Identifier, password, snib.SessionOptions{})
		l.fine(err)
	}
}

// guesses: failures at one program make callers wait at the other one.
func (l *lab) guesses() {
	a, b := l.two(nil)
	u := l.user(a)
	email := u.Identities[0].Identifier
	try := func(db *snib.DB) error {
		_, _, err := db.LogIn(l.ctx, "email", email, "wrong password", snib.SessionOptions{})
		return err
	}
	for i := range 5 {
		l.wants(try([]*snib.DB{a, b}[i%2]), snib.ErrInvalidCredentials)
	}
	// Close stores the counts of each, and the next program reads them.
	l.fine(a.Close())
	l.fine(b.Close())
	c := l.open(nil)
	l.wants(try(c), snib.ErrThrottled)
	_, _, err := c.LogIn(l.ctx, "email", email, password, snib.SessionOptions{})
	l.wants(err, snib.ErrThrottled)
	l.fine(c.Throttle().UnlockIdentity(l.ctx, "email", email))
	_, _, err = c.LogIn(l.ctx, "email", email, password, snib.SessionOptions{})
	l.fine(err)
}
