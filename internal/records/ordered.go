package records

import (
	"slices"
	"strings"

	"github.com/snibdb/snib/internal/kv"
)

// Ordered is a transaction that holds back its writes of users, identities and
// attributes until Flush, which makes them in key order: pages of a B+ tree are
// then visited one after the other and not once for each record. It reads its
// own writes. Scans see the writes of other spaces only.
type Ordered struct {
	kv.Tx
	held [SpaceAttributes + 1]map[string]held
	size int // of what is held, at most; bytes
	made int // writes that scans see
}

// held is a write: no value deletes.
type held struct {
	value []byte
	put   bool
}

// NewOrdered returns one on top of w.
func NewOrdered(w kv.Tx) *Ordered {
	o := &Ordered{Tx: w}
	for space := SpaceUsers; space <= SpaceAttributes; space++ {
		o.held[space] = make(map[string]held)
	}
	return o
}

// Unwrap returns the transaction underneath.
func (o *Ordered) Unwrap() kv.Reader { return o.Tx }

func (o *Ordered) holds(space kv.Space) bool { return SpaceUsers <= space && space <= SpaceAttributes }

// Get implements kv.Reader.
func (o *Ordered) Get(space kv.Space, key []byte) ([]byte, bool, error) {
	if o.holds(space) {
		if h, ok := o.held[space][string(key)]; ok {
			return h.value, h.put, nil
		}
	}
	return o.Tx.Get(space, key)
}

// GetMany implements kv.Reader.
func (o *Ordered) GetMany(refs []kv.Ref, visit func(i int, value []byte, ok bool) error) error {
	for i, ref := range refs {
		value, ok, err := o.Get(ref.Space, ref.Key)
		if err == nil {
			err = visit(i, value, ok)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Put implements kv.Tx.
func (o *Ordered) Put(space kv.Space, key, value []byte) error {
	if !o.holds(space) {
		o.made++
		return o.Tx.Put(space, key, value)
	}
	if len(key) > kv.MaxKey || len(value) > kv.MaxValue {
		return kv.ErrTooLarge
	}
	o.held[space][string(key)] = held{slices.Clone(value), true}
	o.size += len(key) + len(value)
	return nil
}

// Delete implements kv.Tx.
func (o *Ordered) Delete(space kv.Space, key []byte) error {
	if !o.holds(space) {
		o.made++
		return o.Tx.Delete(space, key)
	}
	o.held[space][string(key)] = held{}
	o.size += len(key)
	return nil
}

// DeleteRange implements kv.Tx.
func (o *Ordered) DeleteRange(space kv.Space, from, to []byte) (int, error) {
	o.made++
	return o.Tx.DeleteRange(space, from, to)
}

// Changed counts the writes that scans see.
func (o *Ordered) Changed() int { return o.made }

// Over reports whether more is held than a long transaction should.
func (o *Ordered) Over() bool { return o.size > maxHeld }

// maxHeld is how many bytes of keys and values Repair holds back.
const maxHeld = 32 << 20

// Flush makes the writes. It must not be called inside a scan.
func (o *Ordered) Flush() error {
	for space := SpaceUsers; space <= SpaceAttributes; space++ {
		keys := make([]string, 0, len(o.held[space]))
		for key := range o.held[space] {
			keys = append(keys, key)
		}
		slices.SortFunc(keys, strings.Compare)
		for _, key := range keys {
			var err error
			if h := o.held[space][key]; h.put {
				err = o.Tx.Put(space, []byte(key), h.value)
			} else {
				err = o.Tx.Delete(space, []byte(key))
			}
			if err != nil {
				return err
			}
			o.made++
		}
		o.held[space] = make(map[string]held)
	}
	o.size = 0
	return nil
}
