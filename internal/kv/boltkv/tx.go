package boltkv

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/snibdb/snib/internal/kv"
)

// reader implements kv.Reader on a bolt transaction of either kind.
type reader struct {
	*pages
	done   bool  // the transaction has ended for this reader
	sticky bool  // an error of the engine stays: a kv.Tx
	err    error // the one that stayed
	scans  int   // scans that are running
	lent   bool  // the application has the transaction, and may end it
}

func (r *reader) end() { r.done = true }

// usable says why the reader may not be used.
func (r *reader) usable() error {
	switch {
	case r.done, r.lent && r.btx.DB() == nil:
		return kv.ErrTxClosed
	case r.err != nil:
		return r.err
	}
	return nil
}

// fail notes an error of the engine and returns it.
func (r *reader) fail(err error) error {
	if r.sticky && r.err == nil {
		r.err = err
	}
	return err
}

// rescue is deferred around calls of bbolt: a panic on a damaged page becomes
// an error.
func (r *reader) rescue(errp *error) {
	if p := recover(); p != nil {
		*errp = r.fail(corrupt(p))
	}
}

// Get implements kv.Reader.
func (r *reader) Get(i kv.Space, key []byte) (value []byte, ok bool, err error) {
	if err := r.usable(); err != nil {
		return nil, false, err
	}
	defer r.rescue(&err)
	s, err := r.space(i)
	if err != nil {
		return nil, false, r.fail(err)
	}
	k, v := s.seek(key)
	if k == nil || !bytes.Equal(k, key) {
		return nil, false, nil
	}
	return v, true, nil
}

// GetMany implements kv.Reader.
func (r *reader) GetMany(refs []kv.Ref, visit func(i int, value []byte, ok bool) error) error {
	if err := r.usable(); err != nil {
		return err
	}
	r.scans++ // as in a scan, visit must not write
	defer func() { r.scans-- }()
	for i, ref := range refs {
		value, ok, err := r.Get(ref.Space, ref.Key)
		if err != nil {
			return err
		}
		if err := visit(i, value, ok); err != nil {
			return err
		}
	}
	return nil
}

// Scan implements kv.Reader.
func (r *reader) Scan(i kv.Space, from, to []byte, limit int, visit func(key, value []byte) error) error {
	return r.scan(func() (*space, error) { return r.space(i) }, from, to, limit, visit)
}

func (r *reader) scan(find func() (*space, error), from, to []byte, limit int, visit func(key, value []byte) error) (err error) {
	if err := r.usable(); err != nil {
		return err
	}
	r.scans++
	visiting := false
	defer func() {
		r.scans--
		if visiting {
			return // it panicked or ended its goroutine: that goes on
		}
		if p := recover(); p != nil {
			err = r.fail(corrupt(p))
		}
	}()
	s, err := find()
	if err != nil {
		return r.fail(err)
	}
	if s.bucket == nil {
		return nil
	}
	at, err := r.sound(s, from, false)
	if err != nil {
		return r.fail(err)
	}
	c, n, last := s.borrow(), 0, []byte(nil)
	defer func() { s.idle = c }()
	for k, v := c.Seek(from); k != nil && before(k, to); k, v = c.Next() {
		if at, err = r.reach(s, at, k); err != nil {
			return r.fail(err)
		}
		if !follows(k, from, last) {
			return r.fail(outOfOrder())
		}
		last = k
		visiting = true
		err := visit(k, v)
		visiting = false
		if err != nil {
			return err
		}
		if n++; n == limit {
			return nil
		}
	}
	if _, err := r.reach(s, at, to); err != nil {
		return r.fail(err)
	}
	return nil
}

// follows reports whether a cursor may be at key after last, in a range from
// from. On damaged pages it may be anywhere, and pages that lead to each other
// have no end.
func follows(key, from, last []byte) bool {
	if last == nil {
		return bytes.Compare(key, from) >= 0
	}
	return bytes.Compare(key, last) > 0
}

func outOfOrder() error { return fmt.Errorf("%w: keys are out of order", kv.ErrCorrupt) }

// before reports whether key lies before the end of a range.
func before(key, to []byte) bool { return to == nil || bytes.Compare(key, to) < 0 }

// tx implements kv.Tx. Each run of a closure has its own, with its own
// budget, on a bolt transaction that it may share.
type tx struct {
	reader
	bounded  bool // counts against MaxWrites and MaxBytes
	readOnly bool // joined to a read transaction
	private  bool // Bolt gives nothing
	weighs   bool // room is kept

	writes, bytes int
	touched       bool // the bolt transaction may differ from before
	shared        bool // Bolt gave the bolt transaction away
	gone          bool // the closure panicked or ended its goroutine
	room          room
}

