package boltkv

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/snibdb/snib/internal/durable"
	bolt "go.etcd.io/bbolt"
)

// errReplaced says that the file which was opened is no longer the one at the
// path, so that Open must start over.
var errReplaced = errors.New("file was replaced while it was opened")

// Open opens the store at path, or creates it there, mode 0600, in a
// directory that exists. It waits for the lock of the file up to
// Options.LockTimeout.
//
// A new database is made complete beside the path, in a file named
// "<name>.creating-*", and appears at the path in one step that never replaces
// a file. Open removes the leftovers of a crash, also those of copies, from the
// directory (durable.Sweep). A file of zero bytes counts as missing.
//
// Removing or replacing the file afterwards ends the service of the store:
// ErrGone. A process that changes its root directory must do so before.
//
// Errors: ErrLocked; ErrForeign and kv.ErrCorrupt, the file being left as it
// is; kv.ErrReadOnly if the file or directory may not be written; the error of
// Init; errors of the file system as they are, wrapped.
func Open(path string, o Options) (*Store, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	given, err := filepath.Abs(path) // the process may change its directory
	if err != nil {
		given = "" // it is in one that has gone
	} else {
		path = given
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real // temporary files must be in the directory of the real one
	}
	left := newPatience(o.LockTimeout)
	defer left.stop()
	for {
		s, err := open(path, o, left)
		if !errors.Is(err, errReplaced) {
			if err != nil {
				return nil, whoHas(path, err)
			}
			s.path = given
			opened.add(s.db.at().file)
			return s, nil
		}
		if !left.pause() {
			return nil, fmt.Errorf("%w: %s: %w", ErrLocked, path, err)
		}
	}
}

func open(path string, o Options, left *patience) (*Store, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := create(path, o); err != nil {
			return nil, fileError(err)
		}
		if info, err = os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return nil, errReplaced // by nothing
		}
	}
	if err == nil {
		err = durable.Plain(path)
	}
	if err == nil && info.Size() == 0 {
		err = adopt(path, o, left)
	}
	if err != nil {
		return nil, fileError(err)
	}
	bo := o.bolt(info.Size())
	h := &hook{left: left, bucket: o.Bucket, blind: o.SkipShadows}
	db, err := h.open(path, bo)
	if err != nil {
		return nil, fileError(err)
	}
	settle(db)
	s := newStore(db, h.file, o)
	if s.db.at().roomy = roomy(bo, info.Size()); !s.db.at().roomy && bo.InitialMmapSize > 0 {
		o.Logger.Warn("little address space: writers will wait for readers when the file grows", "mapped", bo.InitialMmapSize)
	}
	if h.empty {
		private(h.file, o.Logger) // it was not made by us
	} else if open := info.Mode().Perm() & 0o007; open != 0 && runtime.GOOS != "windows" {
		o.Logger.Warn("every user of this machine may use the file", "mode", info.Mode())
	}
	if err := s.settleIn(h.empty); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	if removed, err := durable.Sweep(path); err != nil || len(removed) > 0 {
		o.Logger.Info("removed what a crash had left beside the file", "files", removed, "error", err)
	}
	return s, nil
}

// OpenReadOnly opens the file at path and leaves it, and the directory, byte for
// byte as they are: nothing is created, no leftover of a crash is removed. Several
// readers can have the file open, and none can beside a writer (ErrLocked); each
// waits up to Options.LockTimeout. Every write is kv.ErrReadOnly.
//
// Errors are those of Open, and fs.ErrNotExist. An empty file is ErrForeign.
func OpenReadOnly(path string, o Options) (*Store, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	given, err := filepath.Abs(path)
	if err != nil {
		given = path
	}
	left := newPatience(o.LockTimeout)
	defer left.stop()
	for {
		s, err := openReadOnly(given, o, left)
		switch {
		case err == nil:
			s.path = given
			opened.add(s.db.at().file)
			return s, nil
		case !errors.Is(err, errReplaced):
			return nil, whoHas(path, err)
		}
		if _, err := os.Stat(given); err != nil {
			return nil, fileError(err)
		}
		if !left.pause() {
			return nil, fmt.Errorf("%w: %s: %w", ErrLocked, path, err)
		}
	}
}

