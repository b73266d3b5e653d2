// Package snibtest is for the tests of programs that use snib: a database in a
// temporary directory that is fast and is checked at the end, and a clock that
// moves when it is told to.
package snibtest

import (
	"cmp"
	"context"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/internal/testopen"
)

// NewDB opens a new database in a temporary directory. When the test ends, it
// is checked ([snib.DB.Check]) and closed; a breach fails the test.
//
// opts may be nil. Where they say nothing, commits are not synced and
// passwords are hashed with next to no work, which no real database must do.
func NewDB(tb testing.TB, opts *snib.Options) *snib.DB {
	tb.Helper()
	return OpenDB(tb, filepath.Join(tb.TempDir(), "accounts.db"), opts)
}

// OpenDB is NewDB for a file that may exist.
func OpenDB(tb testing.TB, path string, opts *snib.Options) *snib.DB {
	tb.Helper()
	db, err := testopen.Open(path, Fast(opts))
	if err != nil {
		tb.Fatalf("opening the database: %v", err)
	}
	tb.Cleanup(func() { CheckAndClose(tb, db) })
	return db
}

// CheckAndClose checks and closes db, which may be closed already.
func CheckAndClose(tb testing.TB, db *snib.DB) {
	tb.Helper()
	report, err := db.Check(context.Background())
	for _, p := range report.Problems {
		tb.Errorf("check: %v", p)
	}
	if err != nil && !errors.Is(err, snib.ErrClosed) {
		tb.Errorf("check: %v", err)
	}
	if err := db.Close(); err != nil {
		tb.Errorf("closing the database: %v", err)
	}
}

// Fast returns a copy of opts that does not sync, hashes with next to no work,
// and waits for its turn to hash as long as a busy machine takes; how slow it is
// refuses no imported hash. opts may be nil; parameters of hashing that are set
// are kept.
func Fast(opts *snib.Options) *snib.Options {
	var o snib.Options
	if opts != nil {
		o = *opts
	}
	o.InsecureNoSync = true
	p := &o.Passwords
	p.Parallelism = cmp.Or(p.Parallelism, 1)
	p.MemoryKiB = cmp.Or(p.MemoryKiB, 8*uint32(p.Parallelism))
	p.Time = cmp.Or(p.Time, 1)
	p.QueueTime = cmp.Or(p.QueueTime, -1)
	p.MaxImportTime = cmp.Or(p.MaxImportTime, -1)
	return &o
}

// Clock is a wall clock for Options.Now. It starts on 1 January 2030 and moves
// when it is told to. It is safe for concurrent use.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock returns a Clock.
func NewClock() *Clock {
	return &Clock{now: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)}
}

// Now returns the time, for Options.Now.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves the clock by d, back if d is negative, and returns the new
// time.
func (c *Clock) Advance(d time.Duration) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	return c.now
}

// Set moves the clock to t.
func (c *Clock) Set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = t
}
