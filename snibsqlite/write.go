package snibsqlite

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"time"

	"github.com/snibdb/snib/internal/kv"
)

// Writes of this process take turns at one connection. The one whose turn it is
// holds the baton; with it go the connection and the transaction on it. Members
// that wait for the same side are handed the baton in turn and run in one
// transaction, each behind a savepoint, and the last of them commits for all: a
// sync costs more than hundreds of operations. Closures of the application and
// operations of the library have queues of their own, that are served by turns,
// so that slow closures do not stand before log-ins.
const (
	maxMembers = 512
	maxBytes   = 4 << 20
	turnTime   = 5 * time.Millisecond // of closures; the first is always taken
)

type kind int

const (
	apply kind = iota
	update
	exclusive
)

type side int

const (
	library side = iota
	closures
)

func (k kind) side() side {
	if k == apply {
		return library
	}
	return closures
}

// A member is one operation on its way. It runs on the goroutine of its caller.
type member struct {
	kind     kind
	op       func(kv.Tx) error
	deadline time.Time // zero: none
	ctx      context.Context
	elem     *list.Element // in a queue; writer.mu guards it
	turn     chan signal   // buffered
	alone    bool          // commits for itself only

	err   error // of the last run
	wrote bool
}

// A signal is the baton, or the answer.
type signal struct {
	baton bool
	err   error
}

func (m *member) answer(err error) { m.turn <- signal{err: err} }

// writer is the state of writing. What is below link belongs to the holder of the
// baton.
type writer struct {
	mu     sync.Mutex
	queues [2]list.List
	held   bool // a member has the baton
	served side // in the last turn

	link    *link
	open    bool      // a transaction is
	members []*member // that ran in it and wait for the commit
	dirty   bool      // it has changed something
	bytes   int
	began   time.Time
	logged  int64 // size of the log at which it is reset next
}

// Update implements kv.Store.
func (s *Store) Update(ctx context.Context, fn func(kv.Tx) error) error {
	return s.submit(ctx, update, fn)
}

// Apply implements kv.Store. op runs on the calling goroutine. If it panics, so
// does Apply, with a value whose text has the stack of op.
func (s *Store) Apply(ctx context.Context, op func(kv.Tx) error) error {
	return s.submit(ctx, apply, op)
}

// Exclusive implements kv.Store.
func (s *Store) Exclusive(ctx context.Context, fn func(kv.Tx) error) error {
	return s.submit(ctx, exclusive, fn)
}

func (s *Store) submit(ctx context.Context, k kind, op func(kv.Tx) error) error {
	if err := s.admit(ctx); err != nil {
		return err
	}
	defer s.gate.Leave()
	m := &member{kind: k, op: op, ctx: ctx, deadline: s.deadline(), turn: make(chan signal, 1), alone: k == exclusive}
	if err := s.enqueue(m); err != nil {
		return err
	}
	var busy <-chan time.Time
	if !m.deadline.IsZero() {
		timer := time.NewTimer(s.busyTimeout)
		defer timer.Stop()
		busy = timer.C
	}
	done := ctx.Done()
	for {
		select {
		case sig := <-m.turn:
			if !sig.baton {
				return s.counted(sig.err)
			}
			s.run(m)
		case <-done:
			if s.withdraw(m) {
				return fmt.Errorf("wait for the writer: %w", ctx.Err())
			}
			done = nil // it runs, or waits for its commit
		case <-busy:
			if s.withdraw(m) {
				return s.counted(kv.ErrBusy)
			}
			busy = nil
		}
	}
}

func (s *Store) counted(err error) error {
	if errors.Is(err, kv.ErrBusy) {
		s.figures.busy.Add(1)
	}
	return err
}

// deadline returns until when a write that begins now may wait.
func (s *Store) deadline() time.Time {
	if s.busyTimeout < 0 {
		return time.Time{}
	}
	return time.Now().Add(s.busyTimeout)
}

// enqueue puts m last in its queue, and gives it the baton if no member has it.
func (s *Store) enqueue(m *member) error {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	if err := s.gate.Reason(); err != nil {
		return err // shut since m was let in; dismiss may have passed
	}
	m.elem = s.w.queues[m.kind.side()].PushBack(m)
	if !s.w.held {
		s.w.held = true
		s.hand()
	}
	return nil
}

