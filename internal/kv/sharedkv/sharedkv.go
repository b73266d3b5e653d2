// Package sharedkv is a kv.Engine for tests of what several programs do to one
// store: bbolt behind the interfaces of a database server. Each Open of one
// Engine is another program's store. They see each other's commits, have the
// clock of the engine, and know nothing else of each other.
package sharedkv

import (
	"context"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/kv/boltkv"
	"github.com/snibdb/snib/internal/testseed"
)

// Options say how the engine differs from a perfect one. The zero value has a
// clock and shadows.
type Options struct {
	NoClock   bool // transactions are no kv.Timer
	NoShadows bool // stores are no kv.Shadower

	// Again is how many reads in a thousand end with kv.ErrAgain.
	Again int
}

// Engine is a kv.Engine.
type Engine struct {
	o      Options
	handle *bolt.DB
	ahead  atomic.Int64 // milliseconds that the clock was set forward

	mu     sync.Mutex
	random *rand.Rand
}

// New makes an engine in a temporary directory of the test.
func New(tb testing.TB, o Options) *Engine {
	tb.Helper()
	handle, err := bolt.Open(filepath.Join(tb.TempDir(), "shared.db"), 0o600, &bolt.Options{NoSync: true, NoFreelistSync: true, InitialMmapSize: 64 << 20})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { handle.Close() })
	return &Engine{o: o, handle: handle, random: rand.New(rand.NewPCG(testseed.Of(tb), 1))}
}

// Advance sets the clock of the engine forward.
func (e *Engine) Advance(d time.Duration) { e.ahead.Add(d.Milliseconds()) }

// Open implements kv.Engine.
func (e *Engine) Open(_ context.Context, setup kv.Setup) (kv.Store, error) {
	busy := setup.BusyTimeout
	s := &store{e: e}
	o := boltkv.Options{Bucket: "snib", Spaces: setup.Spaces, BusyTimeout: busy, InsecureNoSync: true, Logger: setup.Logger}
	if setup.Init != nil {
		o.Init = s.wrap(setup.Init)
	}
	err := repeat(func() (err error) {
		s.Store, err = boltkv.Attach(e.handle, o)
		return err
	})
	if err != nil {
		return nil, err
	}
	if e.o.NoShadows {
		return s, nil
	}
	return shadowed{s}, nil
}

