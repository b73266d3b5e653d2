// Package witness remembers, in memory of fixed size, which answers of a
// rotation have been used: whether the session that the rotation gave was
// accepted since. Validation never writes, so no file can tell.
//
// What is forgotten is only unknown, never wrong: the caller must be safe
// whichever way an unknown answer goes.
package witness

import (
	"hash/maphash"
	"math"
	"sync"
	"sync/atomic"

	"github.com/snibdb/snib/codec"
)

const (
	buckets   = 8192 // 64 k sessions in all
	perBucket = 8    // of one user, hence of one bucket
)

// Table is the memory. Its zero value is empty and takes a megabyte at the
// first Expect. A hash under a random seed spreads the users: an account pushes
// out its own sessions and those of one user in 8,192, and cannot choose which.
type Table struct {
	all atomic.Pointer[memory]
	mu  sync.Mutex // held by Expect, Repeated and Repeats
	seq uint32     // of the last Expect
}

type memory struct {
	of   [buckets]bucket // first, so that each begins at a cache line
	seed maphash.Seed
}

// A bucket has the marks of its sessions in one cache line, which is all that a
// validation reads.
type bucket struct {
	marks   [perBucket]atomic.Uint64 // 63 bits of a hash of the key, and used; 0 is free
	begun   [perBucket]uint32        // the seq of each
	repeats [perBucket]uint32        // answers given again
}

// used is the lowest bit of a mark.
const used = 1

func (m *memory) find(session codec.OwnedKey) (*bucket, uint64, int) {
	b := &m.of[maphash.Bytes(m.seed, session[:codec.OwnerBytes])%buckets]
	mark := maphash.Bytes(m.seed, session[:]) &^ used
	if mark == 0 {
		mark = 2
	}
	for i := range b.marks {
		if b.marks[i].Load()&^used == mark {
			return b, mark, i
		}
	}
	return b, mark, -1
}

// Accepted notes that a session was accepted. It is on the path of every
// request, takes no lock and allocates nothing.
func (t *Table) Accepted(session codec.OwnedKey) {
	m := t.all.Load()
	if m == nil {
		return
	}
	b, mark, i := m.find(session)
	if i >= 0 && b.marks[i].Load() == mark {
		b.marks[i].CompareAndSwap(mark, mark|used) // fails if the place is another's by now
	}
}

// Used reports whether a session is known to have been accepted.
func (t *Table) Used(session codec.OwnedKey) bool {
	m := t.all.Load()
	if m == nil {
		return false
	}
	b, mark, i := m.find(session)
	return i >= 0 && b.marks[i].Load() == mark|used
}

// Expect begins to watch a session, in the place of the one that it replaced.
// If the user has eight others, the oldest is forgotten.
func (t *Table) Expect(replaced, session codec.OwnedKey) {
	t.mu.Lock()
	defer t.mu.Unlock()
	m := t.all.Load()
	if m == nil {
		m = &memory{seed: maphash.MakeSeed()}
		t.all.Store(m)
	}
	b, mark, _ := m.find(session)
	of, _, i := m.find(replaced)
	if i < 0 || of != b {
		i = b.oldest(t.seq)
	}
	t.seq++
	b.begun[i], b.repeats[i] = t.seq, 0
	b.marks[i].Store(mark)
}

// oldest returns a free place, or that of the oldest session.
func (b *bucket) oldest(now uint32) (oldest int) {
	for i := range b.marks {
		if b.marks[i].Load() == 0 {
			return i
		}
		if now-b.begun[i] > now-b.begun[oldest] {
			oldest = i
		}
	}
	return oldest
}

// Repeated counts an answer that was given again. Its session may be another
// one by now, which takes over all that is known.
func (t *Table) Repeated(before, session codec.OwnedKey) {
	t.mu.Lock()
	defer t.mu.Unlock()
	m := t.all.Load()
	if m == nil {
		return
	}
	b, _, i := m.find(before)
	if i < 0 {
		return
	}
	if b.repeats[i] < math.MaxUint32 {
		b.repeats[i]++
	}
	m.move(b, i, before, session)
}

// Moved lets a session take over all that is known of the one that it replaced.
func (t *Table) Moved(before, session codec.OwnedKey) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if m := t.all.Load(); m != nil {
		if b, _, i := m.find(before); i >= 0 {
			m.move(b, i, before, session)
		}
	}
}

// move gives the place i to session, which is of the same user as before.
func (m *memory) move(b *bucket, i int, before, session codec.OwnedKey) {
	if before != session {
		_, mark, _ := m.find(session)
		b.marks[i].Store(mark | b.marks[i].Load()&used)
	}
}

// Repeats returns how often the answer with a session was given again, as far
// as is known.
func (t *Table) Repeats(session codec.OwnedKey) uint32 {
	t.mu.Lock()
	defer t.mu.Unlock()
	m := t.all.Load()
	if m == nil {
		return 0
	}
	b, _, i := m.find(session)
	if i < 0 {
		return 0
	}
	return b.repeats[i]
}
