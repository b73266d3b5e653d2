package snib

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/clock"
	"github.com/snibdb/snib/internal/codes"
	"github.com/snibdb/snib/internal/records"
	"github.com/snibdb/snib/internal/throttle"
)

// Codes prove an address by 8 digits that are mailed to it: to sign in without
// a password, or with one that is forgotten. A code is good only together with
// its handle, which stays in the browser that asked, so that digits that are
// read over a shoulder, or typed into a false page, open nothing elsewhere.
//
//	code, err := db.Codes().Begin(ctx, "sign-in", "email", address)
//	// Set code.Handle as a cookie and show the page for the digits, alike for
//	// every address. Then, behind that answer:
//	if err := db.Codes().Store(ctx, code); err == nil {
//		mail(address, code.Digits.Reveal())
//	}
//	// When the digits are posted:
//	err = db.Codes().Use(ctx, "sign-in", cookie, digits, func(tx *snib.Tx, u snib.User) error {
//		session, err = tx.CreateSession(u, snib.SessionOptions{})
//		return err
//	})
//
// A code lives for 10 minutes and through 5 tries, which count in one run for
// the account over all its codes, as log-ins do ([ThrottlePolicy]); the bounds
// of Purpose and number are those of [OneTimeTokens]. A mail may carry a link
// with the digits in it: a GET of it must use nothing up, as scanners follow
// links, and the handle makes it useless to them. The record is a one-time
// token's, with an HMAC-SHA256 of the digits under the handle, which is not in
// the file.
type Codes struct{ db *DB }

// Codes returns the methods on codes. They are not for a transaction: a wrong
// try must be counted even if the caller gives up.
func (db *DB) Codes() Codes { return Codes{db} }

// codeKnown is before the purpose of a code that a known device of the user has
// asked for, and which has places of its own.
const codeKnown = codePurpose + "known:"

// Code is one code, as Begin has drawn it.
type Code struct {
	// Handle is for the browser that asked. It is there for an address that
	// nobody has too, and tells nothing of the account.
	Handle Token

	// Digits are for the mail. Reveal gives "" if no enabled user has the
	// identity.
	Digits Token

	UserID    UserID    // whose account it opens; "" as above
	ExpiresAt time.Time // accepted before this

	record codec.OneTimeToken
}

// Begin draws a code for the user with this identity. It reads and does not
// write: an answer that waits for Store would tell by its time whether there is
// an account. purpose is as for one-time tokens. ErrInvalidInput (Purpose).
func (c Codes) Begin(ctx context.Context, purpose, provider, identifier string) (Code, error) {
	return result(ctx, "begin code", c.db.view, func(tx *Tx) (Code, error) {
		if err := checkPurpose(purpose); err != nil {
			return Code{}, err
		}
		u, err := tx.userByIdentity(provider, identifier)
		if err != nil && !errors.Is(err, ErrUserNotFound) {
			return Code{}, err
		}
		return tx.drawCode(purpose, &u)
	})
}

// drawCode draws a code for u, or one that opens nothing, by the same steps.
func (tx *Tx) drawCode(purpose string, u *codec.User) (Code, error) {
	d, err := codes.Draw(&tx.rec, u.ID)
	if err != nil {
		return Code{}, err
	}
	c := Code{Handle: Token{newSecret(d.Handle)}, ExpiresAt: clock.Time(d.ExpiresAt)}
	if u.ID == "" || u.DisabledAt != 0 {
		return c, nil
	}
	c.UserID, c.Digits, c.record = UserID(u.ID), Token{newSecret(d.Digits)}, d.Record(&tx.rec, u, codePurpose+purpose)
	return c, nil
}

// Store makes a code good, durably. Mail the digits when it has returned nil.
//
// A known device of the user, in ctx ([WithDevice]), has a minute and three places
// of its own: strangers who ask for codes in the name of the user take none of
// them.
//
// ErrUserNotFound for a code that opens nothing, ErrUserDisabled,
// ErrOneTimeTokenLimit (a minute after the last of the purpose, three at a
// time), ErrInvalidOneTimeToken if the user's credentials have changed since
// Begin.
func (c Codes) Store(ctx context.Context, code Code) error {
	purpose := strings.TrimPrefix(code.record.Purpose, codePurpose)
	d, err := c.db.deviceFor(ctx, string(code.UserID))
	switch {
	case err != nil:
		return during("store code", err)
	case d.UserID != "":
		code.record.Purpose = codeKnown + purpose
	}
	return during("store code", c.db.updateIfNeeded(ctx, func(tx *Tx) error {
		u, err := tx.user(code.UserID)
		switch {
		case err != nil:
			return err
		case u.DisabledAt != 0:
			return ErrUserDisabled
		case !tx.rec.OneTimeLive(&code.record, &u):
			return ErrInvalidOneTimeToken
		}
		dead, wait, err := tx.rec.OneTimeRoom(&u, code.record.Purpose)
		if err != nil {
			return err
		}
		if wait != 0 {
			return &OneTimeTokenLimitError{Purpose: purpose, RetryAt: clock.Time(wait)}
		}
		return tx.storeOneTime(&code.record, dead)
	}))
}

