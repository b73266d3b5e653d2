package snib

import (
	"errors"

	"github.com/snibdb/snib/codec"
)

// mendOwned keeps what INV-7 to INV-14 say of what belongs to users. Sessions
// come before families: one that contradicts its family has gone when the
// family is looked at.
func (p *repairer) mendOwned() error {
	for _, pass := range []func() error{
		func() error { return p.walk(spaceSessions, p.mendSession) },
		func() error { return p.walk(spaceFamilies, p.mendFamily) },
		func() error { return p.walk(spaceOneTime, p.mendOneTime) },
		func() error { return p.walk(spaceUserSessions, p.mendByUser(9, ownedSessions, p.sessionOwner)) },
		func() error { return p.walk(spaceUserFamilies, p.mendByUser(11, ownedFamilies, p.familyOwner)) },
		func() error { return p.walk(spaceUserOneTime, p.mendByUser(13, ownedOneTime, p.oneTimeOwner)) },
		func() error { return p.walk(spaceUsers, p.mendBounds) },
	} {
		if err := pass(); err != nil {
			return err
		}
	}
	return nil
}

// wrong says why a record must end: whose it is, or of which epoch. A
// tombstone may be a disabled user's.
func (p *repairer) wrong(userID string, epoch uint64, tombstone bool) (why string, err error) {
	u, err := p.tx.user(UserID(userID))
	switch {
	case errors.Is(err, ErrUserNotFound):
		return "was ended: its user is missing", nil
	case err != nil:
		return "", err
	case u.DisabledAt != 0 && !tombstone:
		return "was ended: its user is disabled", nil
	case p.future(epoch):
		return "was ended: it is of a later epoch than the file", nil
	}
	return "", nil
}

// end removes a record of a user's and its entry.
func (p *repairer) end(invariant int, o owned, userID, id, why string) error {
	p.did(EndsLogin, invariant, o.records, id, why)
	return p.tx.deleteOne(o, userID, id)
}

// indexed puts a changed record and makes its entry in the index by user, if
// that is missing. record is nil for an unchanged one.
func (p *repairer) indexed(invariant int, o owned, userID, id string, record []byte) error {
	if record != nil {
		p.did(Mendable, invariant, o.records, id, "record was made consistent")
		if err := p.tx.put(o.records, id, record); err != nil {
			return err
		}
	}
	ok, err := p.tx.has(o.byUser, pairKey(userID, id))
	if ok || err != nil {
		return err
	}
	p.did(Mendable, invariant, o.byUser, id, "entry was made")
	return p.tx.put(o.byUser, pairKey(userID, id), nil)
}

func (p *repairer) mendSession(key, value []byte) error {
	s, err := codec.DecodeSession(key, value)
	if err != nil {
		return p.drop(spaceSessions, key, value, err)
	}
	why, err := p.wrong(s.UserID, s.Epoch, false)
	if err != nil {
		return err
	}
	if why != "" {
		return p.end(8, ownedSessions, s.UserID, s.ID, why)
	}
	if s.FamilyID != "" {
		switch f, err := p.tx.family(s.FamilyID); {
		case errors.Is(err, ErrInvalidRefreshToken), errors.Is(err, ErrCorrupt): // gone, or soon
		case err != nil:
			return err
		case f.SessionID != s.ID, f.UserID != s.UserID, f.RevokedAt != 0:
			return p.end(14, ownedSessions, s.UserID, s.ID, "was ended: it is not the session of its family")
		}
	}
	before := s
	if s.AbsoluteUntil != 0 {
		s.IdleUntil = min(s.IdleUntil, s.AbsoluteUntil)
	}
	s.ActiveUntil = min(s.ActiveUntil, s.IdleUntil)
	var changed []byte
	if s != before {
		changed = s.Append(nil)
	}
	return p.indexed(8, ownedSessions, s.UserID, s.ID, changed)
}

func (p *repairer) mendFamily(key, value []byte) error {
	f, err := codec.DecodeFamily(key, value)
	if err != nil {
		return p.drop(spaceFamilies, key, value, err)
	}
	why, err := p.wrong(f.UserID, f.Epoch, f.RevokedAt != 0)
	if err != nil {
		return err
	}
	if why != "" {
		return p.end(10, ownedFamilies, f.UserID, f.ID, why)
	}
	before := f
	if f.RevokedAt != 0 {
		f.SessionID = ""
	} else {
		switch s, err := p.tx.session(f.SessionID); {
		case errors.Is(err, ErrInvalidSession):
		case err != nil:
			return err
		case s.FamilyID != f.ID:
			return p.end(14, ownedFamilies, f.UserID, f.ID, "was ended: its session is not its own")
		}
	}
	if f.AbsoluteUntil != 0 {
		f.IdleUntil = min(f.IdleUntil, f.AbsoluteUntil)
	}
	var changed []byte
	if f != before {
		changed = f.Append(nil)
	}
	return p.indexed(10, ownedFamilies, f.UserID, f.ID, changed)
}

func (p *repairer) mendOneTime(key, value []byte) error {
	t, err := codec.DecodeOneTimeToken(key, value)
	if err != nil {
		return p.drop(spaceOneTime, key, value, err)
	}
	why, err := p.wrong(t.UserID, t.Epoch, false)
	if err != nil {
		return err
	}
	if why != "" {
		return p.end(12, ownedOneTime, t.UserID, t.ID, why)
	}
	return p.indexed(12, ownedOneTime, t.UserID, t.ID, nil)
}

// mendByUser removes the entries of an index by user that lead to no record of
// that user.
func (p *repairer) mendByUser(invariant int, o owned, ownerOf func(id string) (string, error)) func(key, value []byte) error {
	return func(key, _ []byte) error {
		userID, id, ok := codec.SplitPair(key)
		if ok {
			owner, err := ownerOf(string(id))
			switch {
			case err == nil && owner == string(userID):
				return nil
			case err != nil && !damagedOrMissing(err):
				return err
			}
		}
		p.did(Mendable, invariant, o.byUser, printable(id), "entry was removed")
		return p.tx.delete(o.byUser, string(key))
	}
}

// mendBounds ends what a user has too many of, in the order in which it would
// end by itself.
func (p *repairer) mendBounds(key, _ []byte) error {
	for _, b := range []struct {
		owned
		most  int
		until func(id string) (int64, error)
	}{
		{ownedSessions, MaxSessions, func(id string) (int64, error) { s, err := p.tx.session(id); return s.IdleUntil, err }},
		{ownedFamilies, MaxRefreshTokens, func(id string) (int64, error) { f, err := p.tx.family(id); return f.IdleUntil, err }},
		{ownedOneTime, MaxOneTimeTokens, func(id string) (int64, error) { t, err := p.tx.oneTimeToken(id); return t.ExpiresAt, err }},
	} {
		ids, err := p.tx.excess(b.owned, string(key), b.most+1, "", b.until)
		if err != nil {
			return err
		}
		for _, id := range ids {
			if err := p.end(7, b.owned, string(key), id, "was ended: more than a user may have"); err != nil {
				return err
			}
		}
	}
	return nil
}
