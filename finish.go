package snib

import (
	"context"
	"errors"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/clock"
	"github.com/snibdb/snib/internal/factor"
	"github.com/snibdb/snib/internal/records"
	"github.com/snibdb/snib/internal/throttle"
)

// closeFactors is how many wrong codes in a row close the second step. It is
// less than for passwords: the guesser knows the password.
const closeFactors = 10

// FinishLogIn is the second step of LogIn, CreateSession and Reauthenticate. For
// the Pending of their [SecondFactorError] and a code it makes the session, in
// one commit that spends the code: of many calls with one code at once, one makes
// a session. The session has the options given to the first step and is
// authenticated as of then; of Reauthenticate it takes the place of the old one.
//
// A code is six digits of an authenticator, of the present 30 s or those beside
// them, later than the last that was accepted; or a recovery code. Blanks,
// hyphens and case do not count.
//
// ErrInvalidCredentials: the code is wrong or used; try again with the same
// pending. ErrInvalidPending: it is not of this database, expired after 10
// minutes, or void because the user's credentials have changed or the session
// has ended; log in again.
//
// Wrong codes of an authenticator count for the account, over all pending
// log-ins and in the networks of the client in ctx: five are free, then
// [ThrottledError], and after ten in a row ErrFactorsClosed. [Throttle.Unlock],
// [Factors.Reset] and a recovery code, of 120 random bits, open it again.
// ErrBusy; ErrNoKey.
//
// On a Tx, a wrong code counts even if the transaction fails.
func (f Factors) FinishLogIn(ctx context.Context, pending, code string) (Session, User, error) {
	var s Session
	var u User
	err := f.finish(ctx, pending, code, func(tx *Tx, p *pendingLogIn, proof proven) (err error) {
		u = newUser(proof.user)
		switch p.goal {
		case goalSession:
			s, err = tx.newSession(proof, p.options())
		case goalAgain:
			s, err = tx.signInAgain(&proof)
		default:
			err = ErrInvalidPending
		}
		return err
	})
	if err != nil {
		return Session{}, User{}, during("finish log-in", err)
	}
	return s, u, nil
}

// FinishRefreshToken is FinishLogIn for the Pending of CreateRefreshToken: it
// makes the refresh token and its first session.
func (f Factors) FinishRefreshToken(ctx context.Context, pending, code string) (Session, RefreshToken, error) {
	var s Session
	var r RefreshToken
	err := f.finish(ctx, pending, code, func(tx *Tx, p *pendingLogIn, proof proven) (err error) {
		if p.goal != goalFamily {
			return ErrInvalidPending
		}
		s, r, err = tx.newFamily(proof, p.options())
		return err
	})
	if err != nil {
		return Session{}, RefreshToken{}, during("finish refresh token", err)
	}
	return s, r, nil
}

// finish counts the attempt, then spends the code and makes a credential in one
// commit. Its last look at the pending log-in is in that commit.
func (f Factors) finish(ctx context.Context, pending, typed string, create func(*Tx, *pendingLogIn, proven) error) error {
	user, err := result(ctx, "", f.at.updateIfNeeded, func(tx *Tx) (string, error) {
		p, _, err := tx.pending(pending)
		return p.user, err
	})
	if err != nil {
		return err
	}
	code, ok := readCode(typed)
	if !ok {
		return ErrInvalidCredentials
	}
	attempt, err := f.at.db.admitCode(ctx, user, &code)
	if err != nil {
		return err
	}
	err = f.at.updateIfNeeded(ctx, func(tx *Tx) error {
		p, u, err := tx.pending(pending)
		if err != nil {
			return err
		}
		proof := p.proof(u)
		if err := tx.spend(&proof, &code); err != nil {
			return err
		}
		return tx.rec.DoomIf(true, create(tx, &p, proof))
	})
	f.at.db.settleCode(user, attempt, err)
	return f.noteClosed(ctx, user, attempt, err)
}

