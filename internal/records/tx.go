package records

import (
	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/kv"
)

// Tx is one transaction on the records of a file. The zero value is of no use;
// see [File.Begin] and [Tx.BeginSnapshot].
type Tx struct {
	*File
	R   kv.Reader
	W   kv.Tx // nil in a read-only transaction
	Now int64 // Unix milliseconds, fixed when the transaction begins

	State    codec.State // as this transaction sees it
	Declared *Declared   // likewise
	Keys     *Keys       // likewise; nil in a program without keys

	// Doomed is the error of a write that failed: the transaction must not
	// commit, even if the closure ignores the error.
	Doomed error

	By        By   // what the context of the call tells
	Published bool // something was put into the outbox

	// Written says that something was written, and that the high-water mark of
	// the clock need not be stored any more.
	Written bool

	Key []byte // of the record that was read last; memory for the next one
}

// Begin makes the Tx of one transaction, or of one run of it, and fixes its
// time. w is nil in a read-only one.
func (f *File) Begin(r kv.Reader, w kv.Tx) (Tx, error) {
	state, err := Meta(f, r, codec.KeyState, codec.DecodeState)
	if err != nil {
		return Tx{}, err
	}
	tx := Tx{File: f, R: r, W: w, Now: f.Clock.Now(state.Epoch, state.Floor), State: state}
	return tx, tx.look()
}

// BeginSnapshot makes tx the Tx of a snapshot. The state is read once for all
// snapshots of one version.
func (tx *Tx) BeginSnapshot(f *File, s kv.Snapshot) (err error) {
	tx.File, tx.R = f, s
	if known := f.seen.Load(); known != nil && known.version == s.Version() {
		tx.State = known.state
	} else {
		if tx.State, err = Meta(f, s, codec.KeyState, codec.DecodeState); err != nil {
			return err
		}
		f.seen.Store(&seenState{s.Version(), tx.State})
	}
	tx.Now = f.Clock.Now(tx.State.Epoch, tx.State.Floor)
	return tx.look()
}

// look makes tx use the declarations and the keys as of this transaction.
func (tx *Tx) look() error {
	if err := tx.declare(); err != nil || tx.Ring == nil {
		return err
	}
	return tx.Ring.look(tx)
}

// doom notes an error of a write. Operations decide before they write, so the
// storage refused it (or there is too much in one transaction), maybe half-way
// through an operation.
func (tx *Tx) doom(err error) error {
	if tx.Doomed == nil {
		tx.Doomed = err
	}
	return err
}

// DoomIf dooms the transaction if err is not nil and something was written that
// must not be committed without what failed.
func (tx *Tx) DoomIf(written bool, err error) error {
	if written && err != nil {
		tx.doom(err)
	}
	return err
}

// ChangeState changes the stored state, for the rest of this transaction too.
// It is read again for that: another Tx may be joined to the same transaction.
func (tx *Tx) ChangeState(change func(*codec.State)) error {
	s, err := Meta(tx.File, tx.R, codec.KeyState, codec.DecodeState)
	if err != nil {
		return tx.doom(err)
	}
	change(&s)
	tx.State = s
	return tx.doom(tx.W.Put(SpaceMeta, []byte(codec.KeyState), s.Append(nil)))
}

// floorEvery is how often the high-water mark of the clock is stored, in
// milliseconds, as long as there are commits: a crash loses the times that only
// reads have seen since.
const floorEvery = 60_000

// Put and the other writers below store the high-water mark of the clock along
// with the first write of a transaction, when the stored one is a minute old.
func (tx *Tx) Put(space kv.Space, key string, value []byte) error {
	if err := tx.beforeWrite(); err != nil {
		return err
	}
	return tx.doom(tx.W.Put(space, []byte(key), value))
}

// Delete removes a key; an absent key is no error.
func (tx *Tx) Delete(space kv.Space, key string) error {
	tx.Key = append(tx.Key[:0], key...)
	return tx.deleteKey(space)
}

// deleteKey is Delete for tx.Key.
func (tx *Tx) deleteKey(space kv.Space) error {
	if err := tx.beforeWrite(); err != nil {
		return err
	}
	return tx.doom(tx.W.Delete(space, tx.Key))
}

func (tx *Tx) beforeWrite() error {
	switch {
	case tx.W == nil:
		return kv.ErrReadOnly
	case tx.Written:
		return nil
	}
	tx.Written = true
	if tx.Now-tx.State.Floor < floorEvery {
		return nil
	}
	return tx.ChangeState(func(s *codec.State) { s.Floor = max(s.Floor, tx.Now) })
}

// Value returns the value of the record of id, for a decoder that is given
// tx.Key as its key, and missing if there is no record. It is valid until the
// next write.
func (tx *Tx) Value(space kv.Space, id string, missing error) ([]byte, error) {
	tx.Key = append(tx.Key[:0], id...)
	value, ok, err := tx.R.Get(space, tx.Key)
	if err == nil && !ok {
		err = missing
	}
	return value, err
}

// Has reports whether a key is present.
func (tx *Tx) Has(space kv.Space, key string) (bool, error) {
	_, ok, err := tx.R.Get(space, []byte(key))
	return ok, err
}

// PairKey is the key of a pair of texts, such as provider and identifier.
func PairKey(a, b string) string { return string(codec.AppendPair(nil, a, b)) }
