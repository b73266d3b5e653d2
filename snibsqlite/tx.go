package snibsqlite

import (
	"database/sql/driver"
	"errors"
	"fmt"

	"github.com/snibdb/snib/internal/kv"
)

// reader implements kv.Reader on a link that has a snapshot or a transaction.
// All bytes that it hands out are copies.
type reader struct {
	s      *Store
	l      *link
	done   bool  // the transaction has ended for this reader
	sticky bool  // an error of the engine stays: a kv.Tx
	err    error // the one that stayed
	scans  int   // visits that are running
}

func (r *reader) end() { r.done = true }

// usable says why the reader may not be used.
func (r *reader) usable() error {
	if r.done {
		return kv.ErrTxClosed
	}
	return r.err
}

// fail notes an error of the engine and returns it.
func (r *reader) fail(doing string, err error) error {
	err = translate(doing, err)
	if r.sticky && r.err == nil {
		r.err = err
	}
	return err
}

// Get implements kv.Reader.
func (r *reader) Get(space kv.Space, key []byte) (value []byte, ok bool, err error) {
	if err := r.usable(); err != nil {
		return nil, false, err
	}
	t, err := r.s.table(r.l, space)
	if err == nil && t != nil {
		err = r.l.each(func(row []driver.Value) (err error) {
			value, err = bytesOf(row[0])
			ok = err == nil
			return err
		}, 1, t.get, blob(key))
	}
	if err != nil {
		return nil, false, r.fail("get", err)
	}
	return value, ok, nil
}

