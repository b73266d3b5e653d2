package snib

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"sync"

	bolt "go.etcd.io/bbolt"

	"github.com/snibdb/snib/internal/clock"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/kv/boltkv"
	"github.com/snibdb/snib/internal/records"
)

// DB is the accounts in one file. It is safe for concurrent use.
//
// Each method is one transaction: it happens whole and durably, or not at
// all. To put several into one, or to keep rows of your own beside the
// accounts, use Update and View, whose Tx has the same methods.
type DB struct {
	o     settings
	store store
	clock *clock.Clock

	// refreshKey derives successors of refresh tokens. It lives in memory
	// only: without it, neither the file nor an old token tells the next.
	refreshKey [32]byte
	opened     int64 // Unix milliseconds; the grace of older rotations starts here

	file      *records.File // shared by all transactions
	sweeper   sweeper
	closeOnce sync.Once
	closeErr  error

	// verified, a hook for tests, is called between the verification of a
	// password and the transaction that relies on it.
	verified func()
}

// store is a kv.Store that can join transactions which the application began.
type store interface {
	kv.Store
	Join(*bolt.Tx) (kv.Tx, error)
	Extend([]kv.SpaceSpec)
	Stats() boltkv.Stats
	InPlace() error // ErrFileGone unless the path still leads to the file
	Backup(ctx context.Context, w io.Writer, told func(done, total int64)) error
	BackupFile(ctx context.Context, path string, replace bool, told func(done, total int64)) error
	Compact(ctx context.Context, told func(done, total int64), without ...string) error
	CompactTo(ctx context.Context, path string, replace bool, told func(done, total int64), without ...string) error
}

// Open opens the database at path, and creates it with mode 0600 if there is
// no file: completely, or not at all. Only one process at a time can have it
// open; opts may be nil.
//
// Besides errors of the operating system (a missing directory), it returns
// ErrLocked, ErrReadOnly, ErrForeignFile, ErrNewerFormat and ErrCorrupt,
// which leave the file untouched, ErrInvalidInput for an option, and
// [ConflictError] for declarations that the users in the file contradict.
func Open(path string, opts *Options) (*DB, error) {
	return OpenContext(context.Background(), path, opts)
}

// OpenContext is Open, which ctx ends: between the steps of an upgrade and of
// building an index, the file stays as it was. A file that waits for its lock
// waits for Options.LockTimeout all the same.
func OpenContext(ctx context.Context, path string, opts *Options) (*DB, error) {
	if path == "" {
		return nil, during("open", &InputError{Field: "path", Reason: "is required"})
	}
	db, err := prepare(opts)
	if err != nil {
		return nil, during("open", err)
	}
	s, err := boltkv.Open(path, db.o.engine(db.initialise))
	if err != nil {
		return nil, during("open", err)
	}
	return db.start(ctx, s)
}

// New keeps the accounts in one bucket, "snib", of a bbolt database that the
// application has opened and goes on using. Close leaves it open. opts may be
// nil.
//
// What Open sees to is the application's here: the file's mode, its lock and
// who else waits for it, the check of a damaged file before it is mapped,
// MaxSize, and a map large enough that a long read does not stall growth
// (bbolt.Options.InitialMmapSize). After a failed sync only this library
// refuses to go on. A handle with NoSync is refused with ErrInvalidInput
// unless Options.InsecureNoSync is set.
//
// Do not call it inside a transaction of b, for which it would wait. It
// returns ErrForeignFile if the bucket "snib" is another program's,
// ErrNewerFormat, ErrCorrupt, ErrReadOnly (a new bucket on a read-only
// handle), ErrInvalidInput and [ConflictError], as Open does.
//
// Several DBs on one handle see each other's commits. The Providers and Indexes
// that the latest of them declares hold for all, from their next transaction
// on.
func New(b *bolt.DB, opts *Options) (*DB, error) {
	if b == nil {
		return nil, during("open", &InputError{Field: "b", Reason: "is required"})
	}
	db, err := prepare(opts)
	if err != nil {
		return nil, during("open", err)
	}
	s, err := boltkv.Attach(b, db.o.engine(db.initialise))
	if errors.Is(err, boltkv.ErrNoSync) {
		err = &InputError{Field: "b", Reason: "must not have NoSync set, without Options.InsecureNoSync"}
	}
	if err != nil {
		return nil, during("open", err)
	}
	return db.start(context.Background(), s)
}

