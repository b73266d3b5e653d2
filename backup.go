package snib

import (
	"context"
	"errors"
	"io"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/kv"
)

// File is the methods on the file as a whole: copies, compaction, its keys and
// its clock. Each is a step, or many, of its own kind: none is for a transaction.
type File struct{ db *DB }

// File returns the methods on the file as a whole.
func (db *DB) File() File { return File{db} }

// CopyOptions are for methods that make a file. nil and the zero value are the
// defaults.
type CopyOptions struct {
	// Replace lets the new file take the place of one at the path. Without
	// it that is an error that is fs.ErrExist. The file that is replaced must
	// not be open as a database elsewhere: commits to it would be lost.
	Replace bool

	// KeepQuarantine makes CompactTo copy the space quarantine too: what
	// Repair could not read or had to change, damage and personal data
	// included, for the 30 days that the file keeps it. Backup and BackupFile
	// copy it always, page by page.
	KeepQuarantine bool
}

func (o *CopyOptions) replace() bool { return o != nil && o.Replace }

// without returns the spaces that a compact copy does not get.
func (o *CopyOptions) without() []string {
	if o != nil && o.KeepQuarantine {
		return nil
	}
	return []string{codec.SpaceQuarantine}
}

// Backup writes a copy of the database file to w, as of one moment, while
// others go on reading and writing: the whole file, buckets of the
// application's own and free pages with deleted values included. It is to be
// kept as well as the file itself. What is sealed under Options.Keys is copied as
// it is: keep the keys too, and elsewhere. [Restore] puts it back.
//
// However slow w is, or if it stops, nobody waits: on Unix, under Open, as
// long as the file stays within what was mapped for it (1 GiB, 64 MiB on 32
// bits, or twice its size when it was opened). Elsewhere, with too little
// address space for that, and under New, the copy goes to a
// temporary file beside the database first, mode 0600, and takes as much space
// there; Open removes one that a crash has left. While it runs, pages that others free are not used again, so the file
// grows.
//
// ctx is looked at between writes to w; the bytes so far are then of no use,
// as after any error. Close ends it with ErrClosed, but waits for a Write of w
// that does not return. Besides errors of w as they are: ErrFull (the
// temporary file), ErrCorrupt, ErrInvalidInput (a nil w).
func (f File) Backup(ctx context.Context, w io.Writer) error {
	if w == nil {
		return during("backup", missing("w"))
	}
	s, err := f.db.inFile()
	if err == nil {
		err = s.Backup(ctx, w, f.db.o.told("backup"))
	}
	return during("backup", err)
}

// BackupFile makes a Backup at path: mode 0600, synced, then put there in one
// step, so that a file at path is a whole backup. After an error there is
// nothing new at or beside path. Others never wait for it under Open; under New
// a commit that must grow a small map does. opts may be nil.
//
// Errors: fs.ErrExist (see [CopyOptions]), ErrInvalidInput (path) if path is
// empty or the database itself, ErrFull, ErrCorrupt, that of ctx, and others of the
// file system. One that is syncing the directory of path leaves the whole
// backup there.
func (f File) BackupFile(ctx context.Context, path string, opts *CopyOptions) error {
	if err := given("path", path); err != nil {
		return during("backup", err)
	}
	s, err := f.db.inFile()
	if err != nil {
		return during("backup", err)
	}
	err = s.BackupFile(ctx, path, opts.replace(), f.db.o.told("backup"))
	return f.db.copied("backup", err)
}

// CompactTo makes a copy at path, as BackupFile does, that has the keys and
// values and nothing else: no free pages, nothing that was deleted or
// replaced, and no quarantine (see [CopyOptions]). The longer the file has been
// in use, the smaller it is. What was deleted stays in the file itself, in other
// copies, and in blocks that the disk has retired.
//
// With the path of the database itself and Replace it is Compact; under New
// that is ErrInvalidInput (path). Without Replace it is fs.ErrExist like any
// other.
//
// Errors are those of BackupFile. opts may be nil.
func (f File) CompactTo(ctx context.Context, path string, opts *CopyOptions) error {
	if err := given("path", path); err != nil {
		return during("compact", err)
	}
	s, err := f.db.inFile()
	if err != nil {
		return during("compact", err)
	}
	err = s.CompactTo(ctx, path, opts.replace(), f.db.o.told("compact"), opts.without()...)
	return f.db.copied("compact", err)
}

// Compact puts a copy as CompactTo makes it in the place of the file, in one step, and
// goes on with that. It takes space for the copy meanwhile. Reads go on, on the old file
// if they have begun; writes wait as long as the copy takes (ErrBusy after
// Options.BusyTimeout), and nothing that was acknowledged is missing. The quarantine of
// Repair ends, as in any compact copy: CompactTo with the path of the database, Replace
// and KeepQuarantine keeps it. After a crash at any point one whole file is there.
// A process that waits to open the file goes on waiting. Copies and Compact wait for each
// other, until ctx ends.
//
// After an error the file is as before, but for a directory that could not be synced:
// then the copy has its place, and the DB refuses everything from then on with
// ErrClosed. Besides errors of BackupFile there are ErrCorrupt for records that the copy
// would lack (see [DB.Check]), and one that is errors.ErrUnsupported under New, whose
// handle is the application's, and on Windows, where a file in use stays.
func (f File) Compact(ctx context.Context) error {
	s, err := f.db.inFile()
	if err != nil {
		return during("compact", err)
	}
	return f.db.copied("compact", s.Compact(ctx, f.db.o.told("compact"), (*CopyOptions)(nil).without()...))
}

// copied maps the outcome of making a copy.
func (db *DB) copied(op string, err error) error {
	switch {
	case errors.Is(err, kv.ErrOwnFile):
		err = &InputError{Field: "path", Code: CodeNotAllowed, Reason: "must not be that of the database"}
	case err == nil:
		db.o.Logger.Info("snib: a copy of the file was made", "op", op)
	}
	return during(op, err)
}
