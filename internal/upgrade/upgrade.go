// Package upgrade brings a file of format 1 to format 2.
package upgrade

import (
	"bytes"
	"context"
	"errors"
	"log/slog"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/clock"
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

// Config is the file. All fields but Told are required.
type Config struct {
	File  *records.File
	Store kv.Store
	Clock *clock.Clock
	Log   *slog.Logger
	Told  func(done, total int64) // may be nil

	Has  func(w kv.Tx, name string) (bool, error) // whether there is such a tree
	Drop func(w kv.Tx, names ...string) error     // removes trees, by name
}

// Run brings a file of format 1 to format 2, in one transaction. Users,
// identities, attributes and passwords stay as they are, but the empty text is
// no longer a value of a unique index. Sessions and tokens
// end: format 2 finds a record by its user, whom a token of format 1 does not
// tell.
func (c *Config) Run(ctx context.Context) error {
	c.Log.Info("snib: the file is being upgraded from format 1")
	return c.upgraded(ctx, func(w kv.Tx) (bool, error) {
		format, err := records.Meta(c.File, w, codec.KeyFormat, codec.DecodeFormat)
		if err != nil || format.Version >= codec.FormatVersion { // another DB was first
			return false, err
		}
		state, err := records.Meta(c.File, w, codec.KeyState, codec.DecodeState1)
		if err != nil {
			return false, err
		}
		declared, err := records.Meta(c.File, w, codec.KeyDeclarations, codec.DecodeDeclarations)
		if err != nil {
			return false, err
		}
		return true, c.write(w, format, state, declared)
	})
}

// Damaged is Run for RepairFile, before the repair, which is one of
// format 2. One readable record of format 1, or a tree that format 2 does not
// have, shows that the file is of it; damage stays for the repair to
// mend.
func (c *Config) Damaged(ctx context.Context) error {
	return c.upgraded(ctx, func(w kv.Tx) (bool, error) {
		format, formatErr := records.Meta(c.File, w, codec.KeyFormat, codec.DecodeFormat)
		state, stateErr := records.Meta(c.File, w, codec.KeyState, codec.DecodeState1)
		raw, ok, err := w.Get(records.SpaceMeta, []byte(codec.KeyDeclarations))
		if err != nil {
			return false, err
		}
		raw = bytes.Clone(raw)
		declared, declaredErr := codec.DecodeDeclarations(raw)
		old, err := c.Has(w, formatOneIndex)
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
			state.Floor = c.Clock.Latest()
		}
		if err := c.write(w, format, state, declared); err != nil {
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
func (c *Config) upgraded(ctx context.Context, upgrade func(kv.Tx) (bool, error)) error {
	done := false
	err := c.Store.Exclusive(ctx, func(w kv.Tx) (err error) {
		done, err = upgrade(w)
		return errors.Join(err, ctx.Err())
	})
	if err == nil && done {
		c.Log.Warn("snib: the file was upgraded from format 1: all sessions and tokens have ended")
	}
	return err
}

// write writes format 2 in the place of format 1.
func (c *Config) write(w kv.Tx, format codec.Format, state codec.State, declared codec.Declarations) error {
	for i, name := range formatOneTrees {
		if err := c.Drop(w, name); err != nil {
			return err
		}
		if c.Told != nil {
			c.Told(int64(i+1), int64(len(formatOneTrees)))
		}
	}
	if err := c.File.DropEmpty(w, declared.Indexes); err != nil {
		return err
	}
	declared.Version = 1
	return c.File.WriteMeta(w, format, codec.State{Epoch: state.Epoch + 1, Floor: state.Floor, Declarations: 1}, declared)
}
