package boltkv

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/snibdb/snib/internal/kv"
	bolt "go.etcd.io/bbolt"
)

// Bounds of a group. A group's transaction is held in memory until it commits.
const (
	maxMembers = 1024
	maxBytes   = 4 << 20 // keys and values put; the last member may go beyond
	maxReplays = 16
)

// A group is a number of members of one side (turns.go) that share one bolt
// transaction. They run one after the other, so that each sees the writes of
// those before it. bbolt has no savepoints: when one fails after writing, the
// transaction is rolled back and the others run again.
//
// An error that a closure returns is a verdict on the data it saw. It is final
// when that data is committed: at once if no other member had written before it
// in this transaction, else when the transaction has committed. Therefore
//
//   - one that fails without having written stays, and is answered with the
//     others; if they must run again, so must it;
//   - one that fails after writing is answered at once if no other had written
//     before it, else it runs again alone, before the others;
//   - when a commit is refused, all run again, each alone, so that each gets
//     its own answer: a removal may succeed where an addition does not.
//
// An error of the engine, a panic and an ended goroutine are no verdicts: they
// are answered, or go their way, at once.
type group struct {
	s        *Store
	side     side
	members  []*member // taken, in order, neither answered nor in alone or rest
	alone    []*member // to run next, each in a transaction of its own
	rest     []*member // to run again while no member is in alone
	started  bool
	leads    bool // its one member leads, and Store.leads is locked
	single   bool // its one member was in alone: it takes no other
	want     int  // how many more to take from the queue
	replays  int
	failures int       // members that failed after writing
	began    time.Time // when it first had bbolt's lock

	attempt
}

// attempt is the state of one bolt transaction.
type attempt struct {
	btx       *bolt.Tx
	id        uint64 // of the transaction
	pages     *pages
	bytes     int
	dirty     bool   // something was written
	frees     bool   // and all writes only freed room
	shared    bool   // Bolt gave the transaction to a closure
	hooks     uint64 // this goroutine, while it counts as inside for them
	rehearsal bool   // some member ran for Options.Twice
	committed bool
}

// Errors of run that make bbolt roll back.
var (
	errAgain   = errors.New("run the others again")
	errNothing = errors.New("nothing to commit")
)

// serve works on a group until all its members are answered.
func (s *Store) serve() {
	if s.group == nil {
		s.group = &group{s: s}
	}
	g := s.group
	for !g.started || g.refill() {
		g.try()
	}
	s.group = nil
	if !g.began.IsZero() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.turns.took(g.side, time.Since(g.began), g.failures > 0)
	}
}

// refill reports whether there are members to run, once no member of the last
// transaction is left.
func (g *group) refill() bool {
	if len(g.members) > 0 {
		return true
	}
	if g.single = len(g.alone) > 0; g.single {
		g.members, g.alone = g.alone[:1:1], g.alone[1:]
	} else {
		g.members, g.rest = g.rest, nil
	}
	return len(g.members) > 0
}

// try makes one attempt and settles its outcome, even if the attempt ends this
// goroutine.
func (g *group) try() {
	g.attempt = attempt{}
	if err := g.s.ready(len(g.members) > 0); err != nil {
		g.dismiss(err)
		return
	}
	err := errAgain // for when Update does not return
	defer func() { g.settle(err, recover()) }()
	err = g.s.db.Update(g.run)
}

// ready says why no transaction may be begun. Callers of taken members are
// inside the gate, so that Close waits; without any, the file may be closed.
func (s *Store) ready(taken bool) error {
	switch err := s.gate.Enter(); {
	case err == nil:
		defer s.gate.Leave()
	case !taken || s.stuck.Load():
		return err
	}
	return s.inPlace()
}

// run is called by bbolt with its writer's lock held. Only now are members
// taken, but for one that leads, so that waiting for the lock can be given up.
func (g *group) run(btx *bolt.Tx) error {
	s := g.s
	g.begun()
	g.btx, g.id, g.pages, g.frees = btx, uint64(btx.ID()), s.pages(btx), true
	btx.OnCommit(func() { g.committed = true }) // the first hook: it runs before any that may panic
	s.saw(btx)
	s.nest.ended(nil) // a joined write transaction has ended: we hold its lock
	if g.began.IsZero() {
		g.began = time.Now()
	}
	if !g.started {
		g.started = true
		// One yield lets callers that were just answered come back. Yielding
		// until no more come would take for ever where others keep the
		// processors busy.
		runtime.Gosched()
		g.side, g.want = s.due()
		g.want = min(g.want, maxMembers)
	}
	for i := 0; ; {
		m := g.member(i)
		if m == nil {
			break
		}
		if keep, clean := g.step(m); !keep {
			g.members = slices.Delete(g.members, i, i+1)
			if !clean {
				return errAgain
			}
			continue
		} else if !clean {
			return errAgain
		}
		i++
	}
	switch {
	case g.rehearsal:
		return errAgain
	case !g.dirty:
		return errNothing
	}
	s.step(g.frees)
	if g.shared {
		g.hooks = s.nest.Enter() // commit hooks run on this goroutine
	}
	return nil
}

// member returns the i-th member, taken from the queue if need be; nil if
// there are no more.
func (g *group) member(i int) *member {
	if i < len(g.members) {
		return g.members[i]
	}
	if g.want == 0 || g.single || g.bytes >= maxBytes || g.side == closures && g.over() {
		return nil
	}
	m := g.s.take(g.side, len(g.members) == 0)
	if m == nil {
		return nil
	}
	g.want--
	if m.kind == exclusive {
		g.want = 0
	}
	g.members = append(g.members, m)
	return m
}

