package load

import (
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/snibdb/snib/bench/internal/peer"
	"github.com/snibdb/snib/bench/internal/peers"
	"github.com/snibdb/snib/bench/internal/report"
)

// Sweep measures snib's removal of sessions that have long expired, and
// validations of live ones meanwhile: on a copy of the file, read with a clock
// that is past the life of all that it was filled with.
func Sweep(s *Subject, p Plan) (rows []report.Row, err error) {
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
	var live Tokens
	if err := store.Fill(peer.MoreUsers("l", 0, 100), PerUser, live.Add); err != nil {
		return nil, err
	}
	read := operation{live.pick, func(_ int, _ *rand.Rand, token string) error {
		_, err := store.Validate(token)
		return err
	}}
	p.Workers, p.Rate = 1, p.Rate*readsPerRate
	p.For = time.Second
	before, err := openLoop(p, read)
	if err != nil {
		return nil, err
	}
	during, removed, took, err := whileSweeping(store.(interface{ Sweep() (int, error) }), p, read)
	if err != nil {
		return nil, err
	}
	row := s.figure("sweep", "sweep, a dead session", report.NsPerOp, float64(took)/float64(max(1, removed)))
	c := Case{Suite: "sweep", Workers: 1, P99: true}
	c.Work = WorkSweepIdle
	rows = []report.Row{row, c.row(s, []Sample{before})}
	c.Work = WorkSweep
	return append(rows, c.row(s, []Sample{during})), nil
}

// whileSweeping measures reads for as long as the sweep takes.
func whileSweeping(store interface{ Sweep() (int, error) }, p Plan, read operation) (s Sample, removed int, took time.Duration, err error) {
	done := make(chan error, 1)
	start := time.Now()
	go func() {
		var err error
		removed, err = store.Sweep()
		took = time.Since(start)
		done <- err
	}()
	s.Service, s.Response = newHistogram(), newHistogram()
	p.For = 50 * time.Millisecond
	for {
		part, err := openLoop(p, read)
		if err != nil {
			<-done
			return s, 0, 0, err
		}
		s.Ops, s.Elapsed = s.Ops+part.Ops, s.Elapsed+part.Elapsed
		s.Service.Merge(part.Service)
		s.Response.Merge(part.Response)
		select {
		case err := <-done:
			return s, removed, took, err
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
