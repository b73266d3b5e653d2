package passes

import (
	"context"
	"errors"
	"slices"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/records"
)

// A Reseal seals values anew under the current key.
type Reseal struct {
	Runner
	Passwords bool     // password hashes that are not sealed yet, too
	Lost      []string // ids of keys whose values go

	// RemovePassword removes the password of a user, if it is still sealed under a
	// lost key when the write has its turn.
	RemovePassword func(ctx context.Context, user string) (removed int, err error)

	Told func(done, total int64) // may be nil

	Sealed, Removed int // values so far
	visited         int64
}

// Run is one pass. Sealed and Removed count its work, after an error too.
func (r *Reseal) Run(ctx context.Context) error {
	for _, f := range records.SealedFields {
		if err := r.field(ctx, f); err != nil {
			return err
		}
	}
	return nil
}

// Done tells that nothing is left to do.
func (r *Reseal) Done() {
	if r.Told != nil {
		r.Told(r.visited, r.visited)
	}
}

// field walks the records that may hold values of f.
func (r *Reseal) field(ctx context.Context, f records.SealedRow) error {
	var from []byte
	for {
		var stale, removed [][]byte
		n := int64(0)
		begin := func() { stale, removed, n = nil, nil, 0 }
		next, err := r.page(ctx, f.Space, from, begin, func(tx *records.Tx, key, value []byte) {
			n++
			stored, _, err := f.Read(key, value)
			switch {
			case err != nil: // RetireKeys reports it
			case tx.SealedUnder(stored, r.Lost):
				removed = append(removed, slices.Clone(key))
			case !tx.Resealed(f.SealedField, stored, r.Passwords):
				stale = append(stale, slices.Clone(key))
			}
		})
		if err == nil {
			err = r.seal(ctx, f, stale)
		}
		if err == nil {
			err = r.remove(ctx, f, removed)
		}
		if err != nil {
			return err
		}
		if r.visited += n; r.Told != nil {
			r.Told(r.visited, 0)
		}
		if next == nil {
			return nil
		}
		from = next
	}
}

// seal seals the values of some records, in as many transactions as that takes.
func (r *Reseal) seal(ctx context.Context, f records.SealedRow, keys [][]byte) error {
	for len(keys) > 0 {
		done, sealed := 0, 0
		err := r.Update(ctx, func(tx *records.Tx) error {
			done, sealed = 0, 0
			for size := 0; done < min(len(keys), sealAtOnce) && size < sealBytes; done++ {
				outcome, n, err := tx.Reseal(f, keys[done], r.Passwords)
				if err != nil {
					return err
				}
				if size += n; outcome == records.ResealedNow {
					sealed++
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		r.Sealed += sealed
		keys = keys[done:]
	}
	return nil
}

// remove removes values under lost keys: passwords, with the sessions and tokens
// that depend on them, and the seeds of factors.
func (r *Reseal) remove(ctx context.Context, f records.SealedRow, keys [][]byte) error {
	for _, key := range keys {
		var removed int
		var err error
		if f.SealedField == records.FactorSeeds {
			removed, err = returning(ctx, r.Update, func(tx *records.Tx) (int, error) { return r.loseFactor(tx, codec.OwnedKey(key)) })
		} else {
			removed, err = r.RemovePassword(ctx, string(key))
		}
		if err != nil {
			return err
		}
		r.Removed += removed
	}
	return nil
}

// loseFactor takes the seed of a factor that is sealed under a lost key. The
// factor stays: its user signs in by a recovery code or after Factors.Reset.
func (r *Reseal) loseFactor(tx *records.Tx, key codec.OwnedKey) (int, error) {
	f, err := records.OwnedRecord(tx, records.Factors, key, codec.DecodeFactor)
	switch {
	case errors.Is(err, records.ErrFactorNotFound):
		return 0, nil
	case err != nil || !tx.SealedUnder(f.Secret, r.Lost):
		return 0, err
	}
	return 1, tx.LoseFactor(f)
}
