package records

import "github.com/snibdb/snib/internal/kv"

// NewRehearsal returns a transaction that reads base and writes to scratch, a
// store with the same spaces: base stays as it is, and what earlier rehearsals
// wrote is seen. Only users, identities and attributes are written. Scans see
// base alone.
func NewRehearsal(base kv.Reader, scratch kv.Tx) kv.Tx { return &rehearsal{base, scratch} }

type rehearsal struct {
	kv.Reader
	scratch kv.Tx
}

// Unwrap returns the reader of the base.
func (r *rehearsal) Unwrap() kv.Reader { return r.Reader }

// Marks before a value in scratch.
const (
	isDeleted = iota
	isPut
)

func (r *rehearsal) Get(space kv.Space, key []byte) ([]byte, bool, error) {
	value, ok, err := r.scratch.Get(space, key)
	switch {
	case err != nil:
		return nil, false, err
	case !ok || len(value) == 0:
		return r.Reader.Get(space, key)
	}
	return value[1:], value[0] == isPut, nil
}

func (r *rehearsal) GetMany(refs []kv.Ref, visit func(i int, value []byte, ok bool) error) error {
	return (&Ordered{Tx: r}).GetMany(refs, visit)
}

func (r *rehearsal) Put(space kv.Space, key, value []byte) error {
	if space < SpaceUsers || space > SpaceAttributes {
		return nil
	}
	return r.scratch.Put(space, key, append([]byte{isPut}, value...))
}

func (r *rehearsal) Delete(space kv.Space, key []byte) error {
	if space < SpaceUsers || space > SpaceAttributes {
		return nil
	}
	return r.scratch.Put(space, key, []byte{isDeleted})
}

func (r *rehearsal) DeleteRange(kv.Space, []byte, []byte) (int, error) { return 0, nil }
