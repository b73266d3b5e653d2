package boltkv

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"

	"github.com/snibdb/snib/internal/durable"
	"github.com/snibdb/snib/internal/kv"
	bolt "go.etcd.io/bbolt"
)

// errMoved has bbolt roll back on the file that Compact has replaced.
var errMoved = errors.New("another file is in use now")

// Compact puts a compact copy of the file (see CompactTo) in its place and goes
// on with that.
//
// The copy is made in the writer's turn: it has all acknowledged writes, and
// later ones wait, up to their BusyTimeout. It is complete, synced, opened and
// locked before it takes the name of the file, so that after a crash at any
// point one whole file is there. Transactions that read the old file go on to
// their end, and hold up no other; the space is free when the last has ended.
// Other processes that wait for the lock of the old file see that another one
// is at the path (hook.same).
//
// After an error the old file is in use as before, unless the directory could
// not be synced: then the new one is in place, and the store ends its service,
// because its writes could be gone after a power cut. Copies that run and
// Compact wait for each other. kv.ErrCorrupt if records are out of reach (see Strays):
// the copy would lack them. errors.ErrUnsupported under Attach, whose handle
// is the application's, and where a file in use cannot be replaced (Windows).
func (s *Store) Compact(ctx context.Context, told func(done, total int64), without ...string) error {
	if err := s.admitCopy(ctx); err != nil {
		return err
	}
	defer s.gate.Leave()
	if s.db.at().file == nil || !lockedFirst {
		return fmt.Errorf("replace the file under its handle: %w", errors.ErrUnsupported)
	}
	if !s.opt.SkipShadows { // whose pages lead anywhere
		if err := s.Strays(ctx); err != nil {
			return err
		}
	}
	if err := s.copying.enter(ctx, true); err != nil {
		return err
	}
	defer s.copying.leave()
	f, err := durable.Create(s.db.Path(), true)
	if err != nil {
		return err
	}
	defer f.Discard()
	old := s.db.at()
	var syncing error
	err = s.Exclusive(ctx, func(t kv.Tx) error {
		if f.Placed() { // Options.Twice
			return errMoved
		}
		if err := s.compacted(ctx, f, t, told, without); err != nil {
			return err
		}
		syncing, err = s.moveTo(f)
		return err
	})
	if !f.Placed() {
		return fullError(err)
	}
	if err := s.gate.Enter(); err == nil {
		go s.abandon(old)
	} else {
		old.Close() // Close waits for us, and has ended the readers
	}
	if syncing != nil {
		s.poison(fmt.Errorf("the name of the compacted file may not survive: %w", syncing))
	}
	return syncing
}

// moveTo puts f, a complete database, in the place of the store's file and the
// store on it. The caller has the writer's turn. The error is errMoved if f is
// in place; syncing is then that of the directory.
func (s *Store) moveTo(f *durable.File) (syncing, err error) {
	old := s.db.at()
	info, err := old.file.Stat()
	if err != nil {
		return nil, err
	}
	if err := errors.Join(sameOwner(f.File, info), f.Chmod(info.Mode().Perm())); err != nil {
		return nil, err
	}
	next, err := s.openNext(f.Name(), old)
	if err != nil {
		return nil, err
	}
	old.leaving.Store(true) // before it loses its name
	if syncing = f.Commit(true); !f.Placed() {
		old.leaving.Store(false)
		return nil, errors.Join(syncing, next.Close())
	}
	opened.add(next.file)
	opened.remove(old.file)
	// From here on transactions begin on the new file. The pool's kept
	// transactions would not see commits there. The application may have the
	// old handle: with its file closed, it cannot commit to a file that no path
	// leads to.
	s.db.p.Store(next)
	s.pool.retire()
	for old.entering.Load() != 0 {
		moment(time.Millisecond)
	}
	old.file.Close()
	return syncing, errMoved
}

// openNext opens the database at name, which is about to get the name of old's
// file.
func (s *Store) openNext(name string, old *handle) (next *handle, err error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	var file *os.File
	o := s.opt.bolt(info.Size())
	o.OpenFile = func(path string, flag int, mode fs.FileMode) (_ *os.File, err error) {
		if file != nil { // bbolt keeps the hook, for copies of the database
			return os.OpenFile(path, flag, mode)
		}
		file, err = openAs(name, path)
		return file, err
	}
	err = guarded(func() error {
		db, err := bolt.Open(old.Path(), 0o600, &o)
		if err == nil {
			settle(db)
			next = newHandle(db, file)
			next.number, next.roomy = old.number+1, roomy(o, info.Size())
		}
		return err
	})
	return next, err
}

// abandon closes a handle that is no longer in use when its last reader has
// ended. bbolt's Close alone would hold up readers that are about to begin.
func (s *Store) abandon(old *handle) {
	defer s.gate.Leave()
	for old.Stats().OpenTxN != 0 { // all readers that were entering have begun
		moment(10 * time.Millisecond)
	}
	old.Close() // the file is closed already, and says so
}

func moment(d time.Duration) { <-time.NewTimer(d).C }

// copyGate lets either many in or one alone.
type copyGate struct {
	mu      sync.Mutex
	n       int           // how many are in; -1: one, alone
	changed chan struct{} // closed when a copy leaves; nil: no call waits
}

func (t *copyGate) enter(ctx context.Context, alone bool) error {
	for {
		wait := t.tryEnter(alone)
		if wait == nil {
			return nil
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return fmt.Errorf("wait for a copy: %w", ctx.Err())
		}
	}
}

// tryEnter returns nil, or a channel to wait for before another try.
func (t *copyGate) tryEnter(alone bool) (wait chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case alone && t.n == 0:
		t.n = -1
	case !alone && t.n >= 0:
		t.n++
	default:
		if t.changed == nil {
			t.changed = make(chan struct{})
		}
		return t.changed
	}
	return nil
}

func (t *copyGate) leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.n = max(0, t.n-1)
	if t.changed != nil {
		close(t.changed)
		t.changed = nil
	}
}
