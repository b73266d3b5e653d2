package admit

import "testing"

// acting is a nest for whose calling goroutine a test chooses the id.
func acting() (n *Nest, own *uint64) {
	n, own = &Nest{}, new(uint64)
	n.Init()
	n.id = func() uint64 { return *own }
	return n, own
}

// TestGoroutinesOfOneBucket: ids that are equal modulo the number of buckets
// are not taken for each other.
func TestGoroutinesOfOneBucket(t *testing.T) {
	n, own := acting()
	*own = 3
	n.Enter()
	for id, inside := range map[uint64]bool{3: true, 3 + 64: false, 4: false} {
		if *own = id; n.Inside() != inside {
			t.Errorf("goroutine %d is inside: %t, want %t", id, !inside, inside)
		}
	}
	n.Leave(3)
	if *own = 3; n.Inside() || !n.Empty() || n.some[3].n.Load() != 0 || len(n.some[3].of) != 0 {
		t.Error("a goroutine is inside that has left")
	}
}

// TestAGoroutineInsideTwice: it is inside until it has left twice.
func TestAGoroutineInsideTwice(t *testing.T) {
	n, own := acting()
	*own = 5
	n.Enter()
	n.Enter()
	if n.Leave(5); !n.Inside() {
		t.Error("it is outside after the first Leave")
	}
	if n.Leave(5); n.Inside() || !n.Empty() {
		t.Error("it is inside after the second Leave")
	}
}

// TestATransactionOfTheProgram: its goroutine is inside, and may join it but from a
// closure.
func TestATransactionOfTheProgram(t *testing.T) {
	n, own := acting()
	*own = 7
	if !n.MayJoin() {
		t.Error("a goroutine outside may not join")
	}
	n.Hold()
	if !n.Inside() || !n.MayJoin() {
		t.Error("its goroutine is not inside, or may not join")
	}
	n.Enter()
	if n.MayJoin() {
		t.Error("it may join from a closure")
	}
	n.Leave(7)
	if n.Release(7); n.Inside() || !n.Empty() {
		t.Error("it is inside after the end")
	}
}

// TestAnUnknownGoroutineIsNeverInside: an id that could not be read is not taken
// for that of another one.
func TestAnUnknownGoroutineIsNeverInside(t *testing.T) {
	n, _ := acting() // the id is zero
	id := n.Enter()
	if n.Inside() {
		t.Error("it is inside")
	}
	if n.Leave(id); !n.Empty() {
		t.Error("the nest is not empty afterwards")
	}
}

// TestNestAllocatesNothing, once closures have been open: Views come and go.
func TestNestAllocatesNothing(t *testing.T) {
	n, own := acting()
	*own = 9
	other := n.Enter()
	if got := testing.AllocsPerRun(100, func() {
		*own = 9 + 64
		id := n.Enter()
		if n.Leave(id); n.Inside() {
			t.Error("it is inside after the end")
		}
	}); got != 0 {
		t.Errorf("%v allocations", got)
	}
	if *own = 9; !n.Inside() {
		t.Error("the other one is not inside")
	}
	n.Leave(other)
}
