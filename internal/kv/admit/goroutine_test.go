package admit

import (
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/petermattis/goid"
)

// TestIdentityIsFastHere fails with a Go that goid does not know. Stores still
// work then, as TestIdentityFallsBack shows, and are slower beside a View: see
// ADR 9.
func TestIdentityIsFastHere(t *testing.T) {
	var calls atomic.Int64
	id := identity(func() int64 { calls.Add(1); return goid.Get() })
	calls.Store(0)
	if got, want := id(), goroutine(); got != want {
		t.Errorf("id %d, want %d", got, want)
	}
	if calls.Load() != 1 {
		t.Errorf("%s on %s: goid does not know where the id lies, stack traces are read", runtime.Version(), runtime.GOARCH)
	}
}

// TestIdentityFallsBack: a field that is not the id is noticed, also one that
// is right for all goroutines but one, and a nest is as sure as before.
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
		var n Nest
		n.Init()
		n.id = identity(fast)
		ids := make(chan bool)
		for range 8 {
			go func() { ids <- n.ID() == goroutine() }()
		}
		for range 8 {
			if !<-ids {
				t.Errorf("%s: an id that is not the goroutine's", name)
			}
		}
		id, other := n.Enter(), make(chan bool)
		go func() { other <- n.Inside() }()
		if !n.Inside() || <-other {
			t.Errorf("%s: the goroutine is not inside, or another one is", name)
		}
		if n.Leave(id); n.Inside() || !n.Empty() {
			t.Errorf("%s: a goroutine is inside that has left", name)
		}
	}
}

func TestGoroutineIDs(t *testing.T) {
	mine, other := goroutine(), make(chan uint64)
	go func() { other <- goroutine() }()
	if theirs := <-other; mine == 0 || theirs == 0 || mine == theirs || mine != goroutine() {
		t.Errorf("ids %d, %d, %d", mine, theirs, goroutine())
	}
}
