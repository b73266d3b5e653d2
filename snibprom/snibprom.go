// Package snibprom gives the figures of a [snib.DB] to Prometheus.
//
//	prometheus.MustRegister(snibprom.NewCollector(db))
//
// Names begin with "snib_". Nothing in them tells of a single user. A scrape reads
// [snib.DB.Stats], which takes well under a millisecond and counts records from
// pages of the file, so that scraping a large one is no scan.
package snibprom

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/snibdb/snib"
)

// scrapeTime bounds how long a scrape waits for the database.
const scrapeTime = 5 * time.Second

// Collector is a [prometheus.Collector] of one DB. It is safe for concurrent use.
type Collector struct {
	db     *snib.DB
	failed *prometheus.Desc
}

// NewCollector returns the collector of db, which stays the caller's to close. To
// register those of two databases, wrap the registerer with a label for each
// ([prometheus.WrapRegistererWith]). Once db is closed, or cannot be read, a
// scrape reports the error and no figures.
func NewCollector(db *snib.DB) *Collector {
	return &Collector{db: db, failed: prometheus.NewDesc("snib_stats_error", "The figures could not be read.", nil, nil)}
}

// Describe implements [prometheus.Collector].
func (c *Collector) Describe(out chan<- *prometheus.Desc) {
	for _, f := range figures {
		out <- f.desc
	}
	for _, h := range histograms {
		out <- h.desc
	}
}

// Collect implements [prometheus.Collector].
func (c *Collector) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTime)
	defer cancel()
	s, err := c.db.Stats(ctx)
	if err != nil {
		out <- prometheus.NewInvalidMetric(c.failed, err)
		return
	}
	for _, f := range figures {
		out <- prometheus.MustNewConstMetric(f.desc, f.kind, f.value(&s), f.labels...)
	}
	bounds := snib.LatencyBounds()
	for _, h := range histograms {
		l := h.value(&s)
		buckets := make(map[float64]uint64, len(bounds))
		for i, n := range l.UpTo {
			buckets[bounds[i].Seconds()] = uint64(n)
		}
		out <- prometheus.MustNewConstHistogram(h.desc, uint64(l.Count), l.Sum.Seconds(), buckets)
	}
}

// A figure is one time series.
type figure struct {
	desc   *prometheus.Desc
	kind   prometheus.ValueType
	labels []string
	value  func(*snib.Stats) float64
}

const (
	gauge   = prometheus.GaugeValue
	counter = prometheus.CounterValue
)

var (
	records   = prometheus.NewDesc("snib_records", "Records in the file, from its pages; estimated above 50,000.", []string{"kind"}, nil)
	passwords = prometheus.NewDesc("snib_passwords_total", "Passwords tried, by outcome.", []string{"outcome"}, nil)
	codes     = prometheus.NewDesc("snib_codes_total", "Codes of second factors tried, by outcome.", []string{"outcome"}, nil)
)

func plain(name, help string) *prometheus.Desc { return prometheus.NewDesc(name, help, nil, nil) }

var figures = []figure{
	{records, gauge, []string{"user"}, func(s *snib.Stats) float64 { return float64(s.Users) }},
	{records, gauge, []string{"session"}, func(s *snib.Stats) float64 { return float64(s.Sessions) }},
	{records, gauge, []string{"refresh_token"}, func(s *snib.Stats) float64 { return float64(s.RefreshTokens) }},

	{passwords, counter, []string{"right"}, func(s *snib.Stats) float64 { return float64(s.PasswordsRight) }},
	{passwords, counter, []string{"wrong"}, func(s *snib.Stats) float64 { return float64(s.PasswordsWrong) }},
	{codes, counter, []string{"right"}, func(s *snib.Stats) float64 { return float64(s.CodesRight) }},
	{codes, counter, []string{"wrong"}, func(s *snib.Stats) float64 { return float64(s.CodesWrong) }},
	{plain("snib_throttled_total", "Attempts refused as too many."), counter, nil, func(s *snib.Stats) float64 { return float64(s.Throttled) }},
	{plain("snib_refresh_reuses_total", "Refresh tokens presented again, whose families were revoked."), counter, nil, func(s *snib.Stats) float64 { return float64(s.Reuses) }},

	{plain("snib_hashes_running", "Password hashes being computed."), gauge, nil, func(s *snib.Stats) float64 { return float64(s.HashesRunning) }},
	{plain("snib_hashes_waiting", "Callers that wait for the turn to hash."), gauge, nil, func(s *snib.Stats) float64 { return float64(s.HashesWaiting) }},
	{plain("snib_hashes_refused_total", "Callers refused because the queue for hashing was full."), counter, nil, func(s *snib.Stats) float64 { return float64(s.HashesRefused) }},

	{plain("snib_file_bytes", "Size of the file."), gauge, nil, func(s *snib.Stats) float64 { return float64(s.FileBytes) }},
	{plain("snib_free_bytes", "Free pages of the file."), gauge, nil, func(s *snib.Stats) float64 { return float64(s.FreeBytes) }},
	{plain("snib_commits_total", "Durable commits."), counter, nil, func(s *snib.Stats) float64 { return float64(s.Commits) }},
	{plain("snib_operations_total", "Writes in the commits."), counter, nil, func(s *snib.Stats) float64 { return float64(s.Operations) }},
	{plain("snib_replays_total", "Groups of writes run again."), counter, nil, func(s *snib.Stats) float64 { return float64(s.Replays) }},
	{plain("snib_busy_total", "Writes that gave up waiting."), counter, nil, func(s *snib.Stats) float64 { return float64(s.Busy) }},
	{plain("snib_trips_total", "Trips to the server of the store."), counter, nil, func(s *snib.Stats) float64 { return float64(s.Trips) }},
	{plain("snib_waiting_writes", "Writes that wait for their turn."), gauge, nil, func(s *snib.Stats) float64 { return float64(s.WaitingWrites) }},
	{plain("snib_open_readers", "Open views, which keep deleted pages from being used again."), gauge, nil, func(s *snib.Stats) float64 { return float64(s.OpenReaders) }},
	{plain("snib_sweeps_total", "Finished sweeps."), counter, nil, func(s *snib.Stats) float64 { return float64(s.Sweeps) }},
	{plain("snib_swept_total", "Dead records that sweeps have removed."), counter, nil, func(s *snib.Stats) float64 { return float64(s.Swept) }},
	{plain("snib_clock_behind_seconds", "How far the wall clock is behind the time that the database has seen."), gauge, nil, func(s *snib.Stats) float64 { return s.ClockBehind.Seconds() }},
}

// A histogram is one time series of latencies.
type histogram struct {
	desc  *prometheus.Desc
	value func(*snib.Stats) snib.Latencies
}

var histograms = []histogram{
	{plain("snib_write_seconds", "Time of a write: its turn, the commit and the sync."), func(s *snib.Stats) snib.Latencies { return s.WriteTime }},
	{plain("snib_hash_wait_seconds", "Time that a password hash waits for its turn."), func(s *snib.Stats) snib.Latencies { return s.HashWait }},
	{plain("snib_hash_seconds", "Time that a password hash takes to compute."), func(s *snib.Stats) snib.Latencies { return s.HashTime }},
}
