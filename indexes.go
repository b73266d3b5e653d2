package snib

import (
	"context"
	"iter"
	"slices"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/records"
)

// GetUserByAttribute returns the user with this value of an attribute that is
// declared unique in Options.Indexes. ErrUserNotFound, also for a value that
// cannot be indexed; ErrInvalidInput (Name) if it is not declared so.
func (db *DB) GetUserByAttribute(ctx context.Context, name string, value any) (User, error) {
	return read(ctx, db, "get user by attribute", readsAttribute, func(tx *Tx, x attribute) (User, error) {
		return tx.GetUserByAttribute(x.name, x.value)
	}, attribute{name, value})
}

// GetUserByAttribute is [DB.GetUserByAttribute] in this transaction.
func (tx *Tx) GetUserByAttribute(name string, value any) (User, error) {
	if err := tx.reading(); err != nil {
		return User{}, err
	}
	key, err := uniqueKey(tx.rec.File, tx.rec.Declared, attribute{name, value})
	if err != nil {
		return User{}, err
	}
	id, ok, err := tx.rec.Reference(records.SpaceAttributes, key)
	if err != nil {
		return User{}, err
	}
	if !ok {
		return User{}, ErrUserNotFound
	}
	u, err := tx.user(UserID(id))
	if err == nil && !slices.ContainsFunc(u.Entries, func(e codec.IndexEntry) bool { return e.Unique && records.EntryKey(e, u.ID) == key }) {
		return User{}, tx.rec.Stray(records.SpaceAttributes)
	}
	return newUser(u), tx.rec.Orphan(records.SpaceAttributes, err)
}

// attribute is an attribute of a user, by name and value.
type attribute struct {
	name  string
	value any
}

// uniqueKey is the key under which the unique index has x. ErrUserNotFound for
// a value that cannot be indexed.
func uniqueKey(f *records.File, d *records.Declared, x attribute) (string, error) {
	index, ok := d.Index(x.name)
	if !ok || !index.Unique {
		return "", &InputError{Field: "Name", Code: CodeUndeclared, Reason: "must be an attribute that is declared a unique index"}
	}
	encoded, ok, err := f.IndexValue(index, x.value)
	if err != nil || !ok {
		return "", ErrUserNotFound
	}
	return string(codec.AppendUniqueKey(nil, x.name, encoded)), nil
}

func readsAttribute(db *DB, x attribute) []kv.Ref {
	key, err := uniqueKey(db.file, db.file.Declared.Load(), x)
	if err != nil {
		return nil
	}
	return ref(records.SpaceAttributes, key)
}

// ListUsersByAttribute ranges over the users with this value of a declared
// attribute, in order of their ids, with the promises of ListUsers. The error
// is ErrInvalidInput (Name) if the attribute is not declared.
func (db *DB) ListUsersByAttribute(ctx context.Context, name string, value any, o ListOptions) iter.Seq2[User, error] {
	return db.pages(ctx, "list users by attribute", o, o.only(attributePage(name, value)))
}

// ListUsersByAttribute is [DB.ListUsersByAttribute] in this transaction.
func (tx *Tx) ListUsersByAttribute(name string, value any, o ListOptions) iter.Seq2[User, error] {
	return tx.pages(o, o.only(attributePage(name, value)))
}

func attributePage(name string, value any) page {
	return func(tx *Tx, after UserID, n int) ([]User, error) {
		x, ok := tx.rec.Declared.Index(name)
		if !ok {
			return nil, &InputError{Field: "Name", Code: CodeUndeclared, Reason: "must be an attribute that is declared an index"}
		}
		encoded, ok, err := tx.rec.IndexValue(x, value)
		if err != nil || !ok {
			return nil, nil // cannot be indexed
		}
		ids, err := tx.entryOwners(x, encoded, after, n)
		if err != nil {
			return nil, err
		}
		users := make([]User, 0, len(ids))
		for _, id := range ids {
			u, err := tx.user(UserID(id))
			if err != nil {
				return nil, tx.rec.Orphan(records.SpaceAttributes, err)
			}
			if !slices.Contains(u.Entries, codec.IndexEntry{Name: name, Value: encoded, Unique: x.Unique}) {
				return nil, tx.rec.Stray(records.SpaceAttributes)
			}
			users = append(users, newUser(u))
		}
		return users, nil
	}
}

// entryOwners returns at most n ids behind after that have the value.
func (tx *Tx) entryOwners(x codec.Index, value string, after UserID, n int) ([]string, error) {
	if x.Unique {
		id, ok, err := tx.rec.Reference(records.SpaceAttributes, string(codec.AppendUniqueKey(nil, x.Name, value)))
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
	err := tx.rec.R.Scan(records.SpaceAttributes, from, to, n, func(key, _ []byte) error {
		_, _, id, ok := codec.SplitEntryKey(key, false)
		if !ok {
			return tx.rec.Damaged(records.SpaceAttributes, codec.ErrCorrupt)
		}
		ids = append(ids, string(id))
		return nil
	})
	return ids, err
}
