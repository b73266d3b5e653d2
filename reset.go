package snib

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"time"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/fold"
	"github.com/snibdb/snib/internal/records"
	"github.com/snibdb/snib/internal/throttle"
	"github.com/snibdb/snib/internal/users"
)

// resetPurpose is that of the tokens that FinishReset takes. Their Data is the
// provider, a zero byte and the identifier that the mail goes to, or empty.
const resetPurpose = "snib:reset"

// throttleReset is before the identity in the name of a count of BeginReset.
const throttleReset = "reset"

// ResetRequest is a request of BeginReset for StoreReset.
type ResetRequest struct {
	provider, identifier string
	ttl                  time.Duration
}

// Reset is the link by which a user sets a forgotten password.
type Reset struct {
	OneTimeToken

	// To is the identity that the link is mailed to, as it is stored: one that was
	// typed is the same by the rule of its provider, and may be spelled so that
	// another server gets it.
	To Identity
}

// BeginReset takes the request of a stranger who has forgotten a password. It
// counts it by the steps of [ThrottlePolicy], for the identity and in the networks
// of the client ([WithClient]), and looks at no account: result, work and time
// are the same for every identity. StoreReset does the rest behind the answer:
//
//	request, err := db.Tokens().BeginReset(ctx, "email", address, time.Hour)
//	if err != nil {
//		return err // a ThrottledError: 429
//	}
//	// Answer alike for every address. Then, behind that answer, in another goroutine:
//	if link, err := db.Tokens().StoreReset(context.WithoutCancel(ctx), request); err == nil {
//		mail(link.To.Identifier, link.Token.Reveal())
//	}
//	// When the page of the link posts its token and a password:
//	u, err := db.Tokens().FinishReset(ctx, token, password)
//
// ttl is 1 s to 24 hours. [ThrottledError]; ErrInvalidInput (Provider, TTL); in a
// transaction ErrNested.
func (o OneTimeTokens) BeginReset(ctx context.Context, provider, identifier string, ttl time.Duration) (ResetRequest, error) {
	err := o.alone()
	switch fault := fold.Provider(provider); {
	case err != nil:
	case fault.Found():
		err = faulty("Provider", fault)
	case ttl < time.Second || ttl > day:
		err = &InputError{Field: "TTL", Code: CodeOutOfRange, Reason: "must be from 1 s to 24 hours", Min: int64(time.Second), Max: int64(day)}
	default:
		err = o.at.db.countReset(ctx, provider, identifier)
	}
	if err != nil {
		return ResetRequest{}, during("begin reset", err)
	}
	return ResetRequest{provider: provider, identifier: identifier, ttl: ttl}, nil
}

// alone refuses a method that cannot be part of a transaction.
func (o OneTimeTokens) alone() error {
	if o.at.tx == nil {
		return nil
	}
	return cmp.Or(o.at.tx.writing(), ErrNested)
}

func (db *DB) countReset(ctx context.Context, provider, identifier string) error {
	if err := db.view(ctx, func(*Tx) error { return nil }); err != nil {
		return err // ErrClosed, ErrNested
	}
	c, err := db.caller(ctx)
	if err == nil && !c.operator {
		_, err = db.count(throttle.Request{
			Now: db.clock.Latest(), From: c.from,
			Name: []string{throttleReset, provider, db.presented(provider, identifier)},
		})
		db.counts.Changed()
	}
	return err
}

