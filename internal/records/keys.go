package records

import (
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/fold"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/seal"
)

// A Ring holds the keys of the program. It is an interface, made by NewRing
// only, so that a program without keys links neither a cipher nor what follows
// from having keys.
type Ring interface {
	fork() Ring               // of the same keys, that has read the same
	given(id string) seal.Key // nil: the program has none of that id
	first() seal.Key
	version() uint64 // of the file's keys when they were last read
	look(tx *Tx) error
	need(tx *Tx, use uint64) error
	key(tx *Tx, id string) (seal.Key, error)
	current(tx *Tx) (seal.Key, error)
	seal(tx *Tx, f *SealedField, key, user, text string) (string, error)
	open(tx *Tx, f *SealedField, key, user, stored string) (string, error)
	mark(tx *Tx, f *SealedField, stored string) error
	resealed(tx *Tx, f *SealedField, stored string, all bool) bool
}

// NewRing returns the Ring of some keys, one at least; the first is to be the
// current one.
func NewRing(keys []seal.Key) Ring { return &ring{keys: keys} }

type ring struct {
	keys []seal.Key
	seen atomic.Pointer[Keys]
}

// Keys are the keys in use in a file, in one version, and those of them that
// the program has.
type Keys struct {
	codec.SealKeys                     // zero: the file has no keys
	usable         map[string]seal.Key // given, with the canary of the file
}

func (r *ring) fork() Ring {
	fork := &ring{keys: r.keys}
	fork.seen.Store(r.seen.Load())
	return fork
}

func (r *ring) first() seal.Key { return r.keys[0] }

func (r *ring) given(id string) seal.Key {
	for _, k := range r.keys {
		if k.ID() == id {
			return k
		}
	}
	return nil
}

// given returns the program's key of an id, or nil.
func (f *File) given(id string) seal.Key {
	if f.Ring == nil {
		return nil
	}
	return f.Ring.given(id)
}

// HasKey reports whether the program has a key of an id.
func (f *File) HasKey(id string) bool { return f.given(id) != nil }

func (r *ring) version() uint64 {
	if seen := r.seen.Load(); seen != nil {
		return seen.Version
	}
	return 0
}

// SealKeys reads the keys in use; none is no error.
func (f *File) SealKeys(r kv.Reader) (codec.SealKeys, error) {
	_, ok, err := r.Get(SpaceMeta, []byte(codec.KeySealKeys))
	if err != nil || !ok {
		return codec.SealKeys{}, err
	}
	return Meta(f, r, codec.KeySealKeys, codec.DecodeSealKeys)
}

// VerifyKeys reports a given key that is not the one of that id in the file.
func (f *File) VerifyKeys(stored codec.SealKeys) error {
	for _, k := range stored.Keys {
		if g := f.given(k.ID); g != nil && !g.Made(k.Canary) {
			return f.wrongKey(k.ID)
		}
	}
	return nil
}

func (f *File) wrongKey(id string) error {
	return f.Input("Options.Keys["+id+"]", fold.Fault{Code: fold.NotAllowed, Reason: "is not the key that this file knows by that id"})
}

// usableOf finds the given ones among stored. One that fails its canary is as
// good as not given.
func (r *ring) usableOf(stored codec.SealKeys) *Keys {
	k := &Keys{stored, make(map[string]seal.Key)}
	for _, x := range stored.Keys {
		if g := r.given(x.ID); g != nil && g.Made(x.Canary) {
			k.usable[x.ID] = g
		}
	}
	return k
}

// look makes tx use the keys as of this transaction. Another process or handle
// may have made another key the current one since this one looked.
func (r *ring) look(tx *Tx) error {
	known := r.seen.Load()
	if known == nil || known.Version != tx.State.Keys {
		stored := codec.SealKeys{}
		if tx.State.Keys != 0 {
			var err error
			if stored, err = Meta(tx.File, tx.R, codec.KeySealKeys, codec.DecodeSealKeys); err != nil {
				return err
			}
			if stored.Version != tx.State.Keys {
				return tx.Corrupt(codec.SpaceMeta, "state and seal_keys are of different versions")
			}
		}
		last := known
		known = r.usableOf(stored)
		if tx.W == nil { // the transaction's own change may not be committed
			r.seen.CompareAndSwap(last, known)
		}
	}
	tx.Keys = known
	return nil
}

