package snibsqlite

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/kv/admit"
)

// Store is a kv.Store in a SQLite database.
type Store struct {
	at          source
	opt         options
	busyTimeout time.Duration
	path        string // of the file
	info        os.FileInfo
	log         os.FileInfo // of the log, which stays while a connection is open; may be nil
	made        int         // spaces of Setup, whose tables are there

	tables   atomic.Pointer[[]*table]
	twice    bool
	gate     admit.Gate
	nest     admit.Nest
	w        writer
	readers  readers
	poisoned atomic.Bool
	lends    atomic.Bool // the program takes connections of transactions
	closing  sync.Once
	closeErr error
	pins     atomic.Uint64

	figures struct{ commits, operations, replays, busy atomic.Int64 }
}

type options struct{ Logger *slog.Logger }

var (
	_ kv.Store    = (*Store)(nil)
	_ kv.Extender = (*Store)(nil)
	_ kv.Shadower = (*Store)(nil)
)

// Figures are the counts since the store was opened.
func (s *Store) Figures() kv.Figures {
	return kv.Figures{
		Commits: s.figures.commits.Load(), Operations: s.figures.operations.Load(),
		Replays: s.figures.replays.Load(), Busy: s.figures.busy.Load(),
	}
}

// readers are the connections for snapshots. Pins are bounded: they are short
// and wait for nothing, so more at once than there are processors gain nothing.
// Views are not, because the closure of one may wait for another.
type readers struct {
	mu   sync.Mutex
	idle []*link
	keep int
	pins chan struct{}

	// Held for reading while a snapshot is taken, and for writing while the log
	// is reset, for which there must be a moment without snapshots.
	taking sync.RWMutex
}

// busyRead bounds how long taking a snapshot waits: SQLite makes a reader wait
// only while a connection recovers the log after a crash, or resets it.
const busyRead = 10 * time.Second

// snapshot returns a link that has one.
func (s *Store) snapshot(ctx context.Context) (*link, error) {
	l, err := s.reader(ctx)
	if err != nil {
		return nil, err
	}
	s.readers.taking.RLock()
	defer s.readers.taking.RUnlock()
	until := time.Now().Add(busyRead)
	for pause := time.Millisecond; ; pause = min(2*pause, 20*time.Millisecond) {
		err := l.hold()
		if err == nil {
			return l, nil
		}
		if err = translate("begin", err); !errors.Is(err, kv.ErrBusy) || time.Now().After(until) || ctx.Err() != nil {
			s.drop(l)
			return nil, err
		}
		time.Sleep(pause)
	}
}

func (s *Store) reader(ctx context.Context) (*link, error) {
	r := &s.readers
	r.mu.Lock()
	if n := len(r.idle); n > 0 {
		l := r.idle[n-1]
		r.idle = r.idle[:n-1]
		r.mu.Unlock()
		return l, nil
	}
	r.mu.Unlock()
	return s.at.link(ctx, false)
}

// done ends the snapshot of a link, and keeps the link for the next.
func (s *Store) done(l *link) error {
	if err := l.release(); err != nil {
		s.drop(l)
		return translate("end of a snapshot", err)
	}
	r := &s.readers
	r.mu.Lock()
	if len(r.idle) < r.keep {
		r.idle = append(r.idle, l)
		r.mu.Unlock()
		return nil
	}
	r.mu.Unlock()
	s.drop(l)
	return nil
}

// discard drops a link that the program had: with a transaction or rows left open
// on it, all later reads would be of the old moment. The driver waits until rows
// are closed, and the caller does not.
func (s *Store) discard(l *link) {
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		l.exec("ROLLBACK")
		s.drop(l)
	}()
	select {
	case <-closed:
	case <-time.After(time.Second):
		s.opt.Logger.Warn("snib: a program has left rows open on the connection of a View")
	}
}

func (s *Store) drop(l *link) {
	if err := l.close(); err != nil {
		s.opt.Logger.Warn("closing a connection", "error", err)
	}
}

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

// View implements kv.Store.
func (s *Store) View(ctx context.Context, fn func(kv.Reader) error) (err error) {
	if err := s.admit(ctx); err != nil {
		return err
	}
	defer s.gate.Leave()
	l, err := s.snapshot(ctx)
	if err != nil {
		return err
	}
	r := &viewReader{reader: reader{s: s, l: l}}
	defer func() {
		r.end()
		if r.lent {
			s.discard(l)
			return
		}
		if failed := s.done(l); failed != nil && err == nil {
			err = failed
		}
	}()
	id := s.nest.Enter()
	defer s.nest.Leave(id)
	return fn(r)
}

