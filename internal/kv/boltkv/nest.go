package boltkv

import (
	"sync"

	bolt "go.etcd.io/bbolt"

	"github.com/snibdb/snib/internal/kv/admit"
)

// nest knows the goroutines that are inside a closure, and the one that holds a
// joined write transaction. A call from one of them that begins another transaction
// would wait for itself: a writer for the writer's lock, a reader for a writer that
// waits until all readers have ended, to move the map.
type nest struct {
	admit.Nest // a joined write transaction is an entry too

	mu     sync.Mutex
	joined joined
}

// joined is the one write transaction of the application that was joined.
// bbolt has one at a time.
type joined struct {
	id  uint64
	btx *bolt.Tx
}

// inside reports whether the calling goroutine is inside.
func (n *nest) inside() bool { return n.Inside() && n.stillInside() }

// stillInside is inside for a goroutine that has an entry, which may be of a joined
// transaction that has ended: then it is forgotten.
func (n *nest) stillInside() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.joined.btx != nil && n.joined.id == n.ID() && n.joined.btx.DB() == nil { // it has ended, on this very goroutine
		n.forget()
	}
	return n.Inside()
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
	n.joined = joined{n.Hold(), btx}
	btx.OnCommit(func() { n.ended(btx) })
}

// ended forgets the joined transaction if it is btx; nil means whichever.
func (n *nest) ended(btx *bolt.Tx) {
	if n.Empty() {
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
	n.Release(n.joined.id)
	n.joined = joined{}
}
