package snib

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/clock"
	"github.com/snibdb/snib/internal/fold"
	"github.com/snibdb/snib/internal/records"
	"github.com/snibdb/snib/internal/token"
)

// OneTimeToken lets its bearer do one thing once: reset a password, prove an
// e-mail address, accept an invitation.
type OneTimeToken struct {
	ID      OneTimeTokenID // public
	UserID  UserID         // whose it is
	Purpose string         // the action that it authorizes

	// Token is the secret text for the bearer, and is there only when
	// CreateOneTimeToken has just made it.
	Token Token

	CreatedAt time.Time // when it was made
	ExpiresAt time.Time // accepted before this
	Data      []byte    // as it was given: the new e-mail address, say
}

// Bounds of one-time tokens.
const (
	maxOneTimeLife = 90 * day
	maxOneTimeData = 1 << 10 // bytes
)

// CreateOneTimeToken makes a token that UseOneTimeToken accepts once, for the
// same purpose, within ttl, and returns it with its Token, this once. purpose
// is 1–32 of [a-z0-9_-], ttl 1 s to 90 days, data at most 1 KiB, stored in
// clear. A user has at most 16 live ones; one more evicts the one that expires
// first. All end when the user's password is set or removed, when the user is
// disabled, and when an identity is moved or unlinked.
//
// ErrUserNotFound, ErrUserDisabled, ErrInvalidInput (Purpose, TTL, Data).
func (db *DB) CreateOneTimeToken(ctx context.Context, id UserID, purpose string, ttl time.Duration, data []byte) (OneTimeToken, error) {
	return result(ctx, "create one-time token", db.update, func(tx *Tx) (OneTimeToken, error) {
		return tx.CreateOneTimeToken(id, purpose, ttl, data)
	})
}

// CreateOneTimeToken is [DB.CreateOneTimeToken] in this transaction.
func (tx *Tx) CreateOneTimeToken(id UserID, purpose string, ttl time.Duration, data []byte) (OneTimeToken, error) {
	if err := tx.writing(); err != nil {
		return OneTimeToken{}, err
	}
	switch {
	case !fold.Name(purpose):
		return OneTimeToken{}, &InputError{Field: "Purpose", Code: CodeMalformed, Reason: "must be 1–32 of [a-z0-9_-]"}
	case ttl < time.Second || ttl > maxOneTimeLife:
		return OneTimeToken{}, &InputError{Field: "TTL", Code: CodeOutOfRange, Reason: "must be from 1 s to 90 days", Min: int64(time.Second), Max: int64(maxOneTimeLife)}
	case len(data) > maxOneTimeData:
		return OneTimeToken{}, &InputError{Field: "Data", Code: CodeTooLong, Reason: "must be at most 1 KiB", Max: maxOneTimeData}
	}
	u, err := tx.user(id)
	if err != nil {
		return OneTimeToken{}, err
	}
	if u.DisabledAt != 0 {
		return OneTimeToken{}, ErrUserDisabled
	}
	t := codec.OneTimeToken{
		UserID: u.ID, Purpose: purpose, Epoch: tx.rec.State.Epoch, Data: slices.Clone(data),
		ExpiresAt: clock.After(tx.rec.Now, ttl), CredentialVersion: u.CredentialVersion,
	}
	return tx.putOneTimeToken(&t)
}

func (tx *Tx) putOneTimeToken(t *codec.OneTimeToken) (OneTimeToken, error) {
	var err error
	if t.Key, err = tx.rec.NewKey(records.OneTimeTokens, t.UserID); err != nil {
		return OneTimeToken{}, err
	}
	secret, err := token.NewSecret(tx.db.o.Rand)
	if err != nil {
		return OneTimeToken{}, err
	}
	t.SecretHash = token.OneTime.Hash(secret[:])
	ended, err := tx.rec.Evicted(records.OneTimeTokens, t.UserID, codec.OwnedKey{})
	if err != nil {
		return OneTimeToken{}, err
	}
	if err := tx.rec.DeleteOwned(records.OneTimeTokens, ended...); err != nil {
		return OneTimeToken{}, err
	}
	if err := tx.rec.PutOwned(records.OneTimeTokens, t.Key, t.Append(nil)); err != nil {
		return OneTimeToken{}, err
	}
	out := newOneTimeToken(t)
	out.Token = newToken(token.OneTime, t.Key, secret[:])
	return out, nil
}

func newOneTimeToken(t *codec.OneTimeToken) OneTimeToken {
	return OneTimeToken{
		ID: OneTimeTokenID(token.OneTime.ID(t.Key)), UserID: UserID(t.UserID), Purpose: t.Purpose,
		CreatedAt: clock.Time(t.Key.Time()), ExpiresAt: clock.Time(t.ExpiresAt), Data: t.Data,
	}
}

