package snib

import (
	"context"
	"errors"
	"slices"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/records"
)

// Bounds of one step of Reseal, so that it is never in anybody's way.
const (
	resealRecords = 200       // records written in one transaction
	resealBytes   = 256 << 10 // after which a transaction takes no more
)

// ResealReport is the result of Reseal.
type ResealReport struct {
	Sealed  int            // values that were sealed anew, or for the first time
	Removed int            // passwords that were removed and factors that were lost, of keys that are lost
	Retired []string       // ids of keys that nothing in the file needs any more
	Left    map[string]int // values under other keys than the current one, by key id
}

// Reseal seals everything under the first of Options.Keys: values that are under
// an older key, and with PasswordPolicy.Seal password hashes that are not sealed
// yet. Afterwards the keys in Retired can be dropped from Options.Keys, on every
// machine, and destroyed once no backup needs them.
//
// It works in steps of 200 records, between which others have their turn and
// ctx is looked at. Run it again after an interruption: what was done stays
// done. At the end, one transaction counts what is left under each key and
// retires keys; it reads all users in the writer's turn, a few seconds for a
// million. Options.Progress reports it as "reseal".
//
// Values that cannot be opened stay and are counted in Left: those of a key that
// is not in Options.Keys, and those that are not in their place. Passwords under
// a key that is lost for good can never be verified again, and as long as there
// are any, no password can. Name such ids in lost, and their passwords are removed,
// as RemoveUserPassword does: these users need a new one (a reset by mail). Second
// factors under them become [FactorLost], which a recovery code or
// [Factors.Reset] gets around: a key that is lost opens no account. An
// id in lost that Options.Keys has is ErrInvalidInput (lost).
//
// ErrNoKey without Options.Keys, or if another process has made another key the
// current one; ErrCorrupt if a record cannot be read, and then no key is retired.
func (f File) Reseal(ctx context.Context, lost ...string) (ResealReport, error) {
	report, err := f.db.reseal(ctx, lost)
	if err == nil {
		f.db.o.Logger.Info("snib: values were sealed anew", "values", report.Sealed, "retired", report.Retired, "left", report.Left)
	}
	return report, during("reseal", err)
}

func (db *DB) reseal(ctx context.Context, lost []string) (report ResealReport, err error) {
	for _, id := range lost {
		if db.file.HasKey(id) {
			return report, &InputError{Field: "Lost", Code: CodeNotAllowed, Reason: "must not name a key of Options.Keys"}
		}
	}
	err = db.view(ctx, func(tx *Tx) error {
		_, err := tx.rec.CurrentKey()
		return err
	})
	if err != nil {
		return report, err
	}
	visited := int64(0)
	for _, f := range records.SealedFields {
		if err := db.resealField(ctx, f, lost, &report, &visited); err != nil {
			return report, err
		}
	}
	err = db.store.Exclusive(ctx, func(w kv.Tx) error {
		tx, err := db.begin(w, w)
		if err == nil {
			report.Retired, report.Left, err = tx.rec.RetireKeys(ctx)
		}
		return err
	})
	if told := db.o.told("reseal"); told != nil && err == nil {
		told(visited, visited)
	}
	return report, err
}

// resealField walks the records that may hold values of f.
func (db *DB) resealField(ctx context.Context, f records.SealedRow, lost []string, report *ResealReport, visited *int64) error {
	var from []byte
	for {
		var stale, removed [][]byte
		n := int64(0)
		next, err := db.scanPage(ctx, f.Space, from, func(tx *Tx, key, value []byte) {
			n++
			stored, _, err := f.Read(key, value)
			switch {
			case err != nil: // RetireKeys reports it
			case tx.rec.SealedUnder(stored, lost):
				removed = append(removed, slices.Clone(key))
			case !tx.rec.Resealed(f.SealedField, stored, db.o.Passwords.Seal):
				stale = append(stale, slices.Clone(key))
			}
		})
		if err == nil {
			err = db.resealKeys(ctx, f, stale, report)
		}
		if err == nil {
			err = db.removeLost(ctx, f, removed, lost, report)
		}
		if err != nil {
			return err
		}
		*visited += n
		if told := db.o.told("reseal"); told != nil {
			told(*visited, 0)
		}
		if next == nil {
			return nil
		}
		from = next
	}
}

// resealKeys seals the values of some records, in as many transactions as that
// takes.
func (db *DB) resealKeys(ctx context.Context, f records.SealedRow, keys [][]byte, report *ResealReport) error {
	for len(keys) > 0 {
		done, sealed := 0, 0
		err := db.update(ctx, func(tx *Tx) error {
			done, sealed = 0, 0
			for size := 0; done < min(len(keys), resealRecords) && size < resealBytes; done++ {
				outcome, n, err := tx.rec.Reseal(f, keys[done], db.o.Passwords.Seal)
				if err != nil {
					return err
				}
				if size += n; outcome == records.ResealedNow {
					sealed++
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		report.Sealed += sealed
		keys = keys[done:]
	}
	return nil
}

// loseFactor takes the seed of a factor that is sealed under a lost key. The
// factor stays: its user signs in by a recovery code or after Factors.Reset.
func (tx *Tx) loseFactor(key codec.OwnedKey, lost []string) (int, error) {
	f, err := records.OwnedRecord(&tx.rec, records.Factors, key, codec.DecodeFactor)
	switch {
	case errors.Is(err, ErrFactorNotFound):
		return 0, nil
	case err != nil || !tx.rec.SealedUnder(f.Secret, lost):
		return 0, err
	}
	return 1, tx.rec.LoseFactor(f)
}

// removeLost removes passwords that are still sealed under lost keys when the
// write has its turn, with the sessions and tokens that depend on them.
func (db *DB) removeLost(ctx context.Context, f records.SealedRow, keys [][]byte, lost []string, report *ResealReport) error {
	for _, key := range keys {
		removed, err := result(ctx, "", db.update, func(tx *Tx) (int, error) {
			if f.SealedField == records.FactorSeeds {
				return tx.loseFactor(codec.OwnedKey(key), lost)
			}
			u, err := tx.user(UserID(key))
			switch {
			case errors.Is(err, ErrUserNotFound):
				return 0, nil
			case err != nil || !tx.rec.SealedUnder(u.PasswordHash, lost):
				return 0, err
			}
			_, err = tx.RemoveUserPassword(UserID(key))
			return 1, err
		})
		if err != nil {
			return err
		}
		report.Removed += removed
	}
	return nil
}
