package snib

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/clock"
	"github.com/snibdb/snib/internal/fold"
	"github.com/snibdb/snib/internal/records"
	"github.com/snibdb/snib/internal/token"
)

// OneTimeTokenID names a one-time token: "ott_" and 32 characters, as of SessionID.
type OneTimeTokenID string

// Hard bounds of one-time tokens.
const (
	MaxOneTimeTokens           = records.MaxOneTimeTokens                   // 32 live ones of one user
	MaxOneTimeTokensPerPurpose = records.MaxOneTimePerPurpose               // 3 live ones of one user and purpose
	OneTimeTokenInterval       = records.OneTimeInterval * time.Millisecond // 60 s between two of one user and purpose
)

// OneTimeToken lets its bearer do one thing once: reset a password, prove an
// e-mail address, accept an invitation.
type OneTimeToken struct {
	ID      OneTimeTokenID // public
	UserID  UserID         // whose it is
	Purpose string         // the action that it authorizes

	// Token is the secret text for the bearer, and is there only in the result of
	// the method that has made it.
	Token Token

	CreatedAt time.Time // when it was made
	ExpiresAt time.Time // accepted before this
	Data      []byte    // as it was given: the new e-mail address, say

	used uint64 // the credential version of the user when Use accepted it; 0 of any other
}

func (o OneTimeToken) printed() any {
	type plain OneTimeToken
	o.Data = nil
	return plain(o)
}

// Format implements fmt.Formatter, without the data.
func (o OneTimeToken) Format(f fmt.State, verb rune) { printed(f, verb, o.printed()) }

// LogValue implements slog.LogValuer, as Format.
func (o OneTimeToken) LogValue() slog.Value { return slog.AnyValue(o.printed()) }

// codePurpose is before the purpose of a token that is a code: see [Codes].
const codePurpose = "snib:code:"

// Bounds of one-time tokens.
const (
	maxOneTimeLife = 90 * day
	maxOneTimeData = 1 << 10 // bytes
)

// OneTimeTokens makes, looks up, uses and revokes one-time tokens. Transactions: see [Tx].
//
// A token dies when it expires and when the credential version of its user
// rises: a password set or removed, a user disabled, an identity moved or
// unlinked, a second factor added or removed, all sessions or all refresh tokens
// revoked. EndEverything,
// ResetClock and Restore end all of them. Nothing else does, and no token makes
// room for another, but that of StoreReset and of CreateReset for the one before.
//
// A purpose is 1–32 of [a-z0-9_-]. Those that begin with "snib:" are the
// library's. Both are ErrInvalidInput (Purpose) from every method that takes
// one.
type OneTimeTokens struct{ at handle }

// Tokens returns the methods on one-time tokens, a transaction each.
func (db *DB) Tokens() OneTimeTokens { return OneTimeTokens{handle{db: db}} }

// Tokens returns the methods on one-time tokens in this transaction.
func (tx *Tx) Tokens() OneTimeTokens { return OneTimeTokens{handle{db: tx.db, tx: tx}} }

// Create makes a token that Use accepts once, for the same purpose, within ttl,
// and returns it with its Token, this once. ttl is 1 s to 90 days, data at most
// 1 KiB, stored in clear.
//
// It makes none, and writes nothing, while the user has 3 live tokens of the
// purpose, within 60 s of the last one that is stored, dead or alive, and while
// the user has 32 live ones of all purposes: [OneTimeTokenLimitError]. So a
// stranger who asks for links in the name of a user neither floods the mailbox
// nor ends the link that the user waits for. Answer such a request alike for
// all: "if there is an account, its link is in the mail" is true at the limit
// too, as a link was sent that is still good. Make the token behind the answer,
// so that its time does not tell either.
//
// ErrUserNotFound, ErrUserDisabled, ErrOneTimeTokenLimit, ErrInvalidInput
// (Purpose, TTL, Data).
func (o OneTimeTokens) Create(ctx context.Context, user UserID, purpose string, ttl time.Duration, data []byte) (OneTimeToken, error) {
	return result(ctx, "create one-time token", o.at.updateIfNeeded, func(tx *Tx) (OneTimeToken, error) {
		if err := checkPurpose(purpose); err != nil {
			return OneTimeToken{}, err
		}
		return tx.createOneTime(user, purpose, ttl, data)
	})
}