func (tx *Tx) oneTimeLive(t *codec.OneTimeToken) bool {
	return t.Epoch == tx.rec.State.Epoch && tx.rec.Now < t.ExpiresAt
}

// UseOneTimeToken accepts a token for its purpose, once: of racing callers, one
// gets it. Do the action that it authorizes in the same transaction, with the
// method of Tx. ErrInvalidOneTimeToken for all else; a token presented for
// another purpose stays usable for its own.
func (db *DB) UseOneTimeToken(ctx context.Context, purpose, token string) (OneTimeToken, error) {
	return result(ctx, "use one-time token", db.updateIfNeeded, func(tx *Tx) (OneTimeToken, error) {
		return tx.useOneTimeToken(purpose, token)
	})
}

// UseOneTimeToken is [DB.UseOneTimeToken] in this transaction. If the
// transaction does not commit, the token has not been used.
func (tx *Tx) UseOneTimeToken(purpose, token string) (OneTimeToken, error) {
	if err := tx.writing(); err != nil {
		return OneTimeToken{}, err
	}
	return tx.useOneTimeToken(purpose, token)
}

func (tx *Tx) useOneTimeToken(purpose, token string) (OneTimeToken, error) {
	t, err := tx.presentedOneTime(purpose, token)
	if err != nil {
		return OneTimeToken{}, err
	}
	if err := tx.rec.DeleteOwned(records.OneTimeTokens, t.Key); err != nil {
		return OneTimeToken{}, err
	}
	return newOneTimeToken(&t), nil
}

// presentedOneTime returns the live record that a token leads to.
func (tx *Tx) presentedOneTime(purpose, text string) (codec.OneTimeToken, error) {
	var secret [32]byte
	key, ok := token.OneTime.Parse(text, secret[:])
	if !ok {
		return codec.OneTimeToken{}, ErrInvalidOneTimeToken
	}
	hash := token.OneTime.Hash(secret[:])
	t, err := tx.rec.OneTimeToken(key)
	if err != nil {
		return codec.OneTimeToken{}, err
	}
	if !token.Equal(hash, t.SecretHash) || t.Purpose != purpose || !tx.oneTimeLive(&t) {
		return codec.OneTimeToken{}, ErrInvalidOneTimeToken
	}
	u, err := tx.user(UserID(t.UserID))
	if errors.Is(err, ErrUserNotFound) || err == nil && u.DisabledAt != 0 {
		return codec.OneTimeToken{}, ErrInvalidOneTimeToken
	}
	return t, err
}

// RevokeOneTimeToken ends a one-time token of this user by its id. An unknown
// id and a token of another user are no error. ErrInvalidInput (UserID,
// OneTimeTokenID) for a text that cannot be an id, such as the token itself.
func (db *DB) RevokeOneTimeToken(ctx context.Context, userID UserID, id OneTimeTokenID) error {
	return during("revoke one-time token", db.update(ctx, func(tx *Tx) error { return tx.RevokeOneTimeToken(userID, id) }))
}

// RevokeOneTimeToken is [DB.RevokeOneTimeToken] in this transaction.
func (tx *Tx) RevokeOneTimeToken(userID UserID, id OneTimeTokenID) error {
	key, err := tx.revoking(&userID, "OneTimeTokenID", token.OneTime, string(id))
	if err != nil {
		return err
	}
	t, err := tx.rec.OneTimeToken(key)
	if errors.Is(err, ErrInvalidOneTimeToken) || err == nil && t.UserID != string(userID) {
		return nil
	}
	if err != nil {
		return err
	}
	return tx.rec.DeleteOwned(records.OneTimeTokens, t.Key)
}

// RevokeUserOneTimeTokens ends all one-time tokens that the user has for a
// purpose. ErrUserNotFound; ErrInvalidInput (Purpose).
func (db *DB) RevokeUserOneTimeTokens(ctx context.Context, id UserID, purpose string) error {
	return during("revoke one-time tokens", db.update(ctx, func(tx *Tx) error {
		return tx.RevokeUserOneTimeTokens(id, purpose)
	}))
}

// RevokeUserOneTimeTokens is [DB.RevokeUserOneTimeTokens] in this transaction.
func (tx *Tx) RevokeUserOneTimeTokens(id UserID, purpose string) error {
	if err := tx.writing(); err != nil {
		return err
	}
	if !fold.Name(purpose) {
		return &InputError{Field: "Purpose", Code: CodeMalformed, Reason: "must be 1–32 of [a-z0-9_-]"}
	}
	if _, err := tx.user(id); err != nil {
		return err
	}
	c := records.Cascade{UserID: string(id)}
	if err := c.Add(&tx.rec, records.OneTimeTokens, func(key codec.OwnedKey, value []byte) (bool, error) {
		v, err := codec.ViewOneTimeToken(key[:], value)
		return err == nil && v.IsPurpose(purpose), err
	}); err != nil {
		return err
	}
	return c.Write(&tx.rec)
}
