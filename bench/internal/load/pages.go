package load

import (
	"errors"
	"math/rand/v2"

	bolt "go.etcd.io/bbolt"

	"github.com/snibdb/snib/bench/internal/peer"
	"github.com/snibdb/snib/bench/internal/peers"
	"github.com/snibdb/snib/bench/internal/report"
)

// Pages counts the pages that each operation of snib writes, all trees together,
// through a bbolt handle that snib works on (snib.New).
func Pages(s *Subject, _ Plan) (rows []report.Row, err error) {
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

// counted operations of each work: few where each is large.
const (
	manyOps = 256
	allOps  = 512
	fewOps  = 4
)

func (s *Subject) pages(handle *bolt.DB) (rows []report.Row, err error) {
	store := s.Store.(interface {
		peer.Store
		peer.UserStore
		peer.Extender
		peer.Refresher
	})
	var victims []string
	tokens := make([]string, manyOps)
	create := func(_ int, rng *rand.Rand) error { return creating(s, rng) }
	rotate := func(i int, _ *rand.Rand) (err error) { tokens[i], _, err = store.Refresh(tokens[i]); return err }
	remove := func(i int, _ *rand.Rand) error { return store.DeleteUser(victims[i]) }
	for _, c := range []struct {
		work         string
		workers, ops int
		sessions     int // of users made before
		op           func(i int, rng *rand.Rand) error
	}{
		{"pages of create", 1, manyOps, 0, create},
		{"pages of create", 64, manyOps, 0, create},
		{"pages of create", 512, allOps, 0, create},
		{"pages of extend", 1, manyOps, 0, func(i int, rng *rand.Rand) error { return store.Extend(s.Tokens.At(rng.IntN(s.Tokens.Len()))) }},
		{"pages of a new family", 64, manyOps, 0, func(i int, rng *rand.Rand) (err error) {
			tokens[i], _, err = store.StartFamily(s.Users[rng.IntN(len(s.Users))])
			return err
		}},
		{"pages of refresh", 1, manyOps, 0, rotate},
		{"pages of refresh", 64, manyOps, 0, rotate},
		{overTimeName("pages of delete user", 1), 1, manyOps, 1, remove},
		{overTimeName("pages of delete user", 10), 1, manyOps, 10, remove},
		{overTimeName("pages of delete user", 1000), 1, fewOps, 1000, remove},
	} {
		if c.sessions > 0 {
			if victims, err = s.busyUsers(c.ops, c.sessions); err != nil {
				return nil, err
			}
		}
		pages, err := pagesOf(handle, c.workers, c.ops, c.op)
		if err != nil {
			return nil, err
		}
		row := s.figure("pages", c.work, report.PagesPerOp, pages/float64(c.ops))
		row.Workers = c.workers
		rows = append(rows, row)
	}
	return rows, nil
}

// pagesOf is how many pages some operations write.
func pagesOf(handle *bolt.DB, workers, ops int, op func(i int, rng *rand.Rand) error) (float64, error) {
	before, err := written(handle)
	if err != nil {
		return 0, err
	}
	err = parallel(workers, func(w int) error {
		rng := Plan{Seed: 1}.rng(w)
		for i := w; i < ops; i += workers {
			if err := op(i, rng); err != nil {
				return err
			}
		}
		return nil
	})
	after, err2 := written(handle)
	return after - before, errors.Join(err, err2)
}

// written counts the pages that bbolt has written, each of a node that is larger
// than one: all that transactions have allocated, which are the nodes they
// change and the freelist, and the meta page of each commit.
func written(handle *bolt.DB) (float64, error) {
	stats := handle.Stats().TxStats
	pages := float64(stats.GetPageAlloc()) / float64(handle.Info().PageSize)
	err := handle.View(func(tx *bolt.Tx) error {
		pages += float64(tx.ID()) // of the last commit
		return nil
	})
	return pages, err
}