// createOneTime is Create for a purpose that can be, the library's too.
func (tx *Tx) createOneTime(user UserID, purpose string, ttl time.Duration, data []byte) (OneTimeToken, error) {
	switch {
	case ttl < time.Second || ttl > maxOneTimeLife:
		return OneTimeToken{}, &InputError{Field: "TTL", Code: CodeOutOfRange, Reason: "must be from 1 s to 90 days", Min: int64(time.Second), Max: int64(maxOneTimeLife)}
	case len(data) > maxOneTimeData:
		return OneTimeToken{}, &InputError{Field: "Data", Code: CodeTooLong, Reason: "must be at most 1 KiB", Max: maxOneTimeData}
	}
	u, err := tx.user(user)
	if err != nil {
		return OneTimeToken{}, err
	}
	if u.DisabledAt != 0 {
		return OneTimeToken{}, ErrUserDisabled
	}
	dead, wait, err := tx.rec.OneTimeRoom(&u, purpose)
	switch {
	case err != nil:
		return OneTimeToken{}, err
	case wait != 0:
		return OneTimeToken{}, &OneTimeTokenLimitError{Purpose: purpose, RetryAt: clock.Time(wait)}
	}
	return tx.putOneTime(&codec.OneTimeToken{
		UserID: u.ID, Purpose: purpose, Epoch: tx.rec.State.Epoch, Data: slices.Clone(data),
		ExpiresAt: clock.After(tx.rec.Now, ttl), CredentialVersion: u.CredentialVersion,
	}, dead)
}

// checkPurpose refuses a purpose that a program cannot use.
func checkPurpose(purpose string) error {
	switch {
	case strings.HasPrefix(purpose, "snib:"):
		return &InputError{Field: "Purpose", Code: CodeMalformed, Reason: "must not begin with snib:"}
	case !fold.Name(purpose):
		return &InputError{Field: "Purpose", Code: CodeMalformed, Reason: "must be 1–32 of [a-z0-9_-]"}
	}
	return nil
}

// putOneTime gives a token a key and a secret, and writes it in the place of
// dead ones.
func (tx *Tx) putOneTime(t *codec.OneTimeToken, dead []codec.OwnedKey) (OneTimeToken, error) {
	var err error
	if t.Key, err = tx.rec.NewKey(records.OneTimeTokens, t.UserID); err != nil {
		return OneTimeToken{}, err
	}
	secret, err := token.NewSecret(tx.db.o.Rand)
	if err != nil {
		return OneTimeToken{}, err
	}
	t.SecretHash = token.OneTime.Hash(secret[:])
	if err := tx.storeOneTime(t, dead); err != nil {
		return OneTimeToken{}, err
	}
	out := newOneTimeToken(t)
	out.Token = newToken(token.OneTime, t.Key, secret[:])
	return out, nil
}

// storeOneTime writes a token in the place of dead ones, with its event.
func (tx *Tx) storeOneTime(t *codec.OneTimeToken, dead []codec.OwnedKey) error {
	if err := tx.rec.DeleteOwned(records.OneTimeTokens, dead...); err != nil {
		return err
	}
	if err := tx.rec.PutOwned(records.OneTimeTokens, t.Key, t.Append(nil)); err != nil {
		return err
	}
	return tx.rec.Note(t.UserID, records.EventTokenCreated, aboutOneTime(t))
}

func aboutOneTime(t *codec.OneTimeToken) records.About {
	return records.About{Subject: t.Key.OwnID(), Detail: t.Purpose}
}

func newOneTimeToken(t *codec.OneTimeToken) OneTimeToken {
	out := OneTimeToken{
		ID: OneTimeTokenID(token.OneTime.ID(t.Key)), UserID: UserID(t.UserID), Purpose: t.Purpose,
		CreatedAt: clock.Time(t.Key.Time()), ExpiresAt: clock.Time(t.ExpiresAt),
	}
	if !strings.HasPrefix(t.Purpose, codePurpose) {
		out.Data = t.Data
	}
	return out
}

// Peek returns the token that Use would accept, and leaves it usable. It never
// writes: for the page to which a mailed link leads. Mail scanners follow links
// too, so a GET must use nothing up; use the token by the POST of that page.
// Errors are those of Use.
func (o OneTimeTokens) Peek(ctx context.Context, purpose, token string) (OneTimeToken, error) {
	return result(ctx, "peek at one-time token", o.at.view, func(tx *Tx) (OneTimeToken, error) {
		t, err := tx.presentedOneTime(purpose, token)
		if err != nil {
			return OneTimeToken{}, err
		}
		return newOneTimeToken(&t), nil
	})
}

// Use accepts a token for its purpose, once: of racing callers, one gets it. Do
// the action that it authorizes in the same transaction, by [Tx.Tokens]: if the
// transaction does not commit, the token has not been used.
// ErrInvalidOneTimeToken; a token presented for another purpose stays usable
// for its own.
func (o OneTimeTokens) Use(ctx context.Context, purpose, token string) (OneTimeToken, error) {
	return result(ctx, "use one-time token", o.at.updateIfNeeded, func(tx *Tx) (OneTimeToken, error) {
		t, err := tx.presentedOneTime(purpose, token)
		if err == nil {
			err = tx.rec.DeleteOwned(records.OneTimeTokens, t.Key)
		}
		if err == nil {
			err = tx.rec.Note(t.UserID, records.EventTokenUsed, aboutOneTime(&t))
		}
		if err != nil {
			return OneTimeToken{}, err
		}
		out := newOneTimeToken(&t)
		out.used = t.CredentialVersion
		return out, nil
	})
}

