package records

import (
	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/kv"
)

// EntryKey is the key of an entry of user id in the space attributes.
//
//go:noinline
func EntryKey(e codec.IndexEntry, id string) string {
	if e.Unique {
		return string(codec.AppendUniqueKey(nil, e.Name, e.Value))
	}
	return string(codec.AppendEntryKey(nil, e.Name, e.Value, id))
}

// splitEntry takes a key of the space attributes and its value apart.
func splitEntry(key, value []byte) (e codec.IndexEntry, owner string, ok bool) {
	unique := len(value) > 0
	name, encoded, id, ok := codec.SplitEntryKey(key, unique)
	e, owner = codec.IndexEntry{Name: string(name), Value: string(encoded), Unique: unique}, string(id)
	if ok && unique {
		ref, err := codec.DecodeUserRef(codec.SpaceAttributes, key, value)
		owner, ok = ref.UserID, err == nil
	}
	return e, owner, ok
}

// putEntry writes an entry of user id.
func (tx *Tx) putEntry(e codec.IndexEntry, id string) error {
	if e.Unique {
		return tx.putReference(SpaceAttributes, EntryKey(e, id), id)
	}
	return tx.Put(SpaceAttributes, EntryKey(e, id), nil)
}

// EntriesFree returns an ErrAttributeTaken if another user, the owner, has one
// of the unique values of u.
func (tx *Tx) EntriesFree(u *codec.User) (owner string, err error) {
	for _, e := range u.Entries {
		if !e.Unique {
			continue
		}
		owner, ok, err := tx.Reference(SpaceAttributes, EntryKey(e, u.ID))
		if err != nil {
			return "", err
		}
		if ok && owner != u.ID {
			return owner, tx.Taken(e.Name)
		}
	}
	return "", nil
}

// Reference reads a unique entry: the id of the user to whom it leads.
func (tx *Tx) Reference(space kv.Space, key string) (id string, ok bool, err error) {
	return Reference(tx.File, tx.R, space, key)
}

// Reference is [Tx.Reference] on any reader.
func Reference(f *File, r kv.Reader, space kv.Space, key string) (id string, ok bool, err error) {
	value, ok, err := r.Get(space, []byte(key))
	if err != nil || !ok {
		return "", false, err
	}
	ref, err := codec.DecodeUserRef(Spaces[space].Name, []byte(key), value)
	if err != nil {
		return "", false, f.Damaged(space, err)
	}
	return ref.UserID, true, nil
}

func (tx *Tx) putReference(space kv.Space, key, id string) error {
	ref := codec.UserRef{UserID: id}
	return tx.Put(space, key, ref.Append(nil, Spaces[space].Name, []byte(key)))
}