// withdraw removes m from its queue and reports whether it was there.
func (s *Store) withdraw(m *member) bool {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	return s.w.remove(m)
}

func (w *writer) remove(m *member) bool {
	if m.elem == nil {
		return false
	}
	w.queues[m.kind.side()].Remove(m.elem)
	m.elem = nil
	return true
}

// hand gives the baton to the first member of the side whose turn it is, or lays
// it down. The caller holds mu, and the baton.
func (s *Store) hand() {
	next := library
	if s.w.queues[library].Len() == 0 || s.w.served == library && s.w.queues[closures].Len() > 0 {
		next = closures
	}
	e := s.w.queues[next].Front()
	if e == nil {
		s.w.held = false
		return
	}
	s.w.served = next
	m := e.Value.(*member)
	s.w.remove(m)
	m.turn <- signal{baton: true}
}

// follower hands the baton to a member that may share the transaction, and
// reports whether there was one.
func (s *Store) follower() bool {
	w := &s.w
	if !w.open || len(w.members) >= maxMembers || w.bytes >= maxBytes {
		return false
	}
	// Where the program has the connection, its transactions are its own: a
	// COMMIT or ROLLBACK of the program's hits no other member.
	if w.served == closures && (s.lends.Load() || time.Since(w.began) > turnTime) {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	e := w.queues[w.served].Front()
	if e == nil || e.Value.(*member).alone {
		return false
	}
	m := e.Value.(*member)
	w.remove(m)
	m.turn <- signal{baton: true}
	return true
}

// dismiss answers all that wait with err.
func (s *Store) dismiss(err error) {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	for i := range s.w.queues {
		for e := s.w.queues[i].Front(); e != nil; e = s.w.queues[i].Front() {
			m := e.Value.(*member)
			s.w.remove(m)
			m.answer(err)
		}
	}
}

// outcome of a run, for the transaction.
type outcome int

const (
	gone  outcome = iota // the closure panicked or ended its goroutine
	ran                  // to its end
	never                // the transaction could not begin
)

// run runs m, which has the baton, and passes the baton on, also if the closure
// panics or ends its goroutine: others wait for it.
func (s *Store) run(m *member) {
	how := gone
	t := &tx{reader: reader{s: s, l: s.w.link, sticky: true}, bounded: m.kind != exclusive, closure: m.kind != apply}
	defer func() {
		p := recover()
		t.end()
		s.after(m, t, how)
		if p != nil {
			if m.kind == apply {
				p = &opPanic{p, debug.Stack()}
			}
			panic(p)
		}
	}()
	if err := s.begin(m); err != nil {
		how = never
		m.answer(err)
		return
	}
	if s.twice && !s.rehearse(m) {
		t.fail("rehearse", errEnded)
	}
	if m.kind != apply {
		id := s.nest.Enter()
		defer s.nest.Leave(id)
	}
	m.err = m.op(t)
	t.giveBack()
	how = ran
}

// rehearse runs the closure once and drops all that it did. It reports whether
// the transaction goes on.
func (s *Store) rehearse(m *member) (sound bool) {
	t := &tx{reader: reader{s: s, l: s.w.link, sticky: true}, bounded: m.kind != exclusive, closure: m.kind != apply}
	if _, err := s.w.link.exec("SAVEPOINT snib_rehearsal"); err != nil {
		return false
	}
	defer func() {
		t.end()
		_, undone := s.w.link.exec("ROLLBACK TO snib_rehearsal")
		_, released := s.w.link.exec("RELEASE snib_rehearsal")
		sound = undone == nil && released == nil
	}()
	if m.kind != apply {
		id := s.nest.Enter()
		defer s.nest.Leave(id)
	}
	m.op(t)
	return true
}

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

// begin opens the transaction, or a savepoint in that of the members before.
func (s *Store) begin(m *member) error {
	w := &s.w
	if w.open {
		_, err := w.link.exec("SAVEPOINT snib_member")
		if err != nil {
			s.broken()
		}
		return translate("begin", err)
	}
	if s.poisoned.Load() {
		return s.gate.Reason()
	}
	if gone := s.inPlace(); gone != nil {
		s.poison(gone)
		return gone
	}
	if err := s.beginOn(m.ctx, w.link, m.deadline); err != nil {
		return err
	}
	w.open, w.members, w.dirty, w.bytes, w.began = true, nil, false, 0, time.Now()
	return nil
}

// beginOn takes the file's lock for writing. Other processes may have it, and
// connections of the application's: SQLite keeps no queue, so it is asked again
// after pauses of random length.
func (s *Store) beginOn(ctx context.Context, l *link, deadline time.Time) error {
	for pause := 200 * time.Microsecond; ; pause = min(2*pause, 10*time.Millisecond) {
		_, err := l.exec("BEGIN IMMEDIATE")
		if err == nil || !waits(err) {
			return translate("begin", err)
		}
		if !deadline.IsZero() && time.Now().After(deadline) {
			return translate("begin", err)
		}
		timer := time.NewTimer(pause/2 + rand.N(pause))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("wait for the writer: %w", ctx.Err())
		}
	}
}

