package credentials

import (
	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/records"
	"github.com/snibdb/snib/internal/token"
)

// A Secret is the secret part of a refresh token: F, 16 bytes that stay
// through the family's life, and s, 32 bytes that are new each generation. A
// right F proves that its bearer holds, or has held, a token of the family; so
// a right F with a wrong s is reuse and not a guess.
type Secret [16 + 32]byte

func (x *Secret) f() []byte { return x[:16] }
func (x *Secret) s() []byte { return x[16:] }

// Presented returns the family whose F a token carries, in any state, and
// the token's secret.
func Presented(tx *records.Tx, text string) (codec.Family, Secret, error) {
	var x Secret
	key, ok := token.Family.Parse(text, x[:])
	if !ok {
		return codec.Family{}, x, records.ErrInvalidRefreshToken
	}
	hash := token.Hash(token.FamilyLabel, x.f())
	f, err := tx.Family(key)
	if err != nil {
		return codec.Family{}, x, err
	}
	if !token.Equal(hash, f.FamilyHash) {
		return codec.Family{}, x, records.ErrInvalidRefreshToken
	}
	return f, x, nil
}

// Live reports whether the family's token can be used, or, if it was
// revoked for reuse, whether that is still remembered.
func Live(tx *records.Tx, f *codec.Family) bool {
	until := f.IdleUntil
	if records.Revoked(f) {
		until = f.AbsoluteUntil
	}
	return f.Epoch == tx.State.Epoch && tx.Now < until
}

// EachFamily visits the families of a user whose token can be used, by age.
func EachFamily(tx *records.Tx, user string, visit func(*codec.Family)) error {
	return tx.ScanOwner(records.SpaceFamilies, tx.Owner(user), 0, func(key codec.OwnedKey, value []byte) error {
		f, err := codec.DecodeFamily(key[:], value)
		if err != nil {
			return tx.Damaged(records.SpaceFamilies, err)
		}
		if f.UserID == user && !records.Revoked(&f) && Live(tx, &f) {
			visit(&f)
		}
		return nil
	})
}

// EndFamily ends a family on request, and its session. A tombstone stays.
func EndFamily(tx *records.Tx, f *codec.Family) error {
	if records.Revoked(f) {
		return nil
	}
	if err := tx.DeleteOwned(records.Sessions, f.Key.With(f.Session)); err != nil {
		return err
	}
	return tx.DeleteOwned(records.Families, f.Key)
}
