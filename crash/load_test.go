package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/snibdb/snib"
)

// resources are what a database must give back.
type resources struct {
	goroutines, files int
	heap              uint64
}

func measure(t *testing.T) resources {
	t.Helper()
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return resources{runtime.NumGoroutine(), len(open), m.HeapAlloc}
}

// TestLoad: 512 goroutines do mixed operations on 64 users, each of whom is
// everybody's. Nothing fails but by a verdict, the file is sound, and all that
// was taken is given back.
func TestLoad(t *testing.T) {
	before := measure(t)
	path := filepath.Join(t.TempDir(), databaseName)
	done := underLoad(t, path, *loadFor)
	t.Logf("%d operations in %v", done, *loadFor)
	if done == 0 {
		t.Error("nothing was done")
	}
	var after resources
	for range 6000 { // what ends in the background has its time
		if after = measure(t); after.goroutines <= before.goroutines {
			break
		}
		runtime.Gosched()
		time.Sleep(10 * time.Millisecond)
	}
	t.Logf("before %+v, after %+v", before, after)
	if after.goroutines > before.goroutines || after.files > before.files || after.heap > before.heap+(8<<20) {
		t.Errorf("not given back: before %+v, after %+v", before, after)
	}
}

// underLoad opens, loads, checks and closes a database.
func underLoad(t *testing.T, path string, d time.Duration) int64 {
	t.Helper()
	o := options(time.Now)
	o.Indexes, o.SweepEvery, o.BusyTimeout = declared, time.Second, time.Minute
	o.Keys, o.Owned, o.Outbox = keys(), []string{ownedRows}, []string{consumer}
	db, err := snib.Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	var done atomic.Int64
	end := time.Now().Add(d)
	for g := range 512 {
		group.Go(func() {
			l := &laneWork{db: db, name: laneName(g % 64), clock: time.Now}
			l.rng = newWork(*seed+uint64(g), false).rng
			for time.Now().Before(end) {
				if err := l.anything(); err != nil && kindOf(err) != isRefused && !errors.Is(err, snib.ErrTooLarge) {
					t.Errorf("goroutine %d: %v", g, err)
					return
				}
				done.Add(1)
			}
		})
	}
	group.Wait()
	if _, err := db.Check(ctx); err != nil {
		t.Errorf("check: %v", err)
	}
	stats, err := db.Stats(ctx)
	t.Logf("%+v, %v", stats, err)
	if err := db.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	return done.Load()
}

// anything does a random operation on a user whom others work on as well.
func (l *laneWork) anything() error {
	l.n++
	l.counts = counts{there: l.rng.IntN(8) > 0, value: l.rng.IntN(100)}
	if l.rng.IntN(3) > 0 && l.last.ID != "" {
		_, _, err := l.db.ValidateSessionUser(ctx, l.last.Token.Reveal())
		return err
	}
	if l.rng.IntN(20) == 0 {
		_, err := summary(l.db, l.name)
		return err
	}
	name, _, do := l.next()
	if err := do(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}
