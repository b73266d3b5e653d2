// Package boltkv is the bbolt engine: package kv's contract kept on one file,
// with group commit.
//
// # Layout
//
// One top-level bucket holds one flat bucket for each space, and while spaces
// are being built to take the place of others, a bucket with those (shadow.go).
// Other buckets in the file belong to the application and are not touched.
//
// # Durability
//
// bbolt writes the pages of a transaction, syncs, writes a meta page that
// points to them, and syncs again; an answer is given after the second sync.
// Operations that wait at the same time share one such transaction, so that
// the two syncs are paid once for many, and so do closures, apart from them.
// See [Store.Apply], turns.go and group.go.
//
// # Damage
//
// Before bbolt maps a file, its meta pages, length, free list and root are
// checked (check.go), and the pages that lead to our records (skeleton.go). A
// page that bbolt refuses later, keys out of order, and a memory fault in the
// map of a file that was cut or cannot be read, become kv.ErrCorrupt. Not
// survived are branch pages that lead to each other, on which bbolt recurses
// without end, where the check does not see them: in the application's buckets,
// under a leaf that says it is a branch beyond the first 1,024 leaves, and when
// the file is damaged after it was opened; and a file cut below its two meta
// pages in the instant between our look at its length and bbolt's.
//
// # Goroutines
//
// There is the writer, and only while operations wait, and for an instant the
// goroutines that end the transactions kept for reading (pool.go). A lone
// operation is its own writer. Transactions that the application runs on the
// same handle are seen and waited for as bbolt does it.
package boltkv

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/kv/admit"
	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// Errors of this engine, beside those of package kv.
var (
	// ErrLocked is returned by Open when another process, or another Open in
	// this one, kept the file until LockTimeout was over.
	ErrLocked = kv.ErrLocked

	// ErrForeign is returned by Open for a file that is not bbolt's, or is
	// bbolt's and has no bucket of ours. The file is left as it is.
	ErrForeign = kv.ErrForeign

	// ErrNoSync is returned by Attach for a handle with NoSync.
	ErrNoSync = errors.New("handle does not sync its commits")

	// ErrPageSize is returned by Attach for a handle whose file Open would
	// refuse: of pages that are not a power of two from 1 KiB to 16 MiB.
	ErrPageSize = errors.New("handle has pages of another size than 1 KiB to 16 MiB")
)

// The sizes of pages that bbolt finds by itself in a file.
const (
	minPage = 1 << 10
	maxPage = 1 << 24
)

// pageSizeFits reports whether Open finds a file of pages of this size.
func pageSizeFits(size int64) bool {
	return size >= minPage && size <= maxPage && size&(size-1) == 0
}

// Options sets the spaces, bounds and waits of a store.
type Options struct {
	// Bucket is the name of the top-level bucket, such as "snib".
	Bucket string

	// Spaces are the spaces; a kv.Space is an index into them.
	Spaces []kv.SpaceSpec

	// LockTimeout bounds how long Open waits for the lock of the file; zero
	// or less is 10 seconds.
	LockTimeout time.Duration

	// BusyTimeout bounds how long a write waits for its turn; zero is 10
	// seconds, less leaves it to the context.
	BusyTimeout time.Duration

	// InsecureNoSync gives up durability: commits are not synced.
	InsecureNoSync bool

	// MaxSize bounds the file, in bytes; zero or less is no bound. A write that
	// would grow the file beyond it is refused with kv.ErrFull. The last MiB is
	// kept for operations that remove (see room.go), if MaxSize is 4 MiB or
	// more and the system is not Windows. Only for Open.
	MaxSize int64

	// Init writes the first content of a new store, without bounds, in the
	// transaction that makes the store visible. It may be nil.
	Init func(kv.Tx) error

	// SkipShadows lets Open take a file whose shadows are damaged. Nothing may be
	// written to it: Compact makes a file without them.
	SkipShadows bool

	// Twice is for tests: each closure of Update, Apply and Exclusive is run
	// twice, and the writes and the result of the first run are dropped.
	Twice bool

	// Logger receives events that no caller learns of; nil discards them.
	Logger *slog.Logger
}

const defaultTimeout = 10 * time.Second

// shadows is the name of the bucket of spaces that are being built, beside the
// spaces. None of them may have it.
const shadows = "shadow"

