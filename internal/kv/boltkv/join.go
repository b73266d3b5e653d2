package boltkv

import (
	"fmt"

	"github.com/snibdb/snib/internal/kv"
	bolt "go.etcd.io/bbolt"
)

// Join binds a transaction that the application began on the store's handle.
// Call it on the goroutine that began btx. The writes of the Tx are durable
// when the application commits btx, and gone when it rolls back; it shares no
// commit with others and has no bounds but those on keys and values.
//
// The Tx checks btx at each call: kv.ErrTxClosed once it has ended. On a read
// transaction writes are kv.ErrReadOnly. After an error of the engine every
// call returns that error, and the application must roll back.
//
// While a joined write transaction is open, its goroutine gets kv.ErrNested
// from the store's other methods. A joined read transaction is not tracked:
// ending it before a write on the same goroutine is up to the application.
func (s *Store) Join(btx *bolt.Tx) (kv.Tx, error) {
	if err := s.gate.Reason(); err != nil {
		return nil, err
	}
	switch {
	case btx == nil || btx.DB() == nil:
		return nil, kv.ErrTxClosed
	case btx.DB() != s.db.at().DB:
		return nil, fmt.Errorf("%w: it is of another handle", kv.ErrTxClosed)
	}
	t := &joinedTx{s: s, tx: newTx(s.pages(btx))}
	if t.tx.readOnly = !btx.Writable(); !t.tx.readOnly {
		s.nest.join(btx)
	}
	return t, nil
}

// joinedTx checks before each call that its transaction is still there.
type joinedTx struct {
	s  *Store
	tx *tx
}

func (t *joinedTx) check() error {
	if err := t.s.gate.Reason(); err != nil {
		return err
	}
	if t.tx.btx.DB() == nil {
		t.tx.end()
	}
	return nil
}

func (t *joinedTx) Get(i kv.Space, key []byte) ([]byte, bool, error) {
	if err := t.check(); err != nil {
		return nil, false, err
	}
	defer faultsPanic()()
	return t.tx.Get(i, key)
}

func (t *joinedTx) GetMany(refs []kv.Ref, visit func(i int, value []byte, ok bool) error) error {
	if err := t.check(); err != nil {
		return err
	}
	defer faultsPanic()()
	return t.tx.GetMany(refs, visit)
}

func (t *joinedTx) Scan(i kv.Space, from, to []byte, limit int, visit func(key, value []byte) error) error {
	if err := t.check(); err != nil {
		return err
	}
	defer faultsPanic()()
	return t.tx.Scan(i, from, to, limit, visit)
}

func (t *joinedTx) Put(i kv.Space, key, value []byte) error {
	if err := t.check(); err != nil {
		return err
	}
	defer faultsPanic()()
	return t.tx.Put(i, key, value)
}

func (t *joinedTx) Delete(i kv.Space, key []byte) error {
	if err := t.check(); err != nil {
		return err
	}
	defer faultsPanic()()
	return t.tx.Delete(i, key)
}

func (t *joinedTx) DeleteRange(i kv.Space, from, to []byte) (int, error) {
	if err := t.check(); err != nil {
		return 0, err
	}
	defer faultsPanic()()
	return t.tx.DeleteRange(i, from, to)
}

func (t *joinedTx) ScanRows(path []string, from, to []byte, limit int, visit func(key, value []byte) error) error {
	if err := t.check(); err != nil {
		return err
	}
	defer faultsPanic()()
	return t.tx.ScanRows(path, from, to, limit, visit)
}

func (t *joinedTx) DeleteRows(set string, from, to []byte, limit int) (int, error) {
	if err := t.check(); err != nil {
		return 0, err
	}
	defer faultsPanic()()
	return t.tx.DeleteRows(set, from, to, limit)
}

func (t *joinedTx) MoveRows(set string, from, to []byte) (int, error) {
	if err := t.check(); err != nil {
		return 0, err
	}
	defer faultsPanic()()
	return t.tx.MoveRows(set, from, to)
}

// Bolt returns the bolt transaction under a Reader of View, a Tx of Update,
// Exclusive or Join, or a wrapper of one that has the method
// Unwrap() kv.Reader; false for Pin and Apply, other engines, and after the
// end.
//
// Taking it in an Update or Exclusive counts as writing: the application's rows
// and commit hooks may be in it. It must not be kept beyond the closure. Hooks
// run on the store's goroutine and must not call the store: kv.ErrNested. A
// hook that panics does so in every Update whose closure took a transaction in
// that commit, after the commit: the owner of the hook is unknown.
func Bolt(r kv.Reader) (*bolt.Tx, bool) {
	btx, s := under(r)
	if s != nil {
		s.lend()
	}
	return btx, btx != nil
}

// under is Bolt for the store itself. It returns the store too, once that is
// made.
func under(r kv.Reader) (*bolt.Tx, *Store) {
	for {
		switch t := r.(type) {
		case *tx:
			if t.done || t.private {
				return nil, nil
			}
			t.touched, t.shared = true, true
			return t.btx, t.store
		case *viewReader:
			if t.usable() != nil {
				return nil, nil
			}
			t.lent = true
			return t.btx, t.store
		case *joinedTx:
			if t.check() != nil || t.tx.done {
				return nil, nil
			}
			return t.tx.btx, t.s
		case interface{ Unwrap() kv.Reader }:
			r = t.Unwrap()
		default:
			return nil, nil
		}
	}
}

// lend notes that the application has the handle, and waits until the leader
// has bbolt's lock: the leader must not come to wait for a transaction of the
// application.
func (s *Store) lend() {
	s.leads.Lock()
	defer s.leads.Unlock()
	s.lent.Store(true)
}
