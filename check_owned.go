package snib

import (
	"errors"
	"slices"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/kv"
)

// A member is a record of a user's.
type member struct {
	*kind
	userID, id string
}

// end reports a record that must not be there. Repair ends it.
func (c *checker) end(m member, invariant int, text string) error {
	c.found(invariant, m.space, m.id, text)
	if c.repair == nil {
		return nil
	}
	return c.tx.deleteOne(m.kind, m.userID, m.id)
}

// put is how Repair mends a record or an entry.
func (c *checker) put(space kv.Space, key string, value []byte) error {
	if c.repair == nil {
		return nil
	}
	return c.tx.put(space, key, value)
}

// within returns a deadline that is not behind a limit; 0 is none.
func within(limit, until int64) int64 {
	if limit == 0 {
		return until
	}
	return min(limit, until)
}

// belongs checks that a record is of no later epoch than the file, that its
// user exists and that its index by user has it. ok is false if it must go.
func (c *checker) belongs(m member, epoch uint64) (ok bool, err error) {
	exists, err := c.tx.has(spaceUsers, m.userID)
	switch {
	case err != nil:
		return false, err
	case c.future(epoch):
		return false, c.end(m, m.record, "is of a later epoch than the file")
	case !exists:
		return false, c.end(m, m.record, "belongs to a user who is missing")
	}
	key := pairKey(m.userID, m.id)
	indexed, err := c.tx.has(m.byUser, key)
	if err == nil && !indexed {
		c.found(m.record, m.byUser, m.id, "entry of the record is missing")
		err = c.put(m.byUser, key, nil)
	}
	return err == nil, err
}

// owned checks INV-8, INV-10 and INV-12: a record is its user's, in the index
// too; and what else must hold of its kind.
func (c *checker) owned() error {
	for _, k := range kinds {
		err := c.each(k.space, func(key, value []byte) error {
			*k.count(&c.report)++
			l, err := k.life(key, value)
			if err != nil {
				return c.cannotRead(k.space, key, value, err)
			}
			c.seen(l.epoch, l.newest)
			ok, err := c.belongs(member{k, l.userID, string(key)}, l.epoch)
			if !ok {
				return err
			}
			return c.more(k, key, value)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// more checks what must hold of the records of one kind only. It is no field of
// the table, or every program would link all of Check.
func (c *checker) more(k *kind, key, value []byte) error {
	switch k {
	case kindSession:
		return c.session(key, value)
	case kindFamily:
		return c.family(key, value)
	}
	return nil
}

// session checks INV-14 (a session and its family know each other) and the
// order of the deadlines.
func (c *checker) session(key, value []byte) error {
	s, err := codec.DecodeSession(key, value)
	if err != nil {
		return damaged(spaceSessions, err)
	}
	if s.FamilyID != "" {
		f, err := c.tx.family(s.FamilyID)
		switch {
		case errors.Is(err, ErrInvalidRefreshToken), unreadable(err): // evicted or swept; or reported there
		case err != nil:
			return err
		case f.SessionID != s.ID, f.UserID != s.UserID:
			return c.end(member{kindSession, s.UserID, s.ID}, 14, "is not the session of its family")
		}
	}
	idle := within(s.AbsoluteUntil, s.IdleUntil)
	if idle == s.IdleUntil && s.ActiveUntil <= idle {
		return nil
	}
	c.note(Mendable, 8, spaceSessions, s.ID, "deadlines are out of order")
	s.IdleUntil, s.ActiveUntil = idle, min(s.ActiveUntil, idle)
	return c.put(spaceSessions, s.ID, s.Append(nil))
}

// family checks INV-14 from the other side. Repair has ended by then the
// sessions that are not those of their families.
func (c *checker) family(key, value []byte) error {
	f, err := codec.DecodeFamily(key, value)
	if err != nil {
		return damaged(spaceFamilies, err)
	}
	before := f
	s, err := c.tx.session(f.SessionID)
	switch {
	case errors.Is(err, ErrInvalidSession), unreadable(err): // evicted or swept; or reported there
	case err != nil:
		return err
	case s.FamilyID != f.ID:
		return c.end(member{kindFamily, f.UserID, f.ID}, 14, "has a session that is not its own")
	case f.RevokedAt != 0 && c.repair != nil:
		if err := c.end(member{kindSession, s.UserID, s.ID}, 14, "is of a family that is revoked"); err != nil {
			return err
		}
	}
	if f.RevokedAt != 0 && f.SessionID != "" {
		c.found(14, spaceFamilies, f.ID, "is revoked and has a session")
		f.SessionID = ""
	}
	if f.IdleUntil = within(f.AbsoluteUntil, f.IdleUntil); f.IdleUntil != before.IdleUntil {
		c.note(Mendable, 10, spaceFamilies, f.ID, "deadlines are out of order")
	}
	if f == before {
		return nil
	}
	return c.put(spaceFamilies, f.ID, f.Append(nil))
}

// byUser checks INV-9, INV-11 and INV-13: every entry of an index by user
// leads to a record of that user.
func (c *checker) byUser() error {
	for _, k := range kinds {
		err := c.each(k.byUser, func(key, _ []byte) error {
			userID, id, ok := codec.SplitPair(key)
			if !ok {
				c.found(2, k.byUser, "", "key cannot be read")
				return c.remove(k.byUser, key)
			}
			l, err := c.tx.life(k, string(id))
			switch {
			case unreadable(err): // reported where the space is walked
				return nil
			case damagedOrMissing(err):
				c.found(k.index, k.byUser, printable(id), "leads to a record that is missing")
			case err != nil:
				return err
			case l.userID == string(userID):
				return nil
			default:
				c.found(k.index, k.byUser, printable(id), "leads to a record of another user")
			}
			return c.remove(k.byUser, key)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// bounds checks INV-7: how many records belong to a user, and that a disabled
// one has none that could be used.
func (c *checker) bounds() error {
	return c.each(spaceUsers, func(key, value []byte) error {
		u, err := codec.DecodeUser(key, value)
		if err != nil {
			return nil // reported before
		}
		for _, k := range kinds {
			if err := c.bound(&u, k); err != nil {
				return err
			}
		}
		return nil
	})
}

// bound is bounds for one kind.
func (c *checker) bound(u *codec.User, k *kind) error {
	var ids []string // at most one too many
	from, to := codec.PairRange(u.ID)
	err := c.tx.r.Scan(k.byUser, from, to, k.most+1, func(key, _ []byte) error {
		if _, id, ok := codec.SplitPair(key); ok { // else reported where the space is walked
			ids = append(ids, string(id))
		}
		return nil
	})
	if err != nil {
		return err
	}
	var end []string
	if len(ids) > k.most {
		c.found(7, k.byUser, u.ID, "more than a user may have")
		if c.repair != nil {
			if end, err = c.tx.lowest(k, u.ID, k.most, ""); err != nil {
				return err
			}
		}
	}
	ids = slices.DeleteFunc(ids, func(id string) bool { return c.tombstone(k, id) })
	if u.DisabledAt != 0 && len(ids) > 0 {
		c.found(7, k.byUser, u.ID, "a disabled user has some")
		end = append(end, ids...)
	}
	if c.repair == nil {
		return nil
	}
	return c.tx.deleteAll(k, u.ID, end)
}

// tombstone reports whether a record is a revoked family, or one that cannot be
// read.
func (c *checker) tombstone(k *kind, id string) bool {
	if k != kindFamily {
		return false
	}
	l, err := c.tx.life(k, id)
	return err != nil || l.revoked
}
