package throttle

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"sync"
	"time"
)

// A Limiter is both tables. It is safe for concurrent use.
type Limiter struct {
	key [32]byte

	mu     sync.Mutex
	blocks [Blocks]*block
	meters meters

	dirty, urgent bool // some block is
	shared        bool // see Share

	window int64 // when the minute of the budget began
	spent  int   // bytes taken in it
}

// New returns a Limiter whose cells are found by a key that no client knows.
func New(key [32]byte) *Limiter { return &Limiter{key: key} }

// Names that begin so count only for callers who have the secret of a live
// session, device or pending log-in.
const (
	Session = "session"
	Device  = "device"
	Factor  = "factor"
)

// place is where a name counts.
//
//go:noinline
func (l *Limiter) place(name []string) place {
	live := len(name) > 0 && (name[0] == Session || name[0] == Device || name[0] == Factor)
	return placeOf(l.sum(append([]string{"account"}, name...)...), live)
}

// sum is HMAC-SHA256 of texts, each with its length.
func (l *Limiter) sum(texts ...string) (out [32]byte) {
	h := hmac.New(sha256.New, l.key[:])
	for _, text := range texts {
		var n [4]byte
		binary.BigEndian.PutUint32(n[:], uint32(len(text)))
		h.Write(n[:])
		h.Write([]byte(text))
	}
	h.Sum(out[:0])
	return out
}

// An Attempt was counted as a failure before it was made.
type Attempt struct {
	l      *Limiter
	at     int64
	place  place
	before [rows]uint32
	spots  []spot
}

// A Request is for an attempt.
type Request struct {
	Now    int64    // Unix milliseconds
	Name   []string // that counts: an account, known or not
	From   Address  // whose networks count too
	Closes bool     // the name is closed at Close failures
}

// Begin counts an attempt as failed before it is made, so that many at once are
// no way around it. If it must wait it is not counted, and may not be made: wait
// is the step that it is in.
func (l *Limiter) Begin(r Request) (a *Attempt, wait time.Duration) {
	a = &Attempt{l: l, at: r.Now, place: l.place(r.Name)}
	plain := r.From.plain()
	for _, n := range r.From.networks() {
		m := plain.masked(n.bits)
		a.spots = append(a.spots, spotOf(l.sum("network", string(m[:]), string(rune(n.bits))), n))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.block(a.place.block, r.Now)
	wait = b.wait(a.place, r.Now, r.Closes)
	for _, s := range a.spots {
		wait = max(wait, l.meters.wait(s, r.Now))
	}
	if wait > 0 {
		return nil, wait
	}
	a.before = b.add(a.place, r.Now)
	l.dirty, l.urgent = true, l.urgent || b.urgent
	for _, s := range a.spots {
		l.meters.add(s, r.Now, s.cost)
	}
	return a, 0
}

// Refund takes back an attempt that was not made.
func (a *Attempt) Refund() { a.undo((*block).back) }

// Succeed ends the run of failures of the name. Its networks get back this
// attempt and no others.
func (a *Attempt) Succeed() {
	a.undo(func(b *block, p place, _ int64, _ [rows]uint32) { b.forget(p) })
}

func (a *Attempt) undo(account func(*block, place, int64, [rows]uint32)) {
	a.l.mu.Lock()
	defer a.l.mu.Unlock()
	account(a.l.blocks[a.place.block], a.place, a.at, a.before)
	a.l.dirty = true
	for _, s := range a.spots {
		a.l.meters.add(s, a.at, -s.cost)
	}
}

// Forget ends the run of failures of a name.
func (l *Limiter) Forget(now int64, name ...string) {
	p := l.place(name)
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.block(p.block, now)
	b.forget(p)
	b.urgent, l.dirty, l.urgent = true, true, true
}

// Failures returns how many failures in a row a name has, at most.
func (l *Limiter) Failures(now int64, name ...string) int {
	p := l.place(name)
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.block(p.block, now)
	n, _ := b.run(p)
	return n
}

// block returns one as of a time; it is made when it is first needed. The caller
// holds mu.
//
//go:noinline
func (l *Limiter) block(i uint16, now int64) *block {
	if l.blocks[i] == nil {
		l.blocks[i] = &block{}
	}
	l.blocks[i].at(now)
	return l.blocks[i]
}
