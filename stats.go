package snib

import (
	"context"
	"time"
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

	WaitingWrites int64 // writes that wait for their turn now
	OpenReaders   int64 // read transactions that are open now; one that stays keeps pages from being used again

	Sweeps int64 // sweeps that have finished, called for or not
	Swept  int64 // sessions and tokens they have removed

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
	if err := db.view(ctx, func(*Tx) error { return nil }); err != nil {
		return Stats{}, during("stats", err)
	}
	out := db.store.figures()
	out.Sweeps, out.Swept = db.sweeper.sweeps.Load(), db.sweeper.swept.Load()
	out.HashesRunning, out.HashesWaiting, out.HashesRefused = db.o.hasher.Stats()
	out.ClockBehind = db.clock.Behind()
	return out, nil
}
