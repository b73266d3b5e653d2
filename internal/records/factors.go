package records

import (
	"bytes"
	"crypto/subtle"
	"errors"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/clock"
	"github.com/snibdb/snib/internal/factor"
	"github.com/snibdb/snib/internal/token"
)

// Factors is the kind of second factors.
var Factors = &Kind{
	Title: "second factor", Space: SpaceFactors, Token: token.Factor,
	Most: MaxFactors, Refuses: true,
	Invariant: 19,
	Ends:      FactorsReset,
	Lasts:     true,
	Merge:     MergeRefuses,
	Missing:   ErrFactorNotFound,
	Life:      factorLife,
	Rules:     factorRules{},
}

// Bounds of the factors of one user.
const (
	MaxAuthenticators = 8                     // one of which may wait to be confirmed
	MaxFactors        = MaxAuthenticators + 1 // and the recovery codes
)

// ErrFactorNotFound: there is no such record.
var ErrFactorNotFound error = &missing{"second factor not found"}

func factorLife(key, value []byte) (Life, error) {
	v, err := codec.ViewFactor(key, value)
	if err != nil {
		return Life{}, err
	}
	return Life{Who: v.Who(), Epoch: v.Epoch(), Lasts: true, Until: v.ExpiresAt(), Kept: v.ExpiresAt(), Newest: v.UsedAt()}, nil
}

// factorRules are the Rules of Factors.
type factorRules struct{}

func (factorRules) facts(key, value []byte) (Object, error) {
	f, err := codec.DecodeFactor(key, value)
	credential := any(nil)
	if p, err := codec.DecodePasskey(f.Passkey); err == nil {
		credential = Object{{"id", p.CredentialID}, {"aaguid", p.AAGUID[:]}, {"transports", p.Transports}}
	}
	return Object{
		{"type", factorTypes[f.Type]}, {"name", f.Name}, {"confirmed", Confirmed(&f)}, {"last_used_at", Instant(f.UsedAt)},
		{"codes_left", int64(len(f.Codes) / len(f.Hash))}, {"credential", credential},
	}, err
}

// check is in check_factors.go: the loss of a factor opens an account.
func (factorRules) check(_ *Tx, c inspector, m member, value []byte) error { return c.factor(m, value) }

// factorTypes are the names of types of factors.
var factorTypes = map[uint8]string{FactorTOTP: "totp", FactorRecovery: "recovery codes", FactorPasskey: "passkey", FactorLost: "lost"}

// Types of factors, as stored. Any other type is of a later program, whose user
// is asked for a factor that this one cannot verify.
const (
	FactorTOTP     = 1
	FactorRecovery = 2   // codes, which stand in for a factor and are none
	FactorPasskey  = 3   // a WebAuthn credential
	FactorLost     = 255 // nothing satisfies it: Repair or a lost key took its secret
)

// UserHasFactor is the bit of codec.User.Flags of a user with a confirmed factor.
// Without it a factor is asked for all the same; with it the account is closed to
// a password alone even if the record of the factor is lost.
const UserHasFactor uint64 = 1

// EnrolmentLife is how long a factor waits to be confirmed, in milliseconds.
const EnrolmentLife = 15 * 60_000

// FactorSet holds the live factors of one user, by age.
type FactorSet []codec.Factor

// Factors returns the factors of a user, confirmed and waiting. A record that
// cannot be read is an error: taken for none, it would open the account.
func (tx *Tx) Factors(userID string) (all FactorSet, err error) {
	err = tx.ScanOwner(SpaceFactors, tx.Owner(userID), 0, func(key codec.OwnedKey, value []byte) error {
		f, err := codec.DecodeFactor(key[:], value)
		switch {
		case err != nil:
			return tx.Damaged(SpaceFactors, err)
		case f.UserID == userID && tx.Now < f.ExpiresAt:
			all = append(all, f)
		}
		return nil
	})
	return all, err
}

// FactorsOf is Factors with a lost one for a user whose record says that there is
// one, if none can be found.
func (tx *Tx) FactorsOf(u *codec.User) (FactorSet, error) {
	all, err := tx.Factors(u.ID)
	if err == nil && u.Flags&UserHasFactor != 0 && !all.Needed() {
		all = append(all, tx.lost(codec.Factor{UserID: u.ID}))
	}
	return all, err
}

// Confirmed reports whether a factor has been confirmed.
func Confirmed(f *codec.Factor) bool { return f.ExpiresAt == clock.Never }

// isFactor reports whether a record has its user asked for a second factor.
func isFactor(f *codec.Factor) bool { return Confirmed(f) && f.Type != FactorRecovery }

