package remote

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/snibdb/snib/internal/kv"
)

// An Exclusive holds back at most so many writes, and so many bytes of them.
const (
	flushWrites = 2000
	flushBytes  = 1 << 20
)

func (t *tx) writable() error {
	if err := t.usable(); err != nil {
		return err
	}
	if t.mode == Read {
		return kv.ErrReadOnly
	}
	return nil
}

// spend counts writes against the bounds of an operation.
func (t *tx) spend(writes, size int) error {
	if t.bounded && (t.writes+writes > kv.MaxWrites || t.bytes+size > kv.MaxBytes) {
		return fmt.Errorf("%w: %d writes, %d bytes", kv.ErrTooLarge, t.writes+writes, t.bytes+size)
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
	if !readable(key) || len(value) > kv.MaxValue {
		return fmt.Errorf("%w: key of %d bytes, value of %d", kv.ErrTooLarge, len(key), len(value))
	}
	if err := t.spend(1, len(key)+len(value)); err != nil {
		return err
	}
	return t.hold(Change{Space: space, Key: bytes.Clone(key), Value: append([]byte{}, value...)})
}

// Delete implements kv.Tx.
func (t *tx) Delete(space kv.Space, key []byte) error {
	if err := t.writable(); err != nil {
		return err
	}
	if err := t.spend(1, 0); err != nil || !readable(key) {
		return err
	}
	return t.hold(Change{Space: space, Key: bytes.Clone(key), Delete: true})
}

// DeleteRange implements kv.Tx. It reads the keys, page by page.
func (t *tx) DeleteRange(space kv.Space, from, to []byte) (n int, err error) {
	if err := t.writable(); err != nil {
		return 0, err
	}
	if t.bounded { // nothing of a range that is too long is removed
		keys, err := t.keys(space, from, to, kv.MaxWrites-t.writes+1)
		if err == nil {
			err = t.spend(len(keys), 0)
		}
		if err == nil {
			err = t.holdDeletes(space, keys)
		}
		if err != nil {
			return 0, err
		}
		return len(keys), nil
	}
	for page := t.s.o.Page; ; {
		keys, err := t.keys(space, from, to, page)
		if err == nil {
			err = t.holdDeletes(space, keys)
		}
		if err != nil {
			return n, err
		}
		n += len(keys)
		if len(keys) < page {
			return n, nil
		}
		from = after(keys[len(keys)-1])
	}
}

// keys returns the first keys of a range.
func (t *tx) keys(space kv.Space, from, to []byte, limit int) (keys [][]byte, err error) {
	err = t.walk(Range{Space: space, From: from, To: to, Limit: limit, KeysOnly: true}, func(key, _ []byte) error {
		keys = append(keys, key)
		return nil
	})
	return keys, err
}

func (t *tx) holdDeletes(space kv.Space, keys [][]byte) error {
	for _, key := range keys {
		if err := t.hold(Change{Space: space, Key: key, Delete: true}); err != nil {
			return err
		}
	}
	return nil
}

// hold keeps a change for the commit, or for the next flush.
func (t *tx) hold(c Change) error {
	t.own[place{c.Space, string(c.Key)}] = c
	t.held += len(c.Key) + len(c.Value)
	if t.bounded || len(t.own) < flushWrites && t.held < flushBytes {
		return nil
	}
	return t.flush()
}

// written reports whether there is something to commit.
func (t *tx) written() bool { return len(t.own) > 0 || t.flushed || t.lent && t.mode != Read }

// changes returns the writes held back, in the order of spaces and keys: two
// transactions that lock the same rows in one order do not wait for each other.
func (t *tx) changes() []Change {
	list := make([]Change, 0, len(t.own))
	for _, c := range t.own {
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b Change) int {
		return cmp.Or(cmp.Compare(a.Space, b.Space), bytes.Compare(a.Key, b.Key))
	})
	return list
}

// flush sends the writes held back.
func (t *tx) flush() error {
	if len(t.own) == 0 {
		return nil
	}
	err := t.ask(func(ctx context.Context) error { return t.in.Flush(ctx, t.changes()) })
	if err != nil {
		return err
	}
	t.flushed, t.held = true, 0
	clear(t.own)
	t.forget()
	return nil
}