// StoreReset makes the link of a request, durably, in the place of the one that was
// mailed before. Call it behind the answer, as its time tells whether there is an
// account, with a context that does not end with the answer. Mail the link when it
// has returned nil.
//
// A link for an identity that nothing has proven ([Identities]) is made if
// nothing but that identity and a password leads to the account. If there is
// another identity or a factor, a stranger may have put it there: mail the link of
// [Identities.BeginSignUp].
//
// ErrUserNotFound if there is no such user, or none who may have the link: a
// sign-up is the mail for both. ErrUserDisabled; ErrOneTimeTokenLimit within 60 s
// of the last link, which is still good, and while the user has 32 live tokens.
func (o OneTimeTokens) StoreReset(ctx context.Context, r ResetRequest) (Reset, error) {
	return result(ctx, "store reset", o.at.updateIfNeeded, func(tx *Tx) (Reset, error) {
		u, err := tx.userByIdentity(r.provider, r.identifier)
		if err != nil {
			return Reset{}, err
		}
		x, err := users.Identity(tx.rec.File, tx.rec.Declared, r.provider, r.identifier, 0)
		if err != nil {
			return Reset{}, err
		}
		i, err := tx.mayReset(&u, x)
		if err == nil && i < 0 {
			err = ErrUserNotFound
		}
		if err != nil {
			return Reset{}, err
		}
		to := u.Identities[i]
		t, err := tx.createReset(&u, r.ttl, []byte(to.Provider+"\x00"+to.Identifier))
		if err != nil {
			return Reset{}, err
		}
		return Reset{OneTimeToken: t, To: newIdentity(to)}, nil
	})
}

// mayReset returns the position of the identity of u by whose mail the password
// can be set, or -1: it is verified, or the only way in.
func (tx *Tx) mayReset(u *codec.User, x codec.Identity) (int, error) {
	i := records.FindIdentity(u, x)
	switch {
	case i < 0 || u.Identities[i].VerifiedAt != 0:
		return i, nil
	case len(u.Identities) > 1:
		return -1, nil
	}
	all, err := tx.rec.FactorsOf(u)
	if err != nil || len(all) > 0 {
		return -1, err
	}
	return i, nil
}

// CreateReset makes a link for FinishReset, in the place of all of before, for a user
// who has asked an operator in person. StoreReset leaves it. ttl is 1 s to 90 days.
//
// ErrUserNotFound, ErrUserDisabled, ErrOneTimeTokenLimit, ErrInvalidInput (TTL).
func (o OneTimeTokens) CreateReset(ctx context.Context, user UserID, ttl time.Duration) (OneTimeToken, error) {
	return result(ctx, "create reset", o.at.updateIfNeeded, func(tx *Tx) (OneTimeToken, error) {
		u, err := tx.user(user)
		if err != nil {
			return OneTimeToken{}, err
		}
		return tx.createReset(&u, ttl, nil)
	})
}

// createReset makes a token of u; with data in the place of those with data only.
func (tx *Tx) createReset(u *codec.User, ttl time.Duration, data []byte) (OneTimeToken, error) {
	var older []codec.OwnedKey
	err := tx.rec.EachOneTimeToken(u.ID, func(t *codec.OneTimeToken, err error) error {
		if err == nil && t.Purpose == resetPurpose && (data == nil || len(t.Data) > 0) {
			older = append(older, t.Key)
		}
		return nil // createOneTime sees to what cannot be read
	})
	if err != nil {
		return OneTimeToken{}, err
	}
	t, err := tx.createOneTime(UserID(u.ID), resetPurpose, ttl, data)
	if err != nil {
		return OneTimeToken{}, err
	}
	return t, tx.rec.DoomIf(true, tx.rec.DeleteOwned(records.OneTimeTokens, older...))
}

// PeekReset returns the token that FinishReset would accept, and leaves it usable,
// for the page to which the mailed link leads. It never writes.
// ErrInvalidOneTimeToken.
func (o OneTimeTokens) PeekReset(ctx context.Context, token string) (OneTimeToken, error) {
	return result(ctx, "peek at reset", o.at.view, func(tx *Tx) (OneTimeToken, error) {
		t, _, err := tx.resetBy(token)
		if err != nil {
			return OneTimeToken{}, err
		}
		return newOneTimeToken(&t), nil
	})
}

// A resetUser is whose password a token sets.
type resetUser struct {
	id       UserID
	by       int  // the identity that has read the mail; -1 if an operator has made the link
	unproven bool // that identity
}

