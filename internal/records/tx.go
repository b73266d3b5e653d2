package records

import (
	"fmt"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/kv"
)

// Tx is one transaction on the records of a file. The zero value is of no use;
// see [Tx.Begin].
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

	apart bool // the clocks of the machines do not agree

	Key []byte // of the record that was read last; memory for the next one

	owner struct { // that was asked for last
		of string
		is codec.Owner
	}
}

// Owner is [File.Owner], which most calls need several times for one user.
func (tx *Tx) Owner(userID string) codec.Owner {
	if tx.owner.of != userID || userID == "" {
		tx.owner.of, tx.owner.is = userID, tx.File.Owner(userID)
	}
	return tx.owner.is
}

// Begin makes tx, which is zero, the Tx of one transaction, or of one run of it, and
// fixes its time. w is nil in a read-only one.
func (tx *Tx) Begin(f *File, r kv.Reader, w kv.Tx) error {
	tx.File, tx.R, tx.W = f, r, w
	if err := tx.readState(); err != nil {
		return err
	}
	if err := tx.fixTime(); err != nil {
		return err
	}
	return tx.look()
}

// readState reads the state, once for all readers of one version.
func (tx *Tx) readState() (err error) {
	v, versioned := tx.R.(kv.Versioned)
	if versioned {
		if known := tx.File.seen.Load(); known != nil && known.version == v.Version() {
			tx.State = known.state
			return nil
		}
	}
	if tx.State, err = Meta(tx.File, tx.R, codec.KeyState, codec.DecodeState); err == nil && versioned {
		tx.File.seen.Store(&seenState{v.Version(), tx.State})
	}
	return err
}

// fixTime fixes the time of a transaction, once its State is known.
func (tx *Tx) fixTime() (err error) {
	switch tx.Time {
	case OfStore:
		tx.Now, err = tx.storeTime()
	case OfMachines:
		var agreed bool
		tx.Now, agreed = tx.Clock.Agree(tx.State.Epoch, tx.State.Floor)
		tx.apart = !agreed
	default:
		tx.Now = tx.Clock.Now(tx.State.Epoch, tx.State.Floor)
	}
	return err
}

// storeTime returns the time of a store that has a clock. The clock of the process
// follows it.
func (tx *Tx) storeTime() (int64, error) {
	timer, ok := kv.As[kv.Timer](tx.R)
	if !ok {
		return 0, fmt.Errorf("no clock in this transaction of the store: %w", kv.ErrCorrupt)
	}
	now, err := timer.Time()
	if err == nil {
		tx.Clock.Saw(now)
	}
	return now, err
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

// Pulse is floorEvery for machines that agree by the floor, and how often each sees
// to it that there is a new one.
const Pulse = 10_000

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
	if tx.apart {
		return ErrClock
	}
	tx.Written = true
	every := int64(floorEvery)
	switch tx.Time {
	case OfStore: // no floor: nothing that every transaction reads is written
		return nil
	case OfMachines:
		every = Pulse
	}
	if tx.Now-tx.State.Floor < every {
		return nil
	}
	return tx.ChangeState(func(s *codec.State) { s.Floor = max(s.Floor, tx.Now) })
}

// Pulse stores the time of this machine, if no other has done so.
func (tx *Tx) Pulse() error {
	if tx.Now-tx.State.Floor < Pulse {
		return nil
	}
	return tx.beforeWrite()
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
