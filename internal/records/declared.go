package records

import (
	"slices"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/fold"
	"github.com/snibdb/snib/internal/kv"
)

// MaxDeclared bounds one list of a program's declarations.
const MaxDeclared = 64

// Declared holds a file's declarations: which attributes are indexed, and how
// identifiers of a provider are compared.
type Declared struct {
	Version uint64 // as in codec.State
	Indexes []codec.Index
	Owned   []string          // the application's buckets
	rules   map[string]string // by provider
}

// NewDeclared takes the declarations of a file.
func NewDeclared(d codec.Declarations) *Declared {
	out := &Declared{Version: d.Version, Indexes: d.Indexes, Owned: d.Owned, rules: make(map[string]string, len(d.Providers))}
	for _, p := range d.Providers {
		out.rules[p.Name] = p.Rule
	}
	return out
}

// Fold returns the key of an identifier of a provider, or the fault for which
// there is no key.
func (d *Declared) Fold(provider, identifier string) (key string, fault fold.Fault) {
	return fold.Identifier(d.rules[provider], identifier)
}

// Rule returns how identifiers of a provider are compared: one of the rules of
// package fold, "" for a provider without a declaration.
func (d *Declared) Rule(provider string) string { return d.rules[provider] }

// FoldPrefix returns the beginning of the keys of all identifiers of a provider
// that begin with prefix; ok is false if there can be none.
func (d *Declared) FoldPrefix(provider, prefix string) (folded string, ok bool) {
	return fold.Prefix(d.rules[provider], prefix)
}

// Index returns the declaration of an attribute.
func (d *Declared) Index(name string) (codec.Index, bool) {
	for _, x := range d.Indexes {
		if x.Name == name {
			return x, true
		}
	}
	return codec.Index{}, false
}

// declare makes tx use the file's declarations as of this transaction. Another
// process or handle may have changed that since this one has read it.
func (tx *Tx) declare() error {
	known := tx.File.Declared.Load()
	if known == nil || known.Version != tx.State.Declarations {
		d, err := Meta(tx.File, tx.R, codec.KeyDeclarations, codec.DecodeDeclarations)
		if err != nil {
			return err
		}
		last := known
		known = NewDeclared(d)
		if tx.W == nil { // the transaction's own change may not be committed
			tx.File.Declared.CompareAndSwap(last, known)
		}
	}
	tx.Declared = known
	return nil
}

// Entries returns the index entries that a user with these attributes owns. The
// record keeps them, so that they can be removed exactly, even after the rules
// for making them have changed. ErrInvalidInput names an attribute that cannot
// be indexed.
func (f *File) Entries(indexes []codec.Index, attributes map[string]any) ([]codec.IndexEntry, error) {
	var entries []codec.IndexEntry
	for _, x := range indexes {
		value, ok, err := f.IndexValue(x, attributes[x.Name])
		if err != nil {
			return nil, err
		}
		if ok {
			entries = append(entries, codec.IndexEntry{Name: x.Name, Value: value, Unique: x.Unique})
		}
	}
	return entries, nil
}

// DropEmpty removes the entries of the empty text in unique indexes, which
// format 1 had where they did not fold. A user without a readable record keeps
// the entry for Check to report.
func (f *File) DropEmpty(w kv.Tx, indexes []codec.Index) error {
	for _, x := range indexes {
		if !x.Unique {
			continue
		}
		value, err := codec.AppendIndexValue(nil, "")
		if err != nil {
			return err
		}
		e := codec.IndexEntry{Name: x.Name, Value: string(value), Unique: true}
		key := EntryKey(e, "")
		id, ok, err := Reference(f, w, SpaceAttributes, key)
		if unreadable(err) || err == nil && !ok {
			continue
		}
		if err != nil {
			return err
		}
		record, ok, err := w.Get(SpaceUsers, []byte(id))
		if err != nil {
			return err
		}
		u, err := codec.DecodeUser([]byte(id), record)
		if !ok || err != nil {
			continue
		}
		u.Entries = slices.DeleteFunc(u.Entries, func(have codec.IndexEntry) bool { return have == e })
		if err := w.Delete(SpaceAttributes, []byte(key)); err != nil {
			return err
		}
		if err := w.Put(SpaceUsers, []byte(id), u.Append(nil)); err != nil {
			return err
		}
	}
	return nil
}

// IndexValue returns the encoded form under which an index finds v. ok is false
// for values that are not indexed: absent, null, and text that is empty or folds
// to nothing.
func (f *File) IndexValue(x codec.Index, v any) (encoded string, ok bool, err error) {
	if v, err = codec.Canonical(v); err != nil {
		return "", false, f.Input("Attributes["+x.Name+"]", fold.Unfit(err))
	}
	encoded, ok, fault := fold.Value(v, x)
	if fault.Found() {
		return "", false, f.Input("Attributes["+x.Name+"]", fault)
	}
	return encoded, ok, nil
}

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
