package snib

import (
	"context"
	"errors"
	"iter"

	"golang.org/x/text/secure/precis"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/kv"
)

// indexEntries returns the entries that a user with these attributes owns.
// The record keeps them, so that they can be removed exactly, whatever the
// rules for making them have become.
func indexEntries(indexes []Index, attributes Attributes) ([]codec.IndexEntry, error) {
	var entries []codec.IndexEntry
	for _, x := range indexes {
		value, ok, err := x.value(attributes[x.Name])
		if err != nil {
			return nil, err
		}
		if ok {
			entries = append(entries, codec.IndexEntry{Name: x.Name, Value: value, Unique: x.Unique})
		}
	}
	return entries, nil
}

// maxFolded bounds text before it is folded, which takes time by its length.
const maxFolded = 512 // bytes

// errEmptyFold is what folding text to nothing returns; precis exports no name.
var _, errEmptyFold = precis.Nickname.CompareKey("")

// value returns the encoded form under which x finds v. ok is false for what
// is not indexed: absent, null, and text that folds to nothing.
func (x Index) value(v any) (encoded string, ok bool, err error) {
	if v, err = codec.Canonical(v); err != nil {
		return "", false, attributeError(err)
	}
	if v == nil {
		return "", false, nil
	}
	if text, isText := v.(string); isText && x.Fold {
		if len(text) > maxFolded {
			return "", false, &InputError{Field: attributeField(x.Name), Reason: "cannot be indexed: must be at most 512 bytes"}
		}
		folded, err := precis.Nickname.CompareKey(text)
		if folded == "" && (err == nil || errors.Is(err, errEmptyFold)) {
			return "", false, nil
		}
		if err != nil {
			return "", false, &InputError{Field: attributeField(x.Name), Reason: "has characters that a folded index refuses (RFC 8266)"}
		}
		v = folded
	}
	b, err := codec.AppendIndexValue(nil, v)
	if err != nil {
		return "", false, &InputError{Field: attributeField(x.Name), Reason: "cannot be indexed: must be a scalar of at most 512 bytes"}
	}
	return string(b), true, nil
}

// entryKey is the key of an entry of user id in the space attributes.
func entryKey(e codec.IndexEntry, id string) string {
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
		return tx.putReference(spaceAttributes, entryKey(e, id), id)
	}
	return tx.put(spaceAttributes, entryKey(e, id), nil)
}

// entriesFree returns an AttributeTakenError if another user has one of the
// unique values of u.
func (tx *Tx) entriesFree(u *codec.User) error {
	for _, e := range u.Entries {
		if !e.Unique {
			continue
		}
		owner, ok, err := tx.reference(spaceAttributes, entryKey(e, u.ID))
		if err != nil {
			return err
		}
		if ok && owner != u.ID {
			return &AttributeTakenError{Name: e.Name}
		}
	}
	return nil
}

// reference reads a unique entry: the id of the user it leads to.
func (tx *Tx) reference(space kv.Space, key string) (id string, ok bool, err error) {
	return reference(tx.r, space, key)
}

func reference(r kv.Reader, space kv.Space, key string) (id string, ok bool, err error) {
	value, ok, err := r.Get(space, []byte(key))
	if err != nil || !ok {
		return "", false, err
	}
	ref, err := codec.DecodeUserRef(spaces[space].Name, []byte(key), value)
	if err != nil {
		return "", false, damaged(space, err)
	}
	return ref.UserID, true, nil
}

func (tx *Tx) putReference(space kv.Space, key, id string) error {
	ref := codec.UserRef{UserID: id}
	return tx.put(space, key, ref.Append(nil, spaces[space].Name, []byte(key)))
}

// GetUserByAttribute returns the user who has this value of an attribute that
// is declared unique in Options.Indexes. ErrUserNotFound, also for a value that
// nobody can have; ErrInvalidInput (Name) if it is not declared so.
func (db *DB) GetUserByAttribute(ctx context.Context, name string, value any) (User, error) {
	return result(ctx, "get user by attribute", db.view, func(tx *Tx) (User, error) {
		return tx.GetUserByAttribute(name, value)
	})
}

// GetUserByAttribute is [DB.GetUserByAttribute] in this transaction.
func (tx *Tx) GetUserByAttribute(name string, value any) (User, error) {
	if err := tx.reading(); err != nil {
		return User{}, err
	}
	x, ok := tx.declared.index(name)
	if !ok || !x.Unique {
		return User{}, &InputError{Field: "Name", Reason: "must be an attribute that is declared a unique index"}
	}
	encoded, ok, err := x.value(value)
	if err != nil || !ok {
		return User{}, ErrUserNotFound // nobody can have it
	}
	id, ok, err := tx.reference(spaceAttributes, string(codec.AppendUniqueKey(nil, name, encoded)))
	if err != nil {
		return User{}, err
	}
	if !ok {
		return User{}, ErrUserNotFound
	}
	u, err := tx.user(UserID(id))
	return newUser(u), orphan(spaceAttributes, err)
}

// ListUsersByAttribute ranges over the users who have this value of a declared
// attribute, in order of their ids, with the promises of ListUsers. The error
// is ErrInvalidInput (Name) if the attribute is not declared.
func (db *DB) ListUsersByAttribute(ctx context.Context, name string, value any, o ListOptions) iter.Seq2[User, error] {
	return db.pages(ctx, "list users by attribute", o, attributePage(name, value))
}

// ListUsersByAttribute is [DB.ListUsersByAttribute] in this transaction.
func (tx *Tx) ListUsersByAttribute(name string, value any, o ListOptions) iter.Seq2[User, error] {
	return tx.pages(o, attributePage(name, value))
}

func attributePage(name string, value any) page {
	return func(tx *Tx, after UserID, n int) ([]User, error) {
		x, ok := tx.declared.index(name)
		if !ok {
			return nil, &InputError{Field: "Name", Reason: "must be an attribute that is declared an index"}
		}
		encoded, ok, err := x.value(value)
		if err != nil || !ok {
			return nil, nil // nobody can have it
		}
		ids, err := tx.entryOwners(x, encoded, after, n)
		if err != nil {
			return nil, err
		}
		users := make([]User, 0, len(ids))
		for _, id := range ids {
			u, err := tx.user(UserID(id))
			if err != nil {
				return nil, orphan(spaceAttributes, err)
			}
			users = append(users, newUser(u))
		}
		return users, nil
	}
}

// entryOwners returns at most n ids behind after that have the value.
func (tx *Tx) entryOwners(x Index, value string, after UserID, n int) ([]string, error) {
	if x.Unique {
		id, ok, err := tx.reference(spaceAttributes, string(codec.AppendUniqueKey(nil, x.Name, value)))
		if err != nil || !ok || id <= string(after) {
			return nil, err
		}
		return []string{id}, nil
	}
	from, to := codec.EntryRange(x.Name, value)
	if after != "" {
		from = append(codec.AppendEntryKey(nil, x.Name, value, string(after)), 0)
	}
	var ids []string
	err := tx.r.Scan(spaceAttributes, from, to, n, func(key, _ []byte) error {
		_, _, id, ok := codec.SplitEntryKey(key, false)
		if !ok {
			return damaged(spaceAttributes, codec.ErrCorrupt)
		}
		ids = append(ids, string(id))
		return nil
	})
	return ids, err
}
