package snib

import (
	"errors"
	"math"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/kv"
)

// A kind is one sort of record that belongs to a user. Cascades, bounds,
// eviction, the sweep, Check, Repair, Restore and the report of a check walk
// the table of kinds, so a kind that has a row is forgotten by none of them,
// and a space without a row fails a test.
type kind struct {
	title  string   // as documents and messages name it
	space  kv.Space // of the records
	byUser kv.Space // of the index that leads to them by user

	most  int                 // of one user, whatever the options say (INV-7)
	bound func(*settings) int // how many the options allow

	record, index int // invariants of a record and of its index entry

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
		title: "session", space: spaceSessions, byUser: spaceUserSessions,
		most: MaxSessions, bound: func(s *settings) int { return s.Sessions.MaxPerUser },
		record: 8, index: 9,
		ends:    passwordChanges | userDisabled | sessionsRevoked | epochRaised,
		missing: ErrInvalidSession,
		life:    sessionLife,
		count:   func(r *CheckReport) *int { return &r.Sessions },
	}
	kindFamily = &kind{
		title: "refresh token", space: spaceFamilies, byUser: spaceUserFamilies,
		most: MaxRefreshTokens, bound: func(s *settings) int { return s.Refresh.MaxPerUser },
		record: 10, index: 11,
		ends:    passwordChanges | userDisabled | sessionsRevoked | refreshTokensRevoked | epochRaised,
		missing: ErrInvalidRefreshToken,
		life:    familyLife,
		count:   func(r *CheckReport) *int { return &r.RefreshTokens },
	}
	kindOneTime = &kind{
		title: "one-time token", space: spaceOneTime, byUser: spaceUserOneTime,
		most: MaxOneTimeTokens, bound: func(*settings) int { return MaxOneTimeTokens },
		record: 12, index: 13,
		ends:     passwordChanges | userDisabled | identityMoves | epochRaised,
		usedOnce: true,
		missing:  ErrInvalidOneTimeToken,
		life:     oneTimeLife,
		count:    func(r *CheckReport) *int { return &r.OneTimeTokens },
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

// A life is what a record of any kind says of its user and its time.
type life struct {
	userID  string
	epoch   uint64
	until   int64 // usable before this; 0 is without end
	revoked bool  // not usable, and remembered
	kept    int64 // remembered until this; 0 is without end
	newest  int64 // the latest time in the record
}

func sessionLife(key, value []byte) (life, error) {
	s, err := codec.DecodeSession(key, value)
	return life{
		userID: s.UserID, epoch: s.Epoch, until: s.IdleUntil, kept: s.IdleUntil,
		newest: max(s.CreatedAt, s.LastUsedAt),
	}, err
}

func familyLife(key, value []byte) (life, error) {
	f, err := codec.DecodeFamily(key, value)
	l := life{
		userID: f.UserID, epoch: f.Epoch, until: f.IdleUntil, kept: f.IdleUntil,
		revoked: f.RevokedAt != 0, newest: max(f.CreatedAt, f.RotatedAt, f.RevokedAt),
	}
	if l.revoked {
		l.kept = f.AbsoluteUntil // as a tombstone
	}
	return l, err
}

func oneTimeLife(key, value []byte) (life, error) {
	t, err := codec.DecodeOneTimeToken(key, value)
	return life{userID: t.UserID, epoch: t.Epoch, until: t.ExpiresAt, kept: t.ExpiresAt, newest: t.CreatedAt}, err
}

// life reads that of a record.
func (tx *Tx) life(k *kind, id string) (life, error) {
	return record(tx, k.space, id, k.life, k.missing)
}

// rank orders the records of a user for eviction, least first: revoked ones and
// those of an earlier epoch, then by deadline, which has expired ones before
// the others.
func (tx *Tx) rank(l life) int64 {
	switch {
	case l.revoked || l.epoch != tx.state.Epoch:
		return 0
	case l.until == 0:
		return math.MaxInt64
	}
	return l.until
}

// longDead reports whether a record can be removed: it has been of no use, and
// not remembered either, for a day. Nothing of an earlier epoch can come back.
func (tx *Tx) longDead(l life) bool {
	return l.epoch != tx.state.Epoch || l.kept != 0 && tx.now-l.kept >= sweepAfter
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
