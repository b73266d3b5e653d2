package records

import (
	"errors"

	"github.com/snibdb/snib/codec"
)

// TakeLease takes the lease of a key for a holder, or makes it longer, until a
// time. ok is false if another has it. A damaged lease is free: Check tells of it.
func (tx *Tx) TakeLease(key string, holder [16]byte, until int64) (ok bool, err error) {
	l, err := tx.lease(key)
	if err != nil || l.Holder != holder && l.Until > tx.Now {
		return false, err
	}
	l = codec.Lease{Holder: holder, Until: until}
	return true, tx.Put(SpaceMeta, key, l.Append(nil, key))
}

// EndLease gives a lease back, if the holder has it.
func (tx *Tx) EndLease(key string, holder [16]byte) error {
	if held, err := tx.HoldsLease(key, holder); err != nil || !held {
		return err
	}
	return tx.Delete(SpaceMeta, key)
}

// HoldsLease reports whether the holder has the lease, which may be over: as long
// as no other has taken it, nothing was done by another.
func (tx *Tx) HoldsLease(key string, holder [16]byte) (bool, error) {
	l, err := tx.lease(key)
	return l.Holder == holder, err
}

// lease returns the zero value for a lease that is missing.
func (tx *Tx) lease(key string) (codec.Lease, error) {
	value, ok, err := tx.R.Get(SpaceMeta, []byte(key))
	if err != nil || !ok {
		return codec.Lease{}, err
	}
	l, err := codec.DecodeLease(key, value)
	switch {
	case errors.Is(err, codec.ErrNewer):
		return l, tx.Damaged(SpaceMeta, err)
	case err != nil:
		return codec.Lease{}, nil
	}
	return l, nil
}
