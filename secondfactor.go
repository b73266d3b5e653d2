package snib

import (
	"errors"
	"slices"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/records"
)

// FactorKind is how a second factor is proven.
type FactorKind string

// The kinds of factors.
const (
	FactorTOTP          FactorKind = "totp"           // codes of an authenticator program, RFC 6238
	FactorRecoveryCodes FactorKind = "recovery_codes" // a printed list, each code good once
	FactorLost          FactorKind = "lost"           // nothing proves it: its secret was lost to damage or with a key
)

// SecondFactorError is the first step of a log-in that needs a second one. It is
// an [ErrSecondFactor]. No formatting, log or JSON of it shows the token. In a
// closure of Update that has used a one-time token, note it and return nil, so that
// the token is used up.
type SecondFactorError struct {
	// Pending is for the client, which presents it with a code to
	// [Factors.FinishLogIn] within 10 minutes. It proves the first step: keep it
	// out of addresses and logs. It is void once anything of the user's
	// credentials changes.
	Pending Token

	UserID UserID       // whose first step it was
	Kinds  []FactorKind // that the user can prove, each once; recovery codes last
}

// Error says that a second factor is needed.
func (e *SecondFactorError) Error() string { return ErrSecondFactor.Error() }

// Unwrap makes it an ErrSecondFactor.
func (e *SecondFactorError) Unwrap() error { return ErrSecondFactor }

// FactorNotNeeded returns a proof that makes a session or refresh token, or
// changes factors, also for a user with a second factor that it does not include.
// It is for evidence that is as good: a provider that has asserted a second
// factor itself, a setup that an operator watches. Write it at the place where
// that was seen; it is no setting to be passed around, so that each place can be
// found. LogIn takes no proof; of it and the others, a second factor among
// SessionOptions.Methods says the same ([MethodTOTP]).
func FactorNotNeeded(proof Proof) Proof { return withoutFactor{proof} }

type withoutFactor struct{ Proof }

func (w withoutFactor) prove(tx *Tx) (proven, error) {
	p, err := tx.proven(w.Proof)
	p.waived = true
	return p, err
}

// factorNeeded is the one place that decides whether a log-in needs a second
// step. It returns the user's factors if so, and nil if the proof is complete.
func (tx *Tx) factorNeeded(p *proven) (records.FactorSet, error) {
	if p.waived || uint16(p.methods)&records.SecondFactors != 0 {
		return nil, nil
	}
	all, err := tx.rec.Factors(p.user.ID)
	if err != nil || !all.Needed() {
		return nil, err
	}
	return all, nil
}

// complete returns a SecondFactorError if a proof is not complete. The pending
// log-in in it has the goal, session and options of next.
func (tx *Tx) complete(p *proven, next pendingLogIn) error {
	all, err := tx.factorNeeded(p)
	if err != nil || all == nil {
		return err
	}
	next.at, next.until, next.methods = p.at, p.until, uint16(p.methods)&^next.asked
	e := &SecondFactorError{UserID: UserID(p.user.ID)}
	for i := range all {
		if k := kindOfFactor(&all[i]); records.Confirmed(&all[i]) && k != FactorLost && !slices.Contains(e.Kinds, k) {
			e.Kinds = append(e.Kinds, k)
		}
	}
	if i := slices.Index(e.Kinds, FactorRecoveryCodes); i >= 0 {
		e.Kinds = append(slices.Delete(e.Kinds, i, i+1), FactorRecoveryCodes)
	}
	e.Pending, err = tx.sealPending(&next, &p.user)
	if err != nil {
		return err
	}
	return e
}

// pendingFor is a pending log-in with some options.
func pendingFor(goal byte, session codec.OwnedKey, attributes string, o *SessionOptions) pendingLogIn {
	p := pendingLogIn{
		goal: goal, session: session, attributes: attributes, asked: uint16(o.Methods),
		active: int64(o.Active), idle: int64(o.Idle), absolute: int64(o.Absolute),
	}
	if o.Persistent {
		p.persistent = 1
	}
	for _, t := range o.Replaces {
		p.replaces = append(p.replaces, t.Reveal())
	}
	return p
}

// with is a proof to which the options of a log-in add methods.
func (p proven) with(m Methods) *proven {
	p.methods |= m
	return &p
}

// isSecondStep reports whether the first step has succeeded and no more.
func isSecondStep(err error) bool { return errors.Is(err, ErrSecondFactor) }

// kindOfFactor names the type of a factor. One of a later program is as good as
// lost to this one.
func kindOfFactor(f *codec.Factor) FactorKind {
	switch f.Type {
	case records.FactorTOTP:
		return FactorTOTP
	case records.FactorRecovery:
		return FactorRecoveryCodes
	}
	return FactorLost
}
