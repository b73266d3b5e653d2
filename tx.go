package snib

import (
	"sync"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/kv"
)

// Tx is one transaction on the accounts, given to the closure of
// [DB.View] or [DB.Update] or made by [DB.Join]. It has the methods of DB
// without a context (the transaction already runs under one), except those
// that hash a password or are transactions of their own kind: Refresh, Sweep,
// Check, Repair, copies, EndEverything, ResetClock. It ends with the closure,
// after which every method returns ErrTxClosed, and is not safe for concurrent
// use.
//
// Methods that write return ErrReadOnly in a View. A method that returns an
// error has written nothing.
type Tx struct {
	db    *DB
	r     kv.Reader
	w     kv.Tx // nil in a read-only transaction
	now   int64 // Unix milliseconds
	ended bool
	gone  func() bool // whether the joined transaction has ended; nil if none was

	state    codec.State // as this transaction sees it
	declared *declared   // likewise
	written  bool
	doomed   error // a write that failed: the transaction must not commit

	// Kept for the next transaction, as memory only.
	key   []byte // of the record being read or deleted
	text  []byte // of the session being returned
	spare codec.User
}

// begin makes the Tx of one transaction, or of one run of it, and fixes its
// time. w is nil in a read-only one.
func (db *DB) begin(r kv.Reader, w kv.Tx) (*Tx, error) {
	state, err := meta(r, codec.KeyState, codec.DecodeState)
	if err != nil {
		return nil, err
	}
	tx := &Tx{db: db, r: r, w: w, now: db.clock.Now(state.Epoch, state.Floor), state: state}
	return tx, tx.declare()
}

// beginSnapshot makes tx the Tx of a snapshot.
func (tx *Tx) beginSnapshot(db *DB, s kv.Snapshot) (err error) {
	tx.db, tx.r = db, s
	if known := db.seen.Load(); known != nil && known.version == s.Version() {
		tx.state = known.state
	} else {
		if tx.state, err = meta(s, codec.KeyState, codec.DecodeState); err != nil {
			return err
		}
		db.seen.Store(&seenState{s.Version(), tx.state})
	}
	tx.now = db.clock.Now(tx.state.Epoch, tx.state.Floor)
	return tx.declare()
}

// seenState is what the snapshots of one version see: true for them for ever,
// and for no other.
type seenState struct {
	version uint64
	state   codec.State
}

// spareTx keeps the Tx of snapshots for the next ones. No application sees
// these, so nobody can use one after it has been given back.
var spareTx = sync.Pool{New: func() any { return new(Tx) }}

// reset makes tx as new, but for the memory that is used again.
func (tx *Tx) reset() {
	identities, entries := tx.spare.Identities[:0], tx.spare.Entries[:0]
	clear(identities[:cap(identities)])
	clear(entries[:cap(entries)])
	*tx = Tx{key: tx.key, text: tx.text, spare: codec.User{Identities: identities, Entries: entries}}
}

// end makes every later call return ErrTxClosed.
func (tx *Tx) end() { tx.ended = true }

// reading is what every reading method of Tx begins with.
func (tx *Tx) reading() error {
	if tx.ended || tx.gone != nil && tx.gone() {
		return ErrTxClosed
	}
	return tx.doomed
}

// writing is what every writing method of Tx begins with.
func (tx *Tx) writing() error {
	if err := tx.reading(); err != nil {
		return err
	}
	if tx.w == nil {
		return ErrReadOnly
	}
	return nil
}

// doom notes an error of a write. Operations decide before they write, so the
// storage refused it (or there is too much in one transaction), maybe half-way
// through an operation: whatever the closure does about the error, nothing of
// the transaction may be committed.
func (tx *Tx) doom(err error) error {
	if tx.doomed == nil {
		tx.doomed = err
	}
	return err
}

// changeState changes the stored state, for the rest of this transaction too.
// It is read again for that: another Tx may be joined to the same transaction.
func (tx *Tx) changeState(change func(*codec.State)) error {
	s, err := meta(tx.r, codec.KeyState, codec.DecodeState)
	if err != nil {
		return tx.doom(err)
	}
	change(&s)
	tx.state = s
	return tx.doom(tx.w.Put(spaceMeta, []byte(codec.KeyState), s.Append(nil)))
}

// floorEvery is how often the clock's floor is stored, in milliseconds, as
// long as there are commits: what was only seen by reads since, a crash loses.
const floorEvery = 60_000

// put and the other writers below store the clock's floor along with the
// first write of a transaction, when the stored one is a minute old.
func (tx *Tx) put(space kv.Space, key string, value []byte) error {
	if err := tx.beforeWrite(); err != nil {
		return err
	}
	return tx.doom(tx.w.Put(space, []byte(key), value))
}

func (tx *Tx) delete(space kv.Space, key string) error {
	tx.key = append(tx.key[:0], key...)
	return tx.deleteKey(space)
}

// deleteKey is delete for what tx.key holds.
func (tx *Tx) deleteKey(space kv.Space) error {
	if err := tx.beforeWrite(); err != nil {
		return err
	}
	return tx.doom(tx.w.Delete(space, tx.key))
}

func (tx *Tx) beforeWrite() error {
	switch {
	case tx.w == nil:
		return ErrReadOnly
	case tx.written:
		return nil
	}
	tx.written = true
	if tx.now-tx.state.Floor < floorEvery {
		return nil
	}
	return tx.changeState(func(s *codec.State) { s.Floor = max(s.Floor, tx.now) })
}

// get returns the value of key, valid until the next write.
func (tx *Tx) get(space kv.Space, key string) ([]byte, bool, error) {
	return tx.r.Get(space, []byte(key))
}

// value returns the value of id's record, for a decoder that is given tx.key
// as its key. missing is what is returned if there is none.
func (tx *Tx) value(space kv.Space, id string, missing error) ([]byte, error) {
	tx.key = append(tx.key[:0], id...)
	value, ok, err := tx.r.Get(space, tx.key)
	if err == nil && !ok {
		err = missing
	}
	return value, err
}

// record reads the record of id with one of the codec's decoders.
func record[T any](tx *Tx, space kv.Space, id string, decode func(key, value []byte) (T, error), missing error) (T, error) {
	var zero T
	value, err := tx.value(space, id, missing)
	if err != nil {
		return zero, err
	}
	out, err := decode(tx.key, value)
	if err != nil {
		return zero, damaged(space, err)
	}
	return out, nil
}

// has reports whether key is present.
func (tx *Tx) has(space kv.Space, key string) (bool, error) {
	_, ok, err := tx.get(space, key)
	return ok, err
}

// pairKey is the key by which an index "owner ␀ member" holds an entry.
func pairKey(owner, member string) string {
	return string(codec.AppendPair(nil, owner, member))
}
