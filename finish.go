package snib

import (
	"context"
	"errors"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/clock"
	"github.com/snibdb/snib/internal/factor"
	"github.com/snibdb/snib/internal/guesses"
	"github.com/snibdb/snib/internal/records"
	"github.com/snibdb/snib/internal/throttle"
	"github.com/snibdb/snib/internal/ticket"
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
// Of a user who must have a factor and has none ([SecondFactorError].Enrol) the
// code is one of the factor that BeginTOTP has begun by [Enrolling], and confirms it
// in the same commit. ErrFactorNotFound if none waits; ErrEnrolment.
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
// On a Tx, a wrong code counts even if the transaction fails, and the event of the
// tenth is written in the background, a minute later at most or at Close. A right
// code ends the run when the transaction is committed; one that was joined and
// rolled back leaves it counted as wrong.
func (f Factors) FinishLogIn(ctx context.Context, pending, code string) (Session, User, error) {
	var made signedIn
	err := f.finish(ctx, pending, code, made.session)
	return made.result("finish log-in", err)
}

// signedIn is the result of a second step.
type signedIn struct {
	s Session
	u User
	r RefreshToken
}

// session makes the session of a pending log-in.
func (m *signedIn) session(tx *Tx, p *ticket.Pending, proof proven) (err error) {
	m.u = newUser(proof.user)
	switch p.Goal {
	case ticket.ForSession:
		m.s, err = tx.newSession(proof, optionsOf(p))
	case ticket.ForAgain:
		m.s, err = tx.signInAgain(&proof)
	default:
		err = ErrInvalidPending
	}
	return err
}

// family makes the refresh token of a pending log-in.
func (m *signedIn) family(tx *Tx, p *ticket.Pending, proof proven) (err error) {
	if p.Goal != ticket.ForFamily {
		return ErrInvalidPending
	}
	m.s, m.r, err = tx.newFamily(proof, optionsOf(p))
	return err
}

func (m *signedIn) result(op string, err error) (Session, User, error) {
	if err != nil {
		return Session{}, User{}, during(op, err)
	}
	return m.s, m.u, nil
}

func (m *signedIn) refreshResult(op string, err error) (Session, RefreshToken, error) {
	if err != nil {
		return Session{}, RefreshToken{}, during(op, err)
	}
	return m.s, m.r, nil
}

// FinishRefreshToken is FinishLogIn for the Pending of CreateRefreshToken: it
// makes the refresh token and its first session.
func (f Factors) FinishRefreshToken(ctx context.Context, pending, code string) (Session, RefreshToken, error) {
	var made signedIn
	err := f.finish(ctx, pending, code, made.family)
	return made.refreshResult("finish refresh token", err)
}

// LogIn is both steps of a log-in in one call, for a client that has asked for
// password and code in one form: [DB.LogIn], and FinishLogIn if the user has a
// second factor. Without one the code, which may be "", is not looked at.
//
// If the password was right and the code was not, the error is a
// [SecondFactorError], whose Pending is good for another try of FinishLogIn, and
// that of FinishLogIn too: ErrInvalidCredentials, [ThrottledError],
// ErrFactorsClosed. Other errors are those of LogIn. ErrNested on a Tx, in which no
// password is hashed.
func (f Factors) LogIn(ctx context.Context, provider, identifier, password, code string, o SessionOptions) (Session, User, error) {
	if err := f.outside(); err != nil {
		return Session{}, User{}, during("log in", err)
	}
	s, u, err := f.at.db.LogIn(ctx, provider, identifier, password, o)
	if e := finishing(err, code); e != nil {
		s, u, err = f.FinishLogIn(ctx, e.Pending.Reveal(), code)
		err = e.because(err)
	}
	return s, u, err
}

// LogInRefreshToken is LogIn for a refresh token and its first session, as
// AuthenticateUser, CreateRefreshToken and FinishRefreshToken make them.
func (f Factors) LogInRefreshToken(ctx context.Context, provider, identifier, password, code string, o SessionOptions) (Session, RefreshToken, error) {
	if err := f.outside(); err != nil {
		return Session{}, RefreshToken{}, during("log in", err)
	}
	u, err := f.at.db.AuthenticateUser(ctx, provider, identifier, password)
	if err != nil {
		return Session{}, RefreshToken{}, err
	}
	s, r, err := f.at.db.CreateRefreshToken(ctx, u, o)
	if e := finishing(err, code); e != nil {
		s, r, err = f.FinishRefreshToken(ctx, e.Pending.Reveal(), code)
		err = e.because(err)
	}
	return s, r, err
}

// outside refuses a call that hashes a password within a transaction.
func (f Factors) outside() error {
	if f.at.tx == nil {
		return nil
	}
	if err := f.at.tx.writing(); err != nil {
		return err
	}
	return ErrNested
}

// finishing returns the first step of a log-in that a code can finish, or nil.
func finishing(err error, code string) *SecondFactorError {
	if e, ok := errors.AsType[*SecondFactorError](err); ok && !e.Enrol && code != "" {
		return e
	}
	return nil
}

// finish counts the attempt, then spends the code and makes a credential in one
// commit. Its last look at the pending log-in is in that commit.
func (f Factors) finish(ctx context.Context, pending, typed string, create func(*Tx, *ticket.Pending, proven) error) error {
	user, err := result(ctx, "", f.at.updateIfNeeded, func(tx *Tx) (string, error) {
		p, _, err := tx.pending(pending)
		return p.User, err
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
	err = f.secondStep(ctx, pending, create, func(tx *Tx, proof *proven) error {
		all, err := tx.rec.FactorsOf(&proof.user)
		if err == nil && !all.Needed() && tx.mustHave(&proof.user) {
			return tx.enrol(ctx, proof, &code)
		}
		if err != nil {
			return err
		}
		return tx.spend(proof, &code)
	})
	f.settle(user, attempt, err)
	f.noteClosed(ctx, user, attempt, err)
	return err
}

// secondStep makes a credential of a pending log-in, in one commit with the code or
// assertion that prove spends.
func (f Factors) secondStep(ctx context.Context, pending string, create func(*Tx, *ticket.Pending, proven) error, prove func(*Tx, *proven) error) error {
	return f.at.updateIfNeeded(ctx, func(tx *Tx) error {
		p, u, err := tx.pending(pending)
		if err != nil {
			return err
		}
		proof := proofOf(&p, u)
		if err := prove(tx, &proof); err != nil {
			return err
		}
		return tx.rec.DoomIf(true, create(tx, &p, proof))
	})
}

// settle says how an attempt has ended: in a transaction of the program a right
// code ends the run of wrong ones when that is committed.
func (f Factors) settle(user string, attempt *throttle.Attempt, err error) {
	if f.at.tx == nil || err != nil {
		f.at.db.settleCode(user, attempt, err)
		return
	}
	f.at.tx.whenOver(func(committed bool) {
		if !committed {
			err = errors.New("rolled back")
		}
		f.at.db.settleCode(user, attempt, err)
	})
}

// noteClosed writes the event of the wrong code that closes the second step.
func (f Factors) noteClosed(ctx context.Context, user string, attempt *throttle.Attempt, err error) {
	db := f.at.db
	if attempt == nil || !errors.Is(err, ErrInvalidCredentials) || db.counts.Failures(db.clock.Latest(), throttle.Factor, user) != closeFactors {
		return
	}
	f.noteFailed(ctx, user, guesses.Note{Kind: records.EventFactorsClosed})
}

// noteFailed writes an event of a call that fails. A transaction of the program may
// come to nothing, and a method that fails writes nothing there: then it is written
// in the background.
func (f Factors) noteFailed(ctx context.Context, user string, n guesses.Note) {
	db := f.at.db
	if f.at.tx != nil {
		db.counts.LogIns.Note(user, db.clock.Latest(), n)
		db.counts.Changed()
		return
	}
	noted := f.at.update(context.WithoutCancel(ctx), func(tx *Tx) error { return tx.rec.Note(user, n.Kind, n.About) })
	if noted != nil {
		db.o.Logger.Warn("snib: an event was not written", "event", n.Kind.Row().Name, "user", user, "error", noted)
	}
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
	all, err := tx.rec.FactorsOf(&p.user)
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
		db.tally.throttled.Add(1)
		return nil, ErrFactorsClosed
	}
	a, err := db.count(r)
	db.counts.Changed()
	return a, err
}

// settleCode ends the run of a user after a right code. An attempt stays counted
// if the code was wrong, and is taken back if the call gave no verdict.
func (db *DB) settleCode(user string, a *throttle.Attempt, err error) {
	db.tally.code(err)
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
