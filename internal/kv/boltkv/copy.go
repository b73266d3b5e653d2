package boltkv

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/snibdb/snib/internal/durable"
	"github.com/snibdb/snib/internal/kv"
)

// ErrOwnFile is returned for a path at which the store's own file lies, where
// that cannot be meant.
var ErrOwnFile = kv.ErrOwnFile

// Backup writes a copy of the whole file, as of one moment, to w: the
// application's buckets and free pages too. Others read and write meanwhile.
//
// Where Open has mapped ahead as it wanted, w gets the pages while a read
// transaction is open. Elsewhere that would stop all writers once the
// file must grow, for as long as w takes; so there the copy first goes to a
// temporary file beside the database, mode 0600 and gone afterwards.
//
// told, which may be nil, learns the bytes done and to do. ctx, a Close and
// the end of service are noticed between writes to w; a write that does not
// return is not interrupted. In w and told the store's methods are
// kv.ErrNested. Errors of w are returned as they are.
func (s *Store) Backup(ctx context.Context, w io.Writer, told func(done, total int64)) error {
	if err := s.admitCopy(ctx); err != nil {
		return err
	}
	defer s.gate.Leave()
	if s.db.at().roomy {
		return s.copyTo(ctx, w, told)
	}
	spool, err := durable.Beside(s.db.Path(), "spool")
	if err != nil {
		return fmt.Errorf("spool: %w", fullError(err))
	}
	defer spool.Remove()
	if err := s.copyTo(ctx, spool, nil); err != nil {
		return fmt.Errorf("spool: %w", fullError(err))
	}
	info, err := spool.Stat()
	if err != nil {
		return err
	}
	// w and told are another's code, and a Close in it would wait for us.
	id := s.nest.Enter()
	defer s.nest.Leave(id)
	m := &meter{ctx: ctx, closed: s.gate.Reason, w: w, told: told, total: info.Size()}
	_, err = io.Copy(m, io.NewSectionReader(spool, 0, info.Size()))
	return m.finish(err)
}

// BackupFile puts a copy as of Backup at path: see package durable. It is
// ErrOwnFile for the store's own path.
func (s *Store) BackupFile(ctx context.Context, path string, replace bool, told func(done, total int64)) error {
	if err := s.admitCopy(ctx); err != nil {
		return err
	}
	defer s.gate.Leave()
	switch own, err := s.owns(path); {
	case err != nil:
		return err
	case own:
		return ErrOwnFile
	}
	f, err := durable.Create(path, replace)
	if err != nil {
		return err
	}
	defer f.Discard()
	if err := s.copyTo(ctx, f, told); err != nil {
		return fullError(err)
	}
	return fullError(f.Commit(replace))
}

// admitCopy is admit for a call that makes a copy: not of a file that is not
// the one at its path.
func (s *Store) admitCopy(ctx context.Context) error {
	if err := s.admit(ctx); err != nil {
		return err
	}
	if err := s.inPlace(); err != nil {
		s.gate.Leave()
		return err
	}
	return nil
}

// copyTo writes the pages of one read transaction to w. bbolt reads them from
// the file, which Compact closes.
func (s *Store) copyTo(ctx context.Context, w io.Writer, told func(done, total int64)) error {
	if err := s.mayBegin(ctx); err != nil {
		return err
	}
	if err := s.copying.enter(ctx, false); err != nil {
		return err
	}
	defer s.copying.leave()
	return s.View(ctx, func(r kv.Reader) error {
		btx, _ := under(r)
		m := &meter{ctx: ctx, closed: s.gate.Reason, w: w, told: told, total: btx.Size()}
		_, err := btx.WriteTo(m)
		if m.err == nil && errors.Is(err, io.EOF) {
			err = damaged("the file is shorter than its pages")
		}
		return m.finish(err)
	})
}

// Strays looks for a branch page that is in none of the store's trees and leads into
// one: ErrCorrupt. It looks at a state of now, while others write, and not inside a
// transaction of the same goroutine: ErrNested.
func (s *Store) Strays(ctx context.Context) error {
	for range 100 {
		looked := false
		err := s.View(ctx, func(r kv.Reader) (err error) {
			btx, _ := under(r)
			looked, err = s.strays(ctx, btx)
			return err
		})
		if looked || err != nil {
			return err
		}
	}
	return fmt.Errorf("look for the state of the file: %w", kv.ErrBusy)
}

// owns reports whether path leads to the store's own file.
func (s *Store) owns(path string) (bool, error) {
	there, err := os.Stat(path)
	if err != nil {
		return false, nil // nothing there, or nothing that can be written
	}
	own, err := s.db.stat()
	return err == nil && os.SameFile(there, own), err
}

// fullError says kv.ErrFull where there is no space.
func fullError(err error) error {
	if err != nil && isFull(err) && !errors.Is(err, kv.ErrFull) {
		return fmt.Errorf("%w: %w", kv.ErrFull, err)
	}
	return err
}

// A meter passes writes on, reports them, and stops when the copy is no longer
// wanted.
type meter struct {
	ctx    context.Context
	closed func() error // why the service has ended; nil while it goes on
	w      io.Writer
	told   func(done, total int64)

	done, next, total int64
	err               error // why it stopped; bbolt keeps only the text
}

const (
	meterChecks = 64 << 10 // bytes between two looks at ctx
	meterTells  = 1 << 20  // and between two calls of told
)

// Write implements io.Writer.
func (m *meter) Write(p []byte) (int, error) {
	if m.stopped() {
		return 0, m.err
	}
	n, err := m.w.Write(p)
	m.add(n)
	m.err = err
	return n, err
}

// stopped reports whether there is a reason not to go on.
func (m *meter) stopped() bool {
	if m.err == nil && m.ctx.Err() != nil {
		m.err = fmt.Errorf("stopped: %w", m.ctx.Err())
	}
	if m.err == nil && m.closed != nil {
		m.err = m.closed()
	}
	return m.err != nil
}

// add counts n bytes and tells of them now and then.
func (m *meter) add(n int) {
	m.done += int64(n)
	if m.told != nil && m.done >= m.next {
		m.next = m.done + meterTells
		m.told(m.done, max(m.done, m.total))
	}
}

// finish returns why it stopped, or err, or tells that all is done.
func (m *meter) finish(err error) error {
	switch {
	case m.err != nil:
		return m.err
	case err == nil && m.told != nil:
		m.told(max(m.done, m.total), max(m.done, m.total))
	}
	return err
}