func openReadOnly(path string, o Options, left *patience) (*Store, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, fileError(err)
	case info.Mode().IsRegular() && info.Size() == 0:
		return nil, fmt.Errorf("%w: it is empty", ErrForeign)
	}
	if err := durable.Plain(path); err != nil {
		return nil, fileError(err)
	}
	bo := o.bolt(info.Size())
	bo.ReadOnly, bo.PreLoadFreelist = true, true // the free list is for Stats
	bo.InitialMmapSize = 0                       // the file does not grow
	h := &hook{left: left, bucket: o.Bucket, blind: o.SkipShadows, shared: true}
	db, err := h.open(path, bo)
	if err != nil {
		return nil, fileError(err)
	}
	s := newStore(db, h.file, o)
	s.db.at().roomy = true // no writer waits for a long read
	if err := s.settleIn(false); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return s, nil
}

// bolt are bbolt's options for a file of size bytes.
func (o *Options) bolt(size int64) bolt.Options {
	return bolt.Options{
		Timeout:         o.LockTimeout,
		FreelistType:    bolt.FreelistArrayType,
		NoSync:          o.InsecureNoSync,
		MaxSize:         int(min(max(o.MaxSize, 0), maxInt)),
		InitialMmapSize: affordable(mapSize(size), size),

		// Only for Open, which would write a missing free list at once, into
		// a file that may not be ours.
		NoFreelistSync: true,
	}
}

// roomy reports whether o maps as much ahead of a file of size bytes as Open
// wants.
func roomy(o bolt.Options, size int64) bool {
	return o.InitialMmapSize > 0 && o.InitialMmapSize == mapSize(size)
}

// settle makes the settings that bbolt has no options for.
func settle(db *bolt.DB) {
	db.NoFreelistSync = false
	db.AllocSize = growStep
}

const maxInt = int64(^uint(0) >> 1)

// settleIn looks for our bucket. Only in a file that was empty it is made.
func (s *Store) settleIn(empty bool) error {
	if empty {
		if err := populate(s.db.at().DB, s.opt); err != nil {
			return err
		}
	}
	return guarded(func() error {
		return s.db.View(func(btx *bolt.Tx) error {
			s.saw(btx)
			if btx.Bucket([]byte(s.opt.Bucket)) == nil {
				return fmt.Errorf("%w: no bucket %q", ErrForeign, s.opt.Bucket)
			}
			return nil
		})
	})
}

// hook is bbolt's way to the file.
type hook struct {
	left   *patience
	bucket string // whose trees must be sound
	blind  bool   // to shadows
	shared bool   // the lock, which then is one of readers
	file   *os.File
	empty  bool // it had no bytes
}

// open opens the file at path with bbolt, which must not create it.
func (h *hook) open(path string, o bolt.Options) (db *bolt.DB, err error) {
	defer faultsPanic()()
	defer func() {
		if p := recover(); p != nil {
			// bbolt has mapped the file, and a map keeps a lock alive.
			err = errors.Join(corrupt(p), unlockFile(h.file), h.file.Close())
		}
	}()
	o.OpenFile = func(path string, flag int, mode os.FileMode) (*os.File, error) {
		if h.file != nil { // bbolt keeps the hook, for copies of the database
			return os.OpenFile(path, flag, mode)
		}
		f, err := os.OpenFile(path, flag&^os.O_CREATE, 0o600)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, errReplaced // by nothing, so far
		}
		if err != nil {
			return nil, err
		}
		if err := h.examine(f, path); err != nil {
			return nil, errors.Join(err, f.Close())
		}
		h.file = f
		return f, nil
	}
	db, err = bolt.Open(path, 0o600, &o)
	if err != nil || lockedFirst {
		return db, err
	}
	// Only now the lock is held: look again.
	if err := h.same(h.file, path); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// examine locks f and decides whether bbolt may have it. bbolt's own lock, on
