package boltkv

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/snibdb/snib/internal/kv"
)

// Update implements kv.Store. fn runs on the calling goroutine, which is
// handed the bolt transaction for that time.
func (s *Store) Update(ctx context.Context, fn func(kv.Tx) error) error {
	return s.submit(ctx, newMember(update, fn))
}

// Apply implements kv.Store. op runs on the writer's goroutine, or on the
// caller's if that leads. If it panics, so does Apply, with a value whose text
// has the stack of op.
func (s *Store) Apply(ctx context.Context, op func(kv.Tx) error) error {
	return s.submit(ctx, newMember(apply, op))
}

// Exclusive implements kv.Store. fn runs on the calling goroutine.
func (s *Store) Exclusive(ctx context.Context, fn func(kv.Tx) error) error {
	return s.submit(ctx, newMember(exclusive, fn))
}

type kind int

const (
	apply     kind = iota // on the writer's goroutine, or the caller's
	update                // on the caller's
	exclusive             // on the caller's, alone and unbounded
)

func (m *member) side() side {
	if m.kind == apply {
		return library
	}
	return closures
}

// A member is one operation on its way through a group. It is queued, then
// taken by the writer, then answered, once; or it withdraws from the queue; or
// it leads and is taken at once. A member that is taken is not abandoned: its
// caller stays to run the closure, as often as needed, and for the answer.
type member struct {
	kind kind
	op   func(kv.Tx) error
	elem *list.Element // in the queue; nil once it is not (guarded by Store.mu)

	turn   chan *tx    // writer to caller: run the closure on this
	back   chan bool   // caller to writer: it has run
	answer chan answer // writer to caller, buffered

	// The last run. Written by the goroutine that ran the closure, read by
	// the writer afterwards.
	tx  *tx
	err error

	late      bool // the run saw earlier writes of others
	rehearsed bool // Options.Twice: the first of the two runs is over
}

type answer struct {
	err      error
	panicked any // to be raised in the caller
}

// give gives the answer to the caller.
func (a answer) give() error {
	if a.panicked != nil {
		panic(a.panicked) // raised by op or by a commit hook
	}
	return a.err
}

func newMember(k kind, op func(kv.Tx) error) *member {
	m := &member{kind: k, op: op, answer: make(chan answer, 1)}
	if k != apply {
		m.turn, m.back = make(chan *tx), make(chan bool)
	}
	return m
}

func (m *member) reply(err error) { m.answer <- answer{err: err} }

// submit queues m and serves it until it is answered, or leads it.
func (s *Store) submit(ctx context.Context, m *member) error {
	if err := s.admit(ctx); err != nil {
		return err
	}
	defer s.gate.Leave()
	lead, err := s.enqueue(m)
	if err != nil {
		return err
	}
	if lead {
		s.lead(m)
		return (<-m.answer).give()
	}
	var busy <-chan time.Time
	if s.opt.BusyTimeout > 0 {
		timer := time.NewTimer(s.opt.BusyTimeout)
		defer timer.Stop()
		busy = timer.C
	}
	// Once withdrawing fails the member is taken, or answered by Close, and
	// neither ctx nor the time matters any more.
	done := ctx.Done()
	for {
		select {
		case t := <-m.turn:
			s.runHere(m, t)
		case a := <-m.answer:
			return a.give()
		case <-done:
			if s.withdraw(m) {
				return fmt.Errorf("wait for the writer: %w", ctx.Err())
			}
			done = nil
		case <-busy:
			if s.withdraw(m) {
				if err := ctx.Err(); err != nil { // both ended while this goroutine slept
					return fmt.Errorf("wait for the writer: %w", err)
				}
				s.busy.Add(1)
				return kv.ErrBusy
			}
			busy = nil
		}
	}
}

// runHere runs the closure on its caller's goroutine and hands the transaction
// back, also when the closure panics or ends the goroutine: the writer and all
// members of the commit wait for it.
func (s *Store) runHere(m *member, t *tx) {
	defer func() { m.back <- true }()
	defer faultsPanic()()
	id := s.nest.Enter()
	defer s.nest.Leave(id)
	m.run(t)
}