// Needed reports whether the user has a confirmed factor.
func (s FactorSet) Needed() bool {
	for i := range s {
		if isFactor(&s[i]) {
			return true
		}
	}
	return false
}

// count returns how many confirmed factors there are.
func (s FactorSet) count() (n int) {
	for i := range s {
		if isFactor(&s[i]) {
			n++
		}
	}
	return n
}

// Find returns the factor under key, or nil.
func (s FactorSet) Find(key codec.OwnedKey) *codec.Factor {
	for i := range s {
		if s[i].Key == key {
			return &s[i]
		}
	}
	return nil
}

// Waiting returns the factor that waits to be confirmed, or nil.
func (s FactorSet) Waiting() *codec.Factor {
	for i := range s {
		if !Confirmed(&s[i]) {
			return &s[i]
		}
	}
	return nil
}

// PutFactor writes a factor.
func (tx *Tx) PutFactor(f *codec.Factor) error {
	if err := tx.MarkUse(FactorSeeds, f.Secret); err != nil {
		return err
	}
	return tx.PutOwned(Factors, f.Key, f.Append(nil))
}

// NewTOTP writes a factor that waits to be confirmed, in the place of one that
// did. ErrTooManyFactors.
func (tx *Tx) NewTOTP(all FactorSet, userID, name string, seed []byte) (f codec.Factor, err error) {
	var before []codec.OwnedKey
	for i := range all {
		if f := &all[i]; !Confirmed(f) {
			before = append(before, f.Key)
		}
	}
	if all.count() >= MaxAuthenticators {
		return f, ErrTooManyFactors
	}
	f = codec.Factor{UserID: userID, Epoch: tx.State.Epoch, Type: FactorTOTP, Name: name, ExpiresAt: tx.Now + EnrolmentLife, UsedAt: tx.Now}
	if f.Key, err = tx.NewKey(Factors, userID); err != nil {
		return f, err
	}
	if f.Secret, err = tx.Seal(FactorSeeds, string(f.Key[:]), userID, string(seed)); err != nil {
		return f, err
	}
	before, err = tx.expired(userID, before)
	if err == nil {
		err = tx.DeleteOwned(Factors, before...)
	}
	if err != nil {
		return f, err
	}
	return f, tx.PutFactor(&f)
}

// expired adds to keys the factors of a user that waited in vain.
func (tx *Tx) expired(userID string, keys []codec.OwnedKey) ([]codec.OwnedKey, error) {
	err := tx.ScanOwner(SpaceFactors, tx.Owner(userID), 0, func(key codec.OwnedKey, value []byte) error {
		v, err := codec.ViewFactor(key[:], value)
		if err == nil && v.IsUser(userID) && tx.Now >= v.ExpiresAt() {
			keys = append(keys, key)
		}
		return nil // the others were read
	})
	return keys, err
}

// ErrTooManyFactors: the user has all the factors that one may have.
var ErrTooManyFactors = errors.New("too many second factors")

// VerifyTOTP returns the step of a code of a factor by the wall clock, in Unix
// milliseconds. The clock of the file may be ahead of it, and an authenticator
// follows the wall. ErrNoKey.
func (tx *Tx) VerifyTOTP(f *codec.Factor, code factor.Code, wall int64) (step uint64, ok bool, err error) {
	if f.Type != FactorTOTP {
		return 0, false, nil
	}
	seed, err := tx.Open(FactorSeeds, string(f.Key[:]), f.UserID, f.Secret)
	switch {
	case Unusable(err), err == nil && f.Secret == seed: // moved here, or not sealed: Check says more
		return 0, false, nil
	case err != nil:
		return 0, false, err
	}
	step, ok = factor.Match([]byte(seed), code, factor.Step(wall), f.Counter)
	return step, ok, nil
}

// SpendTOTP uses a code, for all steps up to its own, and reports whether it was
// right.
func (tx *Tx) SpendTOTP(all FactorSet, code factor.Code, wall int64) (bool, error) {
	for i := range all {
		f := &all[i]
		if !Confirmed(f) {
			continue
		}
		step, ok, err := tx.VerifyTOTP(f, code, wall)
		switch {
		case err != nil:
			return false, err
		case ok:
			f.Counter, f.UsedAt = step, tx.Now
			return true, tx.PutFactor(f)
		}
	}
	return false, nil
}

