package load

import (
	"errors"
	"math/rand/v2"

	bolt "go.etcd.io/bbolt"

	"github.com/snibdb/snib/bench/internal/peer"
	"github.com/snibdb/snib/bench/internal/peers"
	"github.com/snibdb/snib/bench/internal/report"
)

// Pages counts the pages that each operation of snib writes, through a bbolt
// handle that snib works on (snib.New). The pages of bbolt's freelist and its
// meta page are among them.
func Pages(s *Subject) (rows []report.Row, err error) {
	if err := s.Store.Close(); err != nil {
		return nil, err
	}
	store, handle, err := peers.OpenSnibOnBolt(s.dir)
	if err != nil {
		return nil, err
	}
	inner := *s
	inner.Store = store
	rows, err = inner.pages(handle)
	err = errors.Join(err, store.Close(), handle.Close())
	s.series = inner.series
	var err2 error
	s.Store, err2 = s.Peer.Open(s.dir, peer.Options{})
	return rows, errors.Join(err, err2)
}

func (s *Subject) pages(handle *bolt.DB) (rows []report.Row, err error) {
	const ops = 256
	victims, _, err := s.newUsers(ops, PerUser)
	if err != nil {
		return nil, err
	}
	store := s.Store.(interface {
		peer.Store
		peer.UserStore
		peer.Extender
		peer.Refresher
	})
	tokens := make([]string, ops)
	create := func(i int, rng *rand.Rand) error {
		_, err := store.CreateSession(s.Users[rng.IntN(len(s.Users))])
		return err
	}
	for _, c := range []struct {
		work    string
		workers int
		op      func(i int, rng *rand.Rand) error
	}{
		{"pages of create", 1, create},
		{"pages of create", 64, create},
		{"pages of extend", 1, func(i int, rng *rand.Rand) error { return store.Extend(s.Tokens.At(rng.IntN(s.Tokens.Len()))) }},
		{"pages of a new family", 64, func(i int, rng *rand.Rand) (err error) {
			tokens[i], _, err = store.StartFamily(s.Users[rng.IntN(len(s.Users))])
			return err
		}},
		{"pages of refresh", 1, func(i int, _ *rand.Rand) (err error) { tokens[i], _, err = store.Refresh(tokens[i]); return err }},
		{"pages of refresh", 64, func(i int, _ *rand.Rand) (err error) { tokens[i], _, err = store.Refresh(tokens[i]); return err }},
		{"pages of delete user with 10", 1, func(i int, _ *rand.Rand) error { return store.DeleteUser(victims[i]) }},
	} {
		before := written(handle)
		err := parallel(c.workers, func(w int) error {
			rng := Plan{Seed: 1}.rng(w)
			for i := w; i < ops; i += c.workers {
				if err := c.op(i, rng); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		row := s.figure("pages", c.work, report.PagesPerOp, (written(handle)-before)/ops)
		row.Workers = c.workers
		rows = append(rows, row)
	}
	return rows, nil
}

// written counts the pages that bbolt has written, the meta page of each commit
// among them; a node larger than a page counts once.
func written(handle *bolt.DB) float64 {
	stats := handle.Stats().TxStats
	return float64(stats.GetWrite())
}
