package records

import (
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/seal"
)

// A SealedField is a field of a record that holds sealed values.
type SealedField struct {
	Space kv.Space
	Name  string // as in docs/FORMAT.md
	Use   uint64 // the bit in codec.SealKey.Uses
	Plain bool   // values of it may also be stored unsealed
}

// PasswordHashes are sealed if PasswordPolicy.Seal asks for it. Record, key and
// user are one.
var PasswordHashes = &SealedField{Space: SpaceUsers, Name: "PasswordHash", Use: 1 << 0, Plain: true}

// FactorSeeds are always sealed.
var FactorSeeds = &SealedField{Space: SpaceFactors, Name: "Secret", Use: 1 << 1}

// NeedKeys returns ErrNoKey unless the program has every key under which values
// of a use are sealed. So a call that needs some of them fails alike for all
// users, before it looks one up.
func (tx *Tx) NeedKeys(use uint64) error {
	switch {
	case tx.State.Sealed&use == 0:
		return nil
	case tx.Ring == nil:
		return ErrNoKey
	}
	return tx.Ring.need(tx, use)
}

// CurrentKey returns the key under which this transaction seals, ErrNoKey if the
// program has it not.
func (tx *Tx) CurrentKey() (seal.Key, error) {
	if tx.Ring == nil {
		return nil, ErrNoKey
	}
	return tx.Ring.current(tx)
}

// KeyOf returns a key in use by its id. ErrNoKey if the program has it not,
// seal.ErrForged if the file does not list it.
func (tx *Tx) KeyOf(id string) (seal.Key, error) {
	if tx.Ring == nil {
		return nil, ErrNoKey
	}
	return tx.Ring.key(tx, id)
}

// Seal returns text sealed under the key that is current in this transaction.
// The caller stores it in this transaction, with MarkUse. ErrNoKey.
func (tx *Tx) Seal(f *SealedField, key, user, text string) (string, error) {
	if tx.Ring == nil {
		return "", ErrNoKey
	}
	return tx.Ring.seal(tx, f, key, user, text)
}

// Open returns what was sealed, and a text that is not sealed as it is. ErrNoKey
// if the program has not the key; seal.ErrMalformed and seal.ErrForged if no key
// opens it in its place.
func (tx *Tx) Open(f *SealedField, key, user, stored string) (string, error) {
	switch {
	case !seal.Sealed(stored):
		return stored, nil
	case tx.Ring == nil:
		return "", ErrNoKey
	}
	return tx.Ring.open(tx, f, key, user, stored)
}

// Resealed reports whether a stored text is as Reseal leaves it: sealed under
// the current key, or unsealed unless all are to be sealed. Without keys there
// is nothing to do.
func (tx *Tx) Resealed(f *SealedField, stored string, all bool) bool {
	return tx.Ring == nil || tx.Ring.resealed(tx, f, stored, all)
}

// MarkUse notes in the file, once for each key, that values of a field are
// sealed under it. Code that stores a text of the field calls it.
func (tx *Tx) MarkUse(f *SealedField, stored string) error {
	if tx.Ring == nil || !seal.Sealed(stored) {
		return nil // without a ring it was sealed, and noted, before
	}
	return tx.Ring.mark(tx, f, stored)
}
