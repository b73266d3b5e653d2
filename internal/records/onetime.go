package records

import (
	"errors"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/token"
	"strings"
)

// OneTimeTokens is the kind of one-time tokens.
var OneTimeTokens = &Kind{
	Title: "one-time token", Space: SpaceOneTime, Token: token.OneTime,
	Most: MaxOneTimeTokens, Refuses: true,
	Invariant: 12,
	Ends:      PasswordChanges | PasswordReset | UserDisabled | IdentityMoves | SessionsRevoked | RefreshTokensRevoked | EpochRaised | FactorsChange | FactorsReset,
	UsedOnce:  true,
	Merge:     MergeEnds,
	Missing:   ErrInvalidOneTimeToken,
	Life:      oneTimeLife,
	Rules:     oneTimeRules{},
}

// ErrInvalidOneTimeToken: there is no such record.
var ErrInvalidOneTimeToken error = &missing{"invalid one-time token"}

func oneTimeLife(key, value []byte) (Life, error) {
	v, err := codec.ViewOneTimeToken(key, value)
	if err != nil {
		return Life{}, err
	}
	return Life{Who: v.Who(), Epoch: v.Epoch(), Until: v.ExpiresAt(), Kept: v.ExpiresAt()}, nil
}

// oneTimeRules are the Rules of OneTimeTokens.
type oneTimeRules struct{}

func (oneTimeRules) facts(key, value []byte) (Object, error) {
	o, err := codec.DecodeOneTimeToken(key, value)
	if strings.HasPrefix(o.Purpose, "snib:") {
		o.Data = nil // the library's own, which may be the hash of a code
	}
	return Object{{"purpose", o.Purpose}, {"expires_at", Instant(o.ExpiresAt)}, {"data", o.Data}}, err
}

func (oneTimeRules) check(*Tx, inspector, member, []byte) error { return nil } // no content but what decodes

// OneTimeToken returns the one-time token under key, live or dead, or
// ErrInvalidOneTimeToken.
func (tx *Tx) OneTimeToken(key codec.OwnedKey) (codec.OneTimeToken, error) {
	return OwnedRecord(tx, OneTimeTokens, key, codec.DecodeOneTimeToken)
}

// Bounds of the one-time tokens of one user.
const (
	MaxOneTimeTokens     = 32
	MaxOneTimePerPurpose = 3
	OneTimeInterval      = 60_000 // milliseconds between two of a purpose
)

// OneTimeLive reports whether a token can be used, for its user's record as it
// is now: the version that it was made under is still the user's.
func (tx *Tx) OneTimeLive(t *codec.OneTimeToken, u *codec.User) bool {
	return tx.oneTimeStands(t, u) && tx.Now < t.ExpiresAt && u.DisabledAt == 0
}

// oneTimeStands is OneTimeLive but for the expiry.
func (tx *Tx) oneTimeStands(t *codec.OneTimeToken, u *codec.User) bool {
	return t.Epoch == tx.State.Epoch && t.CredentialVersion == u.CredentialVersion
}

// EachOneTimeToken visits the one-time tokens of a user, live and dead, by age.
// With an error of the codec, t has nothing but its Key.
func (tx *Tx) EachOneTimeToken(userID string, visit func(t *codec.OneTimeToken, err error) error) error {
	return tx.ScanOwner(SpaceOneTime, tx.Owner(userID), 0, func(key codec.OwnedKey, value []byte) error {
		t, err := codec.DecodeOneTimeToken(key[:], value)
		switch {
		case err != nil:
			t = codec.OneTimeToken{Key: key}
		case t.UserID != userID:
			return nil
		}
		return visit(&t, err)
	})
}

// OneTimeRoom decides whether a user can have one more token of a purpose. If
// not, it returns the time until which there is no room. If so, it returns 0
// and the dead records that go for the new one: nothing that lives is evicted,
// so that a stranger who asks for tokens ends none.
func (tx *Tx) OneTimeRoom(u *codec.User, purpose string) (dead []codec.OwnedKey, until int64, err error) {
	all, same := room{most: MaxOneTimeTokens}, room{most: MaxOneTimePerPurpose}
	err = tx.EachOneTimeToken(u.ID, func(t *codec.OneTimeToken, err error) error {
		if errors.Is(err, codec.ErrNewer) {
			return tx.Damaged(SpaceOneTime, err)
		}
		live := err == nil && tx.OneTimeLive(t, u)
		if !live {
			dead = append(dead, t.Key) // an unreadable one keeps nobody out
		}
		if live {
			all.take(t.ExpiresAt)
		}
		if live && t.Purpose == purpose {
			same.take(t.ExpiresAt)
		}
		// An expired one counts here: short lives must not buy more mail.
		if made := t.Key.Time(); err == nil && t.Purpose == purpose && tx.oneTimeStands(t, u) && tx.Now-made < OneTimeInterval {
			until = max(until, made+OneTimeInterval)
		}
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	until = max(until, all.until(), same.until())
	excess := all.n + len(dead) + 1 - MaxOneTimeTokens
	if until != 0 || excess <= 0 {
		return nil, until, nil
	}
	return dead[:excess], 0, nil
}

// A room counts the live tokens under a bound.
type room struct {
	most, n int
	first   int64 // the first time at which one expires
}

func (r *room) take(expires int64) {
	if r.n++; r.n == 1 || expires < r.first {
		r.first = expires
	}
}

// until is the time before which the room is full, or 0.
func (r *room) until() int64 {
	if r.n < r.most {
		return 0
	}
	return r.first
}
