package snib

import (
	"context"

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

// upgrade brings a file of format 1 to format 2, in one transaction. Users,
// identities, attributes and passwords stay as they are. Sessions and tokens
// end: format 2 finds a record by its user, whom a token of format 1 does not
// tell.
func (db *DB) upgrade(ctx context.Context) error {
	done := false
	err := db.store.Exclusive(ctx, func(w kv.Tx) error {
		done = false
		format, err := records.Meta(db.file, w, codec.KeyFormat, codec.DecodeFormat)
		if err != nil || format.Version >= codec.FormatVersion { // another DB was first
			return err
		}
		state, err := records.Meta(db.file, w, codec.KeyState, codec.DecodeState1)
		if err != nil {
			return err
		}
		declared, err := records.Meta(db.file, w, codec.KeyDeclarations, codec.DecodeDeclarations)
		if err != nil {
			return err
		}
		if err := dropTrees(w, formatOneTrees...); err != nil {
			return err
		}
		declared.Version = 1
		done = true
		return db.file.WriteMeta(w, format, codec.State{Epoch: state.Epoch + 1, Floor: state.Floor, Declarations: 1}, declared)
	})
	if err == nil && done {
		db.o.Logger.Warn("snib: the file was upgraded from format 1: all sessions and tokens have ended")
	}
	return err
}
