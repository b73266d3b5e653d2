package snib

import (
	"context"
	"errors"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/clock"
	"github.com/snibdb/snib/internal/records"
)

// Enrolling returns the [Proof] for the first factor of a user who must have one:
// the Pending of a [SecondFactorError] with Enrol set. It is good for BeginTOTP,
// ConfirmTOTP and AddPasskey of [Factors], and for nothing else:
//
//	phone, err := db.Factors().BeginTOTP(ctx, snib.Enrolling(pending), "Notes", "phone") // show phone.URI
//	s, u, err := db.Factors().FinishLogIn(ctx, pending, code)                             // in the handler of the next form
//
// The log-in behind it must have shown more than the password: that it came from a
// known device of the user, whose token ctx carries ([WithDevice]), or by a mailed
// one-time token, which is then the Proof of CreateSession, a code of [Codes], or
// a provider. Otherwise [ErrEnrolment]: mail a one-time token and go on with the
// Pending of its log-in.
func Enrolling(pending string) Proof { return enrolling(pending) }

type enrolling string

func (e enrolling) prove(tx *Tx) (proven, error) {
	p, u, err := tx.pending(string(e))
	if err != nil {
		return proven{}, err
	}
	proof := proofOf(&p, u)
	proof.methods |= Methods(p.Asked)
	proof.enrolling = true
	return proof, nil
}

// enrolmentMethods prove a first enrolment under Require.
const enrolmentMethods = MethodOneTimeToken | MethodProvider | Methods(records.ProvenFactors)

// mayChange verifies the proof of a change of factors in which the user has all.
// Under Require the first one needs more than a password, which may be stolen.
func (tx *Tx) mayChange(ctx context.Context, p *proven, all records.FactorSet) error {
	switch {
	case p.old(tx.rec.Now), p.bare(all):
		return ErrNotFresh
	case all.Needed() || p.waived || p.methods&enrolmentMethods != 0:
		return nil
	case !tx.mustHave(&p.user) && !p.enrolling:
		return nil
	}
	_, err := tx.knownDevice(claim{presentedDevices(ctx), p.user.ID})
	if errors.Is(err, ErrDeviceNotFound) {
		err = ErrEnrolment
	}
	return err
}

// enrol confirms the factor that waits by a code, in the second step of a log-in of
// a user who must have one.
func (tx *Tx) enrol(ctx context.Context, p *proven, typed *typedCode) error {
	c := factorChange{proven: *p}
	var err error
	if c.all, err = tx.rec.FactorsOf(&p.user); err != nil {
		return err
	}
	c.methods |= p.asked
	if err := tx.mayChange(ctx, &c.proven, c.all); err != nil {
		return err
	}
	waiting := c.all.Waiting()
	if waiting == nil {
		return ErrFactorNotFound
	}
	step, right, err := tx.rec.VerifyTOTP(waiting, typed.totp, tx.db.clock.Wall().UnixMilli())
	if err == nil && !(right && typed.method == records.MethodTOTP) {
		err = ErrInvalidCredentials
	}
	if err != nil {
		return err
	}
	if p.again { // the session of a new log-in ends, as its token stays what it is
		outer := tx.changing
		tx.changing = p.session
		defer func() { tx.changing = outer }()
	}
	if err := tx.confirm(c, waiting, step); err != nil {
		return err
	}
	p.methods |= MethodTOTP
	p.user, err = tx.user(UserID(p.user.ID))
	return tx.rec.DoomIf(err != nil, err)
}

// confirm makes a factor of one that waits, with the step of its first code.
func (tx *Tx) confirm(c factorChange, f *codec.Factor, step uint64) error {
	f.Counter, f.ExpiresAt, f.UsedAt = step, clock.Never, tx.rec.Now
	c.event, c.about, c.holds = records.EventFactorAdded, aboutFactor(f), true
	return tx.changeFactors(c, records.MethodTOTP, func() error { return tx.rec.PutFactor(f) })
}
