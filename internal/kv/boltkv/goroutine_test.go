package boltkv

import (
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/petermattis/goid"

	"github.com/snibdb/snib/internal/kv"
)

// TestIdentityIsFastHere fails with a Go that goid does not know. The store
// still works then, as TestIdentityFallsBack shows, and is slower beside a
// View: see ADR 9.
func TestIdentityIsFastHere(t *testing.T) {
	var calls atomic.Int64
	id := identity(func() int64 { calls.Add(1); return goid.Get() })
	calls.Store(0)
	same(t, "id", id(), goroutine())
	if calls.Load() != 1 {
		t.Errorf("%s on %s: goid does not know where the id lies, stack traces are read", runtime.Version(), runtime.GOARCH)
	}
}

// TestIdentityFallsBack: a field that is not the id is noticed, also one that
// is right for all goroutines but one, and ErrNested is as sure as before.
func TestIdentityFallsBack(t *testing.T) {
	var calls atomic.Int64
	for name, fast := range map[string]func() int64{
		"a constant":              func() int64 { return 1 },
		"zero":                    func() int64 { return 0 },
		"the next one":            func() int64 { return goid.Get() + 1 },
		"right but for the first": func() int64 { return goid.Get() + min(calls.Add(1)-2, 0) },
		"right but for the last": func() int64 {
			if calls.Add(1) == 4 {
				return 7
			}
			return goid.Get()
		},
	} {
		calls.Store(0)
		s := newStoreIn(t, options())
		s.nest.id = identity(fast)
		ids := make(chan bool)
		for range 8 {
			go func() { ids <- s.nest.id() == goroutine() }()
		}
		for range 8 {
			if !<-ids {
				t.Errorf("%s: an id that is not the goroutine's", name)
			}
		}
		must(t, s.View(ctx, func(kv.Reader) error {
			p, err := s.Pin(ctx)
			want(t, name+": Pin in a View", err, kv.ErrNested)
			if err == nil {
				p.Release(nil)
			}
			other := make(chan error)
			go func() { other <- s.View(ctx, func(kv.Reader) error { return nil }) }()
			return <-other // which is not inside
		}))
		put(t, s, "k", name)
	}
}

// TestGoroutinesOfOneBucket: ids that are equal modulo the number of buckets
// are not taken for each other.
func TestGoroutinesOfOneBucket(t *testing.T) {
	var n nest
	n.init()
	own := uint64(3)
	n.id = func() uint64 { return own }
	n.enter()
	for id, inside := range map[uint64]bool{3: true, 3 + 64: false, 4: false} {
		own = id
		same(t, "inside", n.inside(), inside)
	}
	n.leave(3)
	own = 3
	same(t, "inside afterwards", n.inside(), false)
	same(t, "entries", n.n.Load()+n.some[3].Load(), 0)
}
