package snib

import (
	"errors"
	"slices"
	"time"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/records"
	"github.com/snibdb/snib/internal/ticket"
)

// FactorKind is how a second factor is proven.
type FactorKind string

// The kinds of factors.
const (
	FactorTOTP          FactorKind = "totp"           // codes of an authenticator program, RFC 6238
	FactorPasskey       FactorKind = "passkey"        // a WebAuthn credential
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

	// Enrol says that the user has no factor and must have one ([FactorPolicy]):
	// Kinds is empty, and the Pending is for [Enrolling].
	Enrol bool

	cause error // why a code did not finish the log-in; nil without a code
}

// Error says that a second factor is needed.
func (e *SecondFactorError) Error() string {
	if e.cause != nil {
		return ErrSecondFactor.Error() + ": " + e.cause.Error()
	}
	return ErrSecondFactor.Error()
}

// Unwrap makes it an ErrSecondFactor, and the error of a code that was given along
// with the password.
func (e *SecondFactorError) Unwrap() []error {
	if e.cause != nil {
		return []error{ErrSecondFactor, e.cause}
	}
	return []error{ErrSecondFactor}
}

// because returns e with the error of its code, and err itself if that is nil or no
// verdict on the code: a full disk is not to be taken for a wrong one.
func (e *SecondFactorError) because(err error) error {
	for _, verdict := range []error{ErrInvalidCredentials, ErrThrottled, ErrFactorsClosed} {
		if errors.Is(err, verdict) {
			out := *e
			out.cause = err
			return &out
		}
	}
	return err
}

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
// step. It returns the user's factors.
func (tx *Tx) factorNeeded(p *proven) (all records.FactorSet, needed bool, err error) {
	if p.waived || uint16(p.methods)&records.SecondFactors != 0 {
		return nil, false, nil
	}
	all, err = tx.rec.FactorsOf(&p.user)
	return all, err == nil && (all.Needed() || tx.mustHave(&p.user)), err
}

// mustHave reports whether the policy wants a user to have a factor.
func (tx *Tx) mustHave(u *codec.User) bool {
	require := tx.db.o.Factors.Require
	return require != nil && require(newUser(*u))
}

// complete returns a SecondFactorError if a proof is not complete. The pending
// log-in in it has the goal, session and options of next.
func (tx *Tx) complete(p *proven, next ticket.Pending) error {
	all, needed, err := tx.factorNeeded(p)
	if err != nil || !needed {
		return err
	}
	next.At, next.Until, next.Methods = p.at, p.until, uint16(p.methods)&^next.Asked
	e := &SecondFactorError{UserID: UserID(p.user.ID), Enrol: !all.Needed()}
	for i := range all {
		if k := kindOfFactor(&all[i]); records.Confirmed(&all[i]) && k != FactorLost && !slices.Contains(e.Kinds, k) {
			e.Kinds = append(e.Kinds, k)
		}
	}
	if i := slices.Index(e.Kinds, FactorRecoveryCodes); i >= 0 {
		e.Kinds = append(slices.Delete(e.Kinds, i, i+1), FactorRecoveryCodes)
	}
	text, err := next.Seal(&tx.rec, &p.user)
	if err != nil {
		return err
	}
	e.Pending = Token{newSecret(text)}
	return e
}

// pendingFor is a pending log-in with some options.
func pendingFor(goal byte, session codec.OwnedKey, attributes string, o *SessionOptions) ticket.Pending {
	p := ticket.Pending{
		Goal: goal, Session: session, Attributes: attributes, Asked: uint16(o.Methods),
		Active: int64(o.Active), Idle: int64(o.Idle), Absolute: int64(o.Absolute),
	}
	if o.Persistent {
		p.Persistent = 1
	}
	for _, t := range o.Replaces {
		p.Replaces = append(p.Replaces, t.Reveal())
	}
	return p
}

// optionsOf are those with which a pending log-in began.
func optionsOf(p *ticket.Pending) (o SessionOptions) {
	o.Attributes = decodeAttributes(p.Attributes)
	o.Methods, o.Persistent = Methods(p.Asked), p.Persistent == 1
	o.Active, o.Idle, o.Absolute = time.Duration(p.Active), time.Duration(p.Idle), time.Duration(p.Absolute)
	for _, text := range p.Replaces {
		o.Replaces = append(o.Replaces, PresentedToken(text))
	}
	return o
}

// pending returns the live log-in of a text, and its user as of now.
// ErrInvalidPending.
func (tx *Tx) pending(text string) (p ticket.Pending, u codec.User, err error) {
	p, ok := ticket.OpenPending(&tx.rec, text)
	if !ok {
		return p, u, ErrInvalidPending
	}
	u, err = tx.user(UserID(p.User))
	switch {
	case records.IsMissing(err), err == nil && (u.DisabledAt != 0 || u.CredentialVersion != p.Version):
		return p, u, ErrInvalidPending
	case err != nil || p.Session == codec.OwnedKey{}:
		return p, u, err
	}
	v, err := tx.rec.Session(p.Session)
	if records.IsMissing(err) || err == nil && (tx.stateOf(&v) != SessionActive || !v.IsUser(u.ID)) {
		err = ErrInvalidPending
	}
	return p, u, err
}

// proofOf returns the result of the first step.
func proofOf(p *ticket.Pending, u codec.User) proven {
	return proven{user: u, at: p.At, until: p.Until, session: p.Session, methods: Methods(p.Methods), asked: Methods(p.Asked), again: p.Goal == ticket.ForAgain}
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
	case records.FactorPasskey:
		return FactorPasskey
	case records.FactorRecovery:
		return FactorRecoveryCodes
	}
	return FactorLost
}
