// Package kv is the seam between accounts and storage: an ordered key-value
// store with snapshots and serialisable transactions. The interfaces below
// state the contract of an engine, and package kvtest checks it.
//
// The two kinds of transaction come in two forms each. [Store.View] and
// [Store.Update] run an application's closure, which may do anything: it runs
// on the goroutine that called, and a goroutine that is inside one and asks
// for another gets [ErrNested]. [Store.Pin] and [Store.Apply] are the
// library's own: short, never blocking inside, never calling out.
package kv

import (
	"context"
	"errors"
	"fmt"
)

// A Space names one ordered set of keys. Spaces are independent of each other
// and fixed when the store is opened: a Space is an index into the list of
// [SpaceSpec] given then.
type Space int

// SpaceSpec describes a space to the engine.
type SpaceSpec struct {
	Name string

	// Ascending says that new keys mostly arrive in key order, so that an
	// engine with pages may fill them.
	Ascending bool

	// Shadow says that the space is being built to replace the one of the same
	// name. A list may have each name twice, once as a shadow.
	Shadow bool
}

// Bounds of every engine, so that code written against one runs on all. They
// hold for one operation (one closure) and count only its own writes. A
// violation is [ErrTooLarge] and writes nothing. [Store.Exclusive] knows no
// bound but those on keys and values.
const (
	MaxKey    = 1 << 10   // bytes in a key; the shortest key has 1
	MaxValue  = 128 << 10 // bytes in a value
	MaxWrites = 4000      // calls of Put and Delete, and keys removed by DeleteRange
	MaxBytes  = 1 << 20   // keys and values put, together
)

// Ref names one key.
type Ref struct {
	Space Space
	Key   []byte
}

// Reader reads one consistent snapshot, or, in a [Tx], the snapshot under the
// transaction's own writes. It is not safe for concurrent use.
//
// Byte slices handed out are valid until the transaction ends (in a Tx: until
// the next write, if that is earlier) and must not be modified. Arguments are
// not kept.
//
// An engine may find that a read does not fit the snapshot of those before it.
// It returns [ErrAgain] then, and so does every later call on this Reader.
type Reader interface {
	// Get returns the value of key. Absent is ok == false and no error; an
	// empty value is present.
	Get(space Space, key []byte) (value []byte, ok bool, err error)

	// GetMany calls visit once for each of refs, in their order, with its index
	// and the results of Get. An engine that is far away fetches them in one
	// trip, so reads that are known beforehand belong together. An error of
	// visit ends the calls and is returned as it is. visit may read; it must
	// not write.
	GetMany(refs []Ref, visit func(i int, value []byte, ok bool) error) error

	// Scan calls visit for the keys in [from, to) in bytewise ascending
	// order, for at most limit of them. A nil from begins at the first key, a
	// nil to goes on to the last, limit <= 0 is no limit. An error of visit
	// ends the scan and is returned as it is. visit must not write: collect,
	// then write.
	Scan(space Space, from, to []byte, limit int, visit func(key, value []byte) error) error
}

// Wanter is a Reader of an engine that is far away. Want names keys that will
// probably be read: the next read fetches them in its own trip, and their Gets
// need none of their own. It is a hint: results do not depend on it. The keys
// must not be modified before the next read.
type Wanter interface{ Want(refs []Ref) }

// Rows is a Reader of an engine whose store the application shares: it reads,
// moves and removes rows of the application's own, in ordered sets of keys that have
// names. An engine that stands alone has no such method. See [RowsOf].
type Rows interface {
	// ScanRows is Scan for a set; one that is missing is empty. The value of a
	// set inside the set is nil; it is scanned under a longer path.
	ScanRows(path []string, from, to []byte, limit int, visit func(key, value []byte) error) error

	// DeleteRows removes the first keys in [from, to), at most limit of them,
	// and returns how many. A set inside the set counts as one key and as those
	// in it, which go first. The rows do not count against MaxWrites: they were
	// put without it. ErrReadOnly outside of a Tx.
	DeleteRows(set string, from, to []byte, limit int) (int, error)

	// MoveRows gives the keys of a set that begin with from the beginning to in its
	// place, and returns how many it has moved, counted as by DeleteRows. Values and
	// all that is in sets inside the set stay as they are. The caller has looked that
	// the new keys are free: one that is taken is an error of the engine. It has no
	// bound but the caller's, and ErrReadOnly as DeleteRows.
	MoveRows(set string, from, to []byte) (int, error)
}

// RowsOf returns the Rows of a Reader, under wrappers that have the method
// Unwrap() Reader; errors.ErrUnsupported if the engine has none.
func RowsOf(r Reader) (Rows, error) {
	rows, ok := As[Rows](r)
	if !ok {
		return nil, fmt.Errorf("rows beside the accounts: %w", errors.ErrUnsupported)
	}
	return rows, nil
}

