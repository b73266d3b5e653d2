package snib

import (
	"context"
	"errors"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/durable"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/records"
)

// RestoreOptions are for [Restore]. nil and the zero value are the defaults.
type RestoreOptions struct {
	// Replace lets the backup take the place of a file at the path, which
	// must not be open. Without it that is an error that is fs.ErrExist.
	Replace bool

	// KeepSessions lets sessions, refresh tokens and API keys go on as of the backup,
	// those too that were ended since. One-time tokens, invitations and known devices end in
	// any case: one that was used since would be accepted again, and one that
	// was revoked since, trusted again. It has no effect on a backup of format 1,
	// whose upgrade ends them all.
	KeepSessions bool

	// KeepQuarantine keeps the space quarantine of the backup: records that
	// Repair could not read or had to change, kept for 30 days. Otherwise it
	// is removed.
	KeepQuarantine bool

	// Options are those with which the file is used: of them Restore takes
	// Logger, Progress, LockTimeout, Now and Keys, which must be those of the
	// backup as far as it knows their ids (ErrInvalidInput, Options.Keys), and
	// with which Check opens what is sealed. Declarations stay as in the backup.
	Options *Options
}

// RestoreReport counts the records of the backup.
type RestoreReport struct {
	CheckReport // of the restored file; Newest is as of when it is

	// Ended counts the sessions, refresh tokens, one-time tokens, known devices
	// API keys and invitations that came back dead, the lists of recovery codes, and the records of kinds that a later program has added.
	// These are removed: a program that does not know them cannot tell what
	// must not be usable again. Of a backup of format 1 it counts none: its
	// upgrade ends all without reading them.
	Ended int
}

// Restore puts a backup at path, in the place of a database that is lost. It
// reads a file that Backup, BackupFile or CompactTo has made, or any database
// that nobody has open, and leaves it as it is. The copy is looked at page by
// page and record by record (Check) before it appears at path, mode 0600 and
// synced, in one step; after an error there is nothing new there. A file that is
// replaced gives it its owner, which takes that owner or root. opts may be nil.
//
// Restoring is an event for security. Everything is again as it was at
// RestoreReport.Newest: users who were deleted since exist, users who were
// disabled since are enabled, and passwords, identities and attributes that
// were changed since are the old ones. Do again what must not be undone.
// Second factors are those of then: one that was added since is gone. Recovery
// codes end, as one that was used since would be good again, and codes of
// authenticators that could have been used since are refused.
// Sessions, refresh tokens and API keys are all ended (see RestoreOptions), by a new
// file epoch, so that none of those that were ended since is accepted.
//
// Errors: fs.ErrExist without Replace; ErrLocked if somebody has one of the two
// open; ErrForeignFile, ErrNewerFormat, ErrCorrupt, with the CheckReport of what
// Check found (open a copy of the backup and Repair it then); ErrFull,
// ErrInvalidInput (an empty path, an option), that of ctx and others of the file system.
func Restore(ctx context.Context, backup, path string, opts *RestoreOptions) (RestoreReport, error) {
	if opts == nil {
		opts = &RestoreOptions{}
	}
	if err := errors.Join(given("backup", backup), given("path", path)); err != nil {
		return RestoreReport{}, during("restore", err)
	}
	report, err := opts.restore(ctx, backup, path)
	return report, during("restore", err)
}

func (o *RestoreOptions) restore(ctx context.Context, backup, path string) (RestoreReport, error) {
	s, err := o.Options.settings()
	if err != nil {
		return RestoreReport{}, err
	}
	if err := ctx.Err(); err != nil {
		return RestoreReport{}, err
	}
	f, err := durable.Create(path, o.Replace)
	if err != nil {
		return RestoreReport{}, err
	}
	defer f.Discard()
	wait := max(s.File.LockTimeout, 1)
	if err := copyFile(ctx, f, backup, wait, s.told("restore")); err != nil {
		return RestoreReport{}, err
	}
	report, err := o.examine(ctx, f.Name(), s.Options)
	if err != nil {
		return report, err
	}
	if err := placeFile(f, path, o.Replace, wait); err != nil {
		return report, err
	}
	s.Logger.Warn("snib: a backup was restored", "newest", report.Newest, "users", report.Users, "ended", report.Ended, "kept", o.KeepSessions)
	return report, nil
}

// examine checks the copy and revokes the sessions and tokens in it.
func (o *RestoreOptions) examine(ctx context.Context, name string, opts Options) (report RestoreReport, err error) {
	opts.Indexes, opts.Providers, opts.Owned, opts.Outbox, opts.SweepEvery, opts.File.MaxSize = nil, nil, nil, nil, -1, 0
	opts.InsecureNoSync = true // the file is synced when it is complete
	db, err := prepare(&opts)
	if err != nil {
		return report, err
	}
	db.o.keysAsTheyAre = true
	if db, err = db.openFile(ctx, name); err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if report.CheckReport, err = db.Check(ctx); err != nil {
		return report, err
	}
	if err := errors.Join(o.removeTrees(ctx, db), db.restartOutbox(ctx)); err != nil {
		return report, err
	}
	steps := db.steps()
	report.Ended = report.Newer + report.Invitations
	for _, k := range records.Kinds {
		if k.Lasts || k.History || o.KeepSessions && !k.UsedOnce {
			continue
		}
		report.Ended += report.Records[records.Spaces[k.Space].Name]
		if o.KeepSessions {
			if _, err := steps.RemoveKind(ctx, k, func(*records.Tx, records.Life) bool { return true }); err != nil {
				return report, err
			}
		}
	}
	codes, err := steps.RewindFactors(ctx, db.clock.Wall().UnixMilli())
	report.Ended += codes
	if err != nil || o.KeepSessions {
		return report, err
	}
	return report, db.EndEverything(ctx)
}

// removeTrees removes from the copy the spaces that do not come back: of kinds
// that this program does not know, and quarantine.
func (o *RestoreOptions) removeTrees(ctx context.Context, db *DB) error {
	names := append(db.file.LaterNames(), codec.SpaceInvitations) // one may have been accepted or revoked since
	if !o.KeepQuarantine {
		names = append(names, codec.SpaceQuarantine)
	}
	return db.store.Exclusive(ctx, func(w kv.Tx) error { return dropTrees(w, names...) })
}
