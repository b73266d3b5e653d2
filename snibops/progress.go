package snibops

import (
	"sync"

	"github.com/snibdb/snib"
)

// A ProgressFeed passes the progress of long operations on to clients. The zero
// value is ready.
//
//	var feed snibops.ProgressFeed
//	db, err := snib.Open(path, &snib.Options{Progress: feed.Report})
//	ops, err := snibops.Listen(db, path, &snibops.Options{Progress: &feed})
type ProgressFeed struct {
	mu   sync.Mutex
	last map[string]Progress // by Op
}

// Report is for snib.Options.Progress. It keeps p and returns at once.
func (f *ProgressFeed) Report(p snib.Progress) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.last == nil {
		f.last = map[string]Progress{}
	}
	f.last[p.Op] = Progress{Op: p.Op, Done: p.Done, Total: p.Total}
}

// forget drops the report of an operation that is about to begin.
func (f *ProgressFeed) forget(op string) {
	if f == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.last, op)
}

// look returns the last report of an operation.
func (f *ProgressFeed) look(op string) (Progress, bool) {
	if f == nil {
		return Progress{}, false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	p, ok := f.last[op]
	return p, ok
}
