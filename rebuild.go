package snib

import (
	"context"
	"fmt"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/fold"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/records"
)

// rebuild makes the identities and index entries of all users what is
// declared, in one transaction, and declares it. Two users with one key are a
// ConflictError.
func (db *DB) rebuild(ctx context.Context, w kv.Tx, declared codec.Declarations) error {
	b := rebuilder{db.file, w, records.NewDeclared(declared)}
	for _, space := range []kv.Space{records.SpaceIdentities, records.SpaceAttributes} {
		if _, err := w.DeleteRange(space, nil, nil); err != nil {
			return err
		}
	}
	if err := records.Walk(ctx, w, records.SpaceUsers, func(key, value []byte) error {
		u, err := codec.DecodeUser(key, value)
		if err != nil {
			return db.file.Damaged(records.SpaceUsers, err)
		}
		return b.user(&u)
	}); err != nil {
		return err
	}
	format, err := records.Meta(db.file, w, codec.KeyFormat, codec.DecodeFormat)
	if err != nil {
		return err
	}
	format.Unicode = fold.UnicodeVersion
	if err := w.Put(records.SpaceMeta, []byte(codec.KeyFormat), format.Append(nil)); err != nil {
		return err
	}
	state, err := records.Meta(db.file, w, codec.KeyState, codec.DecodeState)
	if err != nil {
		return err
	}
	state.Declarations = declared.Version
	if err := w.Put(records.SpaceMeta, []byte(codec.KeyState), state.Append(nil)); err != nil {
		return err
	}
	return w.Put(records.SpaceMeta, []byte(codec.KeyDeclarations), declared.Append(nil))
}

type rebuilder struct {
	file *records.File
	w    kv.Tx
	*records.Declared
}

func (b *rebuilder) user(u *codec.User) error {
	identities := u.Identities
	u.Identities = nil
	for _, x := range identities {
		key, reason := b.Fold(x.Provider, x.Identifier)
		if reason != "" {
			return &InputError{Field: "Options.Providers[" + x.Provider + "]", Reason: "refuses an identifier of user " + u.ID}
		}
		x.Key = key
		if records.FindIdentity(u, x) >= 0 {
			continue // two spellings of one user's have become one
		}
		u.Identities = append(u.Identities, x)
		if err := b.claim(records.SpaceIdentities, records.PairKey(x.Provider, x.Key), u.ID, x.Provider, ErrIdentityTaken); err != nil {
			return err
		}
	}
	entries, err := b.file.Entries(b.Indexes, decodeAttributes(u.Attributes))
	if err != nil {
		return fmt.Errorf("user %s: %w", u.ID, err)
	}
	u.Entries = entries
	for _, e := range entries {
		if e.Unique {
			err = b.claim(records.SpaceAttributes, records.EntryKey(e, u.ID), u.ID, e.Name, ErrAttributeTaken)
		} else {
			err = b.w.Put(records.SpaceAttributes, []byte(records.EntryKey(e, u.ID)), nil)
		}
		if err != nil {
			return err
		}
	}
	return b.w.Put(records.SpaceUsers, []byte(u.ID), u.Append(nil))
}

// claim writes a unique entry for user id, unless another user has it.
func (b *rebuilder) claim(space kv.Space, key, id, name string, taken error) error {
	owner, ok, err := records.Reference(b.file, b.w, space, key)
	if err != nil {
		return err
	}
	if ok && owner != id {
		return &ConflictError{Name: name, Users: [2]UserID{UserID(owner), UserID(id)}, kind: taken}
	}
	ref := codec.UserRef{UserID: id}
	return b.w.Put(space, []byte(key), ref.Append(nil, b.file.Name(space), []byte(key)))
}
