package boltkv

import (
	"math/bits"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	bolt "go.etcd.io/bbolt"
)

// A pool keeps read transactions, of Pin and of View, for a moment after they were
// used, because beginning one costs more than most reads: five mutexes and a dozen
// allocations, buckets found anew included.
//
// # Why nothing stale is seen
//
// A kept transaction is used again only while its id is the larger of the ids
// in the two meta pages, as they lie in the map: the number that a transaction
// begun now would get. Every commit (of the writer, a joined transaction, the
// application, a second store on the handle) has put its higher id there before
// it is acknowledged, so that the comparison fails for any later reader. Ids do
// not come back: the next commit counts on from the larger one.
//
// # Why nothing is held up
//
// An open read transaction keeps pages from being used again, and keeps bbolt
// from moving its map, for which a commit that must grow it and then every new
// reader wait, and so does bbolt's Close. Therefore no transaction is kept for
// longer than lifetime, used or not: a timer, armed when one begins, ends them
// all. It arms itself again as long as others begin, because arming it wakes a
// thread and is not for a reader to wait for. An idle program has no
// transaction open and no timer running. This, and not anybody's care, bounds
// the wait of others on the same handle.
//
// # Why it cannot deadlock
//
// Ending a read transaction may wait for a reader that is about to begin, and
// that one for a writer, and that one for the end of every other transaction.
// Therefore a goroutine ends one transaction while it is answerable for no
// other, and retire uses a goroutine for each.
type pool struct {
	s     *Store
	keep  bool          // false: a transaction ends when it is released
	epoch atomic.Uint64 // raised to end all transactions begun before
	armed atomic.Bool   // the timer runs
	begun atomic.Bool   // a transaction has begun since it fired
	open  atomic.Int64  // transactions that have begun and not ended
	timer *time.Timer
	slots []slot
}

// lifetime is how long a transaction is kept: long against a read, short for a
// waiter.
const lifetime = 5 * time.Millisecond

// A readTx is a read transaction of the pool, with the buckets found in it. It
// counts as inside the gate until it ends.
type readTx struct {
	*pages
	epoch  uint64 // of the pool before the transaction began
	id     uint64 // of the transaction
	number uint64 // of the file; see handle
	metas  [2]*uint64
}

// A slot holds at most one transaction. It implements kv.Snapshot for the caller
// that has locked it.
type slot struct {
	mu sync.Mutex // held from Pin to Release, and for an instant by View
	reader
	pool     *pool
	held     *readTx // nil: none
	panicked bool    // the value of debug.SetPanicOnFault before

	_ [64]byte // neighbours are used by other processors
}

func (p *pool) init(s *Store) {
	p.s = s
	p.keep = keepable(s.db.at().DB)
	p.slots = make([]slot, min(max(4, 2*runtime.GOMAXPROCS(0)), 64))
	for i := range p.slots {
		p.slots[i].pool = p
		p.slots[i].done = true
	}
	p.timer = time.AfterFunc(time.Hour, p.tick)
	p.timer.Stop()
}

// keepable reports whether transactions may be kept: on 64 bits, where the map
// is made large enough to be moved rarely and where a page written is a page
// seen in the map, and if the ids in the map are where this program looks.
func keepable(db *bolt.DB) bool {
	if bits.UintSize < 64 || runtime.GOOS == "windows" || runtime.GOOS == "openbsd" {
		return false
	}
	found := false
	look := func(btx *bolt.Tx) error {
		found = latest(metaIDs(db)) == uint64(btx.ID())
		return nil
	}
	for range 3 { // a commit may come between
		if err := guarded(func() error { return db.View(look) }); err != nil || found {
			return found
		}
	}
	return false
}

// metaIDs returns where the map has the transaction ids of the two meta pages.
// The map stays where it is as long as a transaction of the caller is open.
//
// A page begins with a header of 16 bytes; in a meta the id follows four
// 32-bit words and four of 64 bits. It is aligned, so that a load is whole.
func metaIDs(db *bolt.DB) [2]*uint64 {
	const offset = 16 + 4*4 + 4*8
	info := db.Info()
	base := mapBase(info)
	return [2]*uint64{
		(*uint64)(unsafe.Add(base, offset)),
		(*uint64)(unsafe.Add(base, info.PageSize+offset)),
	}
}

// mapBase returns the address of the map as a pointer. The map is not memory
// of the collector's; reading the address through a pointer to it says so to
// vet, which cannot know.
func mapBase(info *bolt.Info) unsafe.Pointer {
	return *(*unsafe.Pointer)(unsafe.Pointer(&info.Data))
}

// mappedMetas returns the two meta pages as they lie in the map, good as long as
// btx, a read transaction, is open.
func mappedMetas(btx *bolt.Tx) []byte {
	info := btx.DB().Info()
	return unsafe.Slice((*byte)(mapBase(info)), 2*info.PageSize)
}

