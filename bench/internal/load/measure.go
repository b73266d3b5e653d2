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

// An operation is done by worker w, with numbers of its own to choose by, on
// what was picked for it before its time began: a server has read the token of
// a request, and who sent it, before it asks the store.
type operation struct {
	pick func(rng *rand.Rand, into []string) // nil: nothing is picked
	do   func(w int, rng *rand.Rand, picked string) error
}

// picks is how many operations are prepared at once.
const picks = 64

// A picker hands out what was picked.
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

// hotLoop repeats a very short operation for p.For and reads the clock only
// each 64 times; the time is that of the operations alone, of all workers the
// mean. With one worker it counts allocations too.
func hotLoop(p Plan, op operation) (Sample, error) {
	var ops, busy atomic.Int64
	start := time.Now()
	err := parallel(p.Workers, func(w int) error {
		k := p.picker(w, op)
		for first := true; first || time.Since(start) < p.For; first = false {
			k.fill()
			begin := time.Now()
			for _, picked := range k.list {
				if err := k.do(w, k.rng, picked); err != nil {
					return err
				}
			}
			busy.Add(int64(time.Since(begin)))
			ops.Add(picks)
		}
		return nil
	})
	s := Sample{Ops: int(ops.Load()), Elapsed: time.Duration(busy.Load() / int64(p.Workers))}
	if err == nil && p.Workers == 1 {
		s.Allocs, s.Heap, err = allocations(p, op)
	}
	return s, err
}

// allocations returns how often an operation allocates, and how many bytes.
func allocations(p Plan, op operation) (number, size float64, err error) {
	k := p.picker(0, op)
	var batches [16][picks]string
	for i := range batches {
		k.fill()
		batches[i] = k.list
	}
	s, err := counted(func() (Sample, error) {
		for i := range batches {
			for _, picked := range batches[i] {
				if err := k.do(0, k.rng, picked); err != nil {
					return Sample{}, err
				}
			}
		}
		return Sample{Ops: len(batches) * picks}, nil
	})
	return s.Allocs, s.Heap, err
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
		h, k := newHistogram(), p.picker(w, op)
		histograms[w] = h
		for end := start; h.TotalCount() == 0 || end.Sub(start) < p.For; {
			picked := k.next()
			begin := time.Now()
			err := k.do(w, k.rng, picked)
			if err == errFull {
				return nil
			}
			if err != nil {
				return err
			}
			end = time.Now()
			record(h, end.Sub(begin))
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
		k, wait := p.picker(w, op), waiter{}
		response[w], service[w] = newHistogram(), newHistogram()
		for {
			i := next.Add(1) - 1
			if i >= total {
				return nil
			}
			due := start.Add(time.Duration(i) * gap)
			picked := k.next()
			wait.until(due)
			begin := time.Now()
			if begin.After(stop) {
				record(response[w], begin.Sub(due))
				continue
			}
			if err := k.do(w, k.rng, picked); err != nil {
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

// A waiter waits for due times. It sleeps while there is time and spins for the
// rest, because a sleep ends tens of microseconds late; and it lets others have
// the processor where it has the most time, before the scheduler takes it away
// in the middle of a call, as it does from who runs for 10 ms.
type waiter struct{ yielded time.Time }

func (w *waiter) until(due time.Time) {
	const early, every = 200 * time.Microsecond, 2 * time.Millisecond
	for {
		now := time.Now()
		left := due.Sub(now)
		switch {
		case left <= 0:
			return
		case left > 2*early:
			time.Sleep(left - early)
		case now.Sub(w.yielded) > every:
			runtime.Gosched() // may take long where others want the processor
		default:
			continue
		}
		w.yielded = time.Now()
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
