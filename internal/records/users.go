package records

import (
	"errors"
	"slices"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/token"
)

// MaxIdentities bounds those of one user.
const MaxIdentities = 16

// Classes of password hashes, as stored.
const (
	HashNone    = 0
	HashOwn     = 1 // made here, with the parameters of some version
	HashForeign = 2 // imported: replaced at the next log-in
)

// User returns the record of id, or ErrUserNotFound.
func (tx *Tx) User(id string) (u codec.User, err error) {
	if !token.ValidUserID(id) {
		return u, ErrUserNotFound
	}
	value, err := tx.Value(SpaceUsers, id, ErrUserNotFound)
	if err != nil {
		return u, err
	}
	if u, err = codec.DecodeUser(tx.Key, value); err != nil {
		return codec.User{}, tx.Damaged(SpaceUsers, err)
	}
	return u, nil
}

// PutUser writes the record u and moves identities and index entries from those
// of before to those of u. before is the zero record for a new user. The caller
// checks for conflicts and sets UpdatedAt.
func (tx *Tx) PutUser(before, u *codec.User) error {
	for _, x := range before.Identities {
		if FindIdentity(u, x) < 0 {
			if err := tx.Delete(SpaceIdentities, PairKey(x.Provider, x.Key)); err != nil {
				return err
			}
		}
	}
	for _, e := range before.Entries {
		if !slices.Contains(u.Entries, e) {
			if err := tx.Delete(SpaceAttributes, EntryKey(e, before.ID)); err != nil {
				return err
			}
		}
	}
	for _, x := range u.Identities {
		if FindIdentity(before, x) < 0 {
			if err := tx.putReference(SpaceIdentities, PairKey(x.Provider, x.Key), u.ID); err != nil {
				return err
			}
		}
	}
	for _, e := range u.Entries {
		if !slices.Contains(before.Entries, e) {
			if err := tx.putEntry(e, u.ID); err != nil {
				return err
			}
		}
	}
	if err := tx.moveRoles(before, u); err != nil {
		return err
	}
	if err := tx.MarkUse(PasswordHashes, u.PasswordHash); err != nil {
		return err
	}
	return tx.Put(SpaceUsers, u.ID, u.Append(nil))
}

// DeleteUser removes a user and all that is the user's. An unknown id is no
// error, nor is a record that is damaged. Of a user whose record is gone, as
// after a repair, it removes the rest under the owner, and rows. Of rows it
// removes MaxRows, the sweep the others.
func (tx *Tx) DeleteUser(id string) error {
	if err := tx.deleteUser(id); err != nil {
		return err
	}
	_, err := tx.RemoveRows(id, MaxRows)
	return tx.DoomIf(tx.Written, err)
}

func (tx *Tx) deleteUser(id string) error {
	u, err := tx.User(id)
	switch {
	case errors.Is(err, ErrUserNotFound):
		return tx.DeleteRemains(id)
	case errors.Is(err, kv.ErrCorrupt):
		u, err = tx.salvage(id)
	}
	if err != nil {
		return err
	}
	if err := tx.deleteOwned(u.ID); err != nil {
		return err
	}
	if err := tx.deleteReferences(&u); err != nil {
		return err
	}
	if err := tx.Delete(SpaceUsers, u.ID); err != nil {
		return err
	}
	return tx.Announce(u.ID, EventUserDeleted)
}

// salvage returns the part of a user's record that is known without reading it:
// the entries of the indexes that lead to the user, found by walking them.
func (tx *Tx) salvage(id string) (codec.User, error) {
	u := codec.User{ID: id}
	err := tx.R.Scan(SpaceIdentities, nil, nil, 0, func(key, value []byte) error {
		provider, identifier, ok := codec.SplitPair(key)
		if ref, err := codec.DecodeUserRef(codec.SpaceIdentities, key, value); ok && err == nil && ref.UserID == u.ID {
			u.Identities = append(u.Identities, codec.Identity{Provider: string(provider), Key: string(identifier)})
		}
		return nil
	})
	if err != nil {
		return codec.User{}, err
	}
	err = tx.R.Scan(SpaceAttributes, nil, nil, 0, func(key, value []byte) error {
		if e, owner, ok := splitEntry(key, value); ok && owner == u.ID {
			u.Entries = append(u.Entries, e)
		}
		return nil
	})
	if err != nil {
		return codec.User{}, err
	}
	err = tx.R.Scan(SpaceRoles, nil, nil, 0, func(key, _ []byte) error {
		if role, owner, ok := codec.SplitPair(key); ok && string(owner) == u.ID {
			u.Roles = append(u.Roles, string(role))
		}
		return nil
	})
	return u, err
}

// deleteReferences removes everything in the indexes that leads to u.
func (tx *Tx) deleteReferences(u *codec.User) error {
	for _, x := range u.Identities {
		if err := tx.Delete(SpaceIdentities, PairKey(x.Provider, x.Key)); err != nil {
			return err
		}
	}
	for _, e := range u.Entries {
		if err := tx.Delete(SpaceAttributes, EntryKey(e, u.ID)); err != nil {
			return err
		}
	}
	return tx.moveRoles(u, &codec.User{ID: u.ID})
}

// IdentityOwner returns the id of the user with an identity.
func (tx *Tx) IdentityOwner(x codec.Identity) (id string, ok bool, err error) {
	return tx.Reference(SpaceIdentities, PairKey(x.Provider, x.Key))
}

// FindIdentity returns the position among u's identities of the one that is
// compared as equal to x, or -1.
func FindIdentity(u *codec.User, x codec.Identity) int {
	for i, have := range u.Identities {
		if have.Provider == x.Provider && have.Key == x.Key {
			return i
		}
	}
	return -1
}
