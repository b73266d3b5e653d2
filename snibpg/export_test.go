package snibpg

import (
	"context"
	"net"
	"sync"
	"time"

	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/kv/remote"
)

// Twice makes the stores of an engine run the closures of writes once in vain.
func Twice(e *Engine) { e.twice = true }

// Hurry bounds a trip of the stores of an engine, and the time to settle a commit. Zero
// is the default.
func Hurry(e *Engine, trip, settle time.Duration) { e.trip, e.settle = trip, settle }

// Redirect makes new connections of the stores of an engine go to the address that
// to returns, unless that is empty. A server in recovery is welcome if standbys is true.
func Redirect(e *Engine, to func() string, standbys bool) {
	c := e.config.ConnConfig
	c.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		if other := to(); other != "" {
			address = other
		}
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
	if standbys {
		c.ValidateConnect = nil
	}
}

// DialBy makes the stores of an engine dial by a function.
func DialBy(e *Engine, dial func(ctx context.Context, network, address string) (net.Conn, error)) {
	e.config.ConnConfig.DialFunc = dial
}

// ConnectWithin bounds the making of a connection.
func ConnectWithin(e *Engine, d time.Duration) { e.config.ConnConfig.ConnectTimeout = d }

// Promoted makes an engine believe that it has met the primary of a later timeline.
// It reports if it knew one.
func Promoted(e *Engine) bool {
	e.history.mu.Lock()
	defer e.history.mu.Unlock()
	e.history.latest.timeline++
	return e.history.latest.system != ""
}

// Reconnect drops all connections.
func (w *Watched) Reconnect() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.stores {
		s.b.pool.Reset()
	}
}

// Watched is an engine whose stores can be asked for their figures.
type Watched struct {
	*Engine
	mu     sync.Mutex
	stores []*store
}

// Open implements kv.Engine.
func (w *Watched) Open(ctx context.Context, setup kv.Setup) (kv.Store, error) {
	s, err := w.Engine.Open(ctx, setup)
	if err == nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.stores = append(w.stores, s.(*store))
	}
	return s, err
}

// Figures returns the counts of all its stores, and how many commits were
// settled.
func (w *Watched) Figures() (f kv.Figures, settled int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.stores {
		one := s.Figures()
		f.Commits += one.Commits
		f.Operations += one.Operations
		f.Replays += one.Replays
		f.Busy += one.Busy
		f.Trips += one.Trips
		settled += s.Settled()
	}
	return f, settled
}

// BackendOf returns the backend of a store.
func BackendOf(s kv.Store) remote.Backend { return s.(*store).b }
