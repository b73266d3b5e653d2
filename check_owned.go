package snib

import (
	"errors"
	"slices"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/token"
)

// A member is a record of a user's.
type member struct {
	*kind
	key codec.OwnedKey
}

// end reports a record that must not be there. Repair ends it.
func (c *checker) end(m member, invariant int, text string) error {
	c.found(invariant, m.space, m.token.ID(m.key), text)
	if c.repair == nil {
		return nil
	}
	return c.tx.deleteOwned(m.kind, m.key)
}

// An ownerRun is what the records of one owner and user have in common, looked
// up once when the walk comes to them.
type ownerRun struct {
	begun     bool
	owner     codec.Owner
	userID    string
	misplaced bool // the owner is not the user's
	exists    bool
	disabled  bool
	excess    []codec.OwnedKey // above the bound
}

// owned checks, in one walk of each tree, INV-7, INV-8, INV-10 and INV-12: a
// record is under its user, within bounds, and what else must hold of its kind.
func (c *checker) owned() error {
	for _, k := range kinds {
		var run ownerRun
		err := c.each(k.space, func(key, value []byte) error {
			*k.count(&c.report)++
			l, err := k.life(key, value)
			if err != nil {
				return c.cannotRead(k.space, key, value, err)
			}
			c.seen(l.epoch, l.newest)
			m := member{k, codec.OwnedKey(key)}
			if err := c.enter(&run, m, l); err != nil {
				return err
			}
			return c.member(&run, m, l, value)
		})
		if err != nil {
			return err
		}
	}
	return c.later()
}

// enter begins the run of the record, unless the walk is in it.
func (c *checker) enter(run *ownerRun, m member, l life) error {
	if run.begun && run.owner == m.key.Owner() && l.who.Is(run.userID) {
		return nil
	}
	*run = ownerRun{begun: true, owner: m.key.Owner(), userID: l.who.String()}
	run.misplaced = !c.ownersLost && c.tx.owner(run.userID) != run.owner
	u, err := c.tx.user(UserID(run.userID))
	switch {
	case errors.Is(err, ErrUserNotFound):
		return nil
	case unreadable(err): // reported where the space is walked
		run.exists = c.repair == nil
		return nil
	case err != nil:
		return err
	}
	run.exists, run.disabled = true, u.DisabledAt != 0
	if c.ownersLost || run.misplaced {
		return nil
	}
	if run.excess, err = c.tx.lowest(m.kind, run.userID, m.most, codec.OwnedKey{}); len(run.excess) > 0 {
		c.found(7, m.space, run.userID, "more than a user may have")
	}
	return err
}

// member checks one record of a run.
func (c *checker) member(run *ownerRun, m member, l life, value []byte) error {
	switch {
	case run.misplaced:
		return c.end(m, m.invariant, "is not under its user")
	case c.future(l.epoch):
		return c.end(m, m.invariant, "is of a later epoch than the file")
	case !run.exists:
		return c.end(m, m.invariant, "belongs to a user who is missing")
	case run.disabled && !l.revoked:
		return c.end(m, 7, "is of a disabled user")
	case c.repair != nil && slices.Contains(run.excess, m.key):
		return c.tx.deleteOwned(m.kind, m.key)
	}
	switch m.kind {
	case kindSession:
		return c.session(m.key, value)
	case kindFamily:
		return c.family(m.key, value)
	}
	return nil
}

// later counts the records of kinds that a later program has added.
func (c *checker) later() error {
	for _, space := range c.tx.db.ownedSpaces {
		if int(space) < len(spaces) {
			continue
		}
		err := c.tx.r.Scan(space, nil, nil, 0, func(_, _ []byte) error {
			c.report.Newer++
			return c.step()
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// put is how Repair mends a record.
func (c *checker) put(k *kind, key codec.OwnedKey, value []byte) error {
	if c.repair == nil {
		return nil
	}
	return c.tx.putOwned(k, key, value)
}

// session checks INV-14 (a session and its family know each other) and the
// order of the deadlines.
func (c *checker) session(key codec.OwnedKey, value []byte) error {
	v, err := codec.ViewSession(key[:], value)
	if err != nil {
		return damaged(spaceSessions, err)
	}
	if id := v.Family(); !id.IsZero() {
		f, err := c.tx.family(key.With(id))
		switch {
		case errors.Is(err, ErrInvalidRefreshToken), unreadable(err): // evicted or swept; or reported there
		case err != nil:
			return err
		case f.Session != key.OwnID(), !v.IsUser(f.UserID):
			return c.end(member{kindSession, key}, 14, "is not the session of its family")
		}
	}
	idle := min(v.AbsoluteUntil(), v.IdleUntil())
	if idle == v.IdleUntil() && v.ActiveUntil() <= idle {
		return nil
	}
	c.note(Mendable, 8, spaceSessions, token.Session.ID(key), "deadlines are out of order")
	var s codec.Session
	v.Decode(&s)
	s.IdleUntil, s.ActiveUntil = idle, min(s.ActiveUntil, idle)
	return c.put(kindSession, key, s.Append(nil))
}

// family checks INV-14 from the other side. Repair has ended by then the
// sessions that are not those of their families.
func (c *checker) family(key codec.OwnedKey, value []byte) error {
	f, err := codec.DecodeFamily(key[:], value)
	if err != nil {
		return damaged(spaceFamilies, err)
	}
	before := f
	session := key.With(f.Session)
	s, err := c.tx.session(session)
	switch {
	case f.Session.IsZero(), errors.Is(err, ErrInvalidSession), unreadable(err): // evicted or swept; or reported there
	case err != nil:
		return err
	case s.Family() != key.OwnID():
		return c.end(member{kindFamily, key}, 14, "has a session that is not its own")
	case revoked(&f) && c.repair != nil:
		if err := c.end(member{kindSession, session}, 14, "is of a family that is revoked"); err != nil {
			return err
		}
	}
	if revoked(&f) && !f.Session.IsZero() {
		c.found(14, spaceFamilies, token.Family.ID(key), "is revoked and has a session")
		f.Session = codec.OwnID{}
	}
	if f.IdleUntil = min(f.AbsoluteUntil, f.IdleUntil); f.IdleUntil != before.IdleUntil {
		c.note(Mendable, 10, spaceFamilies, token.Family.ID(key), "deadlines are out of order")
	}
	if f == before {
		return nil
	}
	return c.put(kindFamily, key, f.Append(nil))
}

// quarantineAge is how long quarantine keeps what a repair has put there.
const quarantineAge = 30 * int64(day/1e6)

// ownerOf returns the owner of what lies under a key of a space, as far as the
// key tells.
func (c *checker) ownerOf(space kv.Space, key []byte) codec.Owner {
	k, ok := codec.ParseOwnedKey(key)
	switch {
	case kindOf(space) != nil && ok:
		return k.Owner()
	case space == spaceUsers && validUserID(UserID(key)):
		return c.tx.owner(string(key))
	}
	return codec.Owner{}
}
