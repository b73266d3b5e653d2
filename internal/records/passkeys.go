package records

import (
	"bytes"
	"errors"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/clock"
	"github.com/snibdb/snib/internal/token"
)

// A passkey is a factor that is also found by its credential id, in whatever
// user's it is: the space passkeys is a unique index over all of them, by a hash,
// as ids have up to 1,023 bytes. An entry counts only as long as a factor of its
// user has that hash, so that one which damage has left keeps nobody out.

// Bits of codec.Factor.Flags of a passkey.
const (
	PasskeyBackupEligible uint8 = 1 << iota // the credential can be backed up
	PasskeyBackedUp                         // and is
)

// ErrPasskeyTaken: the credential is registered, for this user or another.
var ErrPasskeyTaken = errors.New("passkey is registered already")

// PasskeyHash is the key of a credential id in the space passkeys.
func PasskeyHash(credentialID []byte) [32]byte {
	return token.Hash("snib/v1/passkey\x00", credentialID)
}

// passkey returns the factor with a hash, or nil.
func (s FactorSet) passkey(hash [32]byte) *codec.Factor {
	for i := range s {
		if f := &s[i]; f.Type == FactorPasskey && Confirmed(f) && f.Hash == hash {
			return f
		}
	}
	return nil
}

// Passkey returns the user and the factor with a credential id. ErrFactorNotFound.
func (tx *Tx) Passkey(credentialID []byte) (u codec.User, f codec.Factor, p codec.Passkey, err error) {
	hash := PasskeyHash(credentialID)
	id, ok, err := tx.Reference(SpacePasskeys, string(hash[:]))
	if err == nil && !ok {
		err = ErrFactorNotFound
	}
	if err != nil {
		return u, f, p, err
	}
	if u, err = tx.User(id); errors.Is(err, ErrUserNotFound) {
		return u, f, p, ErrFactorNotFound
	}
	var all FactorSet
	if err == nil {
		all, err = tx.Factors(id)
	}
	if err != nil {
		return u, f, p, err
	}
	found := all.passkey(hash)
	if found == nil {
		return u, f, p, ErrFactorNotFound
	}
	if p, err = codec.DecodePasskey(found.Passkey); err != nil {
		return u, f, p, tx.Damaged(SpaceFactors, err)
	}
	if !bytes.Equal(p.CredentialID, credentialID) {
		return u, f, p, ErrFactorNotFound
	}
	return u, *found, p, nil
}

// NewPasskey gives f, a passkey of a user, its key and its content p, and writes
// it. ErrTooManyFactors, ErrPasskeyTaken.
func (tx *Tx) NewPasskey(all FactorSet, f *codec.Factor, p *codec.Passkey) (err error) {
	if all.count() >= MaxAuthenticators {
		return ErrTooManyFactors
	}
	switch _, _, _, err := tx.Passkey(p.CredentialID); {
	case err == nil:
		return ErrPasskeyTaken
	case !errors.Is(err, ErrFactorNotFound):
		return err
	}
	if f.Key, err = tx.NewKey(Factors, f.UserID); err != nil {
		return err
	}
	f.Type, f.Epoch, f.ExpiresAt, f.UsedAt = FactorPasskey, tx.State.Epoch, clock.Never, tx.Now
	f.Hash, f.Passkey = PasskeyHash(p.CredentialID), p.Append(nil)
	if err := tx.putReference(SpacePasskeys, string(f.Hash[:]), f.UserID); err != nil {
		return err
	}
	return tx.PutOwned(Factors, f.Key, f.Append(nil))
}

// rewindPasskey refuses every challenge of a backup's time.
func (tx *Tx) rewindPasskey(f *codec.Factor) error {
	if err := refuseUntil(f, tx.State.Epoch, tx.Now); err != nil {
		return tx.Damaged(SpaceFactors, err)
	}
	return tx.PutOwned(Factors, f.Key, f.Append(nil))
}

// refuseUntil has a passkey refuse every challenge of an epoch up to a time.
func refuseUntil(f *codec.Factor, epoch uint32, now int64) error {
	p, err := codec.DecodePasskey(f.Passkey)
	if err != nil {
		return err
	}
	p.Spent, f.Epoch = max(p.Spent, ChallengeNumber(now+1, 0)), epoch
	f.Passkey = p.Append(nil)
	return nil
}

// ChallengeNumber is the number of the nth challenge of a process, made at a time.
// One passkey answers them in a rising order, each once.
func ChallengeNumber(now int64, n uint32) uint64 {
	return uint64(now)<<20 | uint64(n)&(1<<20-1)
}
