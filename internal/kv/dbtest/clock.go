package dbtest

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/snibdb/snib/internal/kv"
)

// A clock is an engine around another one, whose time can be set forward: the
// time of its own clock, or of the machine.
type clock struct {
	kv.Engine
	ahead atomic.Int64 // milliseconds

	between func() // is called before each Exclusive, such as the steps of a build
	wall    *wall  // instead of both, unless nil
}

// Advance sets the clock forward.
func (c *clock) Advance(d time.Duration) { c.ahead.Add(d.Milliseconds()) }

// Open implements kv.Engine.
func (c *clock) Open(ctx context.Context, setup kv.Setup) (kv.Store, error) {
	if init := setup.Init; init != nil {
		setup.Init = func(w kv.Tx) error { return init(c.writer(w)) }
	}
	s, err := c.Engine.Open(ctx, setup)
	if err != nil {
		return nil, err
	}
	in := &store{s, c}
	if sh, ok := s.(kv.Shadower); ok {
		return shadowed{in, sh}, nil
	}
	return in, nil
}

type store struct {
	kv.Store
	c *clock
}

// Extend implements kv.Extender.
func (s *store) Extend(spaces []kv.SpaceSpec) {
	if x, ok := s.Store.(kv.Extender); ok {
		x.Extend(spaces)
	}
}

// Figures are those of the engine.
func (s *store) Figures() (f kv.Figures) {
	if x, ok := s.Store.(interface{ Figures() kv.Figures }); ok {
		f = x.Figures()
	}
	return f
}

type shadowed struct {
	*store
	in kv.Shadower
}

// SwapShadows implements kv.Shadower.
func (s shadowed) SwapShadows(w kv.Tx, names ...string) error {
	return s.in.SwapShadows(w.(*writer).Tx, names...)
}

// DropShadows implements kv.Shadower.
func (s shadowed) DropShadows(w kv.Tx) error { return s.in.DropShadows(w.(*writer).Tx) }

// View implements kv.Store.
func (s *store) View(ctx context.Context, fn func(kv.Reader) error) error {
	return s.Store.View(ctx, func(r kv.Reader) error { return fn(&reader{r, s.c.of(r)}) })
}

// Pin implements kv.Store.
func (s *store) Pin(ctx context.Context) (kv.Snapshot, error) {
	p, err := s.Store.Pin(ctx)
	if err != nil {
		return nil, err
	}
	return &snapshot{p, s.c.of(p)}, nil
}

// Update implements kv.Store.
func (s *store) Update(ctx context.Context, fn func(kv.Tx) error) error {
	return s.Store.Update(ctx, func(w kv.Tx) error { return fn(s.c.writer(w)) })
}

// Apply implements kv.Store.
func (s *store) Apply(ctx context.Context, op func(kv.Tx) error) error {
	return s.Store.Apply(ctx, func(w kv.Tx) error { return op(s.c.writer(w)) })
}

// Exclusive implements kv.Store.
func (s *store) Exclusive(ctx context.Context, fn func(kv.Tx) error) error {
	if s.c.between != nil {
		s.c.between()
	}
	return s.Store.Exclusive(ctx, func(w kv.Tx) error { return fn(s.c.writer(w)) })
}

func (c *clock) writer(w kv.Tx) *writer { return &writer{w, c.of(w)} }

func (c *clock) of(r kv.Reader) timer {
	if c.wall != nil {
		return timer{r, c, c.wall.read()}
	}
	return timer{r, c, time.Now().UnixMilli()}
}

// timer is a kv.Timer.
type timer struct {
	r       kv.Reader
	c       *clock
	machine int64
}

// Time implements kv.Timer.
func (t timer) Time() (int64, error) {
	if own, ok := kv.As[kv.Timer](t.r); ok && t.c.wall == nil {
		now, err := own.Time()
		return now + t.c.ahead.Load(), err
	}
	return t.machine + t.c.ahead.Load(), nil
}

// Want implements kv.Wanter.
func (t timer) Want(refs []kv.Ref) {
	if far, ok := kv.As[kv.Wanter](t.r); ok {
		far.Want(refs)
	}
}

type (
	reader struct {
		kv.Reader
		timer
	}
	writer struct {
		kv.Tx
		timer
	}
	snapshot struct {
		kv.Snapshot
		timer
	}
)

// Unwrap returns the reader underneath.
func (r *reader) Unwrap() kv.Reader { return r.Reader }

// Unwrap returns the transaction underneath.
func (w *writer) Unwrap() kv.Reader { return w.Tx }

// Unwrap returns the snapshot underneath.
func (s *snapshot) Unwrap() kv.Reader { return s.Snapshot }
