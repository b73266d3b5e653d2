package records

import (
	"errors"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/clock"
	"github.com/snibdb/snib/internal/token"
)

// Families is the kind of refresh tokens, a record for each family of them.
var Families = &Kind{
	Title: "refresh token", Space: SpaceFamilies, Token: token.Family,
	Most: MaxFamilies, Bound: func(c *Config) int { return c.MaxFamilies }, MostRevoked: MaxTombstones,
	Invariant: 10,
	Ends:      PasswordChanges | PasswordReset | UserDisabled | SessionsRevoked | RefreshTokensRevoked | EpochRaised | FactorsChange | FactorsReset,
	Merge:     MergeEnds,
	Missing:   ErrInvalidRefreshToken,
	Life:      familyLife,
	Rules:     familyRules{},
}

// Bounds of the refresh families of one user.
const (
	MaxFamilies   = 100
	MaxTombstones = 20 // the newest stay
)

// ErrInvalidRefreshToken: there is no such record.
var ErrInvalidRefreshToken error = &missing{"invalid refresh token"}

func familyLife(key, value []byte) (Life, error) {
	v, err := codec.ViewFamily(key, value)
	if err != nil {
		return Life{}, err
	}
	l := Life{Who: v.Who(), Epoch: v.Epoch(), Until: v.IdleUntil(), Kept: v.IdleUntil(), Newest: v.RotatedAt()}
	if at := v.RevokedAt(); at != clock.Never {
		l.Revoked, l.Kept, l.Newest = true, v.AbsoluteUntil(), at // a tombstone
	}
	return l, nil
}

// familyRules are the Rules of Families.
type familyRules struct{}

func (familyRules) facts(key, value []byte) (Object, error) {
	f, err := codec.DecodeFamily(key, value)
	return Object{
		{"authenticated_at", Instant(f.AuthTime)}, {"methods", methodNames(f.Methods)}, {"refreshed_at", Instant(f.RotatedAt)},
		{"refreshes", int64(f.Generation)}, {"repeats", int64(f.Repeats)}, {"revoked_at", Instant(f.RevokedAt)},
		{"idle_until", Instant(f.IdleUntil)}, {"absolute_until", Instant(f.AbsoluteUntil)},
		{"persistent", f.Flags&codec.SessionPersistent != 0}, {"session", linked(token.Session, f.Key, f.Session)},
		{"attributes", exportedAttributes(f.Attributes)},
	}, err
}

// check sees to INV-14 from the other side. Repair has ended by then the
// sessions that are not those of their families.
func (familyRules) check(tx *Tx, c inspector, m member, value []byte) error {
	f, err := codec.DecodeFamily(m.raw, value)
	if err != nil {
		return tx.Damaged(SpaceFamilies, err)
	}
	before := f
	session := m.key.With(f.Session)
	s, err := tx.Session(session)
	switch {
	case f.Session.IsZero(), errors.Is(err, ErrInvalidSession), unreadable(err): // evicted or swept; or reported there
	case err != nil:
		return err
	case s.Family() != m.key.OwnID():
		return c.end(m, 14, "has a session that is not its own")
	case Revoked(&f) && c.repairs():
		if err := c.end(member{Kind: Sessions, key: session}, 14, "is of a family that is revoked"); err != nil {
			return err
		}
	}
	if Revoked(&f) && !f.Session.IsZero() {
		c.breach(m, 14, "is revoked and has a session")
		f.Session = codec.OwnID{}
	}
	if f.IdleUntil = min(f.AbsoluteUntil, f.IdleUntil); f.IdleUntil != before.IdleUntil {
		c.mendable(m, 10, "deadlines are out of order")
	}
	if f == before {
		return nil
	}
	return c.put(m, f.Append(nil))
}

// Family returns the refresh family under key, in any state, or
// ErrInvalidRefreshToken.
func (tx *Tx) Family(key codec.OwnedKey) (codec.Family, error) {
	return OwnedRecord(tx, Families, key, codec.DecodeFamily)
}

// Revoked reports whether a family is a tombstone.
func Revoked(f *codec.Family) bool { return f.RevokedAt != clock.Never }
