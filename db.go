package snib

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/bell"
	"github.com/snibdb/snib/internal/clock"
	"github.com/snibdb/snib/internal/guesses"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/latency"
	"github.com/snibdb/snib/internal/lease"
	"github.com/snibdb/snib/internal/passes"
	"github.com/snibdb/snib/internal/records"
	"github.com/snibdb/snib/internal/reindex"
	"github.com/snibdb/snib/internal/witness"
)

// DB is the accounts in one file, or in one store of several programs. It is safe for concurrent use.
//
// Each method is one transaction: it happens whole and durably, or not at
// all. To put several into one, or to keep rows of your own beside the
// accounts, use Update and View, whose Tx has the same methods.
type DB struct {
	o      settings
	store  kv.Store // a fileStore, but under OpenStore
	far    bool     // a trip for each read that was not foreseen
	shared bool     // other processes may write to the store
	others *others  // of OpenStore; nil for a file
	holder [16]byte // of leases in it: this DB
	clock  *clock.Clock

	// processKey derives successors of refresh tokens. It lives in memory
	// only: without it, neither the file nor an old token tells the next.
	processKey [32]byte
	given      witness.Table // sessions that refreshing gave, until the next one

	file       *records.File // shared by all transactions
	batch      reindex.Batch // smaller in tests
	sweeper    sweeper
	pulsing    sync.WaitGroup // the goroutine of the clocks of machines
	endPulse   context.CancelFunc
	counts     *guesses.Counts // of failed guesses
	bell       bell.Bell       // rings when there is something in the outbox
	keyUses    records.KeyUses // of API keys, not written yet
	tally      tally
	challenges atomic.Uint32 // of passkeys, which this handle has made
	closeOnce  sync.Once
	closeErr   error

	// verified, a hook for tests, is called between the verification of a
	// password and the transaction that relies on it.
	verified func()
}

// fileStore is a kv.Store in a file of its own, or in one of the application's.
type fileStore interface {
	kv.Store
	kv.Extender
	kv.Shadower
	InPlace() error // ErrFileGone unless the path still leads to the file
	Path() string
	Strays(context.Context) error // ErrCorrupt if records are out of reach
	Shadowed(context.Context) (bool, error)
	TryBuild() (done func(), busy <-chan struct{})
	Backup(ctx context.Context, w io.Writer, told func(done, total int64)) error
	BackupFile(ctx context.Context, path string, replace bool, told func(done, total int64)) error
	Compact(ctx context.Context, told func(done, total int64), without ...string) error
	CompactTo(ctx context.Context, path string, replace bool, told func(done, total int64), without ...string) error

	// join works inside a transaction that the application began.
	join(any) (kv.Tx, error)

	// figures are the store's part of Stats.
	figures() Stats
}

// others is what a store of several programs needs of them. It is reached through
// OpenStore, so that programs with a file do not link it.
type others struct {
	agree    func(db *DB, ctx context.Context, after, before codec.Declarations) error
	turn     func(*DB, context.Context) (lease.Turn, error) // to build indexes
	sweeps   func(*DB, context.Context) (bool, error)       // whether this program does
	leftover func(*DB, context.Context) error               // of builds, to be removed
	pulse    func(*DB)                                      // keeps the time moving
}

// inFile returns the store as one in a file, for the abilities of files.
func (db *DB) inFile() (fileStore, error) {
	s, ok := db.store.(fileStore)
	if !ok {
		return nil, fmt.Errorf("no file: %w", ErrUnsupported)
	}
	return s, nil
}

// inPlace returns ErrFileGone if the store is a file that is not where it was.
func (db *DB) inPlace() error {
	if s, ok := db.store.(fileStore); ok {
		return s.InPlace()
	}
	return nil
}

// path returns that of the file; "" for a store without one.
func (db *DB) path() string {
	if s, ok := db.store.(fileStore); ok {
		return s.Path()
	}
	return ""
}

// extend tells the store which spaces the file has.
func (db *DB) extend(spaces []kv.SpaceSpec) {
	if s, ok := db.store.(kv.Extender); ok {
		s.Extend(spaces)
	}
}

// figures are the store's part of Stats.
func (db *DB) figures() Stats {
	switch s := db.store.(type) {
	case fileStore:
		return s.figures()
	case interface{ Figures() kv.Figures }:
		f := s.Figures()
		return Stats{Commits: f.Commits, Operations: f.Operations, Replays: f.Replays, Busy: f.Busy, Trips: f.Trips}
	}
	return Stats{}
}

// View runs fn on one snapshot: everything that fn reads through tx is of one
// moment. Writing methods of tx return ErrReadOnly. It returns fn's error as
// it is.
//
// A long View keeps deleted pages from being used again, so the file grows.
// Do not call methods of db inside: ErrNested. A nil fn is ErrInvalidInput.
func (db *DB) View(ctx context.Context, fn func(tx *Tx) error) error {
	if fn == nil {
		return during("view", missing("fn"))
	}
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
// ErrNested. A nil fn is ErrInvalidInput.
func (db *DB) Update(ctx context.Context, fn func(tx *Tx) error) error {
	if fn == nil {
		return during("update", missing("fn"))
	}
	by, published := by(ctx), false
	defer db.tally.write(latency.Start())
	var last *Tx
	err := db.store.Update(ctx, func(w kv.Tx) error {
		tx, err := db.begin(w, w)
		if err != nil {
			return during("update", err)
		}
		last = tx
		defer tx.end()
		tx.rec.By = by
		if err := fn(tx); err != nil {
			return err
		}
		published = tx.rec.Published
		return during("update", tx.rec.Doomed)
	})
	if published {
		db.bell.Ring()
	}
	last.settle(err == nil)
	return err
}

// read runs fn on a snapshot, again if the engine asks for it: the form of
// every reading method of DB. refs declares the keys that fn will read;
// nil: not known before. Given functions and their argument instead of a
// closure, and with a Tx that was used before, it allocates nothing.
func read[A, T any](ctx context.Context, db *DB, op string, refs declared[A], fn func(*Tx, A) (T, error), arg A) (T, error) {
	for {
		out, err := readOnce(ctx, db, refs, fn, arg)
		if !errors.Is(err, kv.ErrAgain) { // of engines over a network
			return out, during(op, err)
		}
	}
}

func readOnce[A, T any](ctx context.Context, db *DB, refs declared[A], fn func(*Tx, A) (T, error), arg A) (out T, err error) {
	snapshot, err := db.store.Pin(ctx)
	if err != nil {
		return out, err
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
			out = zero
		}
	}()
	tx.db = db
	if far, ok := snapshot.(kv.Wanter); ok {
		far.Want(refs.of(db, arg))
	}
	if err = tx.rec.Begin(db.file, snapshot, nil); err == nil {
		out, err = fn(tx, arg)
	}
	return out, err
}

