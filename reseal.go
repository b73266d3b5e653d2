package snib

import (
	"context"
	"errors"

	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/passes"
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
	pass := passes.Reseal{
		Runner: db.steps(), Passwords: db.o.Passwords.Seal, Lost: lost, Told: db.o.told("reseal"),
		RemovePassword: func(ctx context.Context, user string) (int, error) { return db.removeLost(ctx, UserID(user), lost) },
	}
	err = pass.Run(ctx)
	report.Sealed, report.Removed = pass.Sealed, pass.Removed
	if err != nil {
		return report, err
	}
	err = db.store.Exclusive(ctx, func(w kv.Tx) error {
		tx, err := db.begin(w, w)
		if err == nil {
			report.Retired, report.Left, err = tx.rec.RetireKeys(ctx)
		}
		return err
	})
	if err == nil {
		pass.Done()
	}
	return report, err
}

// removeLost removes a password that is still sealed under a lost key when the
// write has its turn, with the sessions and tokens that depend on it.
func (db *DB) removeLost(ctx context.Context, id UserID, lost []string) (int, error) {
	return result(ctx, "", db.update, func(tx *Tx) (int, error) {
		u, err := tx.user(id)
		switch {
		case errors.Is(err, ErrUserNotFound):
			return 0, nil
		case err != nil || !tx.rec.SealedUnder(u.PasswordHash, lost):
			return 0, err
		}
		_, err = tx.RemoveUserPassword(id)
		return 1, err
	})
}
