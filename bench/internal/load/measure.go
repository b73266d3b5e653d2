package load

import (
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// A Plan is how long and how a sample is taken.
type Plan struct {
	For     time.Duration // about how long one sample takes
	Workers int           // goroutines at once
	Rate    int           // operations a second of an open loop
	Seed    uint64        // of the round: alike for every contender
	Rounds  int           // how many there will be
}

// A Sample is what one contender did in one round.
type Sample struct {
	Ops      int
	Elapsed  time.Duration
	Allocs   float64 // an operation; 0 if not looked at
	Heap     float64 // bytes an operation
	Service  *hdrhistogram.Histogram
	Response *hdrhistogram.Histogram
}

// NsPerOp is the time of one operation: with several workers, the time in
// which all of them together did it.
func (s *Sample) NsPerOp() float64 {
	if s.Ops == 0 {
		return 0
	}
	return float64(s.Elapsed.Nanoseconds()) / float64(s.Ops)
}

// newHistogram holds 1 ns to 100 s with three digits.
func newHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(1, int64(100*time.Second), 3) }

// record notes a duration; what is beyond the histogram is its greatest.
func record(h *hdrhistogram.Histogram, d time.Duration) {
	_ = h.RecordValue(min(max(int64(d), 1), int64(100*time.Second)))
}

// An operation is done by worker w, with numbers of its own to choose by.
type operation func(w int, rng *rand.Rand) error

func (p Plan) rng(w int) *rand.Rand { return rand.New(rand.NewPCG(p.Seed, uint64(w))) }

// errFull ends a loop early and is no failure: there is nothing left to work
// on.
var errFull = errors.New("load: nothing left to do")

// hotLoop repeats a very short operation for p.For and reads the clock only
// each 64 times. With one worker it counts allocations too.
func hotLoop(p Plan, op operation) (Sample, error) {
	const batch = 64
	var ops atomic.Int64
	start := time.Now()
	loop := func() (Sample, error) {
		err := parallel(p.Workers, func(w int) error {
			rng := p.rng(w)
			for first := true; first || time.Since(start) < p.For; first = false {
				for range batch {
					if err := op(w, rng); err != nil {
						return err
					}
				}
				ops.Add(batch)
			}
			return nil
		})
		return Sample{Ops: int(ops.Load()), Elapsed: time.Since(start)}, err
	}
	if p.Workers > 1 {
		return loop()
	}
	return counted(loop)
}

// counted adds to a sample what the program allocated meanwhile, an operation.
func counted(loop func() (Sample, error)) (Sample, error) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	s, err := loop()
	runtime.ReadMemStats(&after)
	if s.Ops > 0 {
		s.Allocs = float64(after.Mallocs-before.Mallocs) / float64(s.Ops)
		s.Heap = float64(after.TotalAlloc-before.TotalAlloc) / float64(s.Ops)
	}
	return s, err
}

// timedLoop repeats an operation for p.For and keeps the service time of each.
// It is a closed loop: a worker calls when its last call has returned.
func timedLoop(p Plan, op operation) (Sample, error) {
	histograms := make([]*hdrhistogram.Histogram, p.Workers)
	start := time.Now()
	err := parallel(p.Workers, func(w int) error {
		h, rng := newHistogram(), p.rng(w)
		histograms[w] = h
		for begin := time.Now(); h.TotalCount() == 0 || begin.Sub(start) < p.For; {
			err := op(w, rng)
			if err == errFull {
				return nil
			}
			if err != nil {
				return err
			}
			end := time.Now()
			record(h, end.Sub(begin))
			begin = end
		}
		return nil
	})
	elapsed := time.Since(start)
	all := merge(histograms)
	return Sample{Ops: int(all.TotalCount()), Elapsed: elapsed, Service: all}, err
}

// openLoop calls the operation at fixed times, p.Rate a second, whatever
// became of earlier calls. A response time begins when a call was due: what
// waits behind a slow one counts its wait, and no slow stretch goes
// unnoticed because fewer calls were made in it. Who is hopelessly behind is
// stopped after four times p.For; the calls that were due by then and never
// made count as what they had waited.
func openLoop(p Plan, op operation) (Sample, error) {
	response := make([]*hdrhistogram.Histogram, p.Workers)
	service := make([]*hdrhistogram.Histogram, p.Workers)
	total := int64(p.For.Seconds() * float64(p.Rate))
	gap := time.Duration(float64(time.Second) / float64(p.Rate))
	var next atomic.Int64
	start := time.Now()
	stop := start.Add(4*p.For + time.Second/10)
	err := parallel(p.Workers, func(w int) error {
		rng := p.rng(w)
		response[w], service[w] = newHistogram(), newHistogram()
		for {
			i := next.Add(1) - 1
			if i >= total {
				return nil
			}
			due := start.Add(time.Duration(i) * gap)
			waitUntil(due)
			begin := time.Now()
			if begin.After(stop) {
				record(response[w], begin.Sub(due))
				continue
			}
			if err := op(w, rng); err != nil {
				return err
			}
			end := time.Now()
			record(service[w], end.Sub(begin))
			record(response[w], end.Sub(due))
		}
	})
	s := Sample{Ops: int(min(next.Load(), total)), Elapsed: time.Since(start)}
	s.Service, s.Response = merge(service), merge(response)
	return s, err
}

// waitUntil sleeps while there is time and yields for the rest, because a
// sleep ends tens of microseconds late.
func waitUntil(due time.Time) {
	const early = 200 * time.Microsecond
	for {
		left := time.Until(due)
		if left <= 0 {
			return
		}
		if left > 2*early {
			time.Sleep(left - early)
		} else {
			runtime.Gosched()
		}
	}
}

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