func (r *ring) need(tx *Tx, use uint64) error {
	for _, k := range tx.Keys.Keys {
		if k.Uses&use != 0 && tx.Keys.usable[k.ID] == nil {
			return noKey(k.ID)
		}
	}
	return nil
}

func noKey(id string) error { return fmt.Errorf("%w: %s", ErrNoKey, id) }

func (r *ring) key(tx *Tx, id string) (seal.Key, error) {
	if k := tx.Keys.usable[id]; k != nil {
		return k, nil
	}
	if keyIndex(tx.Keys.Keys, id) < 0 {
		return nil, seal.ErrForged // nothing was sealed under it
	}
	return nil, noKey(id)
}

func (r *ring) current(tx *Tx) (seal.Key, error) {
	if len(tx.Keys.Keys) == 0 {
		return nil, ErrNoKey
	}
	return r.key(tx, tx.Keys.Keys[0].ID)
}

func (f *SealedField) place(key, user string) seal.Place {
	return seal.Place{Space: Spaces[f.Space].Name, Key: key, Field: f.Name, User: user}
}

func (r *ring) seal(tx *Tx, f *SealedField, key, user, text string) (string, error) {
	k, err := r.current(tx)
	if err != nil {
		return "", err
	}
	return k.Seal(f.place(key, user), text), nil
}

func (r *ring) open(tx *Tx, f *SealedField, key, user, stored string) (string, error) {
	id, err := seal.ID(stored)
	if err != nil {
		return "", err
	}
	k, err := r.key(tx, id)
	if err != nil {
		return "", err
	}
	return k.Open(f.place(key, user), stored)
}

func (r *ring) mark(tx *Tx, f *SealedField, stored string) error {
	id, err := seal.ID(stored)
	if err != nil {
		return nil // kept as it was: Check reports it
	}
	i := keyIndex(tx.Keys.Keys, id)
	if i < 0 || tx.Keys.Keys[i].Uses&f.Use != 0 {
		return nil
	}
	return tx.changeKeys(func(s *codec.SealKeys) {
		if i := keyIndex(s.Keys, id); i >= 0 {
			s.Keys[i].Uses |= f.Use
		}
	})
}

func (r *ring) resealed(tx *Tx, f *SealedField, stored string, all bool) bool {
	if !seal.Sealed(stored) {
		return stored == "" || f.Plain && !all
	}
	return len(tx.Keys.Keys) > 0 && seal.Under(stored, tx.Keys.Keys[0].ID)
}

// AdoptKeys makes the first given key the current one, in this transaction.
func (tx *Tx) AdoptKeys() error {
	if err := tx.VerifyKeys(tx.Keys.SealKeys); err != nil {
		return err
	}
	first := tx.Ring.first()
	if len(tx.Keys.Keys) > 0 && tx.Keys.Keys[0].ID == first.ID() {
		return nil
	}
	return tx.changeKeys(func(stored *codec.SealKeys) { makeCurrent(stored, first) })
}

// makeCurrent puts a key first, with its uses so far.
func makeCurrent(stored *codec.SealKeys, first seal.Key) {
	at := codec.SealKey{ID: first.ID(), Canary: first.Canary()}
	keys := []codec.SealKey{at}
	for _, k := range stored.Keys {
		if k.ID == at.ID {
			keys[0].Uses = k.Uses
		} else {
			keys = append(keys, k)
		}
	}
	stored.Keys = keys
}

func keyIndex(keys []codec.SealKey, id string) int {
	return slices.IndexFunc(keys, func(k codec.SealKey) bool { return k.ID == id })
}

// changeKeys changes the keys in use, for the rest of this transaction too.
func (tx *Tx) changeKeys(change func(*codec.SealKeys)) error {
	stored, err := tx.SealKeys(tx.R)
	if err != nil {
		return tx.doom(err)
	}
	change(&stored)
	stored.Version = max(stored.Version, tx.State.Keys) + 1
	if err := tx.Put(SpaceMeta, codec.KeySealKeys, stored.Append(nil)); err != nil {
		return err
	}
	err = tx.ChangeState(func(s *codec.State) { s.Keys, s.Sealed = stored.Version, usesOf(stored) })
	if err == nil {
		err = tx.Ring.look(tx)
	}
	return err
}

func usesOf(stored codec.SealKeys) (all uint64) {
	for _, k := range stored.Keys {
		all |= k.Uses
	}
	return all
}