// again returns kv.ErrAgain now and then.
func (e *Engine) again() error {
	if e.o.Again == 0 {
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.random.IntN(1000) < e.o.Again {
		return kv.ErrAgain
	}
	return nil
}

func repeat(run func() error) error {
	for {
		if err := run(); !errors.Is(err, kv.ErrAgain) {
			return err
		}
	}
}

// store is a kv.Store.
type store struct {
	*boltkv.Store
	e *Engine
}

type shadowed struct{ *store }

// SwapShadows implements kv.Shadower.
func (shadowed) SwapShadows(w kv.Tx, names ...string) error {
	return boltkv.Swap(under(w), names...)
}

// DropShadows implements kv.Shadower.
func (shadowed) DropShadows(w kv.Tx) error { return boltkv.DropShadows(under(w)) }

// under returns the transaction of boltkv.
func under(w kv.Tx) kv.Tx {
	t, _ := kv.As[interface {
		kv.Tx
		inside() kv.Tx
	}](w)
	return t.inside()
}

// Figures are those of kv.Figures.
func (s *store) Figures() kv.Figures {
	f := s.Stats()
	return kv.Figures{Commits: f.Commits, Operations: f.Members, Replays: f.Replays, Busy: f.BusyTimeouts}
}

// Extend implements kv.Extender.
func (s *store) Extend(spaces []kv.SpaceSpec) { s.Store.Extend(slices.Clone(spaces)) }

// View implements kv.Store.
func (s *store) View(ctx context.Context, fn func(kv.Reader) error) error {
	return repeat(func() error {
		return s.Store.View(ctx, func(r kv.Reader) error {
			in := s.e.reader(r)
			defer in.end()
			err := fn(s.e.timed(in))
			return in.outcome(err)
		})
	})
}

// Pin implements kv.Store.
func (s *store) Pin(ctx context.Context) (kv.Snapshot, error) {
	p, err := s.Store.Pin(ctx)
	if err != nil {
		return nil, err
	}
	in := &snapshot{s.e.reader(p), p}
	if s.e.o.NoClock {
		return in, nil
	}
	return timedSnapshot{in}, nil
}

// Update implements kv.Store.
func (s *store) Update(ctx context.Context, fn func(kv.Tx) error) error {
	return repeat(func() error { return s.Store.Update(ctx, s.wrap(fn)) })
}

// Apply implements kv.Store.
func (s *store) Apply(ctx context.Context, op func(kv.Tx) error) error {
	return repeat(func() error { return s.Store.Apply(ctx, s.wrap(op)) })
}

// Exclusive implements kv.Store.
func (s *store) Exclusive(ctx context.Context, fn func(kv.Tx) error) error {
	return repeat(func() error { return s.Store.Exclusive(ctx, s.wrap(fn)) })
}

func (s *store) wrap(fn func(kv.Tx) error) func(kv.Tx) error {
	return func(w kv.Tx) error {
		in := s.e.writer(w)
		defer in.end()
		if s.e.o.NoClock {
			return in.outcome(fn(in))
		}
		return in.outcome(fn(timedTx{in}))
	}
}

func (e *Engine) writer(w kv.Tx) *writer { return &writer{e.reader(w), w} }

func (e *Engine) reader(r kv.Reader) *reader {
	return &reader{Reader: r, e: e, now: time.Now().UnixMilli() + e.ahead.Load()}
}

func (e *Engine) timed(r *reader) kv.Reader {
	if e.o.NoClock {
		return r
	}
	return timedReader{r}
}

// reader is a kv.Reader with rows of the program.
type reader struct {
	kv.Reader
	e    *Engine
	now  int64
	err  error // kv.ErrAgain, of every later call too
	over bool
}

type (
	timedReader   struct{ *reader }
	timedTx       struct{ *writer }
	timedSnapshot struct{ *snapshot }
)

// Time implements kv.Timer.
func (r timedReader) Time() (int64, error) { return r.now, r.fine() }

// Time implements kv.Timer.
func (w timedTx) Time() (int64, error) { return w.now, w.fine() }

// Time implements kv.Timer.
func (s timedSnapshot) Time() (int64, error) { return s.now, s.fine() }

func (r *reader) end() { r.over = true }

func (r *reader) outcome(err error) error {
	if r.err != nil {
		return r.err
	}
	return err
}

func (r *reader) fine() error {
	if r.err == nil {
		r.err = r.e.again()
	}
	return r.err
}

// Get implements kv.Reader.
func (r *reader) Get(space kv.Space, key []byte) ([]byte, bool, error) {
	if err := r.fine(); err != nil {
		return nil, false, err
	}
	return r.Reader.Get(space, key)
}

// GetMany implements kv.Reader.
func (r *reader) GetMany(refs []kv.Ref, visit func(i int, value []byte, ok bool) error) error {
	if err := r.fine(); err != nil {
		return err
	}
	return r.Reader.GetMany(refs, visit)
}

// Scan implements kv.Reader.
func (r *reader) Scan(space kv.Space, from, to []byte, limit int, visit func(key, value []byte) error) error {
	if err := r.fine(); err != nil {
		return err
	}
	return r.Reader.Scan(space, from, to, limit, visit)
}

// ScanRows implements kv.Rows.
func (r *reader) ScanRows(path []string, from, to []byte, limit int, visit func(key, value []byte) error) error {
	rows, err := kv.RowsOf(r.Reader)
	if err != nil {
		return err
	}
	return rows.ScanRows(path, from, to, limit, visit)
}

// DeleteRows implements kv.Rows.
func (r *reader) DeleteRows(set string, from, to []byte, limit int) (int, error) {
	rows, err := kv.RowsOf(r.Reader)
	if err != nil {
		return 0, err
	}
	return rows.DeleteRows(set, from, to, limit)
}

// MoveRows implements kv.Rows.
func (r *reader) MoveRows(set string, from, to []byte) (int, error) {
	rows, err := kv.RowsOf(r.Reader)
	if err != nil {
		return 0, err
	}
	return rows.MoveRows(set, from, to)
}

// Underlying implements kv.Underlier: a *bbolt.Tx.
func (r *reader) Underlying() any {
	if r.over {
		return nil
	}
	if btx, ok := boltkv.Bolt(r.Reader); ok {
		return btx
	}
	return nil
}

// writer is a kv.Tx.
type writer struct {
	*reader
	w kv.Tx
}

func (w *writer) inside() kv.Tx { return w.w }

// Put implements kv.Tx.
func (w *writer) Put(space kv.Space, key, value []byte) error {
	if w.err != nil {
		return w.err
	}
	return w.w.Put(space, key, value)
}

// Delete implements kv.Tx.
func (w *writer) Delete(space kv.Space, key []byte) error {
	if w.err != nil {
		return w.err
	}
	return w.w.Delete(space, key)
}

// DeleteRange implements kv.Tx.
func (w *writer) DeleteRange(space kv.Space, from, to []byte) (int, error) {
	if err := w.fine(); err != nil {
		return 0, err
	}
	return w.w.DeleteRange(space, from, to)
}

// snapshot is a kv.Snapshot.
type snapshot struct {
	*reader
	in kv.Snapshot
}

// Version implements kv.Snapshot.
func (s *snapshot) Version() uint64 { return s.in.Version() }

// Release implements kv.Snapshot.
func (s *snapshot) Release(recovered any) error { return s.in.Release(recovered) }
