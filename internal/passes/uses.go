package passes

import (
	"context"
	"maps"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/records"
)

// StoreUses writes the last uses of API keys that are in memory. Others stay
// there for the next time.
func (r *Runner) StoreUses(ctx context.Context, in *records.KeyUses) error {
	uses, most := in.Take(), r.most(deleteAtOnce, writeInTurn)
	for len(uses) > 0 {
		batch := make(map[codec.OwnedKey]int64, min(len(uses), most))
		for key, at := range uses {
			if batch[key] = at; len(batch) == most {
				break
			}
		}
		if err := r.Update(ctx, func(tx *records.Tx) error { return tx.PutKeyUses(batch) }); err != nil {
			in.Return(uses)
			return err
		}
		maps.DeleteFunc(uses, func(key codec.OwnedKey, _ int64) bool { _, done := batch[key]; return done })
	}
	return nil
}

// announceEnds writes the events of API keys that end soon, once each.
func (s *Sweep) announceEnds(ctx context.Context) error {
	soon := func(tx *records.Tx, key, value []byte) bool {
		v, err := codec.ViewAPIKey(key, value)
		return err == nil && tx.EndingSoon(&v)
	}
	return s.each(ctx, records.SpaceAPIKeys, s.most(deleteAtOnce, writeInTurn), soon, func(keys [][]byte) (int, error) {
		return len(keys), s.IfNeeded(ctx, func(tx *records.Tx) error { return tx.AnnounceEnds(owned(keys)) })
	})
}
