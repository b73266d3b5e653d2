package snib

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/latency"
	"github.com/snibdb/snib/internal/records"
)

// Stats are figures for an operator. Counters begin when this DB is opened.
type Stats struct {
	FileBytes int64 // size of the file
	FreeBytes int64 // of it, pages that are free to be used again

	Commits    int64 // durable commits
	Operations int64 // writes in them; more than Commits when writers share
	Replays    int64 // groups run again because one writer of them failed
	Largest    int64 // most writes in one commit
	Busy       int64 // writes that gave up waiting (ErrBusy)

	// Of a file. 0 for other stores, as Largest is.
	WaitingWrites int64 // writes that wait for their turn now
	OpenReaders   int64 // read transactions that are open now; one that stays keeps pages from being used again

	Trips int64 // to the server of the store, 0 for a file

	Sweeps int64 // sweeps that have finished, called for or not
	Swept  int64 // sessions and tokens they have removed

	// Users, Sessions and RefreshTokens are the records that the file has,
	// disabled users and what the next sweep removes included. They are counted
	// from its pages, not one by one, and above about 50,000 estimated, to a
	// few per cent.
	Users, Sessions, RefreshTokens int64

	// PasswordsRight and PasswordsWrong are the passwords tried, by LogIn,
	// AuthenticateUser, Reauthenticate and ChangePassword; a right password of
	// a disabled user is a wrong one. CodesRight and CodesWrong are those of
	// second factors.
	PasswordsRight, PasswordsWrong int64
	CodesRight, CodesWrong         int64 // as above

	Throttled int64 // passwords, codes and attempts of [Throttle.Begin] that were refused as too many
	Reuses    int64 // refresh tokens presented again, whose families were revoked

	WriteTime Latencies // of each write: its turn, the commit and the sync
	HashWait  Latencies // of each password hash: for its turn
	HashTime  Latencies // likewise: computing

	HashesRunning int    // password hashes being computed
	HashesWaiting int    // calls waiting for the gate
	HashesRefused uint64 // calls refused because the queue was full (ErrBusy)

	// ClockBehind is how far the wall clock is behind the time that this
	// database has seen, which goes on without it. More than a few minutes
	// says that one of the two was wrong: see ResetClock.
	ClockBehind time.Duration
}

// Stats returns the figures of this moment.
func (db *DB) Stats(ctx context.Context) (Stats, error) {
	out := db.figures()
	if err := db.view(ctx, func(tx *Tx) (err error) {
		out.Users, out.Sessions, out.RefreshTokens, err = tx.counts()
		return err
	}); err != nil {
		return Stats{}, during("stats", err)
	}
	db.tally.read(&out)
	waits, works := db.o.hasher.Times()
	out.HashWait, out.HashTime = latencies(waits), latencies(works)
	out.Sweeps, out.Swept = db.sweeper.sweeps.Load(), db.sweeper.swept.Load()
	out.HashesRunning, out.HashesWaiting, out.HashesRefused = db.o.hasher.Stats()
	out.ClockBehind = db.clock.Behind()
	return out, nil
}

// Latencies are how long operations have taken since the DB was opened: a
// histogram with the bounds of [LatencyBounds].
type Latencies struct {
	Count int64         // operations
	Sum   time.Duration // of all of them
	UpTo  []int64       // how many took at most each of the bounds
}

// LatencyBounds returns the bounds of Latencies, from 0.5 ms to 10 s.
func LatencyBounds() []time.Duration { return slices.Clone(latency.Bounds[:]) }

func latencies(h *latency.Histogram) Latencies {
	upTo, count, sum := h.Read()
	return Latencies{count, sum, upTo[:]}
}

// tally counts log-ins and writes for Stats.
type tally struct {
	passwordsRight, passwordsWrong atomic.Int64
	codesRight, codesWrong         atomic.Int64
	throttled, reuses              atomic.Int64
	writes                         latency.Histogram
}

// password counts an attempt that was right, or that ended with err.
func (t *tally) password(right bool, err error) {
	switch {
	case right:
		t.passwordsRight.Add(1)
	case errors.Is(err, ErrInvalidCredentials):
		t.passwordsWrong.Add(1)
	}
}

// code counts a code of a second factor.
func (t *tally) code(err error) {
	switch {
	case err == nil:
		t.codesRight.Add(1)
	case errors.Is(err, ErrInvalidCredentials):
		t.codesWrong.Add(1)
	}
}

// write counts a write that took as long as w has run.
func (t *tally) write(w latency.Watch) { t.writes.Observe(w.Elapsed()) }

func (t *tally) read(s *Stats) {
	s.PasswordsRight, s.PasswordsWrong = t.passwordsRight.Load(), t.passwordsWrong.Load()
	s.CodesRight, s.CodesWrong = t.codesRight.Load(), t.codesWrong.Load()
	s.Throttled, s.Reuses = t.throttled.Load(), t.reuses.Load()
	s.WriteTime = latencies(&t.writes)
}

// counts returns how many users, sessions and families there are; zeros where
// the engine does not count.
func (tx *Tx) counts() (users, sessions, families int64, err error) {
	c, ok := kv.As[kv.Counter](tx.rec.R)
	if !ok {
		return 0, 0, 0, nil
	}
	for _, x := range []struct {
		n     *int64
		space kv.Space
	}{{&users, records.SpaceUsers}, {&sessions, records.SpaceSessions}, {&families, records.SpaceFamilies}} {
		if *x.n, err = c.Count(x.space); err != nil {
			return 0, 0, 0, err
		}
	}
	return users, sessions, families, nil
}

// told returns the callback by which the engine reports the progress of op.
func (s *settings) told(op string) func(done, total int64) {
	if s.Progress == nil {
		return nil
	}
	return func(done, total int64) { s.Progress(Progress{Op: op, Done: done, Total: total}) }
}

// Progress is how far something that runs long has come.
type Progress struct {
	Op    string // "check", "repair", "index", "import", "upgrade", "reseal", "backup", "compact" or "restore"
	Done  int64  // records of a check, repair or reseal, users and entries of an index, rows of an import, trees of an upgrade, else bytes
	Total int64  // likewise, once it is known; of "compact" it is a bound
}
