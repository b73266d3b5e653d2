package main

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/snibdb/snib"
)

// The second workload: several goroutines, each with a user of its own, whose
// commits are shared. The state of a user after each operation is known in advance
// and announced before the operation begins, so a kill cannot hide it.

func laneName(i int) string { return fmt.Sprintf("lane-%d", i) }

// counts are the countable state of one user.
type counts struct {
	row                int // the application's own, zero if there is no row
	there              bool
	value              int // of an attribute
	identities         int
	sessions, families int
	disabled           bool

	keys, devices, roles, owned int
	factors, passkeys           int
	answered                    int // by the passkey

	// Events of the two classes, up to the bounds of docs/INVARIANTS.md. An event
	// of another commit than its change would be missed or too many.
	credentials, logIns int
}

// note counts events of credentials and of log-ins.
func (c *counts) note(credentials, logIns int) {
	c.credentials, c.logIns = min(c.credentials+credentials, 50), min(c.logIns+logIns, 100)
}

// ended is for occasions that end sessions, refresh tokens and known devices.
func (c *counts) ended() { c.sessions, c.families, c.devices = 0, 0, 0 }

func (c counts) String() string {
	if !c.there {
		return fmt.Sprintf("row %d, no user, %d rows", c.row, c.owned)
	}
	return fmt.Sprintf("row %d, a user with value %d, %d identities, %d sessions, %d families, disabled %t, "+
		"%d API keys, %d devices, %d roles, %d rows, %d factors, %d passkeys used %d times, %d and %d events",
		c.row, c.value, c.identities, c.sessions, c.families, c.disabled,
		c.keys, c.devices, c.roles, c.owned, c.factors, c.passkeys, c.answered, c.credentials, c.logIns)
}

// summary finds the counts of a user in the file.
func summary(db *snib.DB, name string) (text string, err error) {
	err = db.View(ctx, func(tx *snib.Tx) error {
		id := snib.UserID(name)
		var c counts
		if rows := tx.Bolt().Bucket(appRows); rows != nil {
			fmt.Sscan(string(rows.Get([]byte(id))), &c.row)
		}
		c.owned = count(tx.Bolt().Bucket([]byte(ownedRows)), func(k, _ []byte) bool { return bytes.HasPrefix(k, snib.OwnedKey(id, "")) })
		u, err := tx.GetUser(id)
		if errors.Is(err, snib.ErrUserNotFound) {
			text = c.String()
			return nil
		}
		sessions, err1 := tx.ListUserSessions(id)
		families, err2 := tx.RefreshTokens().List(ctx, id)
		value, _ := snib.Attr[int64](u.Attributes(), "value")
		c.there, c.value, c.identities, c.roles = true, int(value), len(u.Identities), len(u.Roles)
		c.sessions, c.families, c.disabled = len(sessions), len(families), u.Disabled()
		err = errors.Join(err, err1, err2, c.count(tx, id))
		text = c.String()
		return err
	})
	return text, err
}

// logInKinds are the events of the class of log-ins; failures is a class of its own.
var (
	logInKinds = kinds(snib.EventLogIn, snib.EventRefreshTokenCreated, snib.EventReauthenticated, snib.EventDeviceRemembered)
	failures   = kinds(snib.EventLogInFailed, snib.EventTokenCreated)
)

// count adds the records that no list of a user's sessions has.
func (c *counts) count(tx *snib.Tx, id snib.UserID) error {
	keys, err1 := tx.APIKeys().List(ctx, id)
	devices, err2 := tx.Devices().List(ctx, id)
	factors, err3 := tx.Factors().List(ctx, id)
	passkeys, err4 := tx.Factors().Passkeys(ctx, id)
	events, err5 := tx.Events().List(ctx, id)
	c.keys, c.devices, c.factors, c.passkeys = len(keys), len(devices), len(factors), len(passkeys)
	for _, p := range passkeys {
		c.answered += int(p.SignCount) - 1
	}
	for _, e := range events {
		switch {
		case slices.Contains(logInKinds, e.Kind):
			c.logIns++
		case !slices.Contains(failures, e.Kind):
			c.credentials++
		}
	}
	return errors.Join(err1, err2, err3, err4, err5)
}

func init() { jobs["lanes"] = func(j job) error { return lanes(j, start) } }

// lanes works on j.Lanes users at once; j.Ops operations of each, or until it
// is killed if that is zero.
func lanes(j job, now time.Time) error {
	for i := range j.Lanes {
		say("state %s 0 %s", laneName(i), counts{})
		say("begin %s 0 Open", laneName(i))
	}
	o := options(func() time.Time { return now })
	o.Indexes, o.InsecureNoSync = declared, j.Mutant == "nosync"
	o.Keys, o.Owned, o.Outbox = keys(), []string{ownedRows}, []string{consumer}
	db, err := snib.Open(j.Path, o)
	if err != nil {
		return err
	}
	for i := range j.Lanes {
		say("ack %s 0", laneName(i))
	}
	var group sync.WaitGroup
	errs := make([]error, j.Lanes)
	for i := range j.Lanes {
		l := &laneWork{db: db, name: laneName(i), rng: rand.New(rand.NewPCG(j.Seed, uint64(i))), mutant: j.Mutant, clock: o.Now}
		group.Go(func() { errs[i] = l.run(j.Ops) })
	}
	group.Wait()
	return errors.Join(append(errs, db.Close())...)
}

