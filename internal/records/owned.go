package records

import (
	"errors"
	"fmt"
	"io"
	"math"
	"sort"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/token"
)

// Records that belong to a user lie under keys that begin with the user's
// owner, a keyed hash of the id: one range of each owned space is all that the
// user has there.

// NewKey draws the key of a new record of a kind for a user.
func (tx *Tx) NewKey(k *Kind, userID string) (codec.OwnedKey, error) {
	owner := tx.Owner(userID)
	for range 8 {
		var random [4]byte
		if _, err := io.ReadFull(tx.Rand, random[:]); err != nil {
			return codec.OwnedKey{}, fmt.Errorf("reading random bytes: %w", err)
		}
		key := codec.MakeOwnedKey(owner, codec.NewOwnID(tx.Now, random))
		if taken, err := tx.Has(k.Space, string(key[:])); !taken || err != nil {
			return key, err
		}
	}
	return codec.OwnedKey{}, errors.New("no free id: the random bytes repeat")
}

// PutOwned writes a record of a kind.
func (tx *Tx) PutOwned(k *Kind, key codec.OwnedKey, record []byte) error {
	if err := tx.beforeWrite(); err != nil {
		return err
	}
	tx.Key = append(tx.Key[:0], key[:]...)
	return tx.doom(tx.W.Put(k.Space, tx.Key, record))
}

// DeleteOwned removes records of a kind.
func (tx *Tx) DeleteOwned(k *Kind, keys ...codec.OwnedKey) error {
	for _, key := range keys {
		if k.Space == SpaceFactors {
			if err := tx.forgetPasskeys(key.Owner(), key); err != nil {
				return err
			}
		}
		tx.Key = append(tx.Key[:0], key[:]...)
		if err := tx.deleteKey(k.Space); err != nil {
			return err
		}
	}
	return nil
}

// deleteOwner removes everything of an owner from a space, without reading it;
// but of factors it reads which passkeys there are, whose entries go too.
func (tx *Tx) deleteOwner(space kv.Space, owner codec.Owner) error {
	if err := tx.beforeWrite(); err != nil {
		return err
	}
	if space == SpaceFactors {
		if err := tx.forgetPasskeys(owner, codec.OwnedKey{}); err != nil {
			return err
		}
	}
	from, to := owner.AppendRange(nil)
	_, err := tx.W.DeleteRange(space, from, to)
	return tx.doom(err)
}

// deleteOwned removes everything that belongs to a user: records of every kind,
// also of kinds that a later program has added to the file, and the quarantined
// ones. It reads nothing.
func (tx *Tx) deleteOwned(userID string) error {
	owner := tx.Owner(userID)
	for _, space := range tx.ownedAndQuarantine() {
		if err := tx.deleteOwner(space, owner); err != nil {
			return err
		}
	}
	return nil
}