// the same open file, then succeeds at once.
func (h *hook) examine(f *os.File, path string) error {
	lock := lockFile
	if h.shared {
		lock = lockShared
	}
	if err := lock(f, h.left); err != nil {
		return err
	}
	if err := h.same(f, path); err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if h.empty = info.Size() == 0; h.empty {
		return nil
	}
	for tries := 0; ; tries++ {
		err = (&file{r: f, size: info.Size()}).check(h.bucket, h.blind)
		if err == nil || lockedFirst || tries == 5 || !h.left.pause() {
			return err // without the lock, a file being written is looked at again
		}
	}
}

// same is errReplaced unless f is the file at path. After a wait the lock may
// be that of a file which another process, its last owner, has replaced by a
// compacted copy.
func (h *hook) same(f *os.File, path string) error {
	mine, err := f.Stat()
	if err != nil {
		return err
	}
	there, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return errReplaced
	case err != nil:
		return err
	case !os.SameFile(mine, there):
		return errReplaced
	}
	return nil
}

// link is os.Link; a test does without.
var link = os.Link

// create makes a database at path, or at least an empty file, unless one
// appears there first.
func create(path string, o Options) error {
	f, err := prepare(path, o)
	if err != nil {
		return err
	}
	defer f.Remove()
	switch err := link(f.Name(), path); {
	case err == nil:
		return durable.SyncDir(path)
	case errors.Is(err, fs.ErrExist):
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("symbolic link to nowhere: %w", err)
		}
		return nil
	}
	// No hard links here. An empty file is put at the path, to be adopted.
	empty, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return empty.Close()
}

// adopt replaces an empty file by a complete database, holding the lock of the
// empty one, so that of several processes one does it and the others start
// over. Where that cannot be done, bbolt and Init fill the file in place, and
// a crash between the two leaves one that is ErrForeign.
func adopt(path string, o Options, left *patience) error {
	if !lockedFirst {
		return nil
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return errReplaced
	}
	if err != nil {
		return err
	}
	defer f.Close()
	h := &hook{left: left, bucket: o.Bucket, blind: o.SkipShadows}
	if err := h.examine(f, path); err != nil || !h.empty {
		return err
	}
	whole, err := prepare(path, o)
	if err != nil {
		return err
	}
	if err := os.Rename(whole.Name(), path); err != nil {
		o.Logger.Warn("create in place", "cause", err)
		whole.Remove()
		return nil
	}
	whole.Close()
	return durable.SyncDir(path)
}

// prepare makes a complete database beside path.
func prepare(path string, o Options) (*durable.Temp, error) {
	f, err := durable.Beside(path, "creating")
	if err != nil {
		return nil, err
	}
	done := false
	defer func() { // Init may also panic or end the goroutine
		if !done {
			f.Remove()
		}
	}()
	db, err := bolt.Open(f.Name(), 0o600, &bolt.Options{Timeout: o.LockTimeout, NoSync: o.InsecureNoSync})
	if err != nil {
		return nil, err
	}
	defer db.Close() // again, if it was
	if err := errors.Join(populate(db, o), db.Close()); err != nil {
		return nil, err
	}
	if !o.InsecureNoSync {
		if err := f.Sync(); err != nil {
			return nil, err
		}
	}
	done = true
	return f, nil
}

// patience is the rest of a wait.
type patience struct{ over *time.Timer }

func newPatience(d time.Duration) *patience { return &patience{time.NewTimer(d)} }

func (p *patience) stop() { p.over.Stop() }

// pause waits a moment and reports false, now and from now on, once the wait
// is over.
func (p *patience) pause() bool {
	moment := time.NewTimer(10 * time.Millisecond)
	defer moment.Stop()
	select {
	case <-p.over.C:
		p.over.Reset(0)
		return false
	case <-moment.C:
		return true
	}
}
