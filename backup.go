package snib

import (
	"context"
	"errors"
	"io"

	"github.com/snibdb/snib/internal/kv/boltkv"
)

// Progress is how far something that runs long has come.
type Progress struct {
	Op    string // "check", "repair", "index", "backup", "compact" or "restore"
	Done  int64  // bytes; records of "check" and "repair"; of "index" records, at each of its stages
	Total int64  // likewise, once it is known; of "compact" it is a bound
}

// CopyOptions are for methods that make a file. nil and the zero value are the
// defaults.
type CopyOptions struct {
	// Replace lets the new file take the place of one at the path. Without
	// it that is an error that is fs.ErrExist. The file that is replaced must
	// not be open as a database elsewhere: commits to it would be lost.
	Replace bool
}

func (o *CopyOptions) replace() bool { return o != nil && o.Replace }

// told returns what the engine tells of the progress of op.
func (s *settings) told(op string) func(done, total int64) {
	if s.Progress == nil {
		return nil
	}
	return func(done, total int64) { s.Progress(Progress{Op: op, Done: done, Total: total}) }
}

// Backup writes a copy of the database file to w, as of one moment, while
// others go on reading and writing: the whole file, buckets of the
// application's own and free pages with deleted values included. It is to be
// kept as well as the file itself. [Restore] puts it back.
//
// However slow w is, or if it stops, nobody waits: on 64-bit Unix, under Open,
// as long as the file stays within what was mapped for it (1 GiB, or twice
// its size when it was opened). Elsewhere, and under New, the copy goes to a
// temporary file beside the database first, mode 0600, and takes as much space
// there; a crash may leave it, as "<name>.spool-*". While it runs, pages that others free are not used again, so the file
// grows.
//
// ctx is looked at between writes to w; the bytes so far are then of no use,
// as after any error. Close ends it with ErrClosed, but waits for a Write of w
// that does not return. Besides errors of w as they are: ErrFull (the
// temporary file), ErrCorrupt.
func (db *DB) Backup(ctx context.Context, w io.Writer) error {
	err := db.store.Backup(ctx, w, db.o.told("backup"))
	return during("backup", err)
}

// BackupFile makes a Backup at path: mode 0600, synced, then put there in one
// step, so that a file at path is a whole backup. After an error there is
// nothing new at or beside path. Others never wait for it under Open; under New
// a commit that must grow a small map does. opts may be nil.
//
// Errors: fs.ErrExist (see [CopyOptions]), ErrInvalidInput (path) if path is
// the database itself, ErrFull, ErrCorrupt, that of ctx, and others of the
// file system. One that is syncing the directory of path leaves the whole
// backup there.
func (db *DB) BackupFile(ctx context.Context, path string, opts *CopyOptions) error {
	err := db.store.BackupFile(ctx, path, opts.replace(), db.o.told("backup"))
	return db.copied("backup", err)
}

// CompactTo makes a copy at path, as BackupFile does, that has the keys and
// values and nothing else: no free pages, and nothing that was deleted or
// replaced. The longer the file has been in use, the smaller it is. What was
// deleted stays in the file itself, in other copies, and in blocks that the
// disk has retired.
//
// To put it in the place of the file, give the path of the database itself and
// Replace. The copy is then made while no write can begin, and takes the place
// of the file in one step; nothing that was acknowledged is missing in it. The
// DB is over then: reads and writes return ErrClosed; Close it, and Open the
// path again. Another process that was waiting to open the file opens the new
// one. If it fails, the file and the DB are as before, but for a directory that
// could not be synced: then the copy has its place all the same. It fails on
// Windows, where a file in use cannot be replaced, and with ErrInvalidInput
// (path) under New. Without Replace the path of the database is fs.ErrExist like any other.
//
// Errors are those of BackupFile. opts may be nil.
func (db *DB) CompactTo(ctx context.Context, path string, opts *CopyOptions) error {
	if opts.replace() && ctx.Err() == nil {
		// In case it is in place: Close cannot store the clock after that.
		if err := db.storeFloor(); errors.Is(err, ErrNested) || errors.Is(err, ErrClosed) {
			return during("compact", err)
		}
	}
	err := db.store.CompactTo(ctx, path, opts.replace(), db.o.told("compact"))
	return db.copied("compact", err)
}

// copied is what the outcome of making a copy comes to.
func (db *DB) copied(op string, err error) error {
	switch {
	case errors.Is(err, boltkv.ErrOwnFile):
		err = &InputError{Field: "path", Reason: "must not be that of the database"}
	case err == nil:
		db.o.Logger.Info("snib: a copy of the file was made", "op", op)
	}
	return during(op, err)
}
