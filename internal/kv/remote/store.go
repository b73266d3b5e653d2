package remote

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/kv/admit"
)

// patienceWithOthers is how often a writer loses to others before it runs alone.
// An optimistic store has no queue: a load of an attacker's choosing could keep
// a revocation from its commit for ever.
const patienceWithOthers = 4

// Options are those of New. Zero values are defaults.
type Options struct {
	BusyTimeout   time.Duration // of kv.Setup; 0 is 10 s, negative no bound
	TripTimeout   time.Duration // one trip to the server; 0 is 15 s
	SettleTimeout time.Duration // to learn the outcome of a commit; 0 is 30 s
	Writers       int           // that run at once, at most; 0 is 16
	Page          int           // keys that a scan reads in one trip; 0 is 1,000
	Twice         bool          // for tests: closures of writes run once more, in vain
	Logger        *slog.Logger
}

// Store is a kv.Store on a Backend.
type Store struct {
	b       Backend
	o       Options
	gate    admit.Gate
	nest    admit.Nest
	turns   *turns
	marks   marks
	version atomic.Uint64
	closing sync.Once

	commits, operations, replays, busy, settled atomic.Int64
}

var _ kv.Store = (*Store)(nil)

// New returns a Store that closes b when it is closed.
func New(b Backend, o Options) *Store {
	if o.BusyTimeout == 0 {
		o.BusyTimeout = 10 * time.Second
	}
	if o.TripTimeout <= 0 {
		o.TripTimeout = 15 * time.Second
	}
	if o.SettleTimeout <= 0 {
		o.SettleTimeout = 30 * time.Second
	}
	if o.Writers <= 0 {
		o.Writers = 16
	}
	if o.Page <= 0 {
		o.Page = 1000
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Store{b: b, o: o, turns: newTurns(o.Writers)}
	s.gate.Init()
	s.nest.Init()
	return s
}

// Fill runs fn in a session that the caller will commit, without a bound on
// writes, and flushes the writes: for kv.Setup.Init, in the transaction that
// makes the tables.
func Fill(ctx context.Context, in Session, fn func(kv.Tx) error) error {
	s := New(nil, Options{})
	t := s.tx(ctx, in, Alone)
	defer t.end()
	if err := fn(t); err != nil || t.err != nil {
		return errors.Join(t.err, err)
	}
	return t.flush()
}

// Figures returns the counts of this store, not those of other processes.
func (s *Store) Figures() kv.Figures {
	return kv.Figures{
		Commits: s.commits.Load(), Operations: s.operations.Load(), Replays: s.replays.Load(),
		Busy: s.busy.Load(), Trips: s.b.Trips(),
	}
}

// Settled returns how many commits lost their answer and were found again.
func (s *Store) Settled() int64 { return s.settled.Load() }

// admit lets a call in, or says why not. An admitted call ends with gate.Leave.
func (s *Store) admit(ctx context.Context) error {
	if s.nest.Inside() {
		return kv.ErrNested
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	return s.gate.Enter()
}

// Close implements kv.Store.
func (s *Store) Close() error {
	if s.nest.Inside() {
		return fmt.Errorf("close: %w", kv.ErrNested)
	}
	var err error
	s.closing.Do(func() {
		s.gate.Shut(kv.ErrClosed)
		s.gate.Wait(nil)
		err = s.b.Close(s.marks.idle)
	})
	return err
}

// View implements kv.Store.
func (s *Store) View(ctx context.Context, fn func(kv.Reader) error) error {
	if err := s.admit(ctx); err != nil {
		return err
	}
	defer s.gate.Leave()
	defer s.nest.Leave(s.nest.Enter())
	p := s.patience(ctx)
	defer p.end()
	for {
		err := s.look(p, fn)
		if !errors.Is(err, kv.ErrAgain) {
			return err
		}
		if err := p.again(err); err != nil {
			return err
		}
	}
}

// look is one run of a View.
func (s *Store) look(p *patience, fn func(kv.Reader) error) error {
	in, err := s.b.Begin(p.ctx, Read)
	if err != nil {
		return s.beginFailed(p, err)
	}
	t := s.tx(p.caller, in, Read)
	defer t.end()
	return t.verdict(fn(t))
}

// beginFailed tells a wait that took too long from a server that failed.
func (s *Store) beginFailed(p *patience, err error) error {
	if over := p.over(err); over != nil {
		return over
	}
	return err
}

// Pin implements kv.Store. The snapshot is fixed by its first read.
func (s *Store) Pin(ctx context.Context) (kv.Snapshot, error) {
	if err := s.admit(ctx); err != nil {
		return nil, err
	}
	p := s.patience(ctx)
	in, err := s.snapshot(p)
	if err != nil {
		defer s.gate.Leave()
		defer p.end()
		return nil, err
	}
	t := s.tx(ctx, in, Read)
	t.pinned = p
	return &snapshot{t}, nil
}

// snapshot begins to read, as soon as the server can be reached.
func (s *Store) snapshot(p *patience) (Session, error) {
	for {
		in, err := s.b.Begin(p.ctx, Read)
		if err == nil {
			return in, nil
		}
		if err = p.again(s.beginFailed(p, err)); err != nil {
			return nil, err
		}
	}
}

// snapshot is a tx that Pin has returned.
type snapshot struct{ *tx }

// Version implements kv.Snapshot. It is never the same twice: nothing names the
// commits of other processes.
func (p *snapshot) Version() uint64 { return p.s.version.Add(1) }

// Release implements kv.Snapshot. A second one does nothing.
func (p *snapshot) Release(recovered any) error {
	if !p.ended {
		p.end()
		p.pinned.end()
		p.s.gate.Leave()
	}
	if recovered != nil {
		panic(recovered) // there is no mapping here that could fault
	}
	return nil
}

// Update implements kv.Store.
func (s *Store) Update(ctx context.Context, fn func(kv.Tx) error) error {
	if err := s.admit(ctx); err != nil {
		return err
	}
	defer s.gate.Leave()
	defer s.nest.Leave(s.nest.Enter())
	return s.write(ctx, Write, true, fn)
}

// Apply implements kv.Store, on the goroutine that calls.
func (s *Store) Apply(ctx context.Context, op func(kv.Tx) error) error {
	if err := s.admit(ctx); err != nil {
		return err
	}
	defer s.gate.Leave()
	return s.write(ctx, Write, true, op)
}

// Exclusive implements kv.Store.
func (s *Store) Exclusive(ctx context.Context, fn func(kv.Tx) error) error {
	if err := s.admit(ctx); err != nil {
		return err
	}
	defer s.gate.Leave()
	defer s.nest.Leave(s.nest.Enter())
	return s.write(ctx, Alone, false, fn)
}

// write runs fn until it has not lost to others.
func (s *Store) write(ctx context.Context, mode Mode, bounded bool, fn func(kv.Tx) error) error {
	s.operations.Add(1)
	p := s.patience(ctx)
	defer p.end()
	for twice := s.o.Twice; ; twice = false {
		err := s.turn(p, func() error {
			if twice {
				vain := errors.New("run in vain")
				s.attempt(p, mode, bounded, func(w kv.Tx) error { fn(w); return vain })
			}
			return s.attempt(p, mode, bounded, fn)
		})
		if !errors.Is(err, kv.ErrAgain) {
			return s.refused(err)
		}
		s.replays.Add(1)
		if err := p.again(err); err != nil {
			return s.refused(err)
		}
		if p.conflicts >= patienceWithOthers {
			mode = Alone
		}
	}
}

// turn runs one attempt in its turn. Between attempts, others have it.
func (s *Store) turn(p *patience, attempt func() error) (err error) {
	if !s.turns.take(p.ctx, p.attempts > 0) {
		return p.over(p.last)
	}
	defer func() { s.turns.give(errors.Is(err, ErrConflict)) }()
	return attempt()
}

// refused counts writes that waited too long.
func (s *Store) refused(err error) error {
	if errors.Is(err, kv.ErrBusy) {
		s.busy.Add(1)
	}
	return err
}

// attempt is one run of a write and its commit.
func (s *Store) attempt(p *patience, mode Mode, bounded bool, fn func(kv.Tx) error) error {
	mark := s.marks.take()
	in, err := s.b.Begin(p.ctx, mode)
	if err != nil {
		s.marks.give(mark)
		return s.beginFailed(p, err)
	}
	t := s.tx(p.caller, in, mode)
	t.bounded, t.mark = bounded, mark
	defer t.end()
	if err := t.verdict(fn(t)); err != nil || !t.written() {
		return err // a verdict on one snapshot
	}
	t.ended = true
	return s.commit(t)
}
