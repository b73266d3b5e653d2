package snib

import (
	"context"
	"errors"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/fold"
	"github.com/snibdb/snib/internal/guesses"
	"github.com/snibdb/snib/internal/phc"
	"github.com/snibdb/snib/internal/records"
	"github.com/snibdb/snib/internal/throttle"
)

// A guess is a password that is being tried for an account.
type guess struct {
	db      *DB
	attempt *throttle.Attempt // nil if nothing counts
	turn    *phc.Turn
	user    string   // whose account it is; "" for a name without one
	from    [16]byte // the client; zero if it is not known
	device  codec.Device
}

// admit counts the attempt on an account, as failed, and returns a context in
// which the password is verified. u has no ID if there is no such user.
func (g *guess) admit(ctx context.Context, u *codec.User, provider, key string) (context.Context, error) {
	c, err := g.db.caller(ctx)
	if err != nil {
		return ctx, err
	}
	d, err := g.db.deviceFor(ctx, u.ID)
	if err != nil {
		return ctx, err
	}
	if d.UserID != "" && c.user == "" {
		c.user = d.UserID
	}
	g.turn, g.user, g.from, g.device = c.turn(), u.ID, c.from, d
	r := throttle.Request{Now: g.db.clock.Latest(), From: c.from}
	switch {
	case c.login != "" && c.user == u.ID:
		// Strangers have no part in this, nor does a network that they may share.
		r.Name, r.From = []string{throttle.Session, u.ID, c.login}, throttle.Address{}
	case d.UserID != "":
		r.Name, r.From = guessesOf(&d), throttle.Address{}
	case u.ID != "":
		r.Name = []string{"user", u.ID}
	default:
		r.Name = []string{"identity", provider, key}
	}
	if !c.operator {
		r.Closes = g.db.closes(r, u)
		g.attempt, err = g.db.count(r)
	}
	return phc.WithTurn(ctx, g.turn), err
}

// closes reports whether an account is closed to strangers at the last limit.
// Names without a user are, too: a closed account must not stand out.
func (db *DB) closes(r throttle.Request, u *codec.User) bool {
	closes := db.o.Throttle.Closes
	if closes == nil || r.Name[0] == throttle.Session || db.counts.Failures(r.Now, r.Name...) < throttle.Close {
		return false
	}
	return u.ID == "" || closes(newUser(*u))
}

// count counts an attempt; a [ThrottledError] if it must wait.
func (db *DB) count(r throttle.Request) (*throttle.Attempt, error) {
	if db.o.Throttle.InsecureOff {
		return nil, nil
	}
	a, wait := db.counts.Begin(r)
	if a == nil {
		db.counts.Refuse(r.Now)
		db.tally.throttled.Add(1)
		return nil, &ThrottledError{RetryAfter: wait}
	}
	return a, nil
}

// settle says how the attempt has ended: err is its error, and right whether the
// password was. It stays counted unless it has succeeded, its password was never
// hashed, or was right and the commit failed.
func (g *guess) settle(right bool, err error) {
	g.db.tally.password(right, err)
	switch {
	case g.attempt == nil:
		return
	case err == nil, isSecondStep(err):
		g.attempt.Succeed()
	case !g.turn.Began(), right && !errors.Is(err, ErrInvalidCredentials):
		g.attempt.Refund()
	case errors.Is(err, ErrInvalidCredentials):
		g.db.counts.LogIns.Add(g.user, g.from, g.db.clock.Latest())
	}
	g.db.counts.Changed()
}

// Throttle counts attempts of the program's own routes as log-ins are counted,
// and takes accounts out of it; see [DB.Throttle].
type Throttle struct{ db *DB }

// Throttle returns the handle for attempts that are not log-ins: requests for a
// mail, codes, invitations.
func (db *DB) Throttle() Throttle { return Throttle{db} }

// Begin counts an attempt for a key, such as an address that mail is asked for,
// whether there is such an account or not: by the steps of [ThrottlePolicy], and
// in the networks of the client in ctx ([WithClient]). Call it before the work.
// purpose is 1–32 of [a-z0-9_-]; each has counts of its own.
//
// [ThrottledError] if it must wait; ErrInvalidInput (Purpose).
func (t Throttle) Begin(ctx context.Context, purpose, key string) error {
	c, err := t.db.caller(ctx)
	switch {
	case !fold.Name(purpose):
		err = &InputError{Field: "Purpose", Code: CodeMalformed, Reason: "must be 1–32 of [a-z0-9_-]"}
	case err == nil && !c.operator:
		_, err = t.db.count(throttle.Request{
			Now: t.db.clock.Latest(), Name: []string{"purpose", purpose, key}, From: c.from,
		})
		t.db.counts.Changed()
	}
	return during("throttle", err)
}

// Reset ends the run of attempts for a key, after one has succeeded.
func (t Throttle) Reset(purpose, key string) { t.forget("purpose", purpose, key) }

// Unlock ends the run of failures of a user, with passwords and with codes of a
// second factor: strangers have five free tries again. It is durable a second
// later, or at Close. ErrUserNotFound.
func (t Throttle) Unlock(ctx context.Context, id UserID) error {
	err := t.db.update(ctx, func(tx *Tx) error {
		u, err := tx.user(id)
		if err != nil {
			return err
		}
		return tx.rec.Note(u.ID, records.EventUnlocked, records.About{})
	})
	if err == nil {
		t.forget("user", string(id))
		t.forget(throttle.Factor, string(id))
	}
	return during("unlock", err)
}

// UnlockIdentity is Unlock for the user with this identity.
func (t Throttle) UnlockIdentity(ctx context.Context, provider, identifier string) error {
	u, err := result(ctx, "unlock", t.db.view, func(tx *Tx) (codec.User, error) {
		return tx.userByIdentity(provider, identifier)
	})
	if err != nil {
		return err
	}
	return t.Unlock(ctx, UserID(u.ID))
}

func (t Throttle) forget(name ...string) {
	t.db.counts.Forget(t.db.clock.Latest(), name...)
	t.db.counts.Changed()
}

// startCounts loads the counts of failed guesses.
func (db *DB) startCounts(ctx context.Context) (*guesses.Counts, error) {
	return guesses.Start(ctx, guesses.Config{
		Owners: db.file.OwnerKey, Now: db.clock.Latest, View: db.store.View, Update: db.steps().Update, Shared: db.shared, Log: db.o.Logger,
	})
}

// stopCounts stores all that is left.
func (db *DB) stopCounts() {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	db.counts.Stop(ctx)
}
