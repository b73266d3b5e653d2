package snib

import (
	"context"

	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/records"
)

// RepairReport is the result of Repair: problems and repairs.
type RepairReport struct {
	Before CheckReport // the result of Check before the repair

	Repairs  []Problem // each repair with its cost; the first 1,000
	Repaired int       // how many there are

	Quarantined int // values kept in the space quarantine
	NotKept     int // and those for which it had no room
}

// Repair makes the file satisfy docs/INVARIANTS.md, in one transaction, and
// reports each repair. Records of users, sessions and tokens are the truth:
// indexes are made to follow from them. The rule, wherever there is a choice,
// is that a repair grants no access that was refused before:
//
//   - A record that cannot be read is dropped, and with a user all that is the
//     user's. Its bytes are kept in the space quarantine, 1 MiB of them in all,
//     and so is the record of a user who loses something by a rule below. They
//     go with their user, or after 30 days.
//   - Of two users with one identity or unique value, it stays with the one to
//     whom the index leads, else with the first. The other loses it, and may
//     be left without an identity until UpdateUserProviderID gives one.
//   - Sessions and tokens that contradict the rest are ended. If the file's
//     state cannot be read, all are (see EndEverything).
//   - Identifiers and indexed values are folded anew if other Unicode tables
//     have been used.
//
// Damage that does not even let a page be read, or leaves records out of reach, is
// ErrCorrupt, and so is a file that Check would still object to; a record of a newer version is
// ErrNewerFormat. Nothing is changed then: restore a backup. Without damage it
// is no more than a Check. It looks at ctx between records. Others wait for
// their turn to write meanwhile; reads go on. Memory grows with the repairs,
// not with the file.
func (db *DB) Repair(ctx context.Context) (RepairReport, error) {
	var done records.RepairReport
	defaults := records.Defaults{Declarations: db.declarations(defaultDeclarations), Guessed: db.o.Providers == nil}
	db.o.Logger.Info("snib: the file is being checked and, where it is damaged, repaired")
	var file *records.File
	if err := db.inReach(ctx); err != nil {
		return RepairReport{}, during("repair", err)
	}
	err := db.store.Exclusive(ctx, func(w kv.Tx) (err error) {
		file = db.file.Fork() // each run begins with what is committed
		done, err = records.Repair(ctx, file, w, defaults, db.o.told("repair"))
		return err
	})
	if err == nil {
		err = db.file.UseOwners(file.OwnerKey)
	}
	switch {
	case err != nil:
		db.o.Logger.Warn("snib: the repair has failed", "error", err)
	case done.Repaired == 0:
		db.o.Logger.Info("snib: there was nothing to repair", "users", done.Before.Users)
	default:
		db.clock.Now(done.State.Epoch, done.State.Floor)
		db.o.Logger.Warn("snib: the file was repaired", "repairs", done.Repaired, "quarantined", done.Quarantined, "not kept", done.NotKept)
	}
	return RepairReport{
		Before: newCheckReport(done.Before), Repairs: problems(done.Repairs), Repaired: done.Repaired,
		Quarantined: done.Quarantined, NotKept: done.NotKept,
	}, during("repair", err)
}
