package admit

import (
	"slices"
	"sync"
	"sync/atomic"
)

// A Nest knows the goroutines that are inside a closure of the application, or have a
// transaction of the program's own that was joined. A call from one of them that begins
// another transaction would wait for itself: for the writer's turn, a connection or
// the end of a reader that its own transaction is or holds. Init makes it ready.
//
// How a goroutine is told from the others is in goroutine.go. An id of zero,
// of one that could not be read, is never inside, so that the worst outcome is
// a deadlock or a time-out instead of kv.ErrNested.
type Nest struct {
	id func() uint64 // of the calling goroutine

	// Reads ask on every call, while closures come and go: so they find out
	// without a lock that their goroutine is not inside. Only a goroutine
	// itself notes that it is, and so cannot miss it.
	n    atomic.Int32 // how many entries there are: at zero nothing else is looked at
	some [64]bucket   // those of goroutines with this id modulo 64
}

type bucket struct {
	n  atomic.Int32 // how many entries: at zero the list is not looked at
	mu sync.Mutex
	of []inside // few, often one: a list is faster than a map
}

// inside are the entries of one goroutine.
type inside struct {
	id uint64
	entries
}

type entries struct{ closures, held int32 }

// Init makes the nest empty.
func (n *Nest) Init() { n.id = identify() }

// Enter notes that the calling goroutine is in a closure, and returns its id for
// Leave. It may be inside more than once.
func (n *Nest) Enter() uint64 {
	id := n.id()
	n.count(id, entries{closures: 1})
	return id
}

// Leave ends what Enter has noted. Any goroutine may call it.
func (n *Nest) Leave(id uint64) { n.count(id, entries{closures: -1}) }

// Hold notes that the calling goroutine has a transaction of the program's own, which
// may be joined, and returns its id for Release.
func (n *Nest) Hold() uint64 {
	id := n.id()
	n.count(id, entries{held: 1})
	return id
}

// Release ends what Hold has noted. Any goroutine may call it.
func (n *Nest) Release(id uint64) { n.count(id, entries{held: -1}) }

// Inside reports whether the calling goroutine is in a closure or has a transaction of
// the program's own.
func (n *Nest) Inside() bool { return !n.Empty() && n.own() != entries{} }

// MayJoin reports whether the calling goroutine is in no closure.
func (n *Nest) MayJoin() bool { return n.Empty() || n.own().closures == 0 }

// own are the entries of the calling goroutine.
func (n *Nest) own() entries {
	id := n.id()
	b := n.bucket(id)
	if id == 0 || b.n.Load() == 0 {
		return entries{}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, x := range b.of {
		if x.id == id {
			return x.entries
		}
	}
	return entries{}
}

// ID returns the id of the calling goroutine.
func (n *Nest) ID() uint64 { return n.id() }

// Empty reports whether no goroutine is inside.
func (n *Nest) Empty() bool { return n.n.Load() == 0 }

// count notes one entry more or less, of the goroutine with this id.
func (n *Nest) count(id uint64, by entries) {
	b := n.bucket(id)
	b.count(id, by)
	b.n.Add(by.closures + by.held)
	n.n.Add(by.closures + by.held)
}

func (b *bucket) count(id uint64, by entries) {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := 0
	for i < len(b.of) && b.of[i].id != id {
		i++
	}
	if i == len(b.of) {
		b.of = append(b.of, inside{id: id})
	}
	x := &b.of[i]
	x.closures, x.held = x.closures+by.closures, x.held+by.held
	if x.entries == (entries{}) {
		b.of = slices.Delete(b.of, i, i+1)
	}
}

func (n *Nest) bucket(id uint64) *bucket { return &n.some[id%uint64(len(n.some))] }
