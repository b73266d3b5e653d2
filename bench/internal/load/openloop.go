package load

import (
	"runtime"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// openLoop calls the operation at fixed times, p.Rate a second, independent of
// earlier calls. A response time begins when a call is due: a call behind a
// slow one counts its wait, and no slow stretch goes unnoticed because it has
// fewer calls. A loop hopelessly behind stops after four times p.For; calls due
// by then and never made count with the time of their wait.
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
// rest, because a sleep ends tens of microseconds late. It yields the processor
// where it has the most time, before the scheduler takes it away in the middle
// of a call, as from any goroutine that runs for 10 ms.
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