// after settles the effects of m on the transaction, and passes the baton on.
func (s *Store) after(m *member, t *tx, how outcome) {
	w := &s.w
	s.figures.operations.Add(1)
	late := len(w.members) > 0
	switch {
	case how == never:
	case t.err != nil:
		s.broken()
		if how == ran {
			m.answer(t.err)
		}
	case how == gone:
		s.undo(late)
	default:
		m.wrote = t.touched && m.err == nil
		if m.err != nil && t.touched {
			s.undo(late)
		} else if late && w.open {
			s.must("RELEASE snib_member")
		}
		switch {
		case !w.open && late: // it broke, and m was not among the members
			s.again(m)
		case m.err != nil && !w.dirty: // a verdict on committed data
			m.answer(m.err)
		default:
			w.dirty = w.dirty || m.wrote
			w.bytes += t.bytes
			w.members = append(w.members, m)
		}
	}
	if m.alone || !s.follower() {
		s.finish()
	}
}

// undo takes back the writes of the last member.
func (s *Store) undo(late bool) {
	if !late {
		s.must("ROLLBACK")
		s.w.open = false
		return
	}
	s.must("ROLLBACK TO snib_member")
	if s.w.open {
		s.must("RELEASE snib_member")
	}
}

// must runs a statement that fails only with the transaction.
func (s *Store) must(query string) {
	if _, err := s.w.link.exec(query); err != nil {
		s.broken()
	}
}

// broken ends a transaction that cannot go on. Its members run again, each alone.
func (s *Store) broken() {
	s.w.link.exec("ROLLBACK") // SQLite may have done it already
	s.w.open = false
	members := s.w.members
	s.w.members = nil
	for i := len(members) - 1; i >= 0; i-- {
		s.again(members[i])
	}
}

// again puts a member before all others, to run alone.
func (s *Store) again(m *member) {
	s.figures.replays.Add(1)
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	m.alone = true
	m.elem = s.w.queues[m.kind.side()].PushFront(m)
}

// finish commits, answers the members and passes the baton on.
func (s *Store) finish() {
	if s.w.open {
		s.commit()
	}
	s.w.open, s.w.members = false, nil
	s.trim()
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	s.hand()
}

func (s *Store) commit() {
	w := &s.w
	if !w.dirty {
		if _, err := w.link.exec("ROLLBACK"); err != nil {
			s.opt.Logger.Debug("rollback of nothing", "error", err)
		}
		for _, m := range w.members {
			m.answer(m.err)
		}
		return
	}
	_, err := w.link.exec("COMMIT")
	switch {
	case err == nil:
		s.figures.commits.Add(1)
		for _, m := range w.members {
			m.answer(m.err)
		}
	case !certain(err):
		w.link.exec("ROLLBACK") // the connection may be the program's
		s.poison(fmt.Errorf("the outcome of a commit is unknown: %w", err))
		for _, m := range w.members {
			if m.wrote {
				m.answer(fmt.Errorf("commit: %w: %w", kv.ErrUnknown, err))
			} else {
				m.answer(s.gate.Reason())
			}
		}
	case len(w.members) == 1:
		w.link.exec("ROLLBACK")
		w.members[0].answer(translate("commit", err))
	default:
		s.broken()
	}
}

// poison ends the service for good.
func (s *Store) poison(cause error) {
	s.poisoned.Store(true)
	if s.gate.Shut(fmt.Errorf("%w: %w", kv.ErrClosed, cause)) {
		s.opt.Logger.Error("store ends its service", "cause", cause)
	}
	s.dismiss(s.gate.Reason())
}
