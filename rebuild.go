package snib

import (
	"context"
	"fmt"

	"golang.org/x/text/secure/precis"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/kv"
)

// rebuild makes the identities and index entries of all users what is
// declared, in one transaction, and declares it. Two users with one key are a
// ConflictError.
func rebuild(ctx context.Context, w kv.Tx, declared codec.Declarations) error {
	b := rebuilder{w, newDeclared(declared)}
	for _, space := range []kv.Space{spaceIdentities, spaceAttributes} {
		if _, err := w.DeleteRange(space, nil, nil); err != nil {
			return err
		}
	}
	c := checker{ctx: ctx, tx: &Tx{r: w, w: w}}
	if err := c.walk(spaceUsers, func(key, value []byte) error {
		u, err := codec.DecodeUser(key, value)
		if err != nil {
			return damaged(spaceUsers, err)
		}
		return b.user(&u)
	}); err != nil {
		return err
	}
	format, err := meta(w, codec.KeyFormat, codec.DecodeFormat)
	if err != nil {
		return err
	}
	format.Unicode = precis.UnicodeVersion
	if err := w.Put(spaceMeta, []byte(codec.KeyFormat), format.Append(nil)); err != nil {
		return err
	}
	state, err := meta(w, codec.KeyState, codec.DecodeState)
	if err != nil {
		return err
	}
	state.Declarations = declared.Version
	if err := w.Put(spaceMeta, []byte(codec.KeyState), state.Append(nil)); err != nil {
		return err
	}
	return w.Put(spaceMeta, []byte(codec.KeyDeclarations), declared.Append(nil))
}

type rebuilder struct {
	w kv.Tx
	*declared
}

func (b *rebuilder) user(u *codec.User) error {
	identities := u.Identities
	u.Identities = nil
	for _, x := range identities {
		key, err := b.rules[x.Provider].fold(x.Identifier)
		if err != nil {
			return &InputError{Field: "Options.Providers[" + x.Provider + "]", Reason: "refuses an identifier of user " + u.ID}
		}
		x.Key = key
		if findIdentity(u, x) >= 0 {
			continue // two spellings of one user's have become one
		}
		u.Identities = append(u.Identities, x)
		if err := b.claim(spaceIdentities, pairKey(x.Provider, x.Key), u.ID, x.Provider, ErrIdentityTaken); err != nil {
			return err
		}
	}
	entries, err := indexEntries(b.indexes, decodeAttributes(u.Attributes))
	if err != nil {
		return fmt.Errorf("user %s: %w", u.ID, err)
	}
	u.Entries = entries
	for _, e := range entries {
		if e.Unique {
			err = b.claim(spaceAttributes, entryKey(e, u.ID), u.ID, e.Name, ErrAttributeTaken)
		} else {
			err = b.w.Put(spaceAttributes, []byte(entryKey(e, u.ID)), nil)
		}
		if err != nil {
			return err
		}
	}
	return b.w.Put(spaceUsers, []byte(u.ID), u.Append(nil))
}

// claim writes a unique entry for user id, unless another user has it.
func (b *rebuilder) claim(space kv.Space, key, id, name string, taken error) error {
	owner, ok, err := reference(b.w, space, key)
	if err != nil {
		return err
	}
	if ok && owner != id {
		return &ConflictError{Name: name, Users: [2]UserID{UserID(owner), UserID(id)}, kind: taken}
	}
	ref := codec.UserRef{UserID: id}
	return b.w.Put(space, []byte(key), ref.Append(nil, spaces[space].Name, []byte(key)))
}