// presentedOneTime returns the live record that a token leads to.
func (tx *Tx) presentedOneTime(purpose, text string) (codec.OneTimeToken, error) {
	if err := checkPurpose(purpose); err != nil {
		return codec.OneTimeToken{}, err
	}
	return tx.liveOneTime(purpose, text)
}

// liveOneTime is presentedOneTime for a purpose that can be, or "" for any.
func (tx *Tx) liveOneTime(purpose, text string) (codec.OneTimeToken, error) {
	var secret [32]byte
	key, ok := token.OneTime.Parse(text, secret[:])
	if !ok {
		return codec.OneTimeToken{}, ErrInvalidOneTimeToken
	}
	return tx.liveOneTimeAt(key, secret[:], purpose)
}

// liveOneTimeAt is liveOneTime for the key and the secret of a token.
func (tx *Tx) liveOneTimeAt(key codec.OwnedKey, secret []byte, purpose string) (codec.OneTimeToken, error) {
	hash := token.OneTime.Hash(secret)
	t, err := tx.rec.OneTimeToken(key)
	if err != nil {
		return codec.OneTimeToken{}, err
	}
	if !token.Equal(hash, t.SecretHash) || purpose != "" && t.Purpose != purpose {
		return codec.OneTimeToken{}, ErrInvalidOneTimeToken
	}
	u, err := tx.user(UserID(t.UserID))
	if errors.Is(err, ErrUserNotFound) || err == nil && !tx.rec.OneTimeLive(&t, &u) {
		err = ErrInvalidOneTimeToken
	}
	if err != nil {
		return codec.OneTimeToken{}, err
	}
	return t, nil
}

// List returns the live tokens of the user for a purpose, or of all purposes
// for "", without their Token, oldest first: at most 32, an empty list for an
// unknown user. ErrInvalidInput (Purpose).
func (o OneTimeTokens) List(ctx context.Context, user UserID, purpose string) ([]OneTimeToken, error) {
	return result(ctx, "list one-time tokens", o.at.view, func(tx *Tx) (out []OneTimeToken, err error) {
		if err := checkSomePurpose(purpose); err != nil {
			return nil, err
		}
		u, err := tx.user(user)
		if errors.Is(err, ErrUserNotFound) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		err = tx.rec.EachOneTimeToken(u.ID, func(t *codec.OneTimeToken, err error) error {
			if err != nil {
				return tx.rec.Damaged(records.SpaceOneTime, err)
			}
			if tx.rec.OneTimeLive(t, &u) && (purpose == "" || t.Purpose == purpose) {
				out = append(out, newOneTimeToken(t))
			}
			return nil
		})
		return out, err
	})
}

// checkSomePurpose is checkPurpose where "" means all of them.
func checkSomePurpose(purpose string) error {
	if purpose == "" {
		return nil
	}
	return checkPurpose(purpose)
}

// Revoke ends a token of this user by its id. An unknown id and a token of
// another user are no error. ErrInvalidInput (UserID, OneTimeTokenID) for a
// text that cannot be an id, such as the token itself.
func (o OneTimeTokens) Revoke(ctx context.Context, user UserID, id OneTimeTokenID) error {
	return during("revoke one-time token", o.at.update(ctx, func(tx *Tx) error {
		key, err := tx.revoking(&user, "OneTimeTokenID", token.OneTime, string(id))
		if err != nil {
			return err
		}
		t, err := tx.rec.OneTimeToken(key)
		if err != nil || t.UserID != string(user) {
			return unless(ErrInvalidOneTimeToken, err)
		}
		return tx.rec.DeleteOwned(records.OneTimeTokens, t.Key)
	}))
}

// RevokeAll ends all tokens of the user for a purpose, or of all purposes for
// "". ErrUserNotFound; ErrInvalidInput (Purpose).
func (o OneTimeTokens) RevokeAll(ctx context.Context, user UserID, purpose string) error {
	return during("revoke one-time tokens", o.at.update(ctx, func(tx *Tx) error {
		if err := checkSomePurpose(purpose); err != nil {
			return err
		}
		return tx.endAll(user, records.OneTimeTokens, func(_ *records.Cascade, key codec.OwnedKey, value []byte) (bool, error) {
			v, err := codec.ViewOneTimeToken(key[:], value)
			return purpose == "" || err == nil && v.IsPurpose(purpose), err
		})
	}))
}
