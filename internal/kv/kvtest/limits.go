package kvtest

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/snibdb/snib/internal/kv"
)

func keysAndValues(t *testing.T, open Open) {
	s := fresh(t, open)
	for _, test := range []struct {
		key, value int
		fits       bool
	}{
		{0, 1, false}, {1, 0, true}, {1, kv.MaxValue, true}, {1, kv.MaxValue + 1, false},
		{kv.MaxKey, 1, true}, {kv.MaxKey + 1, 1, false}, {kv.MaxKey, kv.MaxValue, true},
	} {
		k, v := bytes.Repeat([]byte("k"), test.key), bytes.Repeat([]byte("v"), test.value)
		for name, write := range writers(s) {
			name = fmt.Sprintf("%s of key %d, value %d", name, test.key, test.value)
			var refused error
			must(t, write(ctx, func(tx kv.Tx) error {
				refused = tx.Put(plain, k, v)
				return nil // too large dooms nothing
			}))
			if test.fits {
				must(t, refused)
			} else {
				want(t, name, refused, kv.ErrTooLarge)
			}
			must(t, s.View(ctx, func(r kv.Reader) error {
				got, ok, err := r.Get(plain, k)
				if err != nil || ok != test.fits || ok && !bytes.Equal(got, v) {
					t.Errorf("%s: stored %v, %d bytes, %v", name, ok, len(got), err)
				}
				return nil
			}))
		}
		must(t, s.Apply(ctx, func(tx kv.Tx) error { return tx.Delete(plain, k) }))
	}
}

func budget(t *testing.T, open Open) {
	s := fresh(t, open)
	for name, write := range map[string]func(func(kv.Tx) error) error{
		"Update": func(fn func(kv.Tx) error) error { return s.Update(ctx, fn) },
		"Apply":  func(fn func(kv.Tx) error) error { return s.Apply(ctx, fn) },
	} {
		must(t, write(func(tx kv.Tx) error {
			for i := range kv.MaxWrites {
				var err error
				if i%2 == 0 {
					err = tx.Put(plain, key(i), nil)
				} else {
					err = tx.Delete(plain, key(i-1))
				}
				if err != nil {
					t.Errorf("%s: write %d: %v", name, i, err)
					return err
				}
			}
			want(t, name+": a Put too many", tx.Put(plain, []byte("over"), nil), kv.ErrTooLarge)
			want(t, name+": a Delete too many", tx.Delete(plain, []byte("over")), kv.ErrTooLarge)
			return nil
		}))
		same(t, name+": after too many writes", dump(t, s, plain), "")

		value := make([]byte, 64<<10-1) // with its key of one byte, 16 make 1 MiB
		must(t, write(func(tx kv.Tx) error {
			for i := range 16 {
				if err := tx.Put(other, []byte{byte('a' + i)}, value); err != nil {
					t.Errorf("%s: put %d: %v", name, i, err)
				}
			}
			want(t, name+": a byte too many", tx.Put(other, []byte("z"), nil), kv.ErrTooLarge)
			_, ok, err := tx.Get(other, []byte("z"))
			if ok || err != nil {
				t.Errorf("%s: what was too large is there: %v, %v", name, ok, err)
			}
			return tx.Delete(other, []byte("b"))
		}))
		must(t, s.View(ctx, func(r kv.Reader) error {
			same(t, name+": b", get(t, r, other, "b"), "absent")
			same(t, name+": z", get(t, r, other, "z"), "absent")
			return nil
		}))
	}
}

func budgetOfDeleteRange(t *testing.T, open Open) {
	s := fresh(t, open)
	for part := range 2 {
		must(t, s.Update(ctx, func(tx kv.Tx) error {
			for i := range kv.MaxWrites/2 + 1 {
				if err := tx.Put(plain, key(part*kv.MaxWrites+i), nil); err != nil {
					return err
				}
			}
			return nil
		}))
	}
	must(t, s.Update(ctx, func(tx kv.Tx) error {
		_, err := tx.DeleteRange(plain, nil, nil)
		want(t, "a range of 4,002", err, kv.ErrTooLarge)
		n, err := tx.DeleteRange(plain, nil, key(kv.MaxWrites))
		if err != nil || n != kv.MaxWrites/2+1 {
			t.Errorf("half of it: %d, %v", n, err)
		}
		_, err = tx.DeleteRange(plain, nil, nil)
		want(t, "the other half, over the sum", err, kv.ErrTooLarge)
		return nil
	}))
	text := dump(t, s, plain)
	if n := strings.Count(text, "="); n != kv.MaxWrites/2+1 {
		t.Errorf("%d keys remain, want %d", n, kv.MaxWrites/2+1)
	}
}

func exclusiveHasNoBudget(t *testing.T, open Open) {
	s := fresh(t, open)
	const n = 2*kv.MaxWrites + 1
	value := make([]byte, 300)
	must(t, s.Exclusive(ctx, func(tx kv.Tx) error {
		for i := range n {
			if err := tx.Put(ascending, key(i), value); err != nil {
				return err
			}
		}
		return nil
	}))
	must(t, s.Exclusive(ctx, func(tx kv.Tx) error {
		got, err := tx.DeleteRange(ascending, key(1), key(n-1))
		if got != n-2 {
			t.Errorf("removed %d, want %d", got, n-2)
		}
		return err
	}))
	if got := strings.Count(dump(t, s, ascending), "="); got != 2 {
		t.Errorf("%d keys remain, want 2", got)
	}
}

// exclusiveIsRefusedWhole writes too much for a request: none of it is there, and
// the store goes on.
func exclusiveIsRefusedWhole(t *testing.T, open Open) {
	s := fresh(t, open)
	want(t, "many writes", s.Exclusive(ctx, func(tx kv.Tx) error {
		for i := range 2*kv.MaxWrites + 1 {
			if err := tx.Put(ascending, key(i), make([]byte, 300)); err != nil {
				return err
			}
		}
		return nil
	}), kv.ErrTooLarge)
	same(t, "content", dump(t, s, ascending), "")
	must(t, s.Exclusive(ctx, func(tx kv.Tx) error { return tx.Put(ascending, key(1), nil) }))
	same(t, "content", dump(t, s, ascending), fmt.Sprintf("%q=%q ", key(1), ""))
}