// prepare makes a DB as far as it can be without a store.
func prepare(opts *Options) (*DB, error) {
	s, err := opts.settings()
	if err != nil {
		return nil, err
	}
	db := &DB{o: *s, clock: clock.New(s.Now)}
	db.file = &records.File{Config: records.Config{
		Failures: failures, Clock: db.clock, Rand: s.Rand,
		MaxSessions: s.Sessions.MaxPerUser, MaxFamilies: s.Refresh.MaxPerUser,
	}}
	if _, err := rand.Read(db.refreshKey[:]); err != nil {
		return nil, fmt.Errorf("reading random bytes: %w", err)
	}
	return db, nil
}

// start brings the store to what the options declare and makes db usable. It
// closes the store if it cannot.
func (db *DB) start(ctx context.Context, s store) (*DB, error) {
	db.store = s
	if err := db.adopt(ctx); err != nil {
		return nil, during("open", errors.Join(err, s.Close()))
	}
	db.opened = db.clock.Latest()
	db.startSweeper()
	return db, nil
}

// Close stores the clock, ends the background sweep, waits for transactions
// that are open and closes the file (a handle given to New stays open). Every
// later call of a method that touches the file returns ErrClosed. A second Close returns what
// the first did. Inside a closure it does nothing: ErrNested.
func (db *DB) Close() error {
	if err := db.storeFloor(); errors.Is(err, ErrNested) {
		return during("close", err)
	}
	db.closeOnce.Do(func() {
		db.stopSweeper()
		db.closeErr = during("close", db.store.Close())
	})
	return db.closeErr
}

// View runs fn on one snapshot: everything that fn reads through tx is of one
// moment. Writing methods of tx return ErrReadOnly. It returns fn's error as
// it is.
//
// A long View keeps deleted pages from being used again, so the file grows.
// Do not call methods of db inside: ErrNested.
func (db *DB) View(ctx context.Context, fn func(tx *Tx) error) error {
	return db.store.View(ctx, func(r kv.Reader) error {
		tx, err := db.begin(r, nil)
		if err != nil {
			return during("view", err)
		}
		defer tx.end()
		return fn(tx)
	})
}

// Update runs fn in one read-write transaction. When fn returns nil, all that
// it did through tx and tx.Bolt is committed, and durable before Update
// returns nil. When it returns an error, panics or ends its goroutine, nothing
// of it has happened; its error is returned as it is.
//
// fn runs on the calling goroutine and may share a commit with other writers,
// for which it may have to run again: it should have no effect outside of tx
// and set its results anew at each run. A method of tx that returns an error
// has written nothing, so that fn may look at the error and go on.
//
// The time is fixed when fn begins to run. ctx is honoured while waiting for the
// turn, not once fn has begun. ErrBusy after Options.BusyTimeout; ErrUnknown,
// ErrFull and ErrTooLarge as they say. Do not call methods of db inside:
// ErrNested.
func (db *DB) Update(ctx context.Context, fn func(tx *Tx) error) error {
	return db.store.Update(ctx, func(w kv.Tx) error {
		tx, err := db.begin(w, w)
		if err != nil {
			return during("update", err)
		}
		defer tx.end()
		if err := fn(tx); err != nil {
			return err
		}
		return during("update", tx.rec.Doomed)
	})
}