func newTx(p *pages) *tx { return &tx{reader: reader{pages: p, sticky: true}} }

// verdict is the result of a closure's run: an error of the engine outweighs
// the closure's own.
func (t *tx) verdict(returned error) error {
	if t.err != nil {
		return t.err
	}
	return returned
}

var errScanning = errors.New("boltkv: write inside a scan")

func (t *tx) writable() error {
	switch err := t.usable(); {
	case err != nil:
		return err
	case t.readOnly:
		return kv.ErrReadOnly
	case t.scans > 0:
		// A node of bbolt's may change under the cursor of the scan.
		return t.fail(errScanning)
	}
	return nil
}

// spend counts writes and bytes, or refuses and counts nothing.
func (t *tx) spend(writes, size int) error {
	if t.bounded && (t.writes+writes > kv.MaxWrites || t.bytes+size > kv.MaxBytes) {
		return fmt.Errorf("%w: more than %d writes or %d bytes", kv.ErrTooLarge, kv.MaxWrites, kv.MaxBytes)
	}
	t.writes += writes
	t.bytes += size
	return nil
}

// Put implements kv.Tx.
func (t *tx) Put(i kv.Space, key, value []byte) (err error) {
	if err := t.writable(); err != nil {
		return err
	}
	if len(key) == 0 || len(key) > kv.MaxKey || len(value) > kv.MaxValue {
		return fmt.Errorf("%w: key of %d bytes, value of %d", kv.ErrTooLarge, len(key), len(value))
	}
	if err := t.spend(1, len(key)+len(value)); err != nil {
		return err
	}
	defer t.rescue(&err)
	t.touched = true
	s, err := t.create(i)
	if err == nil {
		_, err = t.sound(s, key, false)
	}
	if err != nil {
		return t.fail(err)
	}
	if t.weighs {
		k, v := s.seek(key)
		t.room.put(key, value, bytes.Equal(k, key), v)
	}
	// bbolt copies the key and keeps the value until it commits.
	if err := s.bucket.Put(key, append([]byte{}, value...)); err != nil {
		return t.fail(fmt.Errorf("put: %w", err))
	}
	return nil
}

// Delete implements kv.Tx.
func (t *tx) Delete(i kv.Space, key []byte) (err error) {
	if err := t.writable(); err != nil {
		return err
	}
	if err := t.spend(1, 0); err != nil {
		return err
	}
	defer t.rescue(&err)
	s, err := t.space(i)
	if err != nil {
		return t.fail(err)
	}
	k, v := s.seek(key)
	if k == nil || !bytes.Equal(k, key) {
		return nil // and nothing to commit
	}
	return t.remove(s, key, v) // from a damaged leaf, too: it is one fewer
}

// DeleteRange implements kv.Tx.
func (t *tx) DeleteRange(i kv.Space, from, to []byte) (n int, err error) {
	if err := t.writable(); err != nil {
		return 0, err
	}
	defer t.rescue(&err)
	s, err := t.space(i)
	if err != nil {
		return 0, t.fail(err)
	}
	if s.bucket == nil {
		return 0, nil
	}
	at, err := t.sound(s, from, true)
	if err == nil {
		_, err = t.reach(s, at, to)
	}
	if err != nil {
		return 0, t.fail(err)
	}
	if err := t.spendRange(s, from, to); err != nil {
		return 0, err
	}
	// Each step seeks from the key it removed last, because bbolt's cursor
	// may skip keys after a removal.
	var last []byte
	for at := from; ; n, at = n+1, last {
		k, v := s.seek(at)
		if k == nil || !before(k, to) {
			return n, nil
		}
		if !follows(k, from, last) {
			return 0, t.fail(outOfOrder())
		}
		last = append(last[:0], k...)
		if err := t.remove(s, last, v); err != nil {
			return 0, err
		}
	}
}

// spendRange counts the keys of a range as writes before any is removed, so
// that a range that is too large stays whole.
func (t *tx) spendRange(s *space, from, to []byte) error {
	if !t.bounded {
		return nil
	}
	n, c, last := 0, s.bucket.Cursor(), []byte(nil)
	for k, _ := c.Seek(from); k != nil && before(k, to); k, _ = c.Next() {
		if !follows(k, from, last) {
			return t.fail(outOfOrder())
		}
		last = k
		if n++; t.writes+n > kv.MaxWrites {
			break
		}
	}
	return t.spend(n, 0)
}

// remove removes the key that s.seek has found.
func (t *tx) remove(s *space, key, value []byte) error {
	t.touched = true
	t.room.remove(key, value)
	if err := s.get.Delete(); err != nil {
		return t.fail(fmt.Errorf("delete: %w", err))
	}
	return nil
}
