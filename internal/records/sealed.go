package records

import (
	"context"
	"errors"
	"slices"

	"github.com/snibdb/snib/codec"
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

// A SealedRow is a field as Reseal, Check and the count before a key is
// forgotten need it.
type SealedRow struct {
	*SealedField

	// Read returns the text that is stored, "" for none, and whose it is.
	Read func(key, value []byte) (text, user string, err error)

	// Write returns the record with another text in the field.
	Write func(key, value []byte, text string) ([]byte, error)
}

// SealedFields is the table of all sealed fields.
var SealedFields = []SealedRow{
	{PasswordHashes, readPasswordHash, writePasswordHash},
	{FactorSeeds, readFactorSeed, writeFactorSeed},
}

func readPasswordHash(key, value []byte) (string, string, error) {
	u, err := codec.DecodeUser(key, value)
	return u.PasswordHash, u.ID, err
}

func writePasswordHash(key, value []byte, text string) ([]byte, error) {
	u, err := codec.DecodeUser(key, value)
	u.PasswordHash = text
	return u.Append(nil), err
}

func readFactorSeed(key, value []byte) (string, string, error) {
	f, err := codec.DecodeFactor(key, value)
	return f.Secret, f.UserID, err
}

func writeFactorSeed(key, value []byte, text string) ([]byte, error) {
	f, err := codec.DecodeFactor(key, value)
	f.Secret = text
	return f.Append(nil), err
}

// A Resealing is the outcome for one record.
type Resealing int

// The outcomes.
const (
	ResealedAlready Resealing = iota // or gone
	ResealedNow
	ResealUnable // the key is not there, or the value does not open: it stays
)

// Reseal seals the value of a field anew under the current key, and returns how
// many bytes it wrote.
func (tx *Tx) Reseal(f SealedRow, key []byte, all bool) (Resealing, int, error) {
	value, ok, err := tx.R.Get(f.Space, key)
	if err != nil || !ok {
		return ResealedAlready, 0, err
	}
	stored, user, err := f.Read(key, value)
	if err != nil {
		return ResealUnable, 0, nil // Check reports the record
	}
	if tx.Resealed(f.SealedField, stored, all) {
		return ResealedAlready, 0, nil
	}
	text, err := tx.Open(f.SealedField, string(key), user, stored)
	if err != nil {
		return ResealUnable, 0, nil
	}
	sealed, err := tx.Seal(f.SealedField, string(key), user, text)
	if err != nil {
		return ResealUnable, 0, err
	}
	record, err := f.Write(key, value, sealed)
	if err != nil {
		return ResealUnable, 0, tx.Damaged(f.Space, err)
	}
	if err := tx.MarkUse(f.SealedField, sealed); err != nil {
		return ResealUnable, 0, err
	}
	return ResealedNow, len(key) + len(record), tx.Put(f.Space, string(key), record)
}

// RetireKeys takes the keys out of the file under which there is no value any
// more, except the current one. It counts all values in this transaction, so
// that no other writer can seal one meanwhile. left counts the values under
// other keys than the current one. An unreadable record is an error: the key
// of its value is not known.
func (tx *Tx) RetireKeys(ctx context.Context) (removed []string, left map[string]int, err error) {
	uses := map[string]uint64{}
	left = map[string]int{}
	n := 0
	for _, f := range SealedFields {
		err := tx.R.Scan(f.Space, nil, nil, 0, func(key, value []byte) error {
			if n++; n%1000 == 0 && ctx.Err() != nil {
				return ctx.Err()
			}
			stored, _, err := f.Read(key, value)
			if err != nil {
				return tx.Damaged(f.Space, err)
			}
			if !seal.Sealed(stored) {
				return nil
			}
			id, err := seal.ID(stored)
			if err != nil { // no key opens it
				return nil
			}
			uses[id] |= f.Use
			left[id]++
			return nil
		})
		if err != nil {
			return nil, nil, err
		}
	}
	if len(tx.Keys.Keys) == 0 {
		return nil, left, nil
	}
	var kept []codec.SealKey
	changed := false
	for i, k := range tx.Keys.Keys {
		if i > 0 && left[k.ID] == 0 {
			removed = append(removed, k.ID)
			continue
		}
		changed = changed || k.Uses != uses[k.ID]
		k.Uses = uses[k.ID]
		kept = append(kept, k)
	}
	delete(left, kept[0].ID)
	if !changed && len(removed) == 0 {
		return nil, left, nil
	}
	return removed, left, tx.changeKeys(func(s *codec.SealKeys) { s.Keys = kept })
}

// SealedUnder reports whether a stored text is sealed under one of ids, none of
// which the program has.
func (tx *Tx) SealedUnder(stored string, ids []string) bool {
	id, err := seal.ID(stored)
	return err == nil && slices.Contains(ids, id) && !tx.HasKey(id)
}

// Unusable reports whether err says of a sealed value that no key opens it.
func Unusable(err error) bool {
	return errors.Is(err, seal.ErrMalformed) || errors.Is(err, seal.ErrForged)
}