// declared lists the keys that a read with this argument will need, as far as
// the argument tells. An engine that is far away fetches them in one trip; the
// engine of a file never asks.
type declared[A any] func(*DB, A) []kv.Ref

// of returns the refs of a read, and the state, which every transaction reads.
func (d declared[A]) of(db *DB, arg A) []kv.Ref {
	refs := []kv.Ref{{Space: records.SpaceMeta, Key: []byte(codec.KeyState)}}
	if d != nil {
		refs = append(refs, d(db, arg)...)
	}
	return refs
}

func ref(space kv.Space, key string) []kv.Ref { return []kv.Ref{{Space: space, Key: []byte(key)}} }

// view is read for a closure.
func (db *DB) view(ctx context.Context, fn func(*Tx) error) error {
	run := func(tx *Tx, fn func(*Tx) error) (struct{}, error) { return struct{}{}, fn(tx) }
	_, err := read(ctx, db, "", nil, run, fn)
	return err
}

// viewAhead makes view out of the keys that fn will read.
func (db *DB) viewAhead(refs func() []kv.Ref) func(context.Context, func(*Tx) error) error {
	return func(ctx context.Context, fn func(*Tx) error) error {
		run := func(tx *Tx, fn func(*Tx) error) (struct{}, error) { return struct{}{}, fn(tx) }
		_, err := read(ctx, db, "", func(*DB, func(*Tx) error) []kv.Ref { return refs() }, run, fn)
		return err
	}
}

// update runs fn in a transaction of its own: the form of every writing method
// of DB. fn may run more than once.
func (db *DB) update(ctx context.Context, fn func(*Tx) error) error {
	return db.updateAhead(ctx, nil, fn)
}

// ahead makes update out of updateAhead.
func (db *DB) ahead(foresight func() records.Foresight) func(context.Context, func(*Tx) error) error {
	return func(ctx context.Context, fn func(*Tx) error) error { return db.updateAhead(ctx, foresight, fn) }
}

// aheadIfNeeded makes updateIfNeeded out of neededAhead.
func (db *DB) aheadIfNeeded(foresight func() records.Foresight) func(context.Context, func(*Tx) error) error {
	return func(ctx context.Context, fn func(*Tx) error) error { return db.neededAhead(ctx, foresight, fn) }
}

// updateAhead is update that tells an engine which is far away the reads of fn.
// Other engines do not ask.
func (db *DB) updateAhead(ctx context.Context, foresight func() records.Foresight, fn func(*Tx) error) error {
	by, published := by(ctx), false
	defer db.tally.write(latency.Start())
	var last *Tx
	err := db.store.Apply(ctx, func(w kv.Tx) error {
		if db.far {
			var x records.Foresight
			if foresight != nil {
				x = foresight()
			}
			db.file.Foresee(w, x)
		}
		tx, err := db.begin(w, w)
		if err != nil {
			return err
		}
		last = tx
		tx.rec.By = by
		if err = fn(tx); err == nil {
			err = tx.rec.Doomed // fn may have run a function of the program that ignored it
		}
		published = tx.rec.Published
		return err
	})
	if published {
		db.bell.Ring()
	}
	last.settle(err == nil)
	return err
}

// updateIfNeeded is update for calls that usually, and from a stranger always,
// write nothing: it runs fn on a snapshot first and takes the writer only if fn
// tries to write.
func (db *DB) updateIfNeeded(ctx context.Context, fn func(*Tx) error) error {
	return db.neededAhead(ctx, nil, fn)
}

// neededAhead is updateIfNeeded with a foresight. Far away, where no call waits for a
// writer, it does not look first: a write that writes nothing costs no more.
func (db *DB) neededAhead(ctx context.Context, foresight func() records.Foresight, fn func(*Tx) error) error {
	if db.far {
		return db.updateAhead(ctx, foresight, fn)
	}
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

// steps runs the steps of a pass over all records.
func (db *DB) steps() passes.Runner {
	in := func(run func(context.Context, func(*Tx) error) error) func(context.Context, func(*records.Tx) error) error {
		return func(ctx context.Context, fn func(*records.Tx) error) error {
			return run(ctx, func(tx *Tx) error { return fn(&tx.rec) })
		}
	}
	return passes.Runner{View: in(db.view), Update: in(db.update), IfNeeded: in(db.updateIfNeeded), Far: db.far}
}

// closeTimeout bounds each of the last writes by Close, which are not worth more.
const closeTimeout = time.Second

// A sweeper is the goroutine that sweeps in the background, and the figures of
// all sweeps.
type sweeper struct {
	sweeps, swept atomic.Int64

	cancel context.CancelFunc
	done   sync.WaitGroup
}