// GetMany implements kv.Reader.
func (r *reader) GetMany(refs []kv.Ref, visit func(i int, value []byte, ok bool) error) error {
	if err := r.usable(); err != nil {
		return err
	}
	r.scans++
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

// Bounds of a page of a scan.
const (
	firstPage = 32
	mostRows  = 1024
	mostBytes = 1 << 20
)

type pair struct{ key, value []byte }

// Scan implements kv.Reader. It reads in pages, so that visit runs outside of
// the driver, where it may read or panic.
func (r *reader) Scan(space kv.Space, from, to []byte, limit int, visit func(key, value []byte) error) error {
	if err := r.usable(); err != nil {
		return err
	}
	t, err := r.s.table(r.l, space)
	if err != nil {
		return r.fail("scan", err)
	}
	if t == nil {
		return nil
	}
	r.scans++
	defer func() { r.scans-- }()
	for n, page := 0, firstPage; ; page = min(2*page, mostRows) {
		if limit > 0 {
			page = min(page, limit-n)
		}
		pairs, whole, err := r.page(t, from, to, page)
		if err != nil {
			return r.fail("scan", err)
		}
		for _, p := range pairs {
			if err := visit(p.key, p.value); err != nil {
				return err
			}
		}
		if n += len(pairs); whole || limit > 0 && n >= limit {
			return nil
		}
		from = append(pairs[len(pairs)-1].key[:len(pairs[len(pairs)-1].key):len(pairs[len(pairs)-1].key)], 0)
	}
}

var errPageFull = errors.New("page is full")

// page reads the first pairs of a range; whole reports that there are no more.
func (r *reader) page(t *table, from, to []byte, most int) (pairs []pair, whole bool, err error) {
	size := 0
	query, args := t.scan, []driver.Value{blob(from), int64(most)}
	if to != nil {
		query, args = t.scanTo, []driver.Value{blob(from), blob(to), int64(most)}
	}
	err = r.l.each(func(row []driver.Value) error {
		key, err := bytesOf(row[0])
		if err != nil {
			return err
		}
		value, err := bytesOf(row[1])
		if err != nil {
			return err
		}
		pairs = append(pairs, pair{key, value})
		if size += len(key) + len(value); size >= mostBytes {
			return errPageFull
		}
		return nil
	}, 2, query, args...)
	if errors.Is(err, errPageFull) {
		return pairs, false, nil
	}
	return pairs, len(pairs) < most, err
}

// viewReader is the reader of a View: the application may have its connection.
type viewReader struct {
	reader
	lent bool
}

// Underlying implements kv.Underlier with a *sql.Conn, on which only reading
// succeeds.
func (r *viewReader) Underlying() any {
	if r.done {
		return nil
	}
	r.lent = true
	return r.l.c
}

// tx implements kv.Tx. Each run of a closure has its own, on a transaction that
// it may share.
type tx struct {
	reader
	bounded bool // counts against MaxWrites and MaxBytes
	closure bool // of the application's: it may have the connection

	writes, bytes int
	touched       bool // the transaction may differ from before
	lent          bool // the application was given the connection
}

// Underlying implements kv.Underlier with the *sql.Conn of the transaction.
func (t *tx) Underlying() any {
	if t.usable() != nil || !t.closure {
		return nil
	}
	if !t.lent {
		if _, err := t.l.exec("SAVEPOINT snib_lent"); err != nil {
			t.fail("lend the connection", err)
			return nil
		}
		t.lent, t.touched = true, true
		t.s.lends.Store(true)
	}
	return t.l.c
}

var (
	errScanning = errors.New("snibsqlite: write inside a scan")
	errEnded    = errors.New("snibsqlite: the transaction was ended on its connection")
)

// intact fails if the transaction that was lent has ended: by the application,
// or by SQLite, as when one of the application's statements was interrupted.
// Each statement from then on would be a transaction of its own.
func (t *tx) intact() error {
	if !t.lent {
		return nil
	}
	if _, err := t.l.exec("RELEASE snib_lent"); err != nil {
		return t.fail("write", fmt.Errorf("%w: %w", errEnded, err))
	}
	if _, err := t.l.exec("SAVEPOINT snib_lent"); err != nil {
		return t.fail("write", err)
	}
	return nil
}

// giveBack ends the loan of the connection.
func (t *tx) giveBack() {
	if !t.lent || t.err != nil {
		return
	}
	t.lent = false
	if _, err := t.l.exec("RELEASE snib_lent"); err != nil {
		t.fail("write", fmt.Errorf("%w: %w", errEnded, err))
	}
}

func (t *tx) writable() error {
	if err := t.usable(); err != nil {
		return err
	}
	if t.scans > 0 {
		return t.fail("write", errScanning)
	}
	return t.intact()
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
func (t *tx) Put(space kv.Space, key, value []byte) error {
	if err := t.writable(); err != nil {
		return err
	}
	if len(key) == 0 || len(key) > kv.MaxKey || len(value) > kv.MaxValue {
		return fmt.Errorf("%w: key of %d bytes, value of %d", kv.ErrTooLarge, len(key), len(value))
	}
	if err := t.spend(1, len(key)+len(value)); err != nil {
		return err
	}
	at, err := t.s.table(t.l, space)
	if err == nil && at == nil {
		at, err = t.s.makeTable(t.l, space)
	}
	if err != nil {
		return t.fail("put", err)
	}
	return t.write("put", at.put, blob(key), blob(value))
}

// Delete implements kv.Tx.
func (t *tx) Delete(space kv.Space, key []byte) error {
	if err := t.writable(); err != nil {
		return err
	}
	if err := t.spend(1, 0); err != nil {
		return err
	}
	at, err := t.s.table(t.l, space)
	if err != nil {
		return t.fail("delete", err)
	}
	if at == nil {
		return nil
	}
	return t.write("delete", at.remove, blob(key))
}

// write runs a statement that changes rows.
func (t *tx) write(doing, query string, args ...driver.Value) error {
	n, err := t.l.exec(query, args...)
	if err != nil {
		t.touched = true
		return t.fail(doing, err)
	}
	t.touched = t.touched || n > 0
	return nil
}

// DeleteRange implements kv.Tx.
func (t *tx) DeleteRange(space kv.Space, from, to []byte) (int, error) {
	if err := t.writable(); err != nil {
		return 0, err
	}
	at, err := t.s.table(t.l, space)
	if err != nil {
		return 0, t.fail("delete a range", err)
	}
	if at == nil {
		return 0, nil
	}
	count, remove, args := at.count, at.removeFrom, []driver.Value{blob(from)}
	if to != nil {
		count, remove, args = at.countTo, at.removeTo, append(args, blob(to))
	}
	if t.bounded {
		n, err := t.l.number(count, append(args, int64(kv.MaxWrites-t.writes+1))...)
		if err != nil {
			return 0, t.fail("delete a range", err)
		}
		if err := t.spend(int(n), 0); err != nil || n == 0 {
			return 0, err
		}
	}
	n, err := t.l.exec(remove, args...)
	if err != nil {
		t.touched = true
		return 0, t.fail("delete a range", err)
	}
	t.touched = t.touched || n > 0
	return int(n), nil
}