// DeleteRemains is deleteOwned for a user who is missing, or new under an id of
// the past. It writes only if there is something left.
func (tx *Tx) DeleteRemains(userID string) error {
	if !token.ValidUserID(userID) {
		return nil
	}
	owner := tx.Owner(userID)
	from, to := owner.AppendRange(nil)
	for _, space := range tx.ownedAndQuarantine() {
		left := false
		err := tx.R.Scan(space, from, to, 1, func(_, _ []byte) error { left = true; return nil })
		if err == nil && left {
			err = tx.deleteOwner(space, owner)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// ownedAndQuarantine are the spaces in which an owner has a range.
func (tx *Tx) ownedAndQuarantine() []kv.Space {
	return append(tx.Owned[:len(tx.Owned):len(tx.Owned)], SpaceQuarantine)
}

// OwnedValue returns the value of a record, for a view that is given tx.Key as
// its key; k.Missing if there is no record. It is valid until the next write.
func (tx *Tx) OwnedValue(k *Kind, key codec.OwnedKey) ([]byte, error) {
	tx.Key = append(tx.Key[:0], key[:]...)
	value, ok, err := tx.R.Get(k.Space, tx.Key)
	if err == nil && !ok {
		err = k.Missing
	}
	return value, err
}

// OwnedRecord reads a record with one of the codec's decoders.
func OwnedRecord[T any](tx *Tx, k *Kind, key codec.OwnedKey, decode func(key, value []byte) (T, error)) (out T, err error) {
	value, err := tx.OwnedValue(k, key)
	if err != nil {
		return out, err
	}
	if out, err = decode(tx.Key, value); err != nil {
		var zero T
		return zero, tx.Damaged(k.Space, err)
	}
	return out, nil
}

// ScanOwner visits the records of an owner in a space in order of time, at most
// limit of them. A key that has not the form of one is damage.
func (tx *Tx) ScanOwner(space kv.Space, owner codec.Owner, limit int, visit func(key codec.OwnedKey, value []byte) error) error {
	from, to := owner.AppendRange(nil)
	return tx.R.Scan(space, from, to, limit, func(raw, value []byte) error {
		key, ok := codec.ParseOwnedKey(raw)
		if !ok {
			return tx.Damaged(space, codec.ErrCorrupt)
		}
		return visit(key, value)
	})
}

// CountOwner returns how many records of a space an owner has, at most limit;
// limit <= 0 is no bound.
func (tx *Tx) CountOwner(space kv.Space, owner codec.Owner, limit int) (n int, err error) {
	from, to := owner.AppendRange(nil)
	err = tx.R.Scan(space, from, to, limit, func(_, _ []byte) error { n++; return nil })
	return n, err
}

// Evicted returns the records of a kind that a user must lose for a new one, in
// the place of replaced (zero: no record is replaced): the records of the
// lowest rank above the bound of the options. Tombstones are not among them: a
// thief who has the password could have a reuse forgotten.
func (tx *Tx) Evicted(k *Kind, userID string, replaced codec.OwnedKey) ([]codec.OwnedKey, error) {
	return tx.lowest(k, userID, k.Bound(&tx.Config)-1, math.MaxInt, replaced)
}

// OldTombstones returns the tombstones that a user must lose when another
// record becomes one: the oldest above the bound.
func (tx *Tx) OldTombstones(k *Kind, userID string, becomes codec.OwnedKey) ([]codec.OwnedKey, error) {
	return tx.lowest(k, userID, math.MaxInt, k.MostRevoked-1, becomes)
}

// lowest returns the records of a kind by which a user, without the record
// except, has more than most and more than mostRevoked tombstones: those of the
// lowest rank, the oldest first. Below the bounds it only counts keys. A record
// that cannot be read is the lowest; it must not keep the user out.
func (tx *Tx) lowest(k *Kind, userID string, most, mostRevoked int, except codec.OwnedKey) ([]codec.OwnedKey, error) {
	owner, few := tx.Owner(userID), most
	if k.MostRevoked > 0 {
		few = min(most, mostRevoked)
	}
	n, err := tx.CountOwner(k.Space, owner, few+1)
	if err != nil || n <= few {
		return nil, err
	}
	var usable, revoked []codec.OwnedKey
	ranks := make(map[codec.OwnedKey]int64, n)
	err = tx.ScanOwner(k.Space, owner, 0, func(key codec.OwnedKey, value []byte) error {
		l, err := k.Life(key[:], value)
		switch {
		case key == except, err == nil && !l.Who.Is(userID):
			return nil
		case err == nil && tx.remembered(l):
			ranks[key] = l.newest(key)
			revoked = append(revoked, key)
			return nil
		case err == nil:
			ranks[key] = tx.rank(l)
		case errors.Is(err, codec.ErrNewer):
			return tx.Damaged(k.Space, err)
		}
		usable = append(usable, key)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return append(excess(usable, most, ranks), excess(revoked, mostRevoked, ranks)...), nil
}

// excess returns the keys of the lowest rank above a number.
func excess(keys []codec.OwnedKey, most int, ranks map[codec.OwnedKey]int64) []codec.OwnedKey {
	if len(keys) <= most {
		return nil
	}
	sort.SliceStable(keys, func(i, j int) bool { return ranks[keys[i]] < ranks[keys[j]] }) // the sort that programs link anyway
	return keys[:len(keys)-most]
}

// forgetPasskeys removes the entries of the passkeys of an owner, or of the one
// under key, from the index of credentials. A record that cannot be read has none to
// be known: Check reports the entry that stays, which leads to no passkey.
func (tx *Tx) forgetPasskeys(owner codec.Owner, key codec.OwnedKey) error {
	var passkeys []codec.Factor
	err := tx.ScanOwner(SpaceFactors, owner, 0, func(k codec.OwnedKey, value []byte) error {
		f, err := codec.DecodeFactor(k[:], value)
		if err == nil && len(f.Passkey) > 0 && (k == key || key == codec.OwnedKey{}) {
			passkeys = append(passkeys, f)
		}
		return nil
	})
	for i := 0; i < len(passkeys) && err == nil; i++ {
		hash := string(passkeys[i].Hash[:])
		id, ok, found := tx.Reference(SpacePasskeys, hash)
		if ok && id == passkeys[i].UserID || unreadable(found) {
			err = tx.Delete(SpacePasskeys, hash)
		}
	}
	return err
}
