package snib

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/kv"
)

// Records that belong to a user lie under keys that begin with the user's
// owner, a keyed hash of the id: one range of each owned space is all that the
// user has there.

// owner returns that of a user.
func (tx *Tx) owner(userID string) codec.Owner { return tx.db.owners.Of(userID) }

// newKey draws the key of a new record of a kind for a user.
func (tx *Tx) newKey(k *kind, userID string) (codec.OwnedKey, error) {
	owner := tx.owner(userID)
	for range 8 {
		var random [4]byte
		if _, err := io.ReadFull(tx.db.o.Rand, random[:]); err != nil {
			return codec.OwnedKey{}, fmt.Errorf("reading random bytes: %w", err)
		}
		key := codec.MakeOwnedKey(owner, codec.NewOwnID(tx.now, random))
		if taken, err := tx.has(k.space, string(key[:])); !taken || err != nil {
			return key, err
		}
	}
	return codec.OwnedKey{}, errors.New("no free id: the random bytes repeat")
}

// putOwned writes a record of a kind.
func (tx *Tx) putOwned(k *kind, key codec.OwnedKey, record []byte) error {
	if err := tx.beforeWrite(); err != nil {
		return err
	}
	tx.key = append(tx.key[:0], key[:]...)
	return tx.doom(tx.w.Put(k.space, tx.key, record))
}

// deleteOwned removes records of a kind.
func (tx *Tx) deleteOwned(k *kind, keys ...codec.OwnedKey) error {
	for _, key := range keys {
		tx.key = append(tx.key[:0], key[:]...)
		if err := tx.deleteKey(k.space); err != nil {
			return err
		}
	}
	return nil
}

// deleteOwner removes everything of an owner from a space, without reading it.
func (tx *Tx) deleteOwner(space kv.Space, owner codec.Owner) error {
	if err := tx.beforeWrite(); err != nil {
		return err
	}
	from, to := owner.AppendRange(nil)
	_, err := tx.w.DeleteRange(space, from, to)
	return tx.doom(err)
}

// ownedValue returns the value of a record, for a view that is given tx.key as
// its key; k.missing if there is none.
func (tx *Tx) ownedValue(k *kind, key codec.OwnedKey) ([]byte, error) {
	tx.key = append(tx.key[:0], key[:]...)
	value, ok, err := tx.r.Get(k.space, tx.key)
	if err == nil && !ok {
		err = k.missing
	}
	return value, err
}

// ownedRecord reads a record with one of the codec's decoders.
func ownedRecord[T any](tx *Tx, k *kind, key codec.OwnedKey, decode func(key, value []byte) (T, error)) (out T, err error) {
	value, err := tx.ownedValue(k, key)
	if err != nil {
		return out, err
	}
	if out, err = decode(tx.key, value); err != nil {
		var zero T
		return zero, damaged(k.space, err)
	}
	return out, nil
}

// scanOwner visits the keys of an owner in a space in order of time, at most
// limit of them. A key that has not the form of one is damage.
func (tx *Tx) scanOwner(space kv.Space, owner codec.Owner, limit int, visit func(key codec.OwnedKey, value []byte) error) error {
	from, to := owner.AppendRange(nil)
	return tx.r.Scan(space, from, to, limit, func(raw, value []byte) error {
		key, ok := codec.ParseOwnedKey(raw)
		if !ok {
			return damaged(space, codec.ErrCorrupt)
		}
		return visit(key, value)
	})
}

// evicted returns the records of a kind that a user must lose for a new one, in
// the place of replaced (zero for none): those of the lowest rank above the
// bound of the options.
func (tx *Tx) evicted(k *kind, userID string, replaced codec.OwnedKey) ([]codec.OwnedKey, error) {
	return tx.lowest(k, userID, k.bound(&tx.db.o)-1, replaced)
}

// lowest returns the records of a kind by which a user, without replaced, has
// more than most: those of the lowest rank, the oldest first. Below the bound
// it only counts keys. A record that cannot be read is the lowest; it must not
// keep the user out.
func (tx *Tx) lowest(k *kind, userID string, most int, replaced codec.OwnedKey) ([]codec.OwnedKey, error) {
	owner, n := tx.owner(userID), 0
	from, to := owner.AppendRange(nil)
	err := tx.r.Scan(k.space, from, to, most+1, func(_, _ []byte) error { n++; return nil })
	if err != nil || n <= most {
		return nil, err
	}
	var keys []codec.OwnedKey
	ranks := make(map[codec.OwnedKey]int64, n)
	err = tx.scanOwner(k.space, owner, 0, func(key codec.OwnedKey, value []byte) error {
		l, err := k.life(key[:], value)
		switch {
		case key == replaced, err == nil && !l.who.Is(userID):
			return nil
		case err == nil:
			ranks[key] = tx.rank(l)
		case errors.Is(err, codec.ErrNewer):
			return damaged(k.space, err)
		}
		keys = append(keys, key)
		return nil
	})
	if err != nil || len(keys) <= most {
		return nil, err
	}
	slices.SortStableFunc(keys, func(a, b codec.OwnedKey) int { return cmp.Compare(ranks[a], ranks[b]) })
	return keys[:len(keys)-most], nil
}
