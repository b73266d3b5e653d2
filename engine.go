package snib

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/snibdb/snib/internal/clock"
	"github.com/snibdb/snib/internal/durable"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/kv/boltkv"
	"github.com/snibdb/snib/internal/records"
	"github.com/snibdb/snib/internal/reindex"
	"github.com/snibdb/snib/internal/upgrade"
)

// This file alone names the engine.

// bbolt is the engine as a store.
type bbolt struct{ *boltkv.Store }

// SwapShadows implements kv.Shadower.
func (bbolt) SwapShadows(w kv.Tx, names ...string) error { return boltkv.Swap(w, names...) }

// DropShadows implements kv.Shadower.
func (bbolt) DropShadows(w kv.Tx) error { return boltkv.DropShadows(w) }

func (b bbolt) join(btx any) (kv.Tx, error) { return b.Join(btx.(*bolt.Tx)) }

func (b bbolt) figures() Stats {
	s := b.Stats()
	return Stats{
		FileBytes: s.FileBytes, FreeBytes: s.FreeBytes,
		Commits: s.Commits, Operations: s.Members, Replays: s.Replays, Largest: s.LargestGroup,
		Busy: s.BusyTimeouts, WaitingWrites: s.Waiting, OpenReaders: s.OpenReaders,
	}
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

// OpenContext is Open, which ctx ends: before an upgrade, or between the steps
// of building an index, the file stays as it was. A file that waits for its lock
// waits for Options.File.LockTimeout all the same.
func OpenContext(ctx context.Context, path string, opts *Options) (*DB, error) {
	if err := given("path", path); err != nil {
		return nil, during("open", err)
	}
	db, err := prepare(opts)
	if err != nil {
		return nil, during("open", err)
	}
	return db.openFile(ctx, path)
}

// emptyFile opens a file for an import.
func (db *DB) emptyFile(path string) (kv.Store, error) {
	s, err := boltkv.Open(path, db.o.engine(db.initialise))
	if err != nil {
		return nil, err
	}
	return bbolt{s}, nil
}

// OpenReadOnly opens a database for tools that only look: the file stays byte
// for byte as it is, as do its modification time and its directory. Several can
// have it open so at once, but not while a program has it open by Open, and the
// reverse: ErrLocked after Options.File.LockTimeout. Every writing method returns
// ErrReadOnly. Declarations are the file's whatever opts say, nothing is swept,
// and no key file is made. opts may be nil.
//
// Errors are those of Open, ErrReadOnly for a file of an earlier format, which
// Open upgrades, and fs.ErrNotExist.
func OpenReadOnly(ctx context.Context, path string, opts *Options) (*DB, error) {
	if err := given("path", path); err != nil {
		return nil, during("open", err)
	}
	db, err := prepare(opts)
	if err != nil {
		return nil, during("open", err)
	}
	db.o.Providers, db.o.Indexes, db.o.Owned, db.o.Outbox, db.o.SweepEvery = nil, nil, nil, nil, -1
	db.o.keysAsTheyAre = true
	s, err := boltkv.OpenReadOnly(path, db.o.engine(nil))
	if err != nil {
		return nil, during("open", err)
	}
	return db.start(ctx, bbolt{s})
}

// openFile makes a prepared DB usable.
func (db *DB) openFile(ctx context.Context, path string) (*DB, error) {
	s, err := boltkv.Open(path, db.o.engine(db.initialise))
	if err != nil {
		return nil, during("open", err)
	}
	return db.start(ctx, bbolt{s})
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
// unless Options.InsecureNoSync is set, and so is one whose pages are not a power
// of two from 1 KiB to 16 MiB, which Open would not open. Sweeps and the counts of failed log-ins
// are written in the background, on the handle of the application: see
// Options.SweepEvery and Options.Throttle.
//
// Do not call it inside a transaction of b, for which it would wait. It
// returns ErrForeignFile if the bucket "snib" is another program's,
// ErrNewerFormat, ErrCorrupt, ErrReadOnly (a new bucket on a read-only
// handle), ErrInvalidInput and [ConflictError], as Open does.
//
// Several DBs on one handle see each other's commits and declarations. Give
// them the same Providers and Indexes, or nil: the one that was made last has
// declared for all. When New finds other ones in the file, the others go on
// reading and writing while it builds; what they write meanwhile is kept. A New
// that would build too waits for its turn.
func New(b *bolt.DB, opts *Options) (*DB, error) {
	if b == nil {
		return nil, during("open", missing("b"))
	}
	db, err := prepare(opts)
	if err != nil {
		return nil, during("open", err)
	}
	s, err := boltkv.Attach(b, db.o.engine(db.initialise))
	switch {
	case errors.Is(err, boltkv.ErrNoSync):
		err = &InputError{Field: "b", Code: CodeNotAllowed, Reason: "must not have NoSync set, without Options.InsecureNoSync"}
	case errors.Is(err, boltkv.ErrPageSize):
		err = &InputError{Field: "b", Code: CodeNotAllowed, Reason: "must have pages of a power of two from 1 KiB to 16 MiB"}
	}
	if err != nil {
		return nil, during("open", err)
	}
	return db.start(context.Background(), bbolt{s})
}

// prepare makes a DB as far as it can be without a store.
func prepare(opts *Options) (*DB, error) {
	s, err := opts.settings()
	if err != nil {
		return nil, err
	}
	db := &DB{o: *s, clock: clock.New(s.Now), batch: reindex.DefaultBatch}
	db.file = &records.File{Config: records.Config{
		Failures: failures, Clock: db.clock, Rand: s.Rand,
		MaxSessions: s.Sessions.MaxPerUser, MaxFamilies: s.Refresh.MaxPerUser,
		Protected: s.Roles.Protected, MaxOutbox: records.MaxOutbox,
	}}
	if _, err := rand.Read(db.processKey[:]); err != nil {
		return nil, fmt.Errorf("reading random bytes: %w", err)
	}
	return db, nil
}

// start brings the store to the declarations of the options and makes db usable. It
// closes the store if it cannot.
func (db *DB) start(ctx context.Context, s kv.Store) (_ *DB, err error) {
	db.store = s
	started := false
	defer func() {
		if !started { // also if Options.Progress has panicked
			err = during("open", errors.Join(err, s.Close()))
		}
	}()
	if err := db.adopt(ctx); err != nil {
		return nil, err
	}
	started = true
	db.startSweeper()
	db.counts.FollowOthers()
	if db.others != nil {
		db.others.pulse(db)
	}
	return db, nil
}

// Close stores the clock, the counts of failed log-ins and the last uses of API
// keys, ends the background sweep, waits for transactions
// that are open and closes the file (a handle given to New stays open). Every
// later call of a method that touches the file returns ErrClosed. A second Close returns what
// the first did. Inside a closure it does nothing: ErrNested.
func (db *DB) Close() error {
	if err := db.storeFloor(); errors.Is(err, ErrNested) {
		return during("close", err)
	}
	db.closeOnce.Do(func() {
		db.stopSweeper()
		db.stopPulse()
		db.stopCounts()
		db.stopKeyUses()
		db.closeErr = during("close", db.store.Close())
		db.bell.Ring() // consumers of the outbox find it closed
	})
	return db.closeErr
}

// Join returns a Tx that works inside btx, a transaction that the application
// began on the handle it gave to New; ErrTxClosed if btx is nil, has ended or is
// of another handle. The application commits it, if it will also after an error
// that a method returned, as with Update; but when storage itself has failed,
// every later call returns that error, and the application must roll back. The
// time is fixed when Join is called.
//
// The Tx ends with btx: ErrTxClosed. On the goroutine that called Join, the
// methods of db return ErrNested until btx, if it is writable, ends; use the
// Tx, and do not write through btx.DB() either.
func (db *DB) Join(btx *bolt.Tx) (*Tx, error) {
	s, err := db.inFile()
	if err != nil {
		return nil, during("join", err)
	}
	w, err := s.join(btx)
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
	if writer != nil {
		btx.OnCommit(db.bell.Ring)
		btx.OnCommit(func() { tx.settle(true) })
	}
	return tx, nil
}

// Bolt returns the bbolt transaction under tx, for rows of the application's
// own in the same transaction. Leave the bucket "snib" alone, and do not keep
// it beyond the closure. In Update, taking it counts as writing: there is a
// commit whatever comes. It is nil after tx has ended.
func (tx *Tx) Bolt() *bolt.Tx {
	btx, _ := tx.Underlying().(*bolt.Tx)
	return btx
}

// Underlying is the engine's own transaction under tx, for programs that know
// which engine it is: a *bbolt.Tx, with what Bolt says of it, or what the engine
// given to [OpenStore] documents. It is nil after tx has ended, and where the
// engine has nothing to hand out.
func (tx *Tx) Underlying() any {
	if tx.ended {
		return nil
	}
	if btx, ok := boltkv.Bolt(tx.rec.R); ok {
		return btx
	}
	if u, ok := kv.As[kv.Underlier](tx.rec.R); ok {
		return u.Underlying()
	}
	return nil
}

// RepairFile is [DB.Repair] for a file that Open refuses, because what it says
// of itself is damaged. Where it does not say any more which Indexes and
// Providers it declares, those of opts are taken; without Providers there it
// is ErrInvalidInput (Options.Providers) if the keys in the file show that the
// defaults were not declared. It returns errors of Open as well, and
// fs.ErrNotExist instead of creating a file. A file of an earlier format is
// upgraded first, as Open does. A damaged tree of an index that was being built
// is dropped, by a copy without it in the place of the file (errors.ErrUnsupported
// on Windows).
func RepairFile(ctx context.Context, path string, opts *Options) (RepairReport, error) {
	if err := given("path", path); err != nil {
		return RepairReport{}, during("repair", err)
	}
	db, err := prepare(opts)
	if err != nil {
		return RepairReport{}, during("repair", err)
	}
	info, err := os.Stat(path)
	if err == nil && info.Size() == 0 {
		err = ErrForeignFile
	}
	if err == nil {
		err = db.openDamaged(ctx, path)
	}
	if err != nil {
		return RepairReport{}, during("repair", err)
	}
	return db.repairFile(ctx)
}

// repairFile repairs the file that was opened for it, and closes it.
func (db *DB) repairFile(ctx context.Context) (report RepairReport, err error) {
	defer func() { err = errors.Join(err, db.store.Close()) }() // also if Options.Progress panics
	if err := db.store.View(ctx, records.Complete); err != nil {
		return report, during("repair", err)
	}
	if len(db.o.Keys) > 0 {
		if err := db.openKeys(false); err != nil {
			return report, during("repair", err)
		}
	}
	if err := db.upgrade().Damaged(ctx); err != nil {
		return report, during("repair", err)
	}
	d := db.declaring()
	spaces, err := d.Damaged(ctx)
	if err != nil {
		return report, during("repair", err)
	}
	db.extend(spaces)
	return db.Repair(ctx)
}

// openDamaged opens the file for RepairFile. Indexes that a crash has left half
// built are no loss: if they are damaged, so that bbolt could not even remove
// them, everything else is copied to a file that takes the place of the damaged
// one, in one step.
func (db *DB) openDamaged(ctx context.Context, path string) error {
	o := db.o.engine(db.initialise)
	s, err := boltkv.Open(path, o)
	if errors.Is(err, ErrCorrupt) {
		damage := err
		if o.SkipShadows = true; ctx.Err() == nil {
			s, err = boltkv.Open(path, o)
		}
		if err != nil {
			return damage
		}
		if err := s.Compact(ctx, nil); err != nil {
			return errors.Join(err, s.Close())
		}
		db.o.Logger.Warn("snib: damaged trees of an index that was being built were dropped", "damage", damage)
	}
	if err == nil {
		db.store = bbolt{s}
	}
	return err
}

// workspace returns a path beside which temporary files may lie, and a function
// that ends it: that of the file, or one in a directory of its own, mode 0700.
func (db *DB) workspace() (path string, remove func(), err error) {
	if path := db.path(); path != "" {
		return path, func() {}, nil
	}
	dir, err := os.MkdirTemp("", "snib-")
	if err != nil {
		return "", nil, fmt.Errorf("make a temporary directory: %w", err)
	}
	return filepath.Join(dir, "store"), func() { os.RemoveAll(dir) }, nil
}

// scratch returns a store of the same spaces in a temporary file, beside the
// database if that is a file, and a function that removes it.
func (db *DB) scratch() (kv.Store, func(), error) {
	path, remove, err := db.workspace()
	if err != nil {
		return nil, nil, err
	}
	f, err := durable.Beside(path, "sorting")
	if err != nil {
		remove()
		return nil, nil, fmt.Errorf("make a temporary file: %w", err)
	}
	s, err := boltkv.Open(f.Name(), boltkv.Options{Bucket: records.Bucket, Spaces: records.Spaces, InsecureNoSync: true})
	if err != nil {
		f.Remove()
		remove()
		return nil, nil, err
	}
	return s, func() { s.Close(); f.Remove(); remove() }, nil
}

// engine returns the options of the store underneath. init fills a new one.
func (s *settings) engine(init func(kv.Tx) error) boltkv.Options {
	return boltkv.Options{
		Bucket:         records.Bucket,
		Spaces:         records.Spaces,
		LockTimeout:    max(s.File.LockTimeout, 1), // not to wait is to look once
		BusyTimeout:    s.BusyTimeout,
		InsecureNoSync: s.InsecureNoSync,
		MaxSize:        s.File.MaxSize,
		Init:           init,
		Logger:         s.Logger,
	}
}

// upgrade makes files of earlier formats those of today.
func (db *DB) upgrade() *upgrade.Config {
	return &upgrade.Config{
		File: db.file, Store: db.store, Clock: db.clock, Log: db.o.Logger, Told: db.o.told("upgrade"), Has: boltkv.Has, Drop: boltkv.Drop,
	}
}

// dropTrees removes spaces of an earlier format, by name.
func dropTrees(w kv.Tx, names ...string) error { return boltkv.Drop(w, names...) }

// copyFile copies a database that no process has open into f, page by page.
func copyFile(ctx context.Context, f *durable.File, from string, wait time.Duration, told func(done, total int64)) error {
	return boltkv.CopyFile(ctx, f, from, wait, told)
}

// placeFile puts f at path, in the place of a database if that may be.
func placeFile(f *durable.File, path string, replace bool, wait time.Duration) error {
	return boltkv.Place(f, path, replace, wait)
}
