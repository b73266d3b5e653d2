package main

import (
	"encoding/base32"
	"errors"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/internal/factor"
)

// The operations of the workload about second factors.

// An authenticator is a program on a phone.
type authenticator struct {
	id   snib.FactorID
	seed []byte
	last uint64 // the step of its last code
}

func authenticatorOf(e snib.TOTPEnrolment) (*authenticator, error) {
	seed, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(e.Secret.Reveal())
	return &authenticator{id: e.ID, seed: seed}, err
}

// ready reports whether there is a code now that was not used yet.
func (x *authenticator) ready(now time.Time) bool {
	return x != nil && x.last <= factor.Step(now.UnixMilli())
}

// code is the next code that the library takes.
func (x *authenticator) code(now time.Time) string {
	x.last = max(x.last+1, factor.Step(now.UnixMilli())-1)
	c := factor.CodeAt(x.seed, x.last)
	return string(c[:])
}

// A passkey is known by its credential.
type passkey struct {
	id         snib.FactorID
	credential []byte
}

// begin starts an authenticator, which waits to be confirmed.
func (a *account) begin(tx *snib.Tx) (*authenticator, error) {
	proof, err := a.proof(tx)
	if err != nil {
		return nil, err
	}
	e, err := tx.Factors().BeginTOTP(ctx, proof, "Notes", "phone")
	if err != nil {
		return nil, err
	}
	return authenticatorOf(e)
}

// register adds a passkey.
func (a *account) register(tx *snib.Tx, credential string) (*passkey, error) {
	proof, err := a.proof(tx)
	if err != nil {
		return nil, err
	}
	challenge, err := tx.Factors().PasskeyChallenge(ctx, snib.PasskeyRegistration, a.id)
	if err != nil {
		return nil, err
	}
	f, err := tx.Factors().AddPasskey(ctx, proof, snib.NewPasskey{
		Name: "laptop", Challenge: challenge.Reveal(), CredentialID: []byte(credential), PublicKey: []byte("a key"), SignCount: 1,
	})
	return &passkey{f.ID, []byte(credential)}, err
}

// assertion is an answer of a passkey to a challenge of now.
func assertion(db *snib.DB, credential []byte) (snib.Assertion, error) {
	p, u, err1 := db.Factors().PasskeyByCredential(ctx, credential)
	challenge, err2 := db.Factors().PasskeyChallenge(ctx, snib.PasskeyLogIn, u.ID)
	return snib.Assertion{Passkey: p, Challenge: challenge.Reveal(), SignCount: p.SignCount + 1, UserVerified: true}, errors.Join(err1, err2)
}

// onFactors changes the factors of a user in a transaction, which ends everything
// else by which the user is let in.
func (w *work) onFactors(suits func(a *account) bool, change func(tx *snib.Tx, a *account) error) error {
	a, err := w.user(func(a *account) bool { return !a.disabled && suits(a) })
	if err != nil {
		return err
	}
	err = w.db.Update(ctx, func(tx *snib.Tx) error { return change(tx, a) })
	if err == nil {
		a.forget()
	}
	return err
}

func (w *work) beginTOTP() error {
	a, err := w.user(plain)
	if err != nil {
		return err
	}
	var begun *authenticator
	err = w.db.Update(ctx, func(tx *snib.Tx) (err error) { begun, err = a.begin(tx); return err })
	if err == nil {
		a.begun = begun
	}
	return err
}

func (w *work) confirmTOTP() error {
	var confirmed *account
	err := w.onFactors(func(a *account) bool { return a.begun != nil && a.phone == nil }, func(tx *snib.Tx, a *account) error {
		confirmed = a
		return a.confirm(tx, w.now)
	})
	if err == nil {
		confirmed.phone, confirmed.begun = confirmed.begun, nil
	}
	return w.unlessDead(err)
}

// confirm makes a factor of the authenticator that waits.
func (a *account) confirm(tx *snib.Tx, now time.Time) error {
	proof, err := a.proof(tx)
	if err != nil {
		return err
	}
	a.begun.last = 0 // the closure may run again
	_, err = tx.Factors().ConfirmTOTP(ctx, proof, a.begun.id, a.begun.code(now))
	return err
}

