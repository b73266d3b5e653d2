package dbtest

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/kv/suite"
)

// Places run tests that were written for files on another engine: each path is a
// store. It is safe for concurrent use.
type Places struct {
	// Engine returns the engine of a path, the same store for the same path.
	Engine func(path string) (kv.Engine, error)

	mu    sync.Mutex
	walls map[string]*wall
}

// Open opens the accounts of a path. Options.Now is the clock of the store, and
// options that are of files only are left out.
func (p *Places) Open(path string, opts *snib.Options) (*snib.DB, error) {
	fmt.Println(suite.Opened)
	if path == "" {
		return snib.Open(path, opts) // which refuses it
	}
	e, err := p.Engine(path)
	if err != nil {
		return nil, err
	}
	var o snib.Options
	if opts != nil {
		o = *opts
	}
	o.InsecureNoSync, o.File = false, snib.FileOptions{}
	if o.Now != nil {
		e = &clock{Engine: e, wall: p.wall(path, o.Now)}
	}
	return snib.OpenStore(context.Background(), e, &o)
}

// wall is the time of a store, by the readings of a test's clock. As the clock of a
// file, it does not go back.
type wall struct {
	mu   sync.Mutex
	now  func() time.Time
	last time.Time // reading
	at   int64     // Unix milliseconds
}

func (p *Places) wall(path string, now func() time.Time) *wall {
	p.mu.Lock()
	defer p.mu.Unlock()
	w := p.walls[path]
	if w == nil {
		reading := now()
		w = &wall{last: reading, at: reading.UnixMilli()}
		if p.walls == nil {
			p.walls = map[string]*wall{}
		}
		p.walls[path] = w
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = now // the test may have another one after it has opened the path again
	return w
}

func (w *wall) read() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	reading := w.now()
	w.at = max(reading.UnixMilli(), w.at+max(0, reading.Sub(w.last).Milliseconds()))
	w.last = reading
	return w.at
}