// SpendRecovery uses a recovery code, which is removed, and reports whether
// there was one.
func (tx *Tx) SpendRecovery(all FactorSet, hash [32]byte) (bool, error) {
	for i := range all {
		f := &all[i]
		if f.Type != FactorRecovery {
			continue
		}
		at := -1
		for from := 0; from < len(f.Codes); from += len(hash) {
			if subtle.ConstantTimeCompare(hash[:], f.Codes[from:from+len(hash)]) == 1 {
				at = from
			}
		}
		switch {
		case at < 0:
			continue
		case len(f.Codes) == len(hash):
			return true, tx.DeleteOwned(Factors, f.Key)
		}
		f.Codes = append(bytes.Clone(f.Codes[:at]), f.Codes[at+len(hash):]...)
		f.UsedAt = tx.Now
		return true, tx.PutFactor(f)
	}
	return false, nil
}

// PutRecovery writes a list of recovery codes in the place of the last one.
func (tx *Tx) PutRecovery(all FactorSet, userID string, codes []byte) (f codec.Factor, err error) {
	f = codec.Factor{UserID: userID, Epoch: tx.State.Epoch, Type: FactorRecovery, ExpiresAt: clock.Never, UsedAt: tx.Now, Codes: codes}
	if f.Key, err = tx.NewKey(Factors, userID); err != nil {
		return f, err
	}
	if err := tx.DeleteOwned(Factors, all.recovery()...); err != nil {
		return f, err
	}
	return f, tx.PutFactor(&f)
}

func (s FactorSet) recovery() (keys []codec.OwnedKey) {
	for i := range s {
		if s[i].Type == FactorRecovery {
			keys = append(keys, s[i].Key)
		}
	}
	return keys
}

// Without returns the set without the factor under key.
func (s FactorSet) Without(key codec.OwnedKey) (left FactorSet) {
	for _, f := range s {
		if f.Key != key {
			left = append(left, f)
		}
	}
	return left
}

// RemoveFactor removes a factor. Recovery codes go with the last one, for which
// they stood in.
func (tx *Tx) RemoveFactor(all FactorSet, key codec.OwnedKey) error {
	left := all.Without(key)
	keys := []codec.OwnedKey{key}
	if !left.Needed() {
		keys = append(keys, left.recovery()...)
	}
	return tx.DeleteOwned(Factors, keys...)
}

// lost is a factor without its secret.
func (tx *Tx) lost(f codec.Factor) codec.Factor {
	f.Type, f.Secret, f.Codes, f.ExpiresAt = FactorLost, "", nil, clock.Never
	f.Hash, f.Passkey, f.Flags, f.Counter = [32]byte{}, nil, 0, 0
	return f
}

// LoseFactor takes the secret of a factor that no key opens any more. Its user
// signs in by a recovery code, or after a reset by an operator.
func (tx *Tx) LoseFactor(f codec.Factor) error {
	if !Confirmed(&f) {
		return tx.DeleteOwned(Factors, f.Key)
	}
	f = tx.lost(f)
	return tx.PutFactor(&f)
}

// RewindFactor makes a factor of a backup good as of now, and reports whether it
// had to be removed: a recovery code may have been used since, and a time-based
// code of up to the step after now's.
func (tx *Tx) RewindFactor(f codec.Factor, wall int64) (removed bool, err error) {
	switch {
	case f.Type == FactorRecovery, !Confirmed(&f):
		return true, tx.DeleteOwned(Factors, f.Key)
	case f.Type == FactorPasskey:
		return false, tx.rewindPasskey(&f)
	case f.Type != FactorTOTP:
		return false, nil
	}
	f.Counter = max(f.Counter, factor.Step(wall)+1)
	return false, tx.PutOwned(Factors, f.Key, f.Append(nil))
}

// within: a list of codes, or a factor that waits.
func (factorRules) within() int { return 1 }

// surplus returns the records by which a user has more than may be: lists
// of recovery codes and factors that wait, all but the newest of each. Confirmed
// factors above the bound stay: a user is given no more, and loses none.
func (factorRules) surplus(tx *Tx, userID string) (keys []codec.OwnedKey, err error) {
	var all FactorSet
	err = tx.ScanOwner(SpaceFactors, tx.Owner(userID), 0, func(key codec.OwnedKey, value []byte) error {
		if f, err := codec.DecodeFactor(key[:], value); err == nil && f.UserID == userID {
			all = append(all, f) // the others are reported where the space is walked
		}
		return nil
	})
	codes, waiting := false, false
	for i := len(all) - 1; i >= 0; i-- {
		more := &waiting
		if f := &all[i]; f.Type == FactorRecovery {
			more = &codes
		} else if isFactor(f) {
			continue
		}
		if *more {
			keys = append(keys, all[i].Key)
		}
		*more = true
	}
	return keys, err
}
