package load

import (
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/snibdb/snib/bench/internal/report"
)

// A Plan is how long and how a sample is taken.
type Plan struct {
	For     time.Duration // about how long one sample takes
	Workers int           // goroutines at once
	Rate    int           // operations a second of an open loop
	Seed    uint64        // of the round: alike for every contender
	Rounds  int           // how many there will be
}

// A Sample is the result of one contender in one round.
type Sample struct {
	Ops      int
	Elapsed  time.Duration
	CPU      time.Duration // of the process, its collector included; 0 if not looked at
	Batches  []float64     // ns an operation of each batch; empty where nothing repeats
	Allocs   float64       // an operation; 0 if not looked at
	Heap     float64       // bytes an operation
	Service  *hdrhistogram.Histogram
	Response *hdrhistogram.Histogram
}

// NsPerOp is the time of one operation, the median of the batches: one that
// lost the processor for 10 ms counts as one and not as ten thousand calls.
// With several workers it is the time in which all of them together did it.
func (s *Sample) NsPerOp() float64 {
	if len(s.Batches) > 0 {
		return report.Median(s.Batches)
	}
	return s.Mean()
}

// Mean is the time of one operation with all that came between.
func (s *Sample) Mean() float64 { return s.per(s.Elapsed) }

// CPUPerOp is the time of processors that one operation took.
func (s *Sample) CPUPerOp() float64 { return s.per(s.CPU) }

func (s *Sample) per(d time.Duration) float64 {
	if s.Ops == 0 {
		return 0
	}
	return float64(d) / float64(s.Ops)
}

// newHistogram holds 1 ns to 100 s with three digits.
func newHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(1, int64(100*time.Second), 3) }

// record notes a duration, capped at the histogram's greatest value.
func record(h *hdrhistogram.Histogram, d time.Duration) {
	_ = h.RecordValue(min(max(int64(d), 1), int64(100*time.Second)))
}

// An operation is done by worker w, with random numbers of its own. Its token or
// user is picked before its time begins, as a server reads a request before it
// asks the store.
type operation struct {
	pick func(rng *rand.Rand, into []string) // nil: nothing is picked
	do   func(w int, rng *rand.Rand, picked string) error
}

// picks is how many operations are prepared at once.
const picks = 64

// A picker hands out the picked tokens or users.
type picker struct {
	operation
	rng  *rand.Rand
	list [picks]string
	left []string
}

func (p Plan) picker(w int, op operation) *picker { return &picker{operation: op, rng: p.rng(w)} }

func (p Plan) rng(w int) *rand.Rand { return rand.New(rand.NewPCG(p.Seed, uint64(w))) }

func (k *picker) fill() {
	if k.pick != nil {
		k.pick(k.rng, k.list[:])
	}
	k.left = k.list[:]
}

func (k *picker) next() (picked string) {
	if len(k.left) == 0 {
		k.fill()
	}
	picked, k.left = k.left[0], k.left[1:]
	return picked
}

// errFull ends a loop early and is no failure: there is nothing left to work
// on.
var errFull = errors.New("load: nothing left to do")

// parallel runs fn in n goroutines and joins their errors.
func parallel(n int, fn func(w int) error) error {
	errs := make([]error, n)
	var wg sync.WaitGroup
	for w := range n {
		wg.Go(func() { errs[w] = fn(w) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

func merge(list []*hdrhistogram.Histogram) *hdrhistogram.Histogram {
	all := newHistogram()
	for _, h := range list {
		if h != nil {
			all.Merge(h)
		}
	}
	return all
}