// Use accepts the digits of a code, once, and calls do with the code's user in
// the transaction that uses it up: what do does, a session it makes, and the end
// of the code are one commit. The User is a [Proof]. If do fails, or the commit,
// the code is as it was. do may run more than once, as in [DB.Update].
//
// Of a user with a second factor it is the first step: do passes the
// [SecondFactorError] of CreateSession on, and Use returns it; the code is used up,
// and what do has written is committed.
//
// ErrInvalidOneTimeToken for a handle that is no good: unknown, expired, used,
// of another purpose, tried 5 times; ask for another code. ErrInvalidCredentials
// for wrong digits. [ThrottledError]; do's error; ErrInvalidInput (Purpose).
func (c Codes) Use(ctx context.Context, purpose, handle, digits string, do func(*Tx, User) error) error {
	return during("use code", c.use(ctx, purpose, handle, digits, do))
}

func (c Codes) use(ctx context.Context, purpose, handle, digits string, do func(*Tx, User) error) error {
	// Looked up before it is counted: without a handle nothing is.
	t, err := result(ctx, "", c.db.view, func(tx *Tx) (codec.OneTimeToken, error) {
		t, _, err := tx.liveCode(purpose, handle)
		return t, err
	})
	if err != nil {
		return err
	}
	attempt, err := c.attempt(ctx, t.UserID)
	if err != nil {
		return err
	}
	right := false
	var second error
	err = c.db.update(ctx, func(tx *Tx) error {
		t, secret, err := tx.liveCode(purpose, handle)
		if err != nil {
			return err
		}
		if right = codes.Right(&t, secret, digits); !right {
			return codes.Missed(&tx.rec, &t)
		}
		u, err := tx.user(UserID(t.UserID))
		if err != nil {
			return err
		}
		if err := tx.rec.DeleteOwned(records.OneTimeTokens, t.Key); err != nil {
			return err
		}
		if err := tx.rec.Note(u.ID, records.EventTokenUsed, aboutOneTime(&t)); err != nil {
			return err
		}
		if err = do(tx, byCode(u)); isSecondStep(err) {
			second, err = err, nil
		} else {
			second = nil
		}
		return err
	})
	if err == nil && right {
		err = second
	}
	switch {
	case attempt == nil:
	case right && (err == nil || isSecondStep(err)):
		attempt.Succeed()
	case right:
		attempt.Refund()
	}
	c.db.counts.Changed()
	if err == nil && !right {
		err = ErrInvalidCredentials
	}
	return err
}

// A mailedCode is the evidence that a code was right.
type mailedCode struct{}

func byCode(u codec.User) User {
	out := newUser(u)
	out.login = mailedCode{}
	return out
}

// recheck implements evidence.
func (mailedCode) recheck(*Tx) (codec.User, error) { return codec.User{}, ErrInvalidCredentials }

// methods implements evidence.
func (mailedCode) methods(*Tx) (Methods, error) { return MethodOneTimeToken, nil }

// complete implements evidence.
func (mailedCode) complete(*Tx) bool { return false }

// attempt counts a try for the codes of a user; nil if nothing counts.
func (c Codes) attempt(ctx context.Context, user string) (*throttle.Attempt, error) {
	by, err := c.db.caller(ctx)
	if err != nil || by.operator {
		return nil, err
	}
	return c.db.count(throttle.Request{Now: c.db.clock.Latest(), Name: []string{"code", user}, From: by.from})
}

// liveCode returns the record of a handle, and the handle's secret.
func (tx *Tx) liveCode(purpose, handle string) (codec.OneTimeToken, []byte, error) {
	if err := checkPurpose(purpose); err != nil {
		return codec.OneTimeToken{}, nil, err
	}
	key, secret, ok := codes.Parse(&tx.rec, handle)
	if !ok {
		return codec.OneTimeToken{}, nil, ErrInvalidOneTimeToken
	}
	t, err := tx.liveOneTimeAt(key, secret, "")
	if err == nil && (!codes.Is(&t) || t.Purpose != codePurpose+purpose && t.Purpose != codeKnown+purpose) {
		err = ErrInvalidOneTimeToken
	}
	return t, secret, err
}
