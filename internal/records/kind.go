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
	Rules   Rules
}

// Rules tell of the content of a kind's records. They are methods and no columns: a
// program links those that it calls, so that one without exports has no facts.
type Rules interface {
	// facts returns the fields that its user may be given: no secret, and no hash of
	// one.
	facts(key, value []byte) (Object, error)

	// check looks for breaches of this kind alone, in a record that decodes and is in
	// its place.
	check(tx *Tx, c inspector, m member, value []byte) error
}

// Bounds are Rules of a kind that has others than Most, in its Invariant.
type Bounds interface {
	// within is a number of records of a user that no bound forbids.
	within() int

	// surplus returns the records of a user above them.
	surplus(tx *Tx, userID string) ([]codec.OwnedKey, error)
}

// A member is a record of a user's.
type member struct {
	*Kind
	key    codec.OwnedKey
	raw    []byte // the same, as long as the value: decoding it moves no copy to the heap
	holder bool   // its user says so that there is a second factor
}

// An inspector is a check, or a repair, for the rules of a kind.
type inspector interface {
	end(m member, invariant int, text string) error // reports a record, and Repair removes it
	breach(m member, invariant int, text string)    // reports a record
	mendable(m member, invariant int, text string)  // likewise, and nothing is lost
	put(m member, value []byte) error               // Repair writes it
	repairs() bool
	factor(m member, value []byte) error
}

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

// A Life holds the user and the times of a record of any kind. It shares the
// memory of the record.
type Life struct {
	Who     codec.Who
	Epoch   uint32
	Lasts   bool  // in any epoch
	Until   int64 // usable before this
	Revoked bool  // not usable, and remembered
	Kept    int64 // remembered until this
	Newest  int64 // the latest time in the record; 0 if that is the one of its key: see newest
	History bool  // of no epoch
}

// newest is the latest time in the record under key.
func (l Life) newest(key codec.OwnedKey) int64 { return max(l.Newest, key.Time()) }

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