// runApply runs an operation of the library. Its panic is raised in the
// caller when bbolt has rolled back: a server may have prepared for it, and
// here it could end the program.
func (m *member) runApply(t *tx) {
	defer func() {
		switch p := recover(); {
		case p != nil:
			m.answer <- answer{panicked: &opPanic{p, debug.Stack()}}
		case t.gone:
			m.reply(errExited) // and the writer ends; see Store.write and Store.lead
		}
	}()
	m.run(t)
}

var errExited = errors.New("boltkv: operation ended its goroutine")

// opPanic is a panic of an operation of Apply, with the stack it came from.
type opPanic struct {
	value any
	stack []byte
}

func (p *opPanic) Error() string { return fmt.Sprintf("%v\n\n%s", p.value, p.stack) }

// Unwrap returns the value if it is an error.
func (p *opPanic) Unwrap() error {
	err, _ := p.value.(error)
	return err
}

// run runs the closure once on t.
func (m *member) run(t *tx) {
	returned := false
	defer func() {
		t.end()
		if returned {
			return
		}
		switch p := recover(); {
		case p == nil:
			t.gone = true // runtime.Goexit, which goes on
		case isFault(p):
			t.fail(corrupt(p))
		default:
			t.gone = true
			panic(p) // the closure's own, with its frames still in the trace
		}
	}()
	m.err = m.op(t)
	returned = true
}

// enqueue puts m last in the queue and sees that a writer runs, or makes the
// caller the writer: then m is taken, leads is locked, and lead must follow.
func (s *Store) enqueue(m *member) (lead bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.gate.Reason(); err != nil {
		return false, err // shut since m was let in; dismiss may have passed
	}
	lead = !s.writing && m.kind == apply && s.mayLead()
	if !lead {
		s.turns.push(m)
		if !s.writing {
			go s.write()
		}
	}
	s.writing = true
	return lead, nil
}

// mayLead reports whether a caller may be the writer, and then locks leads. It
// may not where it could have to wait for bbolt's lock, of which ctx and
// BusyTimeout know nothing, because the application can hold it; and where
// commits are shared, one more would only delay the next.
func (s *Store) mayLead() bool {
	if s.db.at().file == nil || s.last.Load() > 1 {
		return false
	}
	s.leads.Lock()
	if s.lent.Load() {
		s.leads.Unlock()
		return false
	}
	return true
}

// lead runs m, and it alone, on its caller's goroutine: to hand a lone
// operation over to another and back would cost as much as its work. Members
// that came meanwhile are left to a writer. It leads no other, so that no
// operation can end the goroutine of another's caller.
func (s *Store) lead(m *member) {
	defer faultsPanic()()
	g := &group{s: s, members: []*member{m}, started: true, leads: true}
	s.group = g
	defer func() {
		g.begun()     // if it came to nothing
		if s.more() { // also if m has ended this goroutine
			go s.write()
		}
	}()
	s.serve()
}

// begun is when a group has bbolt's lock.
func (g *group) begun() {
	if g.leads {
		g.leads = false
		g.s.leads.Unlock()
	}
}

// withdraw removes m from the queue and reports whether it was still there:
// then it has not run and never will.
func (s *Store) withdraw(m *member) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.turns.remove(m)
}

// take takes the first of a queue. A member that must be alone is taken only if
// alone.
func (s *Store) take(from side, alone bool) *member {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.turns.take(from, alone)
}

func (s *Store) waiting() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.turns.waiting()
}

// due returns the side whose turn it is and how many wait there.
func (s *Store) due() (side, int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := s.turns.next()
	return next, s.turns.queues[next].Len()
}

// dismiss answers all that wait with the reason why the gate is shut.
func (s *Store) dismiss() {
	for _, from := range []side{library, closures} {
		for m := s.take(from, true); m != nil; m = s.take(from, true) {
			m.reply(s.gate.Reason())
		}
	}
}

// write is the writer's goroutine: it serves groups until no member waits.
//
// An operation, or a commit hook, that ends its goroutine ends this one. A
// new writer then goes on with the group where it was left.
func (s *Store) write() {
	debug.SetPanicOnFault(true) // for good: the goroutine is ours
	over := false
	defer func() {
		if !over {
			go s.write()
		}
	}()
	for s.more() {
		s.serve()
	}
	over = true
}

// more reports whether there is work, and else resigns.
func (s *Store) more() bool {
	if s.group != nil {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writing = s.turns.waiting() > 0
	return s.writing
}
