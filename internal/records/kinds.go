package records

import (
	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/clock"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/token"
)

// A Kind is one sort of record that belongs to a user. Cascades, bounds,
// eviction, the sweep, Check, Repair, Restore and reports walk the table of
// kinds, so none of them forgets a kind that has a row, and a space without a
// row fails a test.
type Kind struct {
	Title string   // as documents and messages name it
	Space kv.Space // of the records
	Token token.Kind

	Most    int               // of one user, for any options (INV-7)
	Bound   func(*Config) int // how many the options allow; one more evicts the least
	Refuses bool              // at Most one more is refused, and none is evicted

	MostRevoked int // tombstones of one user, beside the others

	Invariant int // of its records, in docs/INVARIANTS.md

	Ends     Occasion // the occasions that end all of a user's; deletion always does
	UsedOnce bool     // Restore ends it always: one used, or trusted no longer, since would be good again
	Lasts    bool     // no epoch ends it and Repair drops none: without it the account is open
	History  bool     // it gives its bearer nothing: no occasion and no epoch ends it

	Merge MergeRule // for its records when their user is merged into another

	Missing error // of a record that is not there
	Life    func(key, value []byte) (Life, error)
}

// Name returns the name of the space of the records.
func (k *Kind) Name() string { return Spaces[k.Space].Name }

// An Occasion is an event that ends records of a user. docs/INVARIANTS.md has
// the table of occasions and kinds, which a test compares with the rows.
type Occasion uint

// The occasions.
const (
	PasswordChanges      Occasion = 1 << iota // by its user, who has given the old one
	UserDisabled                              // until EnableUser
	IdentityMoves                             // replaced or unlinked
	SessionsRevoked                           // all of a user's
	RefreshTokensRevoked                      // all of a user's
	EpochRaised                               // EndEverything, ResetClock, Restore
	PasswordReset                             // set or removed without the old one
	FactorsChange                             // one added or removed, recovery codes made
	FactorsReset                              // by an operator
	Occasions            = iota               // how many there are
)

// A MergeRule is the fate of a user's records of a kind in a merge with another
// user, who stays. docs/INVARIANTS.md has the rules, too.
type MergeRule int

// The rules.
const (
	MergeMoves   MergeRule = 1 + iota // to the other user
	MergeEnds                         // with the user, as in a deletion
	MergeRefuses                      // a live one refuses the merge
)

// Bounds of the kinds, for one user.
const (
	MaxSessions      = 1000
	MaxFamilies      = 100
	MaxTombstones    = 20 // of families; the newest stay
	MaxOneTimeTokens = 32
	MaxDevices       = 20
	MaxAPIKeys       = 50

	MaxAuthenticators = 8                     // factors, one of which may wait to be confirmed
	MaxFactors        = MaxAuthenticators + 1 // and the recovery codes
)

// Kinds is the table. Sessions come before refresh tokens: Repair decides about
// a family by its session.
var Kinds = []*Kind{Sessions, Families, OneTimeTokens, Events, Devices, APIKeys, Factors}

// The kinds.
var (
	Sessions = &Kind{
		Title: "session", Space: SpaceSessions, Token: token.Session,
		Most: MaxSessions, Bound: func(c *Config) int { return c.MaxSessions },
		Invariant: 8,
		Ends:      PasswordChanges | PasswordReset | UserDisabled | SessionsRevoked | EpochRaised | FactorsChange | FactorsReset,
		Merge:     MergeEnds,
		Missing:   ErrInvalidSession,
		Life:      sessionLife,
	}
	Families = &Kind{
		Title: "refresh token", Space: SpaceFamilies, Token: token.Family,
		Most: MaxFamilies, Bound: func(c *Config) int { return c.MaxFamilies }, MostRevoked: MaxTombstones,
		Invariant: 10,
		Ends:      PasswordChanges | PasswordReset | UserDisabled | SessionsRevoked | RefreshTokensRevoked | EpochRaised | FactorsChange | FactorsReset,
		Merge:     MergeEnds,
		Missing:   ErrInvalidRefreshToken,
		Life:      familyLife,
	}
	OneTimeTokens = &Kind{
		Title: "one-time token", Space: SpaceOneTime, Token: token.OneTime,
		Most: MaxOneTimeTokens, Refuses: true,
		Invariant: 12,
		Ends:      PasswordChanges | PasswordReset | UserDisabled | IdentityMoves | SessionsRevoked | RefreshTokensRevoked | EpochRaised | FactorsChange | FactorsReset,
		UsedOnce:  true,
		Merge:     MergeEnds,
		Missing:   ErrInvalidOneTimeToken,
		Life:      oneTimeLife,
	}
	Events = &Kind{
		Title: "event", Space: SpaceEvents, Token: token.Event,
		Most:      MaxEvents, // by class: see MostEvents
		Invariant: 17,
		History:   true,
		Merge:     MergeMoves,
		Missing:   errNoEvent,
		Life:      eventLife,
	}
	Devices = &Kind{
		Title: "known device", Space: SpaceDevices, Token: token.Device,
		Most: MaxDevices, Bound: func(*Config) int { return MaxDevices },
		Invariant: 18,
		Ends:      PasswordChanges | PasswordReset | UserDisabled | SessionsRevoked | EpochRaised | FactorsChange | FactorsReset,
		UsedOnce:  true,
		Merge:     MergeEnds,
		Missing:   ErrDeviceNotFound,
		Life:      deviceLife,
	}
	APIKeys = &Kind{
		Title: "API key", Space: SpaceAPIKeys, Token: token.APIKey,
		Most: MaxAPIKeys, Refuses: true,
		Invariant: 20,
		Ends:      PasswordReset | EpochRaised | FactorsReset,
		Merge:     MergeRefuses,
		Missing:   ErrInvalidAPIKey,
		Life:      apiKeyLife,
	}
	Factors = &Kind{
		Title: "second factor", Space: SpaceFactors, Token: token.Factor,
		Most: MaxFactors, Refuses: true,
		Invariant: 19,
		Ends:      FactorsReset,
		Lasts:     true,
		Merge:     MergeRefuses,
		Missing:   ErrFactorNotFound,
		Life:      factorLife,
	}
)

