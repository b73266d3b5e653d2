package load

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// hotLoop repeats a very short operation for p.For and reads the clock only
// each 64 times: that is a batch, and its time that of the operations alone.
// With one worker it counts allocations too, and the processor's time leaves
// the picking out; with several, the picking is in it, alike for all.
func hotLoop(p Plan, op operation) (Sample, error) {
	var mu sync.Mutex
	s := Sample{}
	start, used := time.Now(), processorTime()
	err := parallel(p.Workers, func(w int) error {
		own, err := p.batches(w, op, start)
		mu.Lock()
		defer mu.Unlock()
		s.Ops, s.Elapsed, s.CPU = s.Ops+own.Ops, s.Elapsed+own.Elapsed/time.Duration(p.Workers), s.CPU+own.CPU
		s.Batches = append(s.Batches, own.Batches...)
		return err
	})
	if p.Workers > 1 {
		s.CPU = processorTime() - used
	}
	if err == nil && p.Workers == 1 {
		s.Allocs, s.Heap, err = allocations(p, op)
	}
	return s, err
}

// batches are those of one worker.
func (p Plan) batches(w int, op operation, start time.Time) (s Sample, err error) {
	k := p.picker(w, op)
	for first := true; first || time.Since(start) < p.For; first = false {
		k.fill()
		used, begin := processorTime(), time.Now()
		for _, picked := range k.list {
			if err := k.do(w, k.rng, picked); err != nil {
				return s, err
			}
		}
		took := time.Since(begin)
		s.Ops, s.Elapsed, s.CPU = s.Ops+picks, s.Elapsed+took, s.CPU+processorTime()-used
		s.Batches = append(s.Batches, float64(took)/float64(picks*p.Workers))
	}
	return s, nil
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

// counted adds the allocations during a loop to its sample, per operation.
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
// It is a closed loop: a worker calls when its last call has returned. A batch
// is one operation of a lone worker; of several, as many as eight of each.
func timedLoop(p Plan, op operation) (Sample, error) {
	histograms := make([]*hdrhistogram.Histogram, p.Workers)
	lap := newLaps(p.Workers)
	start, used := time.Now(), processorTime()
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
			lap.done(begin, end)
		}
		return nil
	})
	s := Sample{Elapsed: time.Since(start), CPU: processorTime() - used, Service: merge(histograms), Batches: lap.batches()}
	s.Ops = int(s.Service.TotalCount())
	return s, err
}

// laps notes when every so-manieth operation of all workers had ended. A batch
// of eight a worker holds several commits that a group shares, so that it is
// not the time within or between two of them.
type laps struct {
	size  int64
	count atomic.Int64
	mu    sync.Mutex
	times []time.Time // in order; of a lone worker, beginnings and ends
}

func newLaps(workers int) *laps {
	if workers == 1 {
		return &laps{size: 1}
	}
	return &laps{size: 8 * int64(workers)}
}

func (l *laps) done(begin, end time.Time) {
	if l.size == 1 {
		l.times = append(l.times, begin, end)
	} else if l.count.Add(1)%l.size == 0 {
		l.mu.Lock()
		l.times = append(l.times, time.Now())
		l.mu.Unlock()
	}
}

// batches returns the time of an operation in each batch. It returns nil if
// several workers completed fewer than three: then the mean is the figure.
func (l *laps) batches() (list []float64) {
	step := 1
	if l.size == 1 {
		step = 2
	}
	for i := 1; i < len(l.times); i += step {
		list = append(list, float64(l.times[i].Sub(l.times[i-1]))/float64(l.size))
	}
	if len(list) < 3 && l.size > 1 {
		return nil
	}
	return list
}
