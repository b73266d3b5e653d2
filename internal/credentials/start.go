package credentials

import (
	"io"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/clock"
	"github.com/snibdb/snib/internal/records"
	"github.com/snibdb/snib/internal/token"
)

// Start draws the ids and secrets of a new family and its session, and writes
// both. f has what the log-in tells.
func (r *Rules) Start(f *codec.Family) (Pair, error) {
	var err error
	if f.Key, err = r.NewKey(records.Families, f.UserID); err != nil {
		return Pair{}, err
	}
	session, err := r.NewKey(records.Sessions, f.UserID)
	if err != nil {
		return Pair{}, err
	}
	f.Session = session.OwnID()
	var x Secret
	if _, err := io.ReadFull(r.Rand, x[:]); err != nil {
		return Pair{}, err
	}
	sessionSecret, err := token.NewSecret(r.Rand)
	if err != nil {
		return Pair{}, err
	}
	f.FamilyHash = token.Hash(token.FamilyLabel, x.f())
	f.Current = token.Family.Hash(x.s())
	f.IdleUntil = min(clock.After(r.Now, r.Idle), f.AbsoluteUntil)
	ended, err := r.Evicted(records.Families, f.UserID, codec.OwnedKey{})
	if err != nil {
		return Pair{}, err
	}
	return r.putFamily(f, &x, sessionSecret[:], codec.OwnedKey{}, ended)
}

// putFamily writes a family and its session, whose secret is new, in the place
// of another session (zero for a new family), ends the families that go for
// it, and returns both with their secrets.
func (r *Rules) putFamily(f *codec.Family, x *Secret, sessionSecret []byte, replaced codec.OwnedKey, ended []codec.OwnedKey) (Pair, error) {
	endedSessions, err := EvictedSessions(r.Tx, f.UserID, replaced)
	if err != nil {
		return Pair{}, err
	}
	if err := r.DeleteOwned(records.Families, ended...); err != nil {
		return Pair{}, err
	}
	if err := r.PutOwned(records.Families, f.Key, f.Append(nil)); err != nil {
		return Pair{}, err
	}
	record := r.FamilySession(f)
	view, err := PutNewSession(r.Tx, &record, sessionSecret, endedSessions)
	if err != nil {
		return Pair{}, err
	}
	return Pair{*f, *x, view, sessionSecret}, nil
}

// FamilySession is a new session of a family, without its secret.
func (r *Rules) FamilySession(f *codec.Family) codec.Session {
	until := min(clock.After(r.Now, r.SessionLife), f.AbsoluteUntil)
	return codec.Session{
		Key: f.Key.With(f.Session), UserID: f.UserID, Family: f.Key.OwnID(), Attributes: f.Attributes,
		Flags: f.Flags & codec.SessionPersistent, Methods: f.Methods,
		AuthTime: f.AuthTime, LastUsedAt: r.Now,
		ActiveUntil: until, IdleUntil: until, AbsoluteUntil: f.AbsoluteUntil,
	}
}
