// Package dbtest checks that the accounts keep their promises on an engine that
// several programs share. It is a black box and uses the API alone. Each
// subtest of [Run] is one promise, and has an engine of its own.
package dbtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/internal/kv"
)

// Open makes a new engine with an empty store, which lasts until the test ends.
type Open func(testing.TB) kv.Engine

// Run runs all subtests.
func Run(t *testing.T, open func(testing.TB) kv.Engine) {
	for _, group := range [][]subtest{accounts, credentials, programs, whole} {
		for _, s := range group {
			t.Run(s.name, func(t *testing.T) { s.run(newLab(t, open(t))) })
		}
	}
}

type subtest struct {
	name string
	run  func(*lab)
}

// A lab is an engine under test, with the programs that have it open.
type lab struct {
	*testing.T
	ctx    context.Context
	engine *clock
	emails int
}

func newLab(t *testing.T, e kv.Engine) *lab {
	return &lab{T: t, ctx: t.Context(), engine: &clock{Engine: e}}
}

// sealing are the keys of all programs of a lab.
func sealing(l *lab) []snib.Key {
	k, err := snib.NewKey("k1", []byte("0123456789abcdef0123456789abcdef"))
	l.fine(err)
	return []snib.Key{k}
}

// options returns quick ones, with more in them.
func options(more *snib.Options) *snib.Options {
	var o snib.Options
	if more != nil {
		o = *more
	}
	if o.SweepEvery == 0 {
		o.SweepEvery = -1
	}
	p := &o.Passwords
	p.Parallelism, p.MemoryKiB, p.Time, p.QueueTime = 1, 8, 1, -1
	return &o
}

// open opens the accounts, as one more program. They are checked and closed at the
// end.
func (l *lab) open(more *snib.Options) *snib.DB {
	l.Helper()
	db, err := snib.OpenStore(l.ctx, l.engine, options(more))
	l.fine(err)
	l.Cleanup(func() {
		l.checked(db)
		if err := db.Close(); err != nil {
			l.Errorf("close: %v", err)
		}
	})
	return db
}

// two opens two programs.
func (l *lab) two(more *snib.Options) (a, b *snib.DB) { return l.open(more), l.open(more) }

// checked fails for the problems that Check finds.
func (l *lab) checked(db *snib.DB) {
	l.Helper()
	report, err := db.Check(context.Background())
	if err != nil && !errors.Is(err, snib.ErrClosed) {
		l.Errorf("check: %v", err)
	}
	for _, p := range report.Problems {
		l.Errorf("check: %v", p)
	}
}

// fine ends the test for an error.
func (l *lab) fine(err error) {
	l.Helper()
	if err != nil {
		l.Fatal(err)
	}
}

// wants fails for another error than this one.
func (l *lab) wants(err, want error) {
	l.Helper()
	if !errors.Is(err, want) {
		l.Errorf("error %v, want %v", err, want)
	}
}

// user makes a user with a password.
func (l *lab) user(db *snib.DB) snib.User {
	l.Helper()
	l.emails++
	u, err := db.CreateUser(l.ctx, snib.NewUser{Provider: "email", Identifier: fmt.Sprintf("u%d@example.com", l.emails), Password: password})
	l.fine(err)
	return u
}

const password = "correct horse battery"

// session makes a session of a user.
func (l *lab) session(db *snib.DB, u snib.User) snib.Session {
	l.Helper()
	u, err := db.GetUser(l.ctx, u.ID)
	l.fine(err)
	s, err := db.CreateSession(l.ctx, u, snib.SessionOptions{})
	l.fine(err)
	return s
}

// ids collects the ids of users.
func ids(l *lab, seq func(func(snib.User, error) bool)) (out []snib.UserID) {
	for u, err := range seq {
		l.fine(err)
		out = append(out, u.ID)
	}
	slices.Sort(out)
	return out
}

// discreet fails for an error with a secret in its text.
func (l *lab) discreet(err error, secrets ...string) {
	l.Helper()
	for _, s := range secrets {
		if err != nil && s != "" && strings.Contains(err.Error(), s) {
			l.Errorf("the error %q has %q in it", err, s)
		}
	}
}

// at all is long enough for a busy machine.
const atAll = 2 * time.Minute