// Tx is a read-write transaction.
//
// After an error of the engine (not one of visit, and not ErrTooLarge) the
// transaction is doomed: every later call returns that error, and so does the
// Update or Apply around it, regardless of the closure's result.
type Tx interface {
	Reader
	Put(space Space, key, value []byte) error

	// Delete removes key; an absent key is no error.
	Delete(space Space, key []byte) error

	// DeleteRange removes the keys in [from, to), nil as in Scan, and returns
	// how many there were.
	DeleteRange(space Space, from, to []byte) (int, error)
}

// Snapshot is a pinned read transaction: the hot path, without a closure.
type Snapshot interface {
	Reader

	// Release ends the snapshot and with it every slice it handed out. The
	// snapshot is not to be used again: another may have taken its place.
	//
	// Call it in a deferred function, with the result of recover: a memory
	// fault in the snapshot's mapping (a file truncated or failing under a live
	// map) becomes the error, ErrCorrupt, instead of ending the program. Any
	// other panic goes on. Without a panic the error is nil.
	Release(recovered any) error

	// Version names the commit that the snapshot sees: snapshots of one store
	// with equal versions see the same. A reader may reuse a result computed on
	// one for the others.
	Version() uint64
}

// Versioned is a Reader that names the commit that it sees, as a Snapshot does.
type Versioned interface{ Version() uint64 }

// Store is an engine. It is safe for concurrent use.
//
// Closures given to View, Update and Apply may run more than once, one run
// after the other, and must start their outputs afresh at each run; the result
// of a run that did not commit, or that met [ErrAgain], is void. An error that
// a closure returns is a verdict on a consistent snapshot: nothing is written,
// and the error is returned as it is. The verdict rests on committed state,
// never on writes of others that failed to commit.
//
// Update, Apply and Exclusive have three outcomes: nil means durable and seen
// by every transaction that begins later, an error means that certainly nothing
// was written, and [ErrUnknown] means that either may be. After ErrUnknown an
// engine on a file is poisoned: every call but Close returns an error that is
// ErrClosed and says why. It is not ErrUnknown itself: a call refused afterwards
// has certainly written nothing. An engine on a server goes on: the next
// transaction reads the outcome.
//
// ctx is honoured before and while waiting. A transaction that has begun is
// not abandoned.
type Store interface {
	// View runs fn on a snapshot of its own, on the caller's goroutine.
	View(ctx context.Context, fn func(Reader) error) error

	// Update runs fn, an application's closure, on the caller's goroutine. It
	// may panic or end its goroutine: nothing of it is written then, and
	// writers that share the commit go on.
	Update(ctx context.Context, fn func(Tx) error) error

	// Pin returns a snapshot that sees every commit acknowledged before the
	// call. Its reads may fix it, as in View: they see later commits too, but all
	// the same ones. The caller releases it soon, on the same goroutine, and holds
	// no other meanwhile. If a read of the snapshot returns ErrAgain, the caller
	// releases it, pins another and reads everything anew.
	Pin(ctx context.Context) (Snapshot, error)

	// Apply runs op, an operation of the library, on any goroutine. op
	// neither blocks nor calls out, and decides before it writes: a run that
	// returns an error before its first write costs the others nothing. A
	// panic of op is raised in the caller, with a value that has the stack.
	Apply(ctx context.Context, op func(Tx) error) error

	// Exclusive runs fn in a transaction alone and without the bounds on
	// writes, for rebuilding at open and for repair.
	Exclusive(ctx context.Context, fn func(Tx) error) error

	// Close waits for open transactions, lets queued writers finish or fail
	// with ErrClosed, and releases the file. A second Close returns nil.
	Close() error
}

// Errors of every engine. Engines wrap them with details; no error text
// contains a key or a value.
var (
	ErrClosed   = errors.New("database is closed")
	ErrTxClosed = errors.New("transaction has ended")
	ErrNested   = errors.New("transaction begun inside another of the same goroutine")
	ErrBusy     = errors.New("timed out waiting for the writer")
	ErrReadOnly = errors.New("database is read-only")
	ErrTooLarge = errors.New("operation is too large")
	ErrFull     = errors.New("no space left for the database")
	ErrUnknown  = errors.New("outcome of the commit is unknown")
	ErrCorrupt  = errors.New("database is damaged")
	ErrForeign  = errors.New("file belongs to another program")

	// Of engines that keep a file.
	ErrLocked  = errors.New("database file is locked")
	ErrGone    = errors.New("database file was removed or replaced while it was open")
	ErrOwnFile = errors.New("the path is that of the database itself")

	// ErrAgain says that nothing is wrong and that the reads of this
	// transaction must begin anew. View, Update, Apply and Exclusive run
	// their closure again and never return it; from a Snapshot it is the
	// caller's to act on. An engine on one file, as boltkv is, has no use for
	// it.
	ErrAgain = errors.New("read must be run again")
)
