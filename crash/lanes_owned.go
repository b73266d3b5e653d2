package main

import (
	"errors"
	"fmt"

	"github.com/snibdb/snib"
)

// The operations of a lane about API keys, known devices, roles, rows of the user
// and second factors.

func (l *laneWork) nextOwned(c counts) (name string, after counts, do func() error) {
	switch n := l.rng.IntN(12); {
	case n < 2 && c.keys < 9:
		c.keys++
		c.note(1, 0)
		return "APIKeys.CreateFor", c, func() error { return second(l.db.APIKeys().CreateFor(ctx, l.id(), newKey)) }
	case n < 3:
		c.note(c.keys, 0)
		c.keys = 0
		return "APIKeys.RevokeAll", c, func() error { return l.db.APIKeys().RevokeAll(ctx, l.id()) }
	case n < 5 && c.devices < snib.MaxDevices-1:
		c.sessions, c.devices = c.sessions+1, c.devices+1
		c.note(0, 2)
		return "Devices.Remember with a session", c, l.remember
	case n < 6:
		c.note(c.devices, 0)
		c.devices = 0
		return "Devices.RevokeAll", c, func() error { return l.db.Devices().RevokeAll(ctx, l.id()) }
	case n < 7 && c.roles < snib.MaxRoles:
		c.roles++
		c.note(1, 0)
		return "Roles.Grant", c, func() error { return second(l.db.Roles().Grant(ctx, l.id(), fmt.Sprint("role-", l.n))) }
	case n < 8:
		c.owned += 3
		return "three rows of the user", c, l.putRows
	case n < 10 && c.factors == 0:
		c.ended()
		c.factors, c.passkeys = 3, 1
		c.note(3, 0)
		return "authenticator, passkey and recovery codes", c, l.enrol
	case n < 11 && c.passkeys > 0 && l.passkey != nil:
		c.sessions, c.answered = c.sessions+1, c.answered+1
		c.note(0, 1)
		return "Factors.UsePasskey with a session", c, l.answer
	}
	c.ended()
	c.keys, c.factors, c.passkeys, c.answered = 0, 0, 0, 0
	c.note(1, 0)
	return "Factors.Reset", c, func() error {
		l.refresh, l.passkey = "", nil
		return second(l.db.Factors().Reset(ctx, l.id()))
	}
}

func (l *laneWork) remember() error {
	return l.db.Update(ctx, func(tx *snib.Tx) error {
		u, err := tx.GetUser(l.id())
		if err != nil {
			return err
		}
		s, err := tx.CreateSession(snib.FactorNotNeeded(u), snib.SessionOptions{})
		if err == nil {
			_, err = tx.Devices().Remember(ctx, s)
		}
		return err
	})
}

func (l *laneWork) putRows() error {
	return l.db.Update(ctx, func(tx *snib.Tx) (err error) {
		for i := range 3 {
			err = errors.Join(err, putOwned(tx, l.id(), fmt.Sprint(l.n, "/", i), l.name))
		}
		return err
	})
}

// enrol gives the user all kinds of second factors in one transaction.
func (l *laneWork) enrol() error {
	a := &account{id: l.id()}
	credential := fmt.Sprint(l.name, " ", l.n, " ", l.rng.Uint64())
	err := l.db.Update(ctx, func(tx *snib.Tx) error { return a.fillFactors(tx, l.clock(), credential) })
	if err == nil {
		l.refresh, l.passkey = "", []byte(credential)
	}
	return err
}

// answer signs in by the passkey: its count and the session are one commit.
func (l *laneWork) answer() error {
	a, err := assertion(l.db, l.passkey)
	if err != nil {
		return err
	}
	return l.db.Update(ctx, func(tx *snib.Tx) error {
		used, err := tx.Factors().UsePasskey(ctx, a)
		if err == nil {
			_, err = tx.CreateSession(used, snib.SessionOptions{})
		}
		return err
	})
}
