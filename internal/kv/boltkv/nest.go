package boltkv

import (
	"sync"
	"sync/atomic"

	bolt "go.etcd.io/bbolt"
)

// nest knows the goroutines that are inside a closure or hold a joined write
// transaction. A call from one of them that begins another transaction would
// wait for itself: a writer for the writer's lock, a reader for a writer that
// waits until all readers have ended, to move the map.
//
// How a goroutine is told from the others is in goroutine.go. An id of zero,
// of one that could not be read, is never inside, so that the worst outcome is
// a deadlock instead of ErrNested.
type nest struct {
	id func() uint64 // of the calling goroutine

	// Reads ask on every call, while closures come and go: so they find out
	// without a lock that their goroutine is not inside. Only a goroutine
	// itself notes that it is, and so cannot miss it.
	n    atomic.Int32     // how many entries there are: at zero nothing else is looked at
	some [64]atomic.Int32 // and how many of goroutines with this id modulo 64

	mu     sync.Mutex
	ids    map[uint64]bool
	joined joined
}

// joined is the one write transaction of the application that was joined.
// bbolt has one at a time.
type joined struct {
	id  uint64
	btx *bolt.Tx
}

func (n *nest) init() { n.id, n.ids = identify(), map[uint64]bool{} }

// enter notes that the calling goroutine is inside and returns its id for
// leave.
func (n *nest) enter() uint64 {
	id := n.id()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ids[id] = true
	n.count(id, 1)
	return id
}

func (n *nest) leave(id uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.ids, id)
	n.count(id, -1)
}

// inside reports whether the calling goroutine is inside.
func (n *nest) inside() bool {
	if n.n.Load() == 0 {
		return false
	}
	id := n.id()
	if n.bucket(id).Load() == 0 {
		return false
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ids[id] && id != 0 {
		return true
	}
	if n.joined.btx == nil || n.joined.id != id || id == 0 {
		return false
	}
	if n.joined.btx.DB() == nil { // it has ended, on this very goroutine
		n.forget()
		return false
	}
	return true
}

// join notes a write transaction of the calling goroutine, until it commits
// or is found to have ended.
func (n *nest) join(btx *bolt.Tx) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.joined.btx == btx {
		return
	}
	n.forget()
	n.joined = joined{n.id(), btx}
	n.count(n.joined.id, 1)
	btx.OnCommit(func() { n.ended(btx) })
}

// ended forgets the joined transaction if it is btx; nil means whichever.
func (n *nest) ended(btx *bolt.Tx) {
	if n.n.Load() == 0 {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if btx == nil || n.joined.btx == btx {
		n.forget()
	}
}

func (n *nest) forget() {
	if n.joined.btx == nil {
		return
	}
	n.count(n.joined.id, -1)
	n.joined = joined{}
}

// count notes one entry more or less, of the goroutine with this id.
func (n *nest) count(id uint64, by int32) {
	n.bucket(id).Add(by)
	n.n.Add(by)
}

func (n *nest) bucket(id uint64) *atomic.Int32 { return &n.some[id%uint64(len(n.some))] }