// laneWork is one goroutine's knowledge of its user.
type laneWork struct {
	db      *snib.DB
	name    string
	rng     *rand.Rand
	mutant  string
	counts  counts
	last    snib.Session
	refresh string // the newest refresh token
	passkey []byte // the newest credential
	clock   func() time.Time
	n       int
}

func (l *laneWork) id() snib.UserID { return snib.UserID(l.name) }

// run does operations that succeed, one after the other.
func (l *laneWork) run(ops int) error {
	for l.n < ops || ops == 0 {
		name, after, do := l.next()
		l.n++
		say("state %s %d %s", l.name, l.n, after)
		say("begin %s %d %s", l.name, l.n, name)
		if l.mutant == "ackfirst" {
			say("ack %s %d", l.name, l.n)
		}
		if err := do(); err != nil {
			return fmt.Errorf("%s, operation %d, %s: %w", l.name, l.n, name, err)
		}
		if l.mutant != "ackfirst" {
			say("ack %s %d", l.name, l.n)
		}
		l.counts = after
	}
	return nil
}

// next draws an operation and returns the counts after it.
func (l *laneWork) next() (name string, after counts, do func() error) {
	c := l.counts
	switch n := l.rng.IntN(32); {
	case !c.there:
		c = counts{row: l.n + 1, there: true, value: 1, identities: 1, credentials: 1}
		return "ImportUser with a row", c, l.create
	case c.disabled:
		c.disabled = false
		c.note(1, 0)
		return "EnableUser", c, func() error { return second(l.db.EnableUser(ctx, l.id())) }
	case n < 6:
		c.sessions++
		c.note(0, 1)
		return "CreateSession", c, l.createSession
	case n < 8:
		c.sessions, c.row = c.sessions+10, l.n+1
		c.note(0, 10)
		return "ten sessions with a row", c, l.tenSessions
	case n < 10:
		c.families, c.sessions = c.families+1, c.sessions+1
		c.note(0, 1)
		return "CreateRefreshToken", c, l.createFamily
	case n < 13 && l.refresh != "":
		return "Refresh", c, l.rotate
	case n < 15:
		c.value++
		return "UpdateUserAttributes", c, func() error {
			return second(l.db.UpdateUserAttributes(ctx, l.id(), snib.Attributes{"value": c.value, "nick": fmt.Sprint(l.name, c.value)}))
		}
	case n < 16 && c.identities < snib.MaxIdentities:
		c.identities++
		c.note(1, 0)
		return "LinkIdentity", c, func() error {
			return second(l.db.LinkIdentity(ctx, l.id(), "github", fmt.Sprint(l.name, l.n)))
		}
	case n < 17:
		c.ended()
		c.note(1, 0)
		return "RevokeUserSessions", c, l.revoke
	case n < 18:
		c.ended()
		c.note(1, 0)
		c.disabled = true
		return "DisableUser", c, func() error {
			l.refresh = ""
			return second(l.db.DisableUser(ctx, l.id(), "as the workload wants it"))
		}
	case n < 20:
		return "DeleteUser with the row", counts{}, l.delete
	}
	return l.nextOwned(c)
}

// second returns the error of a call.
func second(_ any, err error) error { return err }

func (l *laneWork) create() error {
	return l.db.Update(ctx, func(tx *snib.Tx) error {
		_, err := tx.ImportUser(snib.UserImport{ID: l.id(), Provider: "github", Identifier: l.name, Attributes: snib.Attributes{"value": 1, "nick": l.name}})
		return errors.Join(err, putRow(tx, l.id(), fmt.Sprint(l.n)))
	})
}

func (l *laneWork) createSession() (err error) {
	l.last, err = l.db.CreateSession(ctx, waived(l.db, l.id()), snib.SessionOptions{})
	return err
}

func (l *laneWork) tenSessions() error {
	ten := func(tx *snib.Tx, n int) error {
		u, err := tx.GetUser(l.id())
		if err != nil {
			return err
		}
		for range n {
			if _, err := tx.CreateSession(snib.FactorNotNeeded(u), snib.SessionOptions{}); err != nil {
				return err
			}
		}
		return nil
	}
	if l.mutant == "half" {
		if err := l.db.Update(ctx, func(tx *snib.Tx) error { return ten(tx, 5) }); err != nil {
			return err
		}
		return l.db.Update(ctx, func(tx *snib.Tx) error { return errors.Join(ten(tx, 5), putRow(tx, l.id(), fmt.Sprint(l.n))) })
	}
	return l.db.Update(ctx, func(tx *snib.Tx) error { return errors.Join(ten(tx, 10), putRow(tx, l.id(), fmt.Sprint(l.n))) })
}

func (l *laneWork) createFamily() error {
	_, r, err := l.db.CreateRefreshToken(ctx, waived(l.db, l.id()), snib.SessionOptions{})
	if err == nil {
		l.refresh = r.Token.Reveal()
	}
	return err
}

func (l *laneWork) rotate() error {
	_, r, err := l.db.Refresh(ctx, l.refresh)
	if err == nil {
		l.refresh = r.Token.Reveal()
	}
	return err
}

func (l *laneWork) revoke() error {
	l.refresh = ""
	return l.db.RevokeUserSessions(ctx, l.id())
}

func (l *laneWork) delete() error {
	l.refresh, l.passkey = "", nil
	return l.db.Update(ctx, func(tx *snib.Tx) error {
		return errors.Join(tx.DeleteUser(l.id()), deleteRow(tx.Bolt(), l.id()))
	})
}
