package snib

import (
	"bytes"
	"context"
	"errors"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/records"
)

// formatOneTrees are the trees of format 1 that format 2 does not have, or has
// under other keys.
var formatOneTrees = []string{
	"sessions", "user_sessions", "refresh_families", "user_refresh_families",
	"one_time_tokens", "user_one_time_tokens", "quarantine",
}

// formatOneIndex is one that no file of format 2 has.
const formatOneIndex = "user_sessions"

// upgrade brings a file of format 1 to format 2, in one transaction. Users,
// identities, attributes and passwords stay as they are, but the empty text is
// no longer a value of a unique index. Sessions and tokens
// end: format 2 finds a record by its user, whom a token of format 1 does not
// tell.
func (db *DB) upgrade(ctx context.Context) error {
	db.o.Logger.Info("snib: the file is being upgraded from format 1")
	return db.upgraded(ctx, func(w kv.Tx) (bool, error) {
		format, err := records.Meta(db.file, w, codec.KeyFormat, codec.DecodeFormat)
		if err != nil || format.Version >= codec.FormatVersion { // another DB was first
			return false, err
		}
		state, err := records.Meta(db.file, w, codec.KeyState, codec.DecodeState1)
		if err != nil {
			return false, err
		}
		declared, err := records.Meta(db.file, w, codec.KeyDeclarations, codec.DecodeDeclarations)
		if err != nil {
			return false, err
		}
		return true, db.writeUpgrade(w, format, state, declared)
	})
}

// upgradeDamaged is upgrade for RepairFile, before the repair, which is one of
// format 2. One readable record of format 1, or a tree that format 2 does not
// have, shows that the file is of it; what is damaged stays damaged for the repair
// to mend.
func (db *DB) upgradeDamaged(ctx context.Context) error {
	return db.upgraded(ctx, func(w kv.Tx) (bool, error) {
		format, formatErr := records.Meta(db.file, w, codec.KeyFormat, codec.DecodeFormat)
		state, stateErr := records.Meta(db.file, w, codec.KeyState, codec.DecodeState1)
		raw, ok, err := w.Get(records.SpaceMeta, []byte(codec.KeyDeclarations))
		if err != nil {
			return false, err
		}
		raw = bytes.Clone(raw)
		declared, declaredErr := codec.DecodeDeclarations(raw)
		old, err := hasTree(w, formatOneIndex)
		switch {
		case err != nil:
			return false, err
		case formatErr == nil && (format.Application != records.Application || format.Version >= codec.FormatVersion):
			return false, nil
		case formatErr != nil && stateErr != nil && (declaredErr != nil || !old):
			return false, nil
		}
		if formatErr != nil {
			format = codec.Format{CreatedAt: state.Floor} // without Unicode: the repair folds anew
		}
		if stateErr != nil {
			state.Floor = db.clock.Latest()
		}
		if err := db.writeUpgrade(w, format, state, declared); err != nil {
			return false, err
		}
		switch {
		case !ok:
			err = w.Delete(records.SpaceMeta, []byte(codec.KeyDeclarations))
		case declaredErr != nil:
			err = w.Put(records.SpaceMeta, []byte(codec.KeyDeclarations), raw)
		}
		return true, err
	})
}

// upgraded runs upgrade alone and tells the logger if it has done something.
func (db *DB) upgraded(ctx context.Context, upgrade func(kv.Tx) (bool, error)) error {
	done := false
	err := db.store.Exclusive(ctx, func(w kv.Tx) (err error) {
		done, err = upgrade(w)
		return errors.Join(err, ctx.Err())
	})
	if err == nil && done {
		db.o.Logger.Warn("snib: the file was upgraded from format 1: all sessions and tokens have ended")
	}
	return err
}

// writeUpgrade writes format 2 in the place of format 1.
func (db *DB) writeUpgrade(w kv.Tx, format codec.Format, state codec.State, declared codec.Declarations) error {
	told := db.o.told("upgrade")
	for i, name := range formatOneTrees {
		if err := dropTrees(w, name); err != nil {
			return err
		}
		if told != nil {
			told(int64(i+1), int64(len(formatOneTrees)))
		}
	}
	if err := db.file.DropEmpty(w, declared.Indexes); err != nil {
		return err
	}
	declared.Version = 1
	return db.file.WriteMeta(w, format, codec.State{Epoch: state.Epoch + 1, Floor: state.Floor, Declarations: 1}, declared)
}