// Pin implements kv.Store.
func (s *Store) Pin(ctx context.Context) (kv.Snapshot, error) {
	if err := s.admit(ctx); err != nil {
		return nil, err
	}
	select {
	case s.readers.pins <- struct{}{}:
	case <-ctx.Done():
		s.gate.Leave()
		return nil, fmt.Errorf("begin: %w", ctx.Err())
	}
	l, err := s.snapshot(ctx)
	if err != nil {
		<-s.readers.pins
		s.gate.Leave()
		return nil, err
	}
	return &pin{reader{s: s, l: l}, s.pins.Add(1)}, nil
}

// pin implements kv.Snapshot.
type pin struct {
	reader
	version uint64
}

// Version implements kv.Snapshot. SQLite counts the commits of others only, for
// each connection by itself; so no two snapshots are known to be equal.
func (p *pin) Version() uint64 { return p.version }

// Release implements kv.Snapshot.
func (p *pin) Release(recovered any) error {
	if p.reader.done {
		return nil
	}
	p.end()
	err := p.s.done(p.l)
	<-p.s.readers.pins
	p.s.gate.Leave()
	if recovered != nil {
		panic(recovered)
	}
	return err
}

// inPlace returns kv.ErrGone if the path does not lead to the file any more, or
// that of the log to the log: writes to it would be lost.
func (s *Store) inPlace() error {
	info, err := os.Stat(s.path)
	if err != nil {
		return fmt.Errorf("%w: %w", kv.ErrGone, err)
	}
	if !os.SameFile(info, s.info) {
		return kv.ErrGone
	}
	if s.log == nil {
		return nil
	}
	if info, err = os.Stat(s.path + "-wal"); err != nil {
		return fmt.Errorf("%w: its log: %w", kv.ErrGone, err)
	}
	if !os.SameFile(info, s.log) {
		return fmt.Errorf("%w: its log", kv.ErrGone)
	}
	return nil
}

// Close implements kv.Store. The handle given to New stays open.
func (s *Store) Close() error {
	if s.nest.Inside() {
		return fmt.Errorf("close: %w", kv.ErrNested)
	}
	s.closing.Do(func() { s.closeErr = s.close() })
	return s.closeErr
}

func (s *Store) close() error {
	s.gate.Shut(kv.ErrClosed)
	s.dismiss(s.gate.Reason())
	s.gate.Wait(nil)
	err := s.w.link.close()
	for _, l := range s.readers.idle {
		err = errors.Join(err, l.close())
	}
	s.readers.idle = nil
	if err = errors.Join(err, s.at.close()); err != nil {
		return fmt.Errorf("close: %w", err)
	}
	return nil
}

// Size of the log, in bytes: SQLite copies pages back into the database at 1,000
// of them (4 MiB) and begins anew when no snapshot needs the log. Snapshots that
// overlap for ever leave it no such moment; so one is made, without new
// snapshots, when the log has grown by logStep. SQLite cuts it to that size when it
// begins it anew.
const (
	logStep = 16 << 20
	logWait = 100 * time.Millisecond // for open snapshots
)

// trim bounds the log, after a commit. A View that stays open longer prevents it
// until the next step. The caller has the baton and no transaction.
func (s *Store) trim() {
	info, err := os.Stat(s.path + "-wal")
	if err != nil || info.Size() < s.w.logged {
		return
	}
	s.readers.taking.Lock()
	defer s.readers.taking.Unlock()
	end := time.Now().Add(logWait)
	for busy := "1"; busy != "0" && time.Now().Before(end); time.Sleep(time.Millisecond) {
		if busy, err = s.w.link.checkpoint(); err != nil {
			break
		}
	}
	s.w.logged = logStep
	if info, err := os.Stat(s.path + "-wal"); err == nil {
		s.w.logged += info.Size()
	}
}

// checkpoint copies the log back and cuts it. "0": it did.
func (l *link) checkpoint() (busy string, err error) {
	var logged, moved int
	err = l.c.QueryRowContext(context.Background(), "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &logged, &moved)
	return busy, err
}
