package snib

import (
	"errors"
	"slices"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/kv"
)

// A member is a record of a user's, and the invariant that it must keep.
type member struct {
	owned
	invariant  int
	userID, id string
}

// end reports a record that must not be there. Repair ends it.
func (c *checker) end(m member, text string) error {
	c.found(m.invariant, m.records, m.id, text)
	if c.repair == nil {
		return nil
	}
	return c.tx.deleteOne(m.owned, m.userID, m.id)
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
		return false, c.end(m, "is of a later epoch than the file")
	case !exists:
		return false, c.end(m, "belongs to a user who is missing")
	}
	key := pairKey(m.userID, m.id)
	indexed, err := c.tx.has(m.byUser, key)
	if err == nil && !indexed {
		c.found(m.invariant, m.byUser, m.id, "entry of the record is missing")
		err = c.put(m.byUser, key, nil)
	}
	return err == nil, err
}

// sessions checks INV-8 (a session is its user's, in the index too) and
// INV-14 (it and its family know each other).
func (c *checker) sessions() error {
	return c.each(spaceSessions, func(key, value []byte) error {
		c.report.Sessions++
		s, err := codec.DecodeSession(key, value)
		if err != nil {
			return c.cannotRead(spaceSessions, key, value, err)
		}
		c.seen(s.Epoch, s.CreatedAt, s.LastUsedAt)
		if ok, err := c.belongs(member{ownedSessions, 8, s.UserID, s.ID}, s.Epoch); !ok {
			return err
		}
		if s.FamilyID != "" {
			f, err := c.tx.family(s.FamilyID)
			switch {
			case errors.Is(err, ErrInvalidRefreshToken), unreadable(err): // ended by the bound or swept; or reported there
			case err != nil:
				return err
			case f.SessionID != s.ID, f.UserID != s.UserID:
				return c.end(member{ownedSessions, 14, s.UserID, s.ID}, "is not the session of its family")
			}
		}
		idle := within(s.AbsoluteUntil, s.IdleUntil)
		if idle == s.IdleUntil && s.ActiveUntil <= idle {
			return nil
		}
		c.note(Mendable, 8, spaceSessions, s.ID, "deadlines are out of order")
		s.IdleUntil, s.ActiveUntil = idle, min(s.ActiveUntil, idle)
		return c.put(spaceSessions, s.ID, s.Append(nil))
	})
}

// families checks INV-10 and, from the other side, INV-14. Repair has ended by
// then the sessions that are not those of their families.
func (c *checker) families() error {
	return c.each(spaceFamilies, func(key, value []byte) error {
		c.report.RefreshTokens++
		f, err := codec.DecodeFamily(key, value)
		if err != nil {
			return c.cannotRead(spaceFamilies, key, value, err)
		}
		c.seen(f.Epoch, f.CreatedAt, f.RotatedAt, f.RevokedAt)
		if ok, err := c.belongs(member{ownedFamilies, 10, f.UserID, f.ID}, f.Epoch); !ok {
			return err
		}
		before := f
		s, err := c.tx.session(f.SessionID)
		switch {
		case errors.Is(err, ErrInvalidSession), unreadable(err): // ended by the bound or swept; or reported there
		case err != nil:
			return err
		case s.FamilyID != f.ID:
			return c.end(member{ownedFamilies, 14, f.UserID, f.ID}, "has a session that is not its own")
		case f.RevokedAt != 0 && c.repair != nil:
			if err := c.end(member{ownedSessions, 14, s.UserID, s.ID}, "is of a family that is revoked"); err != nil {
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
	})
}

// oneTimeTokens checks INV-12.
func (c *checker) oneTimeTokens() error {
	return c.each(spaceOneTime, func(key, value []byte) error {
		c.report.OneTimeTokens++
		t, err := codec.DecodeOneTimeToken(key, value)
		if err != nil {
			return c.cannotRead(spaceOneTime, key, value, err)
		}
		c.seen(t.Epoch, t.CreatedAt)
		_, err = c.belongs(member{ownedOneTime, 12, t.UserID, t.ID}, t.Epoch)
		return err
	})
}

// kinds of records that belong to a user: the invariant of the index by user,
// how many a user may have, and whose one is and until when.
var kinds = []struct {
	owned
	invariant, most int
	read            func(tx *Tx, id string) (userID string, until int64, err error)
}{
	{ownedSessions, 9, MaxSessions, func(tx *Tx, id string) (string, int64, error) {
		s, err := tx.session(id)
		return s.UserID, s.IdleUntil, err
	}},
	{ownedFamilies, 11, MaxRefreshTokens, func(tx *Tx, id string) (string, int64, error) {
		f, err := tx.family(id)
		return f.UserID, f.IdleUntil, err
	}},
	{ownedOneTime, 13, MaxOneTimeTokens, func(tx *Tx, id string) (string, int64, error) {
		t, err := tx.oneTimeToken(id)
		return t.UserID, t.ExpiresAt, err
	}},
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
			owner, _, err := k.read(c.tx, string(id))
			switch {
			case unreadable(err): // reported where the space is walked
				return nil
			case damagedOrMissing(err):
				c.found(k.invariant, k.byUser, printable(id), "leads to a record that is missing")
			case err != nil:
				return err
			case owner == string(userID):
				return nil
			default:
				c.found(k.invariant, k.byUser, printable(id), "leads to a record of another user")
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
			until := func(id string) (int64, error) { _, until, err := k.read(c.tx, id); return until, err }
			if err := c.bound(&u, k.owned, k.most, until); err != nil {
				return err
			}
		}
		return nil
	})
}

// bound is bounds for one kind. until tells which end first in Repair.
func (c *checker) bound(u *codec.User, o owned, most int, until func(id string) (int64, error)) error {
	var ids []string // at most one too many
	from, to := codec.PairRange(u.ID)
	err := c.tx.r.Scan(o.byUser, from, to, most+1, func(key, _ []byte) error {
		if _, id, ok := codec.SplitPair(key); ok { // else reported where the space is walked
			ids = append(ids, string(id))
		}
		return nil
	})
	if err != nil {
		return err
	}
	var end []string
	if len(ids) > most {
		c.found(7, o.byUser, u.ID, "more than a user may have")
		if c.repair != nil {
			if end, err = c.tx.excess(o, u.ID, most+1, "", until); err != nil {
				return err
			}
		}
	}
	ids = slices.DeleteFunc(ids, func(id string) bool { return c.tombstone(o, id) })
	if u.DisabledAt != 0 && len(ids) > 0 {
		c.found(7, o.byUser, u.ID, "a disabled user has some")
		end = append(end, ids...)
	}
	if c.repair == nil {
		return nil
	}
	return c.tx.deleteAll(o, u.ID, end)
}

// tombstone reports whether a record is a revoked family, or none that can be
// read.
func (c *checker) tombstone(o owned, id string) bool {
	if o != ownedFamilies {
		return false
	}
	f, err := c.tx.family(id)
	return err != nil || f.RevokedAt != 0
}
