package snib

import (
	"errors"

	"github.com/snibdb/snib/codec"
)

// sessions checks INV-8 (a session is its user's, in the index too) and
// INV-14 (it and its family know each other).
func (c *checker) sessions() error {
	return c.each(spaceSessions, func(key, value []byte) error {
		c.report.Sessions++
		s, err := codec.DecodeSession(key, value)
		if err != nil {
			c.cannotRead(spaceSessions, printable(key), err)
			return nil
		}
		c.seen(s.Epoch, s.CreatedAt, s.LastUsedAt)
		switch {
		case c.future(s.Epoch):
			c.found(8, spaceSessions, s.ID, "is of a later epoch than the file")
		case s.ActiveUntil > s.IdleUntil, s.AbsoluteUntil != 0 && s.IdleUntil > s.AbsoluteUntil:
			c.found(8, spaceSessions, s.ID, "deadlines are out of order")
		}
		if err := c.belongs(8, ownedSessions, s.UserID, s.ID); err != nil || s.FamilyID == "" {
			return err
		}
		f, err := c.tx.family(s.FamilyID)
		switch {
		case errors.Is(err, ErrInvalidRefreshToken), unreadable(err):
			return nil // ended by the bound or swept; or reported there
		case err != nil:
			return err
		case f.SessionID != s.ID, f.UserID != s.UserID:
			c.found(14, spaceSessions, s.ID, "is not the session of its family")
		}
		return nil
	})
}

// belongs checks that a record's user exists and its index by user has it.
func (c *checker) belongs(invariant int, o owned, userID, id string) error {
	exists, err := c.tx.has(spaceUsers, userID)
	if err != nil {
		return err
	}
	if !exists {
		c.found(invariant, o.records, id, "belongs to a user who is missing")
	}
	indexed, err := c.tx.has(o.byUser, pairKey(userID, id))
	if err == nil && !indexed {
		c.found(invariant, o.byUser, id, "entry of the record is missing")
	}
	return err
}

// families checks INV-10 and, from the other side, INV-14.
func (c *checker) families() error {
	return c.each(spaceFamilies, func(key, value []byte) error {
		c.report.RefreshTokens++
		f, err := codec.DecodeFamily(key, value)
		if err != nil {
			c.cannotRead(spaceFamilies, printable(key), err)
			return nil
		}
		c.seen(f.Epoch, f.CreatedAt, f.RotatedAt, f.RevokedAt)
		switch {
		case c.future(f.Epoch):
			c.found(10, spaceFamilies, f.ID, "is of a later epoch than the file")
		case f.AbsoluteUntil != 0 && f.IdleUntil > f.AbsoluteUntil:
			c.found(10, spaceFamilies, f.ID, "deadlines are out of order")
		case f.RevokedAt != 0 && f.SessionID != "":
			c.found(14, spaceFamilies, f.ID, "is revoked and has a session")
		}
		if err := c.belongs(10, ownedFamilies, f.UserID, f.ID); err != nil || f.SessionID == "" {
			return err
		}
		s, err := c.tx.session(f.SessionID)
		switch {
		case errors.Is(err, ErrInvalidSession), unreadable(err):
			return nil // ended by the bound or swept; or reported there
		case err != nil:
			return err
		case s.FamilyID != f.ID:
			c.found(14, spaceFamilies, f.ID, "has a session that is not its own")
		}
		return nil
	})
}

// oneTimeTokens checks INV-12.
func (c *checker) oneTimeTokens() error {
	return c.each(spaceOneTime, func(key, value []byte) error {
		c.report.OneTimeTokens++
		t, err := codec.DecodeOneTimeToken(key, value)
		if err != nil {
			c.cannotRead(spaceOneTime, printable(key), err)
			return nil
		}
		c.seen(t.Epoch, t.CreatedAt)
		if c.future(t.Epoch) {
			c.found(12, spaceOneTime, t.ID, "is of a later epoch than the file")
		}
		return c.belongs(12, ownedOneTime, t.UserID, t.ID)
	})
}

// byUser checks INV-9, INV-11 and INV-13: every entry of an index by user
// leads to a record of that user.
func (c *checker) byUser(o owned, invariant int, ownerOf func(id string) (string, error)) error {
	return c.each(o.byUser, func(key, _ []byte) error {
		userID, id, ok := codec.SplitPair(key)
		if !ok {
			c.found(2, o.byUser, "", "key cannot be read")
			return nil
		}
		owner, err := ownerOf(string(id))
		switch {
		case errors.Is(err, ErrInvalidSession), errors.Is(err, ErrInvalidRefreshToken), errors.Is(err, ErrInvalidToken):
			c.found(invariant, o.byUser, printable(id), "leads to a record that is missing")
		case unreadable(err): // reported where the space is walked
		case err != nil:
			return err
		case owner != string(userID):
			c.found(invariant, o.byUser, printable(id), "leads to a record of another user")
		}
		return nil
	})
}

func (c *checker) sessionOwner(id string) (string, error) {
	s, err := c.tx.session(id)
	return s.UserID, err
}

func (c *checker) familyOwner(id string) (string, error) {
	f, err := c.tx.family(id)
	return f.UserID, err
}

func (c *checker) oneTimeOwner(id string) (string, error) {
	t, err := c.tx.oneTimeToken(id)
	return t.UserID, err
}