// over reports whether a turn of closures takes no more of them. The first is
// always taken.
func (g *group) over() bool {
	return g.failures >= turnFailures || len(g.members) > 0 && time.Since(g.began) > g.s.turns.limit
}

// step runs one member. keep is whether it stays in the group, clean whether
// the bolt transaction can go on.
func (g *group) step(m *member) (keep, clean bool) {
	t := newTx(g.pages)
	t.bounded = m.kind != exclusive
	t.private = m.kind == apply
	t.weighs = g.s.opt.MaxSize > 0
	m.tx, m.err, m.late = t, nil, g.dirty
	if m.kind == apply {
		m.runApply(t)
	} else {
		m.turn <- t
		<-m.back
	}
	g.bytes += t.bytes
	switch {
	case t.gone: // its caller is on its way out, or has been told
		g.fail(t.touched)
		return false, !t.touched
	case g.s.opt.Twice && !m.rehearsed:
		m.rehearsed, g.rehearsal = true, true
		g.dirty = g.dirty || t.touched
		return true, t.err == nil
	case t.err != nil:
		g.fail(true)
		m.reply(t.err)
		return false, false
	case m.err != nil && t.touched:
		if m.late {
			g.alone = append(g.alone, m)
		} else {
			g.fail(true)
			m.reply(m.err)
		}
		return false, false
	}
	if t.touched {
		g.dirty = true
		g.shared = g.shared || t.shared
		g.frees = g.frees && t.room.freed() && !t.shared
	}
	return true, true
}

// fail counts a member that is done with and cost the group a rollback.
func (g *group) fail(rolledBack bool) {
	if rolledBack {
		g.failures++
	}
}

// settle answers the members or leaves them for another attempt. err is bbolt's
// error, p its panic.
func (g *group) settle(err error, p any) {
	s := g.s
	if g.hooks != 0 {
		s.nest.Leave(g.hooks)
	}
	if !g.committed { // the member that ended this goroutine has its answer already
		g.members = slices.DeleteFunc(g.members, func(m *member) bool { return m.tx != nil && m.tx.gone })
	}
	switch {
	case g.committed: // even if a hook panicked then
		s.commits.Add(1)
		s.members.Add(int64(len(g.members)))
		s.largest.Store(max(s.largest.Load(), int64(len(g.members))))
		s.last.Store(int64(len(g.members)))
		g.answer(p)
	case p != nil:
		g.broken(p)
	case errors.Is(err, errNothing):
		g.answer(nil)
	case errors.Is(err, errAgain):
		g.again()
	case g.btx == nil:
		g.dismiss(s.beginFailed(err))
	default:
		g.refused(s.judge(err, g.id), err)
	}
}

// answer gives each member the result of its run. p is the panic of a hook.
func (g *group) answer(p any) {
	for _, m := range g.members {
		a := answer{err: m.err}
		if m.tx.shared {
			a.panicked = p
		}
		m.answer <- a
	}
	g.members = nil
}

// again is after a rollback.
func (g *group) again() {
	if len(g.members) == 0 {
		return
	}
	if !g.rehearsal {
		g.s.replays.Add(1)
		g.replays++
	}
	switch {
	case g.replays > maxReplays:
		g.alone = append(g.members, g.alone...)
		g.members = nil
	case len(g.alone) > 0:
		g.rest = append(g.members, g.rest...)
		g.members = nil
	}
}

// refused is after a failed commit: err is the answer, cause the error of
// bbolt.
func (g *group) refused(err, cause error) {
	if errors.Is(err, kv.ErrUnknown) {
		// Later calls are refused and their outcome is known: the reason tells
		// of kv.ErrUnknown without being it.
		g.s.poison(fmt.Errorf("the outcome of a commit is unknown: %w", cause))
		g.lost(err)
		return
	}
	if len(g.members) == 1 {
		g.members[0].reply(err)
		g.members = nil
		return
	}
	g.s.replays.Add(1)
	g.alone = append(g.members, g.alone...)
	g.members = nil
}

// broken is after a panic of bbolt's in the commit, which comes before it
// writes the meta page, or in Begin.
func (g *group) broken(p any) {
	if g.btx == nil {
		g.s.jam(p)
		g.dismiss(g.s.gate.Reason())
		return
	}
	if g.btx.DB() == nil {
		g.refused(corrupt(p), nil)
		return
	}
	// bbolt panicked again while rolling back and kept its lock. A second,
	// simpler rollback gives it back; bbolt's list of free pages may be wrong
	// now, so this was the last transaction.
	g.s.poison(corrupt(p))
	if guarded(g.btx.Rollback) != nil {
		g.s.stuck.Store(true)
		g.s.gate.Poke()
	}
	g.dismiss(fmt.Errorf("commit: %w", corrupt(p)))
}

// lost answers the members that wrote in the failed commit with unknown, and
// the rest with the reason why the store serves no more: they have written
// nothing.
func (g *group) lost(unknown error) {
	for _, m := range g.members {
		if m.tx.touched && m.err == nil {
			m.reply(unknown)
		} else {
			m.reply(g.s.gate.Reason())
		}
	}
	g.members = nil
	g.dismiss(g.s.gate.Reason())
}

// dismiss answers everybody, the queue included, with err: no transaction can
// be begun.
func (g *group) dismiss(err error) {
	g.started = true
	for _, m := range slices.Concat(g.members, g.alone, g.rest) {
		m.reply(err)
	}
	g.members, g.alone, g.rest = nil, nil, nil
	for n := g.s.waiting(); n > 0; n-- {
		m := g.s.take(library, true)
		if m == nil {
			m = g.s.take(closures, true)
		}
		if m != nil {
			m.reply(err)
		}
	}
}
