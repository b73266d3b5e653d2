package load

import (
	"fmt"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/snibdb/snib/bench/internal/peer"
	"github.com/snibdb/snib/bench/internal/report"
)

// A Case is one work at one number of workers.
type Case struct {
	Suite, Work string
	Workers     int
	Reads       bool    // skipped for contenders that are WritesOnly
	Quantile    float64 // not 0: the figure is this one of the response times, not the time an operation
	// Can reports whether a contender supports the work. nil: all do.
	Can func(peer.Store) bool
	// Prepare is called once before the first round, not timed. May be nil.
	Prepare func(*Subject, Plan) error
	Run     func(*Subject, Plan) (Sample, error)
}

// A Runner measures cases on subjects.
type Runner struct {
	Rounds   int
	For      time.Duration
	Rate     int
	Seed     uint64
	Progress func(text string) // may be nil
}

// Run measures one case: round by round, and in each round one subject after
// the other, so that other load of the machine meets all of them alike. The
// order is turned from round to round.
func (r *Runner) Run(c Case, subjects []*Subject) ([]report.Row, error) {
	var able []*Subject
	for _, s := range subjects {
		ok, err := s.can(c)
		if err != nil {
			return nil, err
		}
		if ok {
			able = append(able, s)
		}
	}
	samples := make([][]Sample, len(able))
	for _, s := range able {
		r.say("%s: preparing %s", c.Work, s.Peer.Name)
		if err := s.prepare(c, r.plan(c, 0)); err != nil {
			return nil, fmt.Errorf("%s: %s: preparing: %w", s.Peer.Name, c.Work, err)
		}
	}
	for round := range r.Rounds {
		for k := range able {
			i := (k + round) % len(able)
			s := able[i]
			r.say("%s, %s sessions, %d workers, round %d of %d: %s", c.Work, report.Count(s.Sessions), c.Workers, round+1, r.Rounds, s.Peer.Name)
			sample, err := s.run(c, r.plan(c, round))
			if err != nil {
				return nil, fmt.Errorf("%s: %s: %w", s.Peer.Name, c.Work, err)
			}
			samples[i] = append(samples[i], sample)
		}
	}
	rows := make([]report.Row, len(able))
	for i, s := range able {
		rows[i] = c.row(s, samples[i])
	}
	return rows, nil
}

// can reports whether the contender is measured at a case.
func (s *Subject) can(c Case) (bool, error) {
	if s.remote != nil {
		return s.remote.can(c)
	}
	return (c.Can == nil || c.Can(s.Store)) && !(c.Reads && s.Peer.WritesOnly), nil
}

func (s *Subject) prepare(c Case, p Plan) error {
	switch {
	case s.remote != nil:
		return s.remote.prepare(c, p)
	case c.Prepare != nil:
		return c.Prepare(s, p)
	}
	return nil
}

func (s *Subject) run(c Case, p Plan) (Sample, error) {
	if s.remote != nil {
		return s.remote.run(c, p)
	}
	return c.Run(s, p)
}

func (r *Runner) plan(c Case, round int) Plan {
	return Plan{For: r.For, Workers: c.Workers, Rate: r.Rate, Seed: r.Seed + uint64(round), Rounds: r.Rounds}
}

func (r *Runner) say(format string, args ...any) {
	if r.Progress != nil {
		r.Progress(fmt.Sprintf(format, args...))
	}
}

func (c Case) row(s *Subject, samples []Sample) report.Row {
	row := report.Row{
		Suite: c.Suite, Work: c.Work, Sessions: s.Sessions, Workers: c.Workers, Peer: s.Peer.Name, Unit: report.NsPerOp,
	}
	var allocs, heap, batches []float64
	var service, response []*hdrhistogram.Histogram
	if c.Quantile > 0 {
		row.Unit = report.Ns
	}
	for _, sample := range samples {
		value := sample.NsPerOp()
		if c.Quantile > 0 {
			value = float64(sample.Response.ValueAtQuantile(c.Quantile))
		} else {
			row.Means = append(row.Means, sample.Mean())
			row.CPUs = append(row.CPUs, sample.CPUPerOp()) // at a rate the harness spins
		}
		row.Rounds = append(row.Rounds, value)
		batches = append(batches, sample.Batches...)
		allocs, heap = append(allocs, sample.Allocs), append(heap, sample.Heap)
		service, response = append(service, sample.Service), append(response, sample.Response)
	}
	row.Batches = report.NewBatches(batches)
	row.Allocs, row.Heap = report.Median(allocs), report.Median(heap)
	row.Service, row.Response = latency(merge(service)), latency(merge(response))
	return row
}

// latency returns the kept quantiles of a histogram, nil if it is empty.
func latency(h *hdrhistogram.Histogram) *report.Latency {
	if h.TotalCount() == 0 {
		return nil
	}
	l := &report.Latency{
		Count: h.TotalCount(), P50: h.ValueAtQuantile(50), P90: h.ValueAtQuantile(90),
		P99: h.ValueAtQuantile(99), P999: h.ValueAtQuantile(99.9), Max: h.Max(),
	}
	for _, q := range []float64{0, 10, 25, 50, 75, 90, 95, 99, 99.5, 99.9, 99.95, 99.99, 99.999} {
		if float64(l.Count)*(100-q)/100 >= 1 {
			l.Curve = append(l.Curve, [2]float64{q, float64(h.ValueAtQuantile(q))})
		}
	}
	return l
}
