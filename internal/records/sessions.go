package records

import (
	"errors"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/token"
)

// Sessions is the kind of sessions.
var Sessions = &Kind{
	Title: "session", Space: SpaceSessions, Token: token.Session,
	Most: MaxSessions, Bound: func(c *Config) int { return c.MaxSessions },
	Invariant: 8,
	Ends:      PasswordChanges | PasswordReset | UserDisabled | SessionsRevoked | EpochRaised | FactorsChange | FactorsReset,
	Merge:     MergeEnds,
	Missing:   ErrInvalidSession,
	Life:      sessionLife,
	Rules:     sessionRules{},
}

// MaxSessions bounds those of one user.
const MaxSessions = 1000

// ErrInvalidSession: there is no such record.
var ErrInvalidSession error = &missing{"invalid session"}

func sessionLife(key, value []byte) (Life, error) {
	v, err := codec.ViewSession(key, value)
	if err != nil {
		return Life{}, err
	}
	return Life{Who: v.Who(), Epoch: v.Epoch(), Until: v.IdleUntil(), Kept: v.IdleUntil(), Newest: v.LastUsedAt()}, nil
}

// sessionRules are the Rules of Sessions.
type sessionRules struct{}

func (sessionRules) facts(key, value []byte) (Object, error) {
	s, err := codec.DecodeSession(key, value)
	return Object{
		{"authenticated_at", Instant(s.AuthTime)}, {"methods", methodNames(s.Methods)}, {"last_used_at", Instant(s.LastUsedAt)},
		{"active_until", Instant(s.ActiveUntil)}, {"idle_until", Instant(s.IdleUntil)}, {"absolute_until", Instant(s.AbsoluteUntil)},
		{"persistent", s.Flags&codec.SessionPersistent != 0}, {"refresh_token", linked(token.Family, s.Key, s.Family)},
		{"attributes", exportedAttributes(s.Attributes)},
	}, err
}

// check sees to INV-14 (a session and its family know each other) and the
// order of the deadlines.
func (sessionRules) check(tx *Tx, c inspector, m member, value []byte) error {
	v, err := codec.ViewSession(m.raw, value)
	if err != nil {
		return tx.Damaged(SpaceSessions, err)
	}
	if id := v.Family(); !id.IsZero() {
		f, err := tx.Family(m.key.With(id))
		switch {
		case errors.Is(err, ErrInvalidRefreshToken), unreadable(err): // evicted or swept; or reported there
		case err != nil:
			return err
		case f.Session != m.key.OwnID(), !v.IsUser(f.UserID):
			return c.end(m, 14, "is not the session of its family")
		}
	}
	idle := min(v.AbsoluteUntil(), v.IdleUntil())
	if idle == v.IdleUntil() && v.ActiveUntil() <= idle {
		return nil
	}
	c.mendable(m, 8, "deadlines are out of order")
	var s codec.Session
	v.Decode(&s)
	s.IdleUntil, s.ActiveUntil = idle, min(s.ActiveUntil, idle)
	return c.put(m, s.Append(nil))
}

// Session returns a view of the session under key, in any state, or
// ErrInvalidSession. It is valid until the next write.
func (tx *Tx) Session(key codec.OwnedKey) (codec.SessionView, error) {
	value, err := tx.OwnedValue(Sessions, key)
	if err != nil {
		return codec.SessionView{}, err
	}
	v, err := codec.ViewSession(tx.Key, value)
	if err != nil {
		return codec.SessionView{}, tx.Damaged(SpaceSessions, err)
	}
	return v, nil
}
