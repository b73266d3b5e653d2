package proof_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	bolt "go.etcd.io/bbolt"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/internal/testopen"
)

// engineOptions are what the engine can be told and the rules must not depend
// on. The zero value is Open with its defaults.
type engineOptions struct {
	pageSize  int // of the file, which Open takes as it is; 0 is the machine's
	viaNew    bool
	freelist  bolt.FreelistType // by New
	unsynced  bool              // the free list, by New
	syncs     bool              // commits, which other model tests do not
	batchless bool              // MaxBatchSize and MaxBatchDelay 0, by New

	handle *bolt.DB // of New
	there  bool     // the file
}

// String is the name of a subtest.
func (e *engineOptions) String() string {
	way := "Open"
	if e.viaNew {
		way = "New " + string(e.freelist)
	}
	if e.pageSize != 0 {
		way += fmt.Sprintf(" pages of %d", e.pageSize)
	}
	if e.unsynced {
		way += " free list not stored"
	}
	if e.syncs {
		way += " synced"
	}
	return way
}

// open opens the database as the options say.
func (e *engineOptions) open(path string, o *snib.Options) (*snib.DB, error) {
	copied := *o
	copied.InsecureNoSync = !e.syncs
	if e.viaNew {
		return e.attach(path, &copied)
	}
	if e.pageSize != 0 && !e.there { // Open makes files of one size only
		db, err := e.attach(path, &copied)
		if err != nil {
			return nil, err
		}
		if err := db.Close(); err != nil {
			return nil, err
		}
		if err := e.handle.Close(); err != nil {
			return nil, err
		}
		e.handle = nil
	}
	e.there = true
	return testopen.Open(path, &copied)
}

// programs is how many may have the database open.
func (e *engineOptions) programs() int {
	if testopen.Engine == "" {
		return 1
	}
	return 2
}

// attach opens the file as an application does and gives it to New.
func (e *engineOptions) attach(path string, o *snib.Options) (db *snib.DB, err error) {
	e.handle, err = bolt.Open(path, 0o600, &bolt.Options{
		PageSize: e.pageSize, FreelistType: e.freelist, NoFreelistSync: e.unsynced, NoSync: !e.syncs,
	})
	if err != nil {
		return nil, err
	}
	if e.batchless {
		e.handle.MaxBatchSize, e.handle.MaxBatchDelay = 0, 0
	}
	if e.pageSize != 0 && e.handle.Info().PageSize != e.pageSize {
		return nil, fmt.Errorf("pages of %d bytes, want %d", e.handle.Info().PageSize, e.pageSize)
	}
	return snib.New(e.handle, o)
}

// close closes the application's handle, if there is one. The database is
// closed.
func (e *engineOptions) close(tb testing.TB) {
	tb.Helper()
	if e.handle == nil {
		return
	}
	if err := e.handle.Close(); err != nil {
		tb.Fatalf("close the handle: %v", err)
	}
	e.handle = nil
}

// TestModelOptions crosses the sizes of pages with both ways to a database, and
// the modes of the free list with both of them.
func TestModelOptions(t *testing.T) {
	var sets []engineOptions
	for size := 1 << 10; size <= 64<<10; size *= 2 {
		sets = append(sets, engineOptions{pageSize: size, viaNew: true, freelist: freelists[len(sets)/2%2]}, engineOptions{pageSize: size})
	}
	for _, list := range freelists {
		sets = append(sets, engineOptions{viaNew: true, freelist: list, unsynced: true}, engineOptions{viaNew: true, freelist: list, syncs: true, batchless: true})
	}
	sets = append(sets, engineOptions{syncs: true})
	for _, set := range sets {
		t.Run(set.String(), func(t *testing.T) {
			seed := *modelSeed
			if seed == 0 {
				seed = rand.Uint64()
			}
			t.Logf("go test ./proof -run '%s' -seed %d -steps %d", t.Name(), seed, *modelSteps)
			newDriver(t, seed, &set).runTo(max(*modelSteps/len(sets), 50))
		})
	}
}

var freelists = []bolt.FreelistType{bolt.FreelistArrayType, bolt.FreelistMapType}
