package snib

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/records"
)

// MoveReport counts the records of an export.
type MoveReport struct {
	// Users are counted in Records too.
	Users   int
	Records int // of all kinds

	// LeftOut counts one-time tokens, codes, lists of recovery codes and factors
	// that wait to be confirmed, which do not travel. Only of [File.Export].
	LeftOut int

	Bytes int64 // that were written; zero of an import
}

// Export writes the accounts to w, as of one moment, in a form that [ImportFile]
// and [ImportStore] read: to move from one engine to another, with every session,
// refresh token, API key and password alive. Others go on reading and writing; later
// writes are not in it. So stop the programs first, or the accounts are in
// two places, where each goes on by itself.
//
// The export is as secret as the store: it has identifiers, attributes, password
// hashes and the key of owners, in clear but for what is sealed under Options.Keys.
// Write it to a file of mode 0600 and remove it afterwards. The import needs the
// same keys.
//
// Left out are one-time tokens and codes, which would be good once more in the
// copy, recovery codes for that reason, quarantine, and rows in buckets of
// Options.Owned, which are the program's. Events, the outbox and the positions of
// its consumers, failed guesses and records of kinds that a later program has added
// travel.
//
// Memory is bounded, and w is written to while a snapshot is open: on a file, pages
// that others free are not used again meanwhile. Without an error the export is
// whole; sync it before the accounts are removed elsewhere. Records are not looked
// at: Check finds damage, before and after. Errors: those of w and of ctx,
// ErrCorrupt, ErrInvalidInput (a nil w); an error of an engine over a network that
// has lost its snapshot.
func (f File) Export(ctx context.Context, w io.Writer) (MoveReport, error) {
	if w == nil {
		return MoveReport{}, during("export", missing("w"))
	}
	m, err := f.db.file.Export(ctx, f.db.store, w)
	return MoveReport(m), during("export", err)
}

// ImportFile reads an export into the file at path, which it creates, or which has
// no accounts; see ImportStore.
func ImportFile(ctx context.Context, path string, r io.Reader, opts *Options) (MoveReport, error) {
	if err := given("path", path); err != nil {
		return MoveReport{}, during("import", err)
	}
	return importTo(ctx, r, opts, func(db *DB) (kv.Store, error) { return db.emptyFile(path) })
}

// ImportStore reads an export, as [File.Export] wrote it, into a store that has no
// accounts. Open the store as ever then; sessions, tokens, keys and passwords go on,
// and declarations are those of the export.
//
// The records are written in steps of up to 256 KiB. If it fails or ends in
// between, the store is incomplete: to open it is [ErrIncomplete]. Run the import
// again with the same export, from its beginning, and it goes on. An export that is
// cut, or was changed by accident, is an ErrCorrupt that says at which byte; the
// frames before it are in the store, which stays closed. The checksums are no
// protection against an attacker with write access to the export.
//
// opts are those of the program: of them Keys, Logger, BusyTimeout, LockTimeout and
// MaxSize are used. Keys under which something is sealed must be among Keys: ErrNoKey, or
// ErrInvalidInput for another key of that id. Codes of authenticators and challenges
// of passkeys that could have been used since the export are refused. No other program may have the store
// open. A store without rows of the program forgets which were declared.
//
// Other errors: ErrInvalidInput (a nil r or engine, "store" if it has accounts, or
// another import has not ended there), ErrForeignFile, ErrNewerFormat, those of r, of
// ctx and of writing.
func ImportStore(ctx context.Context, engine Engine, r io.Reader, opts *Options) (MoveReport, error) {
	if engine == nil {
		return MoveReport{}, during("import", missing("engine"))
	}
	if err := onlyOfFiles(opts); err != nil {
		return MoveReport{}, during("import", err)
	}
	return importTo(ctx, r, opts, func(db *DB) (kv.Store, error) {
		db.shared = true
		return engine.Open(ctx, kv.Setup{
			Spaces: records.Spaces, Init: db.initialise, BusyTimeout: db.o.BusyTimeout, Logger: db.o.Logger,
		})
	})
}

func importTo(ctx context.Context, r io.Reader, opts *Options, open func(*DB) (kv.Store, error)) (report MoveReport, err error) {
	if r == nil {
		return report, during("import", missing("r"))
	}
	db, err := prepare(opts)
	if err != nil {
		return report, during("import", err)
	}
	if db.store, err = open(db); err != nil {
		return report, during("import", err)
	}
	defer func() { err = during("import", errors.Join(err, db.store.Close())) }()
	to := records.Importer{Store: db.store, Wall: db.clock.Wall().UnixMilli(), Keys: db.keysOfExport}
	err = db.store.View(ctx, func(r kv.Reader) error {
		_, to.Rows = kv.As[kv.Rows](r) // not of tables, whose names mean something else
		return nil
	})
	if err != nil {
		return report, err
	}
	m, err := db.file.Import(ctx, r, to)
	switch {
	case errors.Is(err, records.ErrAccounts):
		err = &InputError{Field: "store", Code: CodeTaken, Reason: "has accounts already"}
	case errors.Is(err, records.ErrOther):
		err = &InputError{Field: "store", Code: CodeNotAllowed, Reason: "has a part of another export"}
	}
	return MoveReport(m), err
}

// keysOfExport verifies Options.Keys by the canaries of an export.
func (db *DB) keysOfExport(stored codec.SealKeys) error {
	if len(db.o.Keys) > 0 {
		if err := db.openKeys(false); err != nil {
			return err
		}
		if err := db.file.VerifyKeys(stored); err != nil {
			return err
		}
	}
	for _, k := range stored.Keys {
		if k.Uses != 0 && !db.file.HasKey(k.ID) {
			return fmt.Errorf("%w: %s", ErrNoKey, k.ID)
		}
	}
	return nil
}
