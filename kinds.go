package snib

import (
	"errors"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/clock"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/token"
)

// A kind is one sort of record that belongs to a user. Cascades, bounds,
// eviction, the sweep, Check, Repair, Restore and the report of a check walk
// the table of kinds, so a kind that has a row is forgotten by none of them,
// and a space without a row fails a test.
type kind struct {
	title string   // as documents and messages name it
	space kv.Space // of the records
	token token.Kind

	most  int                 // of one user, whatever the options say (INV-7)
	bound func(*settings) int // how many the options allow

	invariant int // of its records, in docs/INVARIANTS.md

	ends     occasion // what ends all of a user's; deletion always does
	usedOnce bool     // Restore ends it always: one used since would be good again

	missing error // of a record that is not there
	life    func(key, value []byte) (life, error)
	count   func(*CheckReport) *int
}

// An occasion is what ends records of a user. docs/INVARIANTS.md has the table
// of occasions and kinds, which a test compares with the rows.
type occasion uint

const (
	passwordChanges occasion = 1 << iota // set, changed or removed
	userDisabled
	identityMoves        // replaced or unlinked
	sessionsRevoked      // all of a user's: RevokeUserSessions
	refreshTokensRevoked // all of a user's: RevokeUserRefreshTokens
	epochRaised          // EndEverything, ResetClock, Restore
	occasions            = iota
)

// kinds is the table. Sessions come before refresh tokens: Repair decides
// about a family by its session.
var kinds = []*kind{kindSession, kindFamily, kindOneTime}

var (
	kindSession = &kind{
		title: "session", space: spaceSessions, token: token.Session,
		most: MaxSessions, bound: func(s *settings) int { return s.Sessions.MaxPerUser },
		invariant: 8,
		ends:      passwordChanges | userDisabled | sessionsRevoked | epochRaised,
		missing:   ErrInvalidSession,
		life:      sessionLife,
		count:     func(r *CheckReport) *int { return &r.Sessions },
	}
	kindFamily = &kind{
		title: "refresh token", space: spaceFamilies, token: token.Family,
		most: MaxRefreshTokens, bound: func(s *settings) int { return s.Refresh.MaxPerUser },
		invariant: 10,
		ends:      passwordChanges | userDisabled | sessionsRevoked | refreshTokensRevoked | epochRaised,
		missing:   ErrInvalidRefreshToken,
		life:      familyLife,
		count:     func(r *CheckReport) *int { return &r.RefreshTokens },
	}
	kindOneTime = &kind{
		title: "one-time token", space: spaceOneTime, token: token.OneTime,
		most: MaxOneTimeTokens, bound: func(*settings) int { return MaxOneTimeTokens },
		invariant: 12,
		ends:      passwordChanges | userDisabled | identityMoves | epochRaised,
		usedOnce:  true,
		missing:   ErrInvalidOneTimeToken,
		life:      oneTimeLife,
		count:     func(r *CheckReport) *int { return &r.OneTimeTokens },
	}
)

// shared are the spaces that belong to no user alone: what they hold of a user
// goes with the user's record, or is not of users at all.
var shared = map[kv.Space]string{
	spaceMeta:       "what the file says of itself",
	spaceUsers:      "the user",
	spaceIdentities: "leads to the user, whose record lists it",
	spaceAttributes: "leads to the user, whose record lists it",
	spaceQuarantine: "what Repair could not read",
}

// kindOf returns the kind whose records a space holds, or nil.
func kindOf(space kv.Space) *kind {
	for _, k := range kinds {
		if k.space == space {
			return k
		}
	}
	return nil
}

// A life is what a record of any kind says of its user and its time. It shares
// the memory of the record.
type life struct {
	who     codec.Who
	epoch   uint32
	until   int64 // usable before this
	revoked bool  // not usable, and remembered
	kept    int64 // remembered until this
	newest  int64 // the latest time in the record
}

func sessionLife(key, value []byte) (life, error) {
	v, err := codec.ViewSession(key, value)
	if err != nil {
		return life{}, err
	}
	return life{who: v.Who(), epoch: v.Epoch(), until: v.IdleUntil(), kept: v.IdleUntil(), newest: v.LastUsedAt()}, nil
}

func familyLife(key, value []byte) (life, error) {
	v, err := codec.ViewFamily(key, value)
	if err != nil {
		return life{}, err
	}
	l := life{who: v.Who(), epoch: v.Epoch(), until: v.IdleUntil(), kept: v.IdleUntil(), newest: v.RotatedAt()}
	if at := v.RevokedAt(); at != clock.Never {
		l.revoked, l.kept, l.newest = true, v.AbsoluteUntil(), at // a tombstone
	}
	return l, nil
}

func oneTimeLife(key, value []byte) (life, error) {
	v, err := codec.ViewOneTimeToken(key, value)
	if err != nil {
		return life{}, err
	}
	return life{who: v.Who(), epoch: v.Epoch(), until: v.ExpiresAt(), kept: v.ExpiresAt(), newest: v.Key().Time()}, nil
}

// rank orders the records of a user for eviction, least first: revoked ones and
// those of an earlier epoch, then by deadline, which has expired ones before
// the others.
func (tx *Tx) rank(l life) int64 {
	if l.revoked || l.epoch != tx.state.Epoch {
		return 0
	}
	return l.until
}

// longDead reports whether a record can be removed: it has been of no use, and
// not remembered either, for a day. Nothing of an earlier epoch can come back.
func (tx *Tx) longDead(l life) bool {
	return l.epoch != tx.state.Epoch || tx.now-l.kept >= sweepAfter
}

// damagedOrMissing reports whether err is that a record which should be there
// is damaged or missing. One of a newer version is neither.
func damagedOrMissing(err error) bool {
	if errors.Is(err, ErrCorrupt) {
		return true
	}
	for _, k := range kinds {
		if errors.Is(err, k.missing) {
			return true
		}
	}
	return false
}
