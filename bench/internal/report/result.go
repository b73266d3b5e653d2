// Package report holds the results of a run of the harness, and shows them: as
// JSON, as a table, as a page of plots and as the figures of a document.
package report

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"time"
)

// Format is that of the JSON. A reader refuses another.
const Format = 1

// Result is one run.
type Result struct {
	Format   int               `json:"format"`
	Started  time.Time         `json:"started"`
	Seconds  float64           `json:"seconds"`
	Commit   string            `json:"commit"` // of the library that was measured
	Machine  Machine           `json:"machine"`
	Versions map[string]string `json:"versions"` // of the modules of the contenders
	Settings Settings          `json:"settings"`
	Peers    []PeerInfo        `json:"peers"`
	Rows     []Row             `json:"rows"`
}

// Settings are the conditions, besides the machine, that the figures depend on.
type Settings struct {
	Suites   []string `json:"suites"`
	Sessions []int    `json:"sessions"`
	Writers  []int    `json:"writers"`
	Rounds   int      `json:"rounds"`
	Millis   int64    `json:"millis"` // of one sample
	Rate     int      `json:"rate"`   // operations a second of the open loops
	Seed     uint64   `json:"seed"`
	Floor    string   `json:"floor"`             // the contender that ratios are taken against
	Checked  string   `json:"checked,omitempty"` // and the one that makes the same checks
	Before   string   `json:"before,omitempty"`  // the commit that was measured beside
}

// PeerInfo describes a contender.
type PeerInfo struct {
	Name       string `json:"name"`
	Note       string `json:"note"`
	Durability string `json:"durability"`
}

// Units of rows.
const (
	NsPerOp    = "ns/op"
	Bytes      = "bytes"
	Ns         = "ns"
	PagesPerOp = "pages/op"
	BytesPerOp = "bytes/op"
)

// Row is one figure: one contender at one work.
type Row struct {
	Suite    string    `json:"suite"`
	Work     string    `json:"work"`
	Sessions int       `json:"sessions,omitempty"` // in the store when it was filled
	Workers  int       `json:"workers,omitempty"`  // goroutines at once
	Peer     string    `json:"peer"`
	Unit     string    `json:"unit"`
	Rounds   []float64 `json:"rounds"`            // one value a round: the median of its batches
	Value    float64   `json:"value"`             // their median
	Means    []float64 `json:"means,omitempty"`   // one a round, with all that came between batches
	Batches  *Batches  `json:"batches,omitempty"` // of all rounds
	CPUs     []float64 `json:"cpus,omitempty"`    // ns of processors an operation, one a round
	CPU      float64   `json:"cpu,omitempty"`     // their median
	Ratio    float64   `json:"ratio,omitempty"`   // to the floor: the median of the rounds' ratios
	Checked  float64   `json:"checked,omitempty"` // to the contender that makes the same checks
	Before   float64   `json:"before,omitempty"`  // to the same work of the commit before
	Allocs   float64   `json:"allocs,omitempty"`  // an operation, of one worker
	Heap     float64   `json:"heap,omitempty"`    // bytes allocated an operation, of one worker
	Service  *Latency  `json:"service,omitempty"`
	Response *Latency  `json:"response,omitempty"`
}

// Batches are how long an operation took in batches of them.
type Batches struct {
	Count int     `json:"count"`
	P10   float64 `json:"p10"`
	P90   float64 `json:"p90"`
}

// NewBatches looks at batches; nil if there are no batches.
func NewBatches(list []float64) *Batches {
	if len(list) == 0 {
		return nil
	}
	s := slices.Sorted(slices.Values(list))
	return &Batches{len(s), s[len(s)/10], s[(9*len(s))/10]}
}

// Latency is a distribution in nanoseconds. That of service times begins when
// an operation is called; that of response times when it was due, so that an
// operation which had to wait for a slow one before it counts its wait.
type Latency struct {
	Count int64        `json:"count"`
	P50   int64        `json:"p50"`
	P90   int64        `json:"p90"`
	P99   int64        `json:"p99"`
	P999  int64        `json:"p999"`
	Max   int64        `json:"max"`
	Curve [][2]float64 `json:"curve,omitempty"` // quantile, nanoseconds
}

// Find returns the row of a work, or nil.
func (r *Result) Find(work string, sessions, workers int, peer string) *Row {
	for i := range r.Rows {
		row := &r.Rows[i]
		if row.Work == work && row.Sessions == sessions && row.Workers == workers && row.Peer == peer {
			return row
		}
	}
	return nil
}

// Read reads a result that Write wrote.
func Read(path string) (*Result, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	r := &Result{}
	if err := json.Unmarshal(b, r); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if r.Format != Format {
		return nil, fmt.Errorf("%s: format %d, not %d", path, r.Format, Format)
	}
	return r, nil
}

// Write writes the result as JSON, one row a line, so that two of them can be
// compared by eye.
func (r *Result) Write(path string) error {
	head := *r
	head.Rows = nil
	b, err := json.MarshalIndent(head, "", "  ")
	if err != nil {
		return err
	}
	const tail = `"rows": null` + "\n}"
	b = append(b[:len(b)-len(tail)], `"rows": [`...)
	for i, row := range r.Rows {
		line, err := json.Marshal(row)
		if err != nil {
			return err
		}
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(b, "\n    "...), line...)
	}
	return os.WriteFile(path, append(b, "\n  ]\n}\n"...), 0o644)
}
