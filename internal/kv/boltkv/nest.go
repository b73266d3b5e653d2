package boltkv

import (
	"bytes"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"

	bolt "go.etcd.io/bbolt"
)

// nest knows the goroutines that are inside a closure or hold a joined write
// transaction. A call from one of them that begins another transaction would
// wait for itself: a writer for the writer's lock, a reader for a writer that
// waits until all readers have ended, to move the map.
//
// Ids of goroutines are read from the text of a stack trace. Go gives no other
// way and no id twice; a text that cannot be read makes an id of zero, which
// is never inside, so that the worst outcome is a deadlock instead of
// ErrNested.
type nest struct {
	n atomic.Int32 // how many entries there are: nobody looks further at zero

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

// enter notes that the calling goroutine is inside and returns its id for
// leave.
func (n *nest) enter() uint64 {
	id := goroutine()
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ids == nil {
		n.ids = map[uint64]bool{}
	}
	n.ids[id] = true
	n.count()
	return id
}

func (n *nest) leave(id uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.ids, id)
	n.count()
}

// inside reports whether the calling goroutine is inside.
func (n *nest) inside() bool {
	if n.n.Load() == 0 {
		return false
	}
	id := goroutine()
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
	n.joined = joined{goroutine(), btx}
	n.count()
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
	n.joined = joined{}
	n.count()
}

func (n *nest) count() {
	total := len(n.ids)
	if n.joined.btx != nil {
		total++
	}
	n.n.Store(int32(total))
}

// goroutine returns the id of the calling goroutine, from the first line of
// its stack trace, "goroutine 18 [running]:".
func goroutine() uint64 {
	var buf [40]byte
	text := buf[:runtime.Stack(buf[:], false)]
	text = bytes.TrimPrefix(text, []byte("goroutine "))
	digits, _, _ := bytes.Cut(text, []byte(" "))
	id, _ := strconv.ParseUint(string(digits), 10, 64)
	return id
}