// noteClosed writes the event of the wrong code that closes the second step.
func (f Factors) noteClosed(ctx context.Context, user string, attempt *throttle.Attempt, err error) error {
	db := f.at.db
	if attempt == nil || !errors.Is(err, ErrInvalidCredentials) || db.counts.Failures(db.clock.Latest(), throttle.Factor, user) != closeFactors {
		return err
	}
	noted := f.at.update(context.WithoutCancel(ctx), func(tx *Tx) error {
		return tx.rec.Note(user, records.EventFactorsClosed, records.About{})
	})
	if noted != nil {
		db.o.Logger.Warn("snib: an event was not written", "event", EventFactorsClosed, "user", user, "error", noted)
	}
	return err
}

// A typedCode is a code of one of both kinds.
type typedCode struct {
	totp     factor.Code
	recovery factor.Recovery
	method   uint16
}

func readCode(typed string) (c typedCode, ok bool) {
	if c.totp, ok = factor.ParseCode(typed); ok {
		c.method = records.MethodTOTP
		return c, true
	}
	c.recovery, ok = factor.ParseRecovery(typed)
	c.method = records.MethodRecoveryCode
	return c, ok
}

// spend uses a code of the user of p, to whose methods it adds it.
// ErrInvalidCredentials.
func (tx *Tx) spend(p *proven, c *typedCode) error {
	all, err := tx.rec.Factors(p.user.ID)
	if err != nil {
		return err
	}
	var right bool
	if c.method == records.MethodTOTP {
		right, err = tx.rec.SpendTOTP(all, c.totp, tx.db.clock.Wall().UnixMilli())
	} else {
		right, err = tx.rec.SpendRecovery(all, c.recovery.Hash())
		if err == nil && right {
			err = tx.rec.Note(p.user.ID, records.EventRecoveryCodeUsed, records.About{})
		}
	}
	if err == nil && !right {
		err = ErrInvalidCredentials
	}
	p.methods |= Methods(c.method)
	return err
}

// admitCode counts a code as wrong before it is looked at. Recovery codes are
// not counted and not refused: 120 bits are not guessed, and a thief with the
// password must not be able to close the owner's last way in.
func (db *DB) admitCode(ctx context.Context, user string, c *typedCode) (*throttle.Attempt, error) {
	if c.method != records.MethodTOTP || db.o.Throttle.InsecureOff {
		return nil, nil
	}
	r := throttle.Request{Now: db.clock.Latest(), Name: []string{throttle.Factor, user}}
	if addr := clientOf(ctx); addr != nil {
		r.From = addr.As16()
	}
	if db.counts.Failures(r.Now, r.Name...) >= closeFactors {
		db.counts.Refuse(r.Now)
		return nil, ErrFactorsClosed
	}
	a, err := db.count(r)
	db.counts.Changed()
	return a, err
}

// settleCode ends the run of a user after a right code. An attempt stays counted
// if the code was wrong, and is taken back if the call gave no verdict.
func (db *DB) settleCode(user string, a *throttle.Attempt, err error) {
	switch {
	case err == nil && a != nil:
		a.Succeed()
	case err == nil:
		db.Throttle().forget(throttle.Factor, user)
		return
	case a != nil && !errors.Is(err, ErrInvalidCredentials):
		a.Refund()
	}
	db.counts.Changed()
}

// signInAgain replaces the session of a proof by one that was authenticated when
// the proof began.
func (tx *Tx) signInAgain(p *proven) (Session, error) {
	s, err := records.OwnedRecord(&tx.rec, records.Sessions, p.session, codec.DecodeSession)
	if err != nil {
		return Session{}, err
	}
	s.AuthTime, s.Methods = p.at, s.Methods|uint16(p.methods)
	if s.Flags&codec.SessionOwnLife == 0 && s.Family.IsZero() {
		s.AbsoluteUntil = clock.After(tx.rec.Now, tx.db.o.Sessions.Absolute)
	}
	return tx.keepAuthenticated(&s, p.methods)
}
