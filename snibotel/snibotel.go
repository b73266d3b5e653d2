// Package snibotel gives the figures of a [snib.DB] to OpenTelemetry.
//
//	registration, err := snibotel.Register(provider.Meter("accounts"), db)
//	defer registration.Unregister()
//
// Names begin with "snib."; nothing in them tells of a single user. Each collection
// reads [snib.DB.Stats] once. Histograms are kept by the library, and
// OpenTelemetry takes none from outside: of latencies there are the count and the
// sum, whose rates give the mean. Package snibprom has the whole histograms.
package snibotel

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/snibdb/snib"
)

// Register makes the instruments of db with a meter and returns their
// registration, to be ended before db is closed: a collection from a closed
// database is an error of the reader. To tell two databases apart, give their
// meters attributes ([metric.WithInstrumentationAttributes]). The errors are those
// of the meter.
func Register(meter metric.Meter, db *snib.DB) (metric.Registration, error) {
	var all []metric.Observable
	var failed error
	ints, floats := map[string]metric.Int64Observable{}, map[string]metric.Float64Observable{}
	for _, f := range figures {
		if ints[f.name] != nil {
			continue
		}
		x, err := f.instrument(meter)
		failed = errors.Join(failed, err)
		ints[f.name], all = x, append(all, x)
	}
	for _, f := range seconds {
		x, err := f.instrument(meter)
		failed = errors.Join(failed, err)
		floats[f.name], all = x, append(all, x)
	}
	if failed != nil {
		return nil, failed
	}
	return meter.RegisterCallback(func(ctx context.Context, o metric.Observer) error {
		s, err := db.Stats(ctx)
		if err != nil {
			return err
		}
		for _, f := range figures {
			o.ObserveInt64(ints[f.name], f.value(&s), metric.WithAttributeSet(f.attributes))
		}
		for _, f := range seconds {
			o.ObserveFloat64(floats[f.name], f.value(&s))
		}
		return nil
	}, all...)
}

// A figure is one series of whole numbers.
type figure struct {
	name, unit, help string
	level            bool // goes up and down
	attributes       attribute.Set
	value            func(*snib.Stats) int64
}

func (f *figure) instrument(meter metric.Meter) (metric.Int64Observable, error) {
	if f.level {
		return meter.Int64ObservableGauge(f.name, metric.WithUnit(f.unit), metric.WithDescription(f.help))
	}
	return meter.Int64ObservableCounter(f.name, metric.WithUnit(f.unit), metric.WithDescription(f.help))
}

// A duration is one series of seconds.
type duration struct {
	name, help string
	level      bool
	value      func(*snib.Stats) float64
}

func (f *duration) instrument(meter metric.Meter) (metric.Float64Observable, error) {
	if f.level {
		return meter.Float64ObservableGauge(f.name, metric.WithUnit("s"), metric.WithDescription(f.help))
	}
	return meter.Float64ObservableCounter(f.name, metric.WithUnit("s"), metric.WithDescription(f.help))
}

func with(key, value string) attribute.Set { return attribute.NewSet(attribute.String(key, value)) }

var none attribute.Set

const (
	passwordsHelp = "Passwords tried, by outcome."
	codesHelp     = "Codes of second factors tried, by outcome."
	recordsHelp   = "Records in the file, from its pages; estimated above 50,000."
)