// secondStep draws an enabled user that has the password and a second step.
func (w *work) secondStep(has func(a *account) bool) (*account, error) {
	return w.user(func(a *account) bool { return a.password == password && !a.disabled && has(a) })
}

func (w *work) logInByCode() error {
	a, err := w.secondStep(func(a *account) bool { return a.phone.ready(w.now) })
	if err != nil {
		return err
	}
	return w.logInWith(a, a.phone.code(w.now))
}

func (w *work) logInByRecovery() error {
	a, err := w.secondStep(func(a *account) bool { return len(a.recovery) > 0 })
	if err != nil {
		return err
	}
	return w.logInWith(a, drop(w, &a.recovery))
}

func (w *work) logInWith(a *account, code string) error {
	s, _, err := w.db.Factors().LogIn(ctx, a.identities[0].provider, a.identities[0].name, a.password, code, snib.SessionOptions{})
	if err == nil {
		a.sessions = append(a.sessions, s)
	}
	return err
}

func (w *work) createRecovery() error {
	return w.onFactors((*account).factors, func(tx *snib.Tx, a *account) error { return a.recover(tx) })
}

func hasPasskey(a *account) bool { return a.passkey != nil }

func (w *work) addPasskey() error {
	credential := w.name()
	var of *account
	var added *passkey
	err := w.onFactors(func(a *account) bool { return a.password == password && a.passkey == nil }, func(tx *snib.Tx, a *account) (err error) {
		of = a
		added, err = a.register(tx, credential)
		return err
	})
	if err == nil {
		of.passkey = added
	}
	return err
}

// usePasskey signs in by a passkey alone: one commit counts it and has the session.
func (w *work) usePasskey() error {
	a, err := w.user(func(a *account) bool { return hasPasskey(a) && !a.disabled })
	if err != nil {
		return err
	}
	answer, err := assertion(w.db, a.passkey.credential)
	if err != nil {
		return err
	}
	var s snib.Session
	err = w.db.Update(ctx, func(tx *snib.Tx) error {
		used, err := tx.Factors().UsePasskey(ctx, answer)
		if err == nil {
			s, err = tx.CreateSession(used, snib.SessionOptions{})
		}
		return err
	})
	if err == nil {
		a.sessions = append(a.sessions, s)
	}
	return err
}

func (w *work) refreshTokenByPasskey() error {
	a, err := w.secondStep(hasPasskey)
	if err != nil {
		return err
	}
	u, err := w.db.AuthenticateUser(ctx, a.identities[0].provider, a.identities[0].name, a.password)
	if err != nil {
		return err
	}
	_, _, err = w.db.CreateRefreshToken(ctx, u, snib.SessionOptions{})
	pending, ok := errors.AsType[*snib.SecondFactorError](err)
	if !ok {
		return errors.Join(err, errors.New("a refresh token without the second factor"))
	}
	answer, err := assertion(w.db, a.passkey.credential)
	if err != nil {
		return err
	}
	s, r, err := w.db.Factors().FinishRefreshTokenByPasskey(ctx, pending.Pending.Reveal(), answer)
	if err == nil {
		a.sessions, a.current = append(a.sessions, s), append(a.current, r.Token.Reveal())
	}
	return err
}

func (w *work) renameFactor() error {
	a, err := w.user(hasPasskey)
	if err != nil {
		return err
	}
	return second(w.db.Factors().Rename(ctx, a.id, a.passkey.id, w.name()))
}

func (w *work) confirmSecond() error {
	return w.onVictim(func(a *account) error {
		err := w.db.Update(ctx, func(tx *snib.Tx) error { return a.confirm(tx, w.now) })
		if err == nil {
			a.begun = nil
		}
		return err
	})
}

func (w *work) removeFactor() error {
	return w.onVictim(func(a *account) error {
		if a.passkey == nil {
			return errSkip
		}
		err := w.db.Factors().Remove(ctx, waived(w.db, a.id), a.passkey.id)
		if err == nil {
			a.passkey = nil
		}
		return err
	})
}

func (w *work) resetFactors() error {
	return w.onVictim(func(a *account) error {
		_, err := w.db.Factors().Reset(ctx, a.id)
		if err == nil {
			a.begun, a.phone, a.passkey, a.recovery = nil, nil, nil, nil
		}
		return err
	})
}
