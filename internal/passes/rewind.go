package passes

import (
	"context"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/records"
)

// RewindFactors makes the second factors of a restored file good as of now, and
// returns how many lists of recovery codes, and factors that waited, it has removed.
func (r *Runner) RewindFactors(ctx context.Context, wall int64) (removed int, err error) {
	err = r.each(ctx, records.SpaceFactors, sealAtOnce, all, func(keys [][]byte) (int, error) { // Check has read them
		n, err := returning(ctx, r.Update, func(tx *records.Tx) (n int, err error) {
			for _, key := range owned(keys) {
				f, err := records.OwnedRecord(tx, records.Factors, key, codec.DecodeFactor)
				if err != nil {
					return n, err
				}
				gone, err := tx.RewindFactor(f, wall)
				if err != nil {
					return n, err
				}
				if gone {
					n++
				}
			}
			return n, nil
		})
		removed += n
		return len(keys), err
	})
	return removed, err
}