var figures = []figure{
	{"snib.records", "{record}", recordsHelp, true, with("kind", "user"), func(s *snib.Stats) int64 { return s.Users }},
	{"snib.records", "{record}", recordsHelp, true, with("kind", "session"), func(s *snib.Stats) int64 { return s.Sessions }},
	{"snib.records", "{record}", recordsHelp, true, with("kind", "refresh_token"), func(s *snib.Stats) int64 { return s.RefreshTokens }},

	{"snib.passwords", "{attempt}", passwordsHelp, false, with("outcome", "right"), func(s *snib.Stats) int64 { return s.PasswordsRight }},
	{"snib.passwords", "{attempt}", passwordsHelp, false, with("outcome", "wrong"), func(s *snib.Stats) int64 { return s.PasswordsWrong }},
	{"snib.codes", "{attempt}", codesHelp, false, with("outcome", "right"), func(s *snib.Stats) int64 { return s.CodesRight }},
	{"snib.codes", "{attempt}", codesHelp, false, with("outcome", "wrong"), func(s *snib.Stats) int64 { return s.CodesWrong }},
	{"snib.throttled", "{attempt}", "Attempts refused as too many.", false, none, func(s *snib.Stats) int64 { return s.Throttled }},
	{"snib.refresh.reuses", "{token}", "Refresh tokens presented again, whose families were revoked.", false, none, func(s *snib.Stats) int64 { return s.Reuses }},

	{"snib.hashes.running", "{hash}", "Password hashes being computed.", true, none, func(s *snib.Stats) int64 { return int64(s.HashesRunning) }},
	{"snib.hashes.waiting", "{call}", "Callers that wait for the turn to hash.", true, none, func(s *snib.Stats) int64 { return int64(s.HashesWaiting) }},
	{"snib.hashes.refused", "{call}", "Callers refused because the queue for hashing was full.", false, none, func(s *snib.Stats) int64 { return int64(s.HashesRefused) }},

	{"snib.file.size", "By", "Size of the file.", true, none, func(s *snib.Stats) int64 { return s.FileBytes }},
	{"snib.file.free", "By", "Free pages of the file.", true, none, func(s *snib.Stats) int64 { return s.FreeBytes }},
	{"snib.commits", "{commit}", "Durable commits.", false, none, func(s *snib.Stats) int64 { return s.Commits }},
	{"snib.operations", "{write}", "Writes in the commits.", false, none, func(s *snib.Stats) int64 { return s.Operations }},
	{"snib.replays", "{group}", "Groups of writes run again.", false, none, func(s *snib.Stats) int64 { return s.Replays }},
	{"snib.busy", "{write}", "Writes that gave up waiting.", false, none, func(s *snib.Stats) int64 { return s.Busy }},
	{"snib.trips", "{trip}", "Trips to the server of the store.", false, none, func(s *snib.Stats) int64 { return s.Trips }},
	{"snib.waiting_writes", "{write}", "Writes that wait for their turn.", true, none, func(s *snib.Stats) int64 { return s.WaitingWrites }},
	{"snib.open_readers", "{view}", "Open views, which keep deleted pages from being used again.", true, none, func(s *snib.Stats) int64 { return s.OpenReaders }},
	{"snib.sweeps", "{sweep}", "Finished sweeps.", false, none, func(s *snib.Stats) int64 { return s.Sweeps }},
	{"snib.swept", "{record}", "Dead records that sweeps have removed.", false, none, func(s *snib.Stats) int64 { return s.Swept }},

	{"snib.writes", "{write}", "Writes that ended, well or not.", false, none, func(s *snib.Stats) int64 { return s.WriteTime.Count }},
	{"snib.hashes", "{hash}", "Password hashes computed.", false, none, func(s *snib.Stats) int64 { return s.HashTime.Count }},
	{"snib.hash_waits", "{hash}", "Password hashes that had their turn.", false, none, func(s *snib.Stats) int64 { return s.HashWait.Count }},
}

var seconds = []duration{
	{"snib.write.time", "Time of writes: their turns, commits and syncs.", false, func(s *snib.Stats) float64 { return s.WriteTime.Sum.Seconds() }},
	{"snib.hash.time", "Time that password hashes took to compute.", false, func(s *snib.Stats) float64 { return s.HashTime.Sum.Seconds() }},
	{"snib.hash.wait", "Time that password hashes waited for their turn.", false, func(s *snib.Stats) float64 { return s.HashWait.Sum.Seconds() }},
	{"snib.clock.behind", "How far the wall clock is behind the time that the database has seen.", true, func(s *snib.Stats) float64 { return s.ClockBehind.Seconds() }},
}