// withDefaults returns o completed, or says which field is wrong.
func (o Options) withDefaults() (Options, error) {
	if o.Bucket == "" {
		return o, errors.New("boltkv: Options.Bucket is empty")
	}
	seen := map[kv.SpaceSpec]bool{}
	for _, spec := range o.Spaces {
		same := kv.SpaceSpec{Name: spec.Name, Shadow: spec.Shadow}
		if spec.Name == "" || spec.Name == shadows || seen[same] {
			return o, fmt.Errorf("boltkv: Options.Spaces has an empty name, one twice, or one that is reserved: %q", spec.Name)
		}
		seen[same] = true
	}
	if o.LockTimeout <= 0 {
		o.LockTimeout = defaultTimeout
	}
	if o.BusyTimeout == 0 {
		o.BusyTimeout = defaultTimeout
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o, nil
}

// Store is a kv.Store on one bbolt file.
type Store struct {
	db       live
	path     string // that was given to Open, absolute; empty for Attach
	pageSize int
	opt      Options

	gate    admit.Gate // counts the calls inside, and may keep others out
	copying copyGate   // copies of the file's bytes, or one Compact

	nest nest // goroutines that are inside a closure
	pool pool // transactions for Pin

	mu      sync.Mutex // guards the next two, and elem of every member
	turns   turns      // members that wait for the writer
	writing bool       // the writer runs, or a member leads

	group *group // in the works; the writer's alone, or the leader's

	lent    atomic.Bool // the application was given the handle, and may write with it
	leads   sync.Mutex  // held by the leader until it has bbolt's lock
	closing sync.Once
	stuck   atomic.Bool // a fault left one of bbolt's locks taken for good

	commits, members, replays, largest, busy, readers atomic.Int64
	last                                              atomic.Int64 // operations in the last commit
}

var _ kv.Store = (*Store)(nil)

func newStore(db *bolt.DB, file *os.File, o Options) *Store {
	s := &Store{pageSize: db.Info().PageSize, opt: o}
	s.db.p.Store(newHandle(db, file))
	s.gate.Init()
	s.nest.Init()
	s.turns.init(o.BusyTimeout)
	s.pool.init(s)
	return s
}

// Attach makes a store on a handle of the application, which keeps the handle
// and closes it after the store. If the bucket is missing it is made and Init
// run, in one transaction; on a read-only handle that is kv.ErrReadOnly.
//
// The application does here part of the work of Open: file mode, the check
// before opening, the size of the map, MaxSize. Attach waits for the handle's
// writer and so must not be called inside a write transaction.
//
// Errors: ErrNoSync unless InsecureNoSync is set, ErrPageSize, kv.ErrReadOnly,
// kv.ErrClosed for a handle that is not open, kv.ErrCorrupt, and the error of Init.
func Attach(db *bolt.DB, o Options) (*Store, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	if db.NoSync && !o.InsecureNoSync {
		return nil, ErrNoSync
	}
	var there bool
	err = guarded(func() error {
		return db.View(func(btx *bolt.Tx) error {
			there = btx.Bucket([]byte(o.Bucket)) != nil
			if !pageSizeFits(int64(db.Info().PageSize)) {
				return ErrPageSize
			}
			return nil
		})
	})
	switch {
	case err != nil:
		return nil, beginError(err)
	case !there && db.IsReadOnly():
		return nil, fmt.Errorf("create bucket %q: %w", o.Bucket, kv.ErrReadOnly)
	case !there:
		if err := populate(db, o); err != nil {
			return nil, err
		}
	}
	return newStore(db, nil, o), nil
}

// populate makes the bucket and its first content, unless another handle's
// user was faster. A panic of Init goes on.
func populate(db *bolt.DB, o Options) (err error) {
	defer faultsPanic()()
	inInit := false
	defer func() {
		if inInit {
			return
		}
		if p := recover(); p != nil {
			err = corrupt(p)
		}
	}()
	return db.Update(func(btx *bolt.Tx) error {
		if btx.Bucket([]byte(o.Bucket)) != nil {
			return nil
		}
		if _, err := btx.CreateBucket([]byte(o.Bucket)); err != nil {
			return fmt.Errorf("create bucket %q: %w", o.Bucket, err)
		}
		if o.Init == nil {
			return nil
		}
		t := newTx(newPages(btx, &o))
		defer t.end()
		inInit = true
		err := o.Init(t)
		inInit = false
		return t.verdict(err)
	})
}

// Close implements kv.Store. Writers that wait are answered kv.ErrClosed, an
// open transaction is waited for, and the handle is closed if Open made it.
// ErrGone, if the file is no longer at its path, comes with all of that done.
// Inside a closure it is kv.ErrNested.
func (s *Store) Close() error {
	if s.nest.inside() {
		return fmt.Errorf("close: %w", kv.ErrNested)
	}
	var err error
	s.closing.Do(func() { err = s.close() })
	return err
}

func (s *Store) close() error {
	s.gate.Shut(kv.ErrClosed)
	s.dismiss()
	s.pool.retire()
	s.gate.Wait(s.stuck.Load)
	file := s.db.at().file
	if file != nil {
		opened.remove(file)
	}
	switch {
	case file == nil:
		return nil
	case s.stuck.Load():
		// bbolt's own Close would wait for ever. The lock and the file are
		// given back; the map is lost to this process.
		return errors.Join(unlockFile(file), file.Close())
	}
	var gone error
	if seen := s.displaced(); seen != "" {
		gone = fmt.Errorf("%w: %s", ErrGone, seen)
		if !errors.Is(s.gate.Reason(), ErrGone) {
			s.opt.Logger.Error("store is closed", "cause", gone)
		}
	}
	if err := errors.Join(gone, s.db.Close()); err != nil {
		return fmt.Errorf("close: %w", err)
	}
	return nil
}

// poison ends the service for good: from now on every call but Close returns
// an error that is kv.ErrClosed and cause. The first cause stays.
func (s *Store) poison(cause error) {
	if s.gate.Shut(fmt.Errorf("%w: %w", kv.ErrClosed, cause)) {
		s.opt.Logger.Error("store ends its service", "cause", cause)
	}
	s.dismiss()
	s.pool.retire()
}

// admit lets a call in, or says why not. An admitted call ends with gate.Leave.
func (s *Store) admit(ctx context.Context) error {
	if err := s.mayBegin(ctx); err != nil {
		return err
	}
	return s.gate.Enter()
}

// mayBegin says why the calling goroutine may not begin a transaction.
func (s *Store) mayBegin(ctx context.Context) error {
	if s.nest.inside() {
		return kv.ErrNested
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	return nil
}

// Stats are numbers since the store was opened, and sizes as of now.
type Stats struct {
	Commits      int64 // bolt transactions that changed something and committed
	Members      int64 // operations they carried
	Replays      int64 // times a group was rolled back and run again
	LargestGroup int64 // operations in the largest commit
	BusyTimeouts int64 // writes that ended with kv.ErrBusy
	FileBytes    int64 // length of the file; zero if unknown
	FreeBytes    int64 // in free pages, as of the last commit; zero with NoStatistics
	OpenReaders  int64 // transactions of View that are open
	Waiting      int64 // writes in the queue
}

// Stats returns the numbers. After Close the sizes are zero.
func (s *Store) Stats() Stats {
	st := Stats{
		Commits:      s.commits.Load(),
		Members:      s.members.Load(),
		Replays:      s.replays.Load(),
		LargestGroup: s.largest.Load(),
		BusyTimeouts: s.busy.Load(),
		OpenReaders:  s.readers.Load(),
		Waiting:      int64(s.waiting()),
	}
	if s.gate.Enter() != nil {
		return st
	}
	defer s.gate.Leave()
	bs := s.db.Stats()
	st.FreeBytes = int64(bs.FreePageN+bs.PendingPageN) * int64(s.pageSize)
	if info, err := s.db.stat(); err == nil {
		st.FileBytes = info.Size()
	}
	return st
}

// beginError turns the error of bbolt's Begin into one of package kv.
func beginError(err error) error {
	switch {
	case errors.Is(err, berrors.ErrDatabaseNotOpen):
		return fmt.Errorf("%w: the bbolt handle is", kv.ErrClosed)
	case errors.Is(err, berrors.ErrDatabaseReadOnly):
		return kv.ErrReadOnly
	}
	return err
}