func latest(metas [2]*uint64) uint64 {
	return max(atomic.LoadUint64(metas[0]), atomic.LoadUint64(metas[1]))
}

// lock returns a slot, locked. Goroutines begin to look at different ones: the
// address of a goroutine's stack tells them apart, and brings the same one
// back to the slot whose transaction it used last.
func (p *pool) lock() *slot {
	var here byte
	n := uint64(len(p.slots))
	first := (uint64(uintptr(unsafe.Pointer(&here))>>13) * 0x9e3779b97f4a7c15 >> 32) % n
	for i, k := uint64(0), first; i < n; i++ {
		if p.slots[k].mu.TryLock() {
			return &p.slots[k]
		}
		if k++; k == n {
			k = 0
		}
	}
	p.slots[first].mu.Lock()
	return &p.slots[first]
}

// current reports whether the transaction sees every commit that was acknowledged
// so far. A fault, in the map of a file that was cut, is a no.
func (t *readTx) current() (yes bool) {
	if t == nil {
		return false
	}
	defer func() {
		if f := recover(); f != nil && !isFault(f) {
			panic(f)
		}
	}()
	return latest(t.metas) == t.id
}

// refill begins a transaction in the place of the one in the slot.
func (p *slot) refill() error {
	p.empty()
	t, err := p.pool.begin()
	p.held = t
	return err
}

// begin begins a transaction. It ends by [pool.end].
func (p *pool) begin() (*readTx, error) {
	s := p.s
	epoch := p.epoch.Load() // before: a later increment ends this one too
	if err := s.gate.Enter(); err != nil {
		return nil, err
	}
	btx, number, err := s.beginRead()
	if err != nil {
		s.gate.Leave()
		return nil, err
	}
	p.open.Add(1)
	if p.keep {
		p.arm()
	}
	return &readTx{s.pages(btx), epoch, uint64(btx.ID()), number, metaIDs(btx.DB())}, nil
}

// end ends a transaction.
func (p *pool) end(t *readTx) {
	if !p.s.stuck.Load() { // it would wait for ever
		t.btx.Rollback()
	}
	p.open.Add(-1)
	p.s.gate.Leave()
}

// mayKeep reports whether a transaction may be used again.
func (p *pool) mayKeep(t *readTx) bool { return p.keep && t.epoch == p.epoch.Load() }

// empty ends the slot's transaction, if it holds one.
func (p *slot) empty() {
	if p.held != nil {
		p.pool.end(p.held)
		p.held = nil
	}
}

// unlock gives the slot back, and ends its transaction if that may not be
// kept.
func (p *slot) unlock() {
	if p.held != nil && !p.pool.mayKeep(p.held) {
		p.empty()
	}
	p.mu.Unlock()
}

// take takes the transaction out of the slot.
func (p *slot) take() *readTx {
	t := p.held
	p.held = nil
	return t
}

// giveBack puts a transaction that was taken from the slot back, or ends it if it
// may not be kept or the slot has another.
func (p *slot) giveBack(t *readTx) {
	if p.mu.TryLock() { // the holder may wait for the end of this very transaction
		fits := p.held == nil && p.pool.mayKeep(t)
		if fits {
			p.held = t
		}
		p.mu.Unlock()
		if fits {
			return
		}
	}
	p.pool.end(t)
}

// arm sees that the timer runs, for a transaction that has just begun.
func (p *pool) arm() {
	if !p.begun.Load() { // all readers share it: written only if need be
		p.begun.Store(true)
	}
	if p.armed.CompareAndSwap(false, true) {
		p.timer.Reset(lifetime)
	}
}

// tick is called by the timer.
func (p *pool) tick() {
	if p.begun.Swap(false) && p.s.gate.Reason() == nil {
		p.retire()
		p.timer.Reset(lifetime)
		return
	}
	// In this order: a caller that found the timer armed, and so left it alone,
	// has looked at the epoch before and is retired now.
	p.armed.Store(false)
	p.retire()
}

// retire ends all transactions that were begun before; those in use when they
// are released.
func (p *pool) retire() {
	p.epoch.Add(1)
	for i := range p.slots {
		s := &p.slots[i]
		switch {
		case !s.mu.TryLock():
			go func() {
				s.mu.Lock()
				s.unlock()
			}()
		case s.held == nil:
			s.mu.Unlock()
		default:
			go s.unlock()
		}
	}
}

// faultsOn makes memory faults of this goroutine panics, as long as it holds
// the slot.
func (p *slot) faultsOn()  { p.panicked = debug.SetPanicOnFault(true) }
func (p *slot) faultsOff() { debug.SetPanicOnFault(p.panicked) }