// Join returns a Tx that works inside btx, a transaction that the application
// began on the handle it gave to New; ErrTxClosed if btx has ended or is of
// another handle. What it does is committed when the
// application commits. It may commit after an error that a method returned, as
// with Update; but when storage itself has failed, every later call returns
// that error, and the application must roll back. The time is fixed when Join
// is called.
//
// The Tx ends with btx: ErrTxClosed. On the goroutine that called Join, the
// methods of db return ErrNested until btx, if it is writable, ends; use the
// Tx, and do not write through btx.DB() either.
func (db *DB) Join(btx *bolt.Tx) (*Tx, error) {
	w, err := db.store.Join(btx)
	if err != nil {
		return nil, during("join", err)
	}
	var writer kv.Tx
	if btx.Writable() {
		writer = w
	}
	tx, err := db.begin(w, writer)
	if err != nil {
		return nil, during("join", err)
	}
	// What a method can answer without the engine, such as a malformed id,
	// must not be answered either when btx has ended.
	tx.gone = func() bool { return btx.DB() == nil }
	return tx, nil
}

// Bolt returns the bbolt transaction under tx, for rows of the application's
// own in the same transaction. Leave the bucket "snib" alone, and do not keep
// it beyond the closure. In Update, taking it counts as writing: there is a
// commit whatever comes. It is nil after tx has ended.
func (tx *Tx) Bolt() *bolt.Tx {
	if tx.ended {
		return nil
	}
	btx, _ := boltkv.Bolt(tx.rec.R)
	return btx
}

// read runs fn on a snapshot: the form of every reading method of DB. Given a
// function and its argument instead of a closure, and with a Tx that was used
// before, it allocates nothing.
func read[A, T any](ctx context.Context, db *DB, op string, fn func(*Tx, A) (T, error), arg A) (out T, err error) {
	snapshot, err := db.store.Pin(ctx)
	if err != nil {
		return out, during(op, err)
	}
	tx := spareTx.Get().(*Tx)
	defer func() {
		if fault := snapshot.Release(recover()); fault != nil {
			err = fault
		}
		tx.reset()
		spareTx.Put(tx)
		if err != nil {
			var zero T
			out, err = zero, during(op, err)
		}
	}()
	tx.db = db
	if err = tx.rec.BeginSnapshot(db.file, snapshot); err == nil {
		out, err = fn(tx, arg)
	}
	return out, err
}

// view is read for a closure.
func (db *DB) view(ctx context.Context, fn func(*Tx) error) error {
	run := func(tx *Tx, fn func(*Tx) error) (struct{}, error) { return struct{}{}, fn(tx) }
	_, err := read(ctx, db, "", run, fn)
	return err
}

// update runs fn in a transaction of its own: the form of every writing method
// of DB. fn may run more than once.
func (db *DB) update(ctx context.Context, fn func(*Tx) error) error {
	return db.store.Apply(ctx, func(w kv.Tx) error {
		tx, err := db.begin(w, w)
		if err != nil {
			return err
		}
		return fn(tx)
	})
}

// updateIfNeeded is update for what often, or for strangers always, comes out
// without a write: fn runs on a snapshot first, and only if it gets as far as
// writing does it take a turn at the writer.
func (db *DB) updateIfNeeded(ctx context.Context, fn func(*Tx) error) error {
	err := db.view(ctx, fn)
	if errors.Is(err, ErrReadOnly) {
		err = db.update(ctx, fn)
	}
	return err
}

// result makes a method that returns a value out of run (view, update or
// updateIfNeeded). The value of a run that came to nothing is dropped.
func result[T any](ctx context.Context, op string, run func(context.Context, func(*Tx) error) error, fn func(*Tx) (T, error)) (T, error) {
	var out, zero T
	err := run(ctx, func(tx *Tx) (err error) {
		out, err = fn(tx)
		return err
	})
	if err != nil {
		return zero, during(op, err)
	}
	return out, nil
}
