package snib

import (
	"time"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/clock"
)

// A life is how long a session lives: Active and Idle from each use, Absolute
// from the log-in (negative: without end).
type life struct{ active, idle, absolute time.Duration }

// life is that of a session of the policy.
func (p *SessionPolicy) life() life { return life{p.Active, max(0, p.Idle), p.Absolute} }

// ownLife reports whether the options ask for another life than the policy's.
func (o *SessionOptions) ownLife() bool { return o.Active != 0 || o.Idle != 0 || o.Absolute != 0 }

// life is that of a new session: the policy's, shortened by the options.
func (o *SessionOptions) life(p *SessionPolicy) (life, error) {
	l := p.life()
	for _, d := range []struct {
		field  string
		value  time.Duration
		min    time.Duration
		policy *time.Duration
	}{
		{"Active", o.Active, time.Second, &l.active},
		{"Idle", o.Idle, 0, &l.idle},
		{"Absolute", o.Absolute, time.Second, &l.absolute},
	} {
		most := *d.policy
		if most < 0 {
			most = maxLife
		}
		switch {
		case d.value == 0:
			continue
		case d.value < 0 && d.field == "Idle":
			l.idle = 0
			continue
		case d.value < d.min || d.value > most:
			return life{}, &InputError{
				Field: d.field, Code: CodeOutOfRange, Min: int64(d.min), Max: int64(most),
				Reason: "must be from " + d.min.String() + " to " + most.String() + ", the policy's",
			}
		}
		*d.policy = d.value
	}
	return l, nil
}

// familyLife is how long a new family lives, from the log-in: the policy's,
// shortened by the options.
func (o *SessionOptions) familyLife(p *RefreshPolicy) (time.Duration, error) {
	switch {
	case o.Active != 0:
		return 0, &InputError{Field: "Active", Code: CodeNotAllowed, Reason: "must not be given with a refresh token"}
	case o.Idle != 0:
		return 0, &InputError{Field: "Idle", Code: CodeNotAllowed, Reason: "must not be given with a refresh token"}
	}
	l, err := (&SessionOptions{Absolute: o.Absolute}).life(&SessionPolicy{Absolute: p.Absolute})
	return l.absolute, err
}

// flags are those of a new session's record.
func (o *SessionOptions) flags() (f uint8) {
	if o.Persistent {
		f |= codec.SessionPersistent
	}
	if o.ownLife() {
		f |= codec.SessionOwnLife
	}
	return f
}

// lifeOf is the active and idle life of a session that there is: the policy's
// or, if it is shorter, its own. That is the distance between the deadlines that
// it was given last; where the absolute deadline has cut one of these, it cuts
// all later ones as well.
func (p *SessionPolicy) lifeOf(flags uint8, used, active, idle int64) life {
	l := p.life()
	if flags&codec.SessionOwnLife != 0 {
		l.active = min(l.active, time.Duration(active-used)*time.Millisecond)
		l.idle = min(l.idle, time.Duration(idle-active)*time.Millisecond)
	}
	return l
}

// setDeadlines starts the session's life anew, within its absolute one.
func (tx *Tx) setDeadlines(s *codec.Session) {
	tx.setLife(s, tx.db.o.Sessions.lifeOf(s.Flags, s.LastUsedAt, s.ActiveUntil, s.IdleUntil))
}

func (tx *Tx) setLife(s *codec.Session, l life) {
	s.LastUsedAt = tx.rec.Now
	s.ActiveUntil = min(clock.After(tx.rec.Now, l.active), s.AbsoluteUntil)
	s.IdleUntil = min(clock.After(s.ActiveUntil, l.idle), s.AbsoluteUntil)
}