// KindOf returns the kind whose records a space holds, or nil.
func KindOf(space kv.Space) *Kind {
	for _, k := range Kinds {
		if k.Space == space {
			return k
		}
	}
	return nil
}

// A Life holds the user and the times of a record of any kind. It shares the
// memory of the record.
type Life struct {
	Who     codec.Who
	Epoch   uint32
	Lasts   bool  // in any epoch
	Until   int64 // usable before this
	Revoked bool  // not usable, and remembered
	Kept    int64 // remembered until this
	Newest  int64 // the latest time in the record
	History bool  // of no epoch
}

func sessionLife(key, value []byte) (Life, error) {
	v, err := codec.ViewSession(key, value)
	if err != nil {
		return Life{}, err
	}
	return Life{Who: v.Who(), Epoch: v.Epoch(), Until: v.IdleUntil(), Kept: v.IdleUntil(), Newest: v.LastUsedAt()}, nil
}

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

func oneTimeLife(key, value []byte) (Life, error) {
	v, err := codec.ViewOneTimeToken(key, value)
	if err != nil {
		return Life{}, err
	}
	return Life{Who: v.Who(), Epoch: v.Epoch(), Until: v.ExpiresAt(), Kept: v.ExpiresAt(), Newest: v.Key().Time()}, nil
}

func factorLife(key, value []byte) (Life, error) {
	v, err := codec.ViewFactor(key, value)
	if err != nil {
		return Life{}, err
	}
	return Life{Who: v.Who(), Epoch: v.Epoch(), Lasts: true, Until: v.ExpiresAt(), Kept: v.ExpiresAt(), Newest: v.UsedAt()}, nil
}

func eventLife(key, value []byte) (Life, error) {
	v, err := codec.ViewEvent(key, value)
	if err != nil {
		return Life{}, err
	}
	return Life{Who: v.Who(), History: true, Kept: v.Last() + EventAge, Newest: v.Last()}, nil
}

func deviceLife(key, value []byte) (Life, error) {
	v, err := codec.ViewDevice(key, value)
	if err != nil {
		return Life{}, err
	}
	return Life{Who: v.Who(), Epoch: v.Epoch(), Until: v.ExpiresAt(), Kept: v.ExpiresAt(), Newest: v.LastUsedAt()}, nil
}

func apiKeyLife(key, value []byte) (Life, error) {
	v, err := codec.ViewAPIKey(key, value)
	if err != nil {
		return Life{}, err
	}
	l := Life{Who: v.Who(), Epoch: v.Epoch(), Until: v.ExpiresAt(), Kept: v.ExpiresAt(), Newest: v.Key().Time()}
	if at := v.LastUsedAt(); at != clock.Never {
		l.Newest = at
	}
	return l, nil
}

// remembered reports whether a record is a tombstone that still answers.
func (tx *Tx) remembered(l Life) bool {
	return l.Revoked && l.Epoch == tx.State.Epoch && tx.Now < l.Kept
}

// rank orders the other records of a user for eviction, least first: tombstones
// that answer no more and records of an earlier epoch, then by deadline, which
// has expired ones before the others.
func (tx *Tx) rank(l Life) int64 {
	if l.Revoked || tx.ended(l) {
		return 0
	}
	return l.Until
}

// SweepAfter is how long something must have been dead before it is removed, in
// milliseconds: a clock that was ahead for a while, and made things look dead,
// has then destroyed nothing that a day of life is left in.
const SweepAfter = 24 * 3600 * 1000

// LongDead reports whether a record can be removed: it has been of no use, and
// not remembered either, for a day. Nothing of an earlier epoch can come back.
func (tx *Tx) LongDead(l Life) bool {
	return tx.ended(l) || l.Kept != clock.Never && tx.Now-l.Kept >= SweepAfter
}

// ended reports whether a record is of an epoch that is over.
func (tx *Tx) ended(l Life) bool { return !l.Lasts && !l.History && l.Epoch != tx.State.Epoch }
