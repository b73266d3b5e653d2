package load

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/snibdb/snib/bench/internal/peer"
	"github.com/snibdb/snib/bench/internal/report"
)

// MachineName stands in place of a contender in the rows of the limits.
const MachineName = "machine"

// Names of limits that the document of the goals looks for.
const (
	LimitSync   = "one page and a sync"
	LimitCommit = "six pages, a sync, one page, a sync"
	LimitHash   = "SHA-256 of 64 bytes and the clock"
	LimitMemory = "dependent load from 256 MiB"
	LimitArgon  = "argon2id, 19 MiB, 2 passes"
)

// Limits measures the bounds that no store on this machine can beat: the sync
// of the device, the hash of a secret, the latency of memory, the hash of a
// password.
func Limits(dir string) ([]report.Row, error) {
	var rows []report.Row
	var failed error
	add := func(work string, workers int, sample func() (Sample, error)) {
		row := report.Row{Suite: "limits", Work: work, Workers: workers, Peer: MachineName, Unit: report.NsPerOp}
		for range 3 {
			s, err := sample()
			failed = errors.Join(failed, err)
			row.Rounds, row.Means = append(row.Rounds, s.NsPerOp()), append(row.Means, s.Mean())
			if s.CPU > 0 {
				row.CPUs = append(row.CPUs, s.CPUPerOp())
			}
			row.Heap = s.Heap
		}
		rows = append(rows, row)
	}
	for _, shape := range []struct {
		work  string
		pages []int // written before each sync
	}{{LimitSync, []int{1}}, {LimitCommit, []int{6, 1}}} {
		add(shape.work, 1, func() (Sample, error) { return syncs(dir, shape.pages) })
	}
	p := Plan{For: 100 * time.Millisecond, Workers: 1}
	add(LimitHash, 1, func() (Sample, error) { return hashes(p) })
	for _, size := range []int{32 << 10, 4 << 20, 256 << 20} {
		name := fmt.Sprintf("dependent load from %d KiB", size>>10)
		if size >= 1<<20 {
			name = fmt.Sprintf("dependent load from %d MiB", size>>20)
		}
		chain := newChain(size)
		add(name, 1, func() (Sample, error) { return loads(chain), nil })
	}
	for _, workers := range oneAndAll() {
		p := Plan{For: 250 * time.Millisecond, Workers: workers}
		add(LimitArgon, workers, func() (Sample, error) { return passwords(p) })
	}
	return rows, failed
}

func passwords(p Plan) (Sample, error) {
	return counted(func() (Sample, error) {
		return timedLoop(p, operation{do: func(int, *rand.Rand, string) error { peer.Hash(peer.Password); return nil }})
	})
}

func hashes(p Plan) (Sample, error) {
	var block [64]byte
	return hotLoop(p, operation{do: func(int, *rand.Rand, string) error {
		sum := sha256.Sum256(block[:])
		block[0] = sum[0] ^ byte(time.Now().Nanosecond())
		return nil
	}})
}

// syncs writes pages at random places of a file that has them already, as a
// database does, and syncs after each group.
func syncs(dir string, groups []int) (s Sample, err error) {
	const page, total = 4096, 4096
	f, err := os.OpenFile(filepath.Join(dir, "sync"), os.O_CREATE|os.O_RDWR|os.O_TRUNC, 0o600)
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	buf := make([]byte, page*total)
	if _, err := f.Write(buf); err != nil {
		return s, err
	}
	if err := f.Sync(); err != nil {
		return s, err
	}
	rng := rand.New(rand.NewPCG(1, 1))
	start := time.Now()
	for s.Ops = 0; s.Ops < 200 && time.Since(start) < time.Second; s.Ops++ {
		for _, pages := range groups {
			for range pages {
				if _, err := f.WriteAt(buf[:page], page*rng.Int64N(total)); err != nil {
					return s, err
				}
			}
			if err := dataSync(f); err != nil {
				return s, err
			}
		}
	}
	s.Elapsed = time.Since(start)
	return s, nil
}

// sink keeps the compiler from leaving out loads with an unused result.
var sink atomic.Uint32

// newChain returns a cycle through memory of that size, in which each element
// is in another cache line than the one before and says where the next is.
func newChain(size int) []uint32 {
	const line = 64 / 4
	n := size / 64
	order := rand.New(rand.NewPCG(1, 2)).Perm(n)
	chain := make([]uint32, n*line)
	for i, at := range order {
		chain[at*line] = uint32(order[(i+1)%n] * line)
	}
	return chain
}

// loads follows the cycle: each load must wait for the one before.
func loads(chain []uint32) Sample {
	const count = 1 << 20
	at := uint32(0)
	start := time.Now()
	for range count {
		at = chain[at]
	}
	elapsed := time.Since(start)
	sink.Store(at)
	return Sample{Ops: count, Elapsed: elapsed}
}
