package load

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/snibdb/snib/bench/internal/peer"
	"github.com/snibdb/snib/bench/internal/peers"
	"github.com/snibdb/snib/bench/internal/report"
)

// createsPerRate is how many creations a second, as a part of the rate: one
// caller must be able to keep to it.
const createsPerRate = 10

// Sweep measures snib's removal of sessions that have long expired, and
// validations and creations of live ones meanwhile: each on a copy of the file,
// read with a clock that is past the life of all that it was filled with.
func Sweep(s *Subject, p Plan) (rows []report.Row, err error) {
	reads, err := s.sweepBeside(p.Rate*readsPerRate, p.Seed, "validate", []float64{99}, func(store peer.Store, live *Tokens, _ []string) operation {
		return operation{live.pick, func(_ int, _ *rand.Rand, token string) error {
			_, err := store.Validate(token)
			return err
		}}
	})
	if err != nil {
		return nil, err
	}
	writes, err := s.sweepBeside(max(1, p.Rate/createsPerRate), p.Seed, "create", []float64{50, 99}, func(store peer.Store, _ *Tokens, users []string) operation {
		return operation{do: func(_ int, rng *rand.Rand, _ string) error {
			_, err := store.CreateSession(users[rng.IntN(len(users))])
			return err
		}}
	})
	return append(reads, writes[1:]...), err
}

// sweepBeside measures a sweep, and other work before and during it at some quantiles.
func (s *Subject) sweepBeside(rate int, seed uint64, name string, quantiles []float64,
	work func(peer.Store, *Tokens, []string) operation,
) (rows []report.Row, err error) {
	dir := s.dir + "-sweep"
	if err := s.copyTo(dir); err != nil {
		return nil, err
	}
	late := func() time.Time { return time.Now().Add(peer.Life + 48*time.Hour) }
	store, err := s.Peer.Open(dir, peer.Options{Now: late})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, store.Close(), os.RemoveAll(dir)) }()
	const users = 100
	var live Tokens
	list := peer.MoreUsers("l", 0, users)
	if err := errors.Join(store.AddUsers(list), store.AddSessions(overTime(idsOf(list), PerUser, nil, 0), live.Add)); err != nil {
		return nil, err
	}
	op := work(store, &live, idsOf(list))
	p := Plan{Workers: 1, Rate: rate, Seed: seed, For: time.Second}
	before, err := openLoop(p, op)
	if err != nil {
		return nil, err
	}
	during, sweep, err := s.whileSweeping(store.(peer.Sweeper), p, op)
	if err != nil {
		return nil, err
	}
	rows = []report.Row{sweep}
	for _, q := range quantiles {
		c := Case{Suite: "sweep", Workers: 1, Quantile: q}
		c.Work = fmt.Sprintf("%s before a sweep, p%v", name, q)
		rows = append(rows, c.row(s, []Sample{before}))
		c.Work = fmt.Sprintf("%s during a sweep, p%v", name, q)
		rows = append(rows, c.row(s, []Sample{during}))
	}
	return rows, nil
}

// whileSweeping measures other work for as long as the sweep takes.
func (s *Subject) whileSweeping(store peer.Sweeper, p Plan, op operation) (sample Sample, row report.Row, err error) {
	done := make(chan error, 1)
	go func() {
		start := time.Now()
		removed, err := store.Sweep()
		row = s.figure("sweep", "sweep, a dead session", report.NsPerOp, float64(time.Since(start))/float64(max(1, removed)))
		done <- err
	}()
	sample.Service, sample.Response = newHistogram(), newHistogram()
	p.For = 50 * time.Millisecond
	for {
		part, err := openLoop(p, op)
		if err != nil {
			<-done
			return sample, row, err
		}
		sample.Ops, sample.Elapsed = sample.Ops+part.Ops, sample.Elapsed+part.Elapsed
		sample.Service.Merge(part.Service)
		sample.Response.Merge(part.Response)
		select {
		case err := <-done:
			return sample, row, err
		default:
		}
	}
}

// copyTo copies snib's file, which is closed for that.
func (s *Subject) copyTo(dir string) error {
	if err := s.Store.Close(); err != nil {
		return err
	}
	err := errors.Join(os.MkdirAll(dir, 0o700), copyFile(filepath.Join(s.dir, peers.SnibFile), filepath.Join(dir, peers.SnibFile)))
	store, err2 := s.Peer.Open(s.dir, peer.Options{})
	if err2 == nil {
		s.Store = store
	}
	return errors.Join(err, err2)
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Sync(), out.Close())
}