// resetBy returns the live record of a token and its user.
func (tx *Tx) resetBy(token string) (codec.OneTimeToken, resetUser, error) {
	t, err := tx.liveOneTime(resetPurpose, token)
	if err != nil {
		return t, resetUser{}, err
	}
	out := resetUser{id: UserID(t.UserID), by: -1}
	if len(t.Data) == 0 {
		return t, out, nil
	}
	u, err := tx.user(out.id)
	if err != nil {
		return t, out, err
	}
	provider, identifier, _ := strings.Cut(string(t.Data), "\x00")
	x, err := users.Identity(tx.rec.File, tx.rec.Declared, provider, identifier, 0)
	if err == nil {
		out.by, err = tx.mayReset(&u, x)
	}
	switch {
	case errors.Is(err, ErrInvalidInput), err == nil && (out.by < 0 || u.Identities[out.by].Identifier != identifier):
		err = ErrInvalidOneTimeToken // the rule of the provider, the spelling or the user's ways in are others now
	case err == nil:
		out.unproven = u.Identities[out.by].VerifiedAt == 0
	}
	return t, out, err
}

// FinishReset sets the password of the user who has read the mail with the token, and
// uses the token up, in one commit; of racing callers, one does. A password that is
// refused leaves the token as it is, and nothing is hashed for a stranger without
// one.
//
// In that commit end all sessions, refresh tokens, known devices, pending log-ins and
// one-time tokens of the user, and API keys as UpdateUserPassword says, or all of
// them if nothing had proven the identity of the mail, which is verified by it. The
// credential version is raised. The events are EventTokenUsed, EventIdentityVerified if it was not, and
// EventPasswordSet. Failed log-ins with the old password do not count from then on,
// wrong codes of a second factor do.
//
// It makes no session: the User is a [Proof] for CreateSession, which asks for the
// second factor that the user has.
//
// ErrInvalidOneTimeToken, also if the identity is spelled otherwise since the mail, or
// the ways in have changed so that StoreReset would refuse; ErrInvalidInput (Password
// as in HashPassword); ErrBusy; ErrNoKey; in a transaction ErrNested.
func (o OneTimeTokens) FinishReset(ctx context.Context, token, password string) (User, error) {
	u, err := o.finishReset(ctx, token, password)
	return u, during("finish reset", err)
}

func (o OneTimeTokens) finishReset(ctx context.Context, token, password string) (User, error) {
	if err := o.alone(); err != nil {
		return User{}, err
	}
	db := o.at.db
	if err := db.view(ctx, func(tx *Tx) error {
		_, _, err := tx.resetBy(token)
		return cmp.Or(err, tx.canStoreHash())
	}); err != nil {
		return User{}, err
	}
	hash, err := db.hashPassword(WithProof(ctx, token), password)
	if err != nil {
		return User{}, err
	}
	var mailed codec.Identity
	u, err := result(ctx, "", db.update, func(tx *Tx) (User, error) {
		t, to, err := tx.resetBy(token)
		if err != nil {
			return User{}, err
		}
		u, gone, err := tx.resetPassword(&t, to, hash)
		mailed = gone
		return u, err
	})
	if err != nil {
		return User{}, err
	}
	now := db.clock.Latest()
	db.counts.Forget(now, "user", string(u.ID))
	if mailed.Key != "" {
		db.counts.Forget(now, throttleReset, mailed.Provider, mailed.Key)
	}
	db.counts.Changed()
	return u, nil
}

// resetPassword uses t up and sets the password, and returns the identity of the mail.
func (tx *Tx) resetPassword(t *codec.OneTimeToken, to resetUser, hash PasswordHash) (u User, mailed codec.Identity, err error) {
	occasion := tx.resetOccasion()
	if err := tx.rec.Note(t.UserID, records.EventTokenUsed, aboutOneTime(t)); err != nil {
		return u, mailed, err
	}
	if to.unproven {
		occasion = records.PasswordReset // a stranger may have made the API keys
	}
	if to.by >= 0 {
		_, err = tx.updateUser(to.id, func(u *codec.User, c *records.Cascade) error {
			x := &u.Identities[to.by]
			if mailed = *x; to.unproven {
				x.VerifiedAt = tx.rec.Now
				c.Note(records.EventIdentityProven, users.About(*x))
			}
			return nil
		})
	}
	if err == nil {
		err = tx.rec.DeleteOwned(records.OneTimeTokens, t.Key)
	}
	if err == nil {
		u, err = tx.replacePassword(to.id, hash, records.EventPasswordSet, occasion)
	}
	return u, mailed, err
}
