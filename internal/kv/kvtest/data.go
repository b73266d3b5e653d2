package kvtest

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/testseed"
)

func readYourWrites(t *testing.T, open Open) {
	s := fresh(t, open)
	for _, k := range []string{"a", "b", "c", "d", "e"} {
		put(t, s, plain, k, "old")
	}
	for name, write := range writers(s) {
		errUndo := errors.New("undo")
		err := write(ctx, func(tx kv.Tx) error {
			must := func(err error) {
				if err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
			must(tx.Put(plain, []byte("b"), []byte("new")))
			must(tx.Put(plain, []byte("bb"), []byte("added")))
			must(tx.Delete(plain, []byte("c")))
			must(tx.Delete(plain, []byte("never")))
			same(t, name+": replaced", get(t, tx, plain, "b"), "new")
			same(t, name+": removed", get(t, tx, plain, "c"), "absent")
			text, err := list(tx, plain, nil, nil, 0)
			must(err)
			same(t, name+": scan", text, `"a"="old" "b"="new" "bb"="added" "d"="old" "e"="old" `)
			n, err := tx.DeleteRange(plain, []byte("b"), []byte("e"))
			must(err)
			if n != 3 {
				t.Errorf("%s: DeleteRange removed %d, want 3", name, n)
			}
			text, err = list(tx, plain, nil, nil, 0)
			must(err)
			same(t, name+": after DeleteRange", text, `"a"="old" "e"="old" `)
			must(tx.Put(plain, []byte("c"), []byte("again")))
			same(t, name+": put again", get(t, tx, plain, "c"), "again")
			return errUndo
		})
		want(t, name, err, errUndo)
	}
}

func spacesAreIndependent(t *testing.T, open Open) {
	s := fresh(t, open)
	same(t, "scan of an empty space", dump(t, s, plain), "")
	put(t, s, plain, "k", "1")
	put(t, s, ascending, "k", "2")
	must(t, s.Apply(ctx, func(tx kv.Tx) error {
		if n, err := tx.DeleteRange(other, nil, nil); n != 0 || err != nil {
			t.Errorf("DeleteRange in an empty space: %d, %v", n, err)
		}
		if err := tx.Delete(other, []byte("k")); err != nil {
			t.Errorf("Delete in an empty space: %v", err)
		}
		_, err := tx.DeleteRange(plain, nil, nil)
		return err
	}))
	same(t, "emptied", dump(t, s, plain), "")
	same(t, "its neighbour", dump(t, s, ascending), `"k"="2" `)
	must(t, s.View(ctx, func(r kv.Reader) error {
		same(t, "get in a space never written", get(t, r, other, "k"), "absent")
		return nil
	}))
}

func order(t *testing.T, open Open) {
	s := fresh(t, open)
	keys := []string{"\x00", "\x00\x00", "\x00\xff", "\x01", "a", "a\x00", "a\x00b", "aa", "b", "u1", "u10", "u2", "\x7f", "\x80", "\xff", "\xff\x00", "\xff\xff"}
	shuffled := slices.Clone(keys)
	slices.Reverse(shuffled)
	must(t, s.Update(ctx, func(tx kv.Tx) error {
		for _, k := range shuffled {
			if err := tx.Put(plain, []byte(k), nil); err != nil {
				return err
			}
		}
		return nil
	}))
	bounds := append([]string{"", "a\x00a", "zz", "\xff\xff\xff"}, keys...)
	must(t, s.View(ctx, func(r kv.Reader) error {
		for _, from := range bounds {
			for _, to := range append(bounds, "nil") {
				for _, limit := range []int{-1, 0, 1, 3} {
					end := []byte(to)
					if to == "nil" {
						end = nil
					}
					got, err := list(r, plain, []byte(from), end, limit)
					if err != nil {
						return err
					}
					same(t, fmt.Sprintf("scan %q to %q limit %d", from, end, limit), got, scanOf(keys, from, end, limit))
				}
			}
		}
		return nil
	}))
}

// scanOf is the result of list for empty values.
func scanOf(keys []string, from string, to []byte, limit int) string {
	var b strings.Builder
	n := 0
	for _, k := range slices.Sorted(slices.Values(keys)) {
		if k >= from && (to == nil || k < string(to)) && (limit <= 0 || n < limit) {
			fmt.Fprintf(&b, "%q=%q ", k, "")
			n++
		}
	}
	return b.String()
}

// randomOperations compares random transactions, committed and not, with a
// map.
func randomOperations(t *testing.T, open Open) {
	seed := testseed.Of(t)
	rnd := rand.New(rand.NewPCG(seed, 0))
	dir := t.TempDir()
	s := open(t, dir, specs, false)
	model := map[string]string{}
	errUndo := errors.New("undo")
	for round := range 150 {
		if round == 75 {
			must(t, s.Close())
			s = open(t, dir, specs, false)
		}
		seed, undo := rnd.Uint64(), rnd.IntN(4) == 0
		var after map[string]string
		err := s.Update(ctx, func(tx kv.Tx) error {
			after = maps.Clone(model)
			if err := transaction(t, rand.New(rand.NewPCG(seed, 1)), tx, after); err != nil || !undo {
				return err
			}
			return errUndo
		})
		if undo {
			want(t, "undone", err, errUndo)
		} else {
			must(t, err)
			model = after
		}
		same(t, "content", dump(t, s, ascending), listOf(model, "", nil))
		if t.Failed() {
			t.Fatalf("in round %d", round)
		}
	}
}

func transaction(t *testing.T, rnd *rand.Rand, tx kv.Tx, model map[string]string) error {
	k := func() []byte { return fmt.Appendf(nil, "%03d", rnd.IntN(400)) }
	for range rnd.IntN(60) {
		a, b := k(), k()
		switch rnd.IntN(10) {
		case 0, 1, 2, 3, 4:
			v := strings.Repeat("v", rnd.IntN(200))
			model[string(a)] = v
			if err := tx.Put(ascending, a, []byte(v)); err != nil {
				return err
			}
		case 5, 6:
			delete(model, string(a))
			if err := tx.Delete(ascending, a); err != nil {
				return err
			}
		case 7:
			before := len(model)
			maps.DeleteFunc(model, func(k, _ string) bool { return k >= string(a) && k < string(b) })
			n, err := tx.DeleteRange(ascending, a, b)
			if err != nil || n != before-len(model) {
				t.Errorf("DeleteRange %q to %q: %d, %v, want %d", a, b, n, err, before-len(model))
			}
		case 8:
			v, ok := model[string(a)]
			if !ok {
				v = "absent"
			}
			same(t, "get", get(t, tx, ascending, string(a)), v)
		case 9:
			got, err := list(tx, ascending, a, b, 0)
			if err != nil {
				return err
			}
			same(t, fmt.Sprintf("scan %q to %q", a, b), got, listOf(model, string(a), b))
		}
	}
	return nil
}

func listOf(model map[string]string, from string, to []byte) string {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(model)) {
		if k >= from && (to == nil || k < string(to)) {
			fmt.Fprintf(&b, "%q=%q ", k, model[k])
		}
	}
	return b.String()
}

func emptyIsNotAbsent(t *testing.T, open Open) {
	s := fresh(t, open)
	check := func(when string, r kv.Reader) {
		for _, k := range []string{"nil", "empty"} {
			if v, ok, err := r.Get(plain, []byte(k)); !ok || len(v) != 0 || err != nil {
				t.Errorf("%s: %s: %q, %v, %v", when, k, v, ok, err)
			}
		}
		for _, k := range []string{"", "emp", "empty0"} {
			if v, ok, err := r.Get(plain, []byte(k)); ok || v != nil || err != nil {
				t.Errorf("%s: %q: %q, %v, %v", when, k, v, ok, err)
			}
		}
	}
	must(t, s.Update(ctx, func(tx kv.Tx) error {
		must(t, errors.Join(tx.Put(plain, []byte("nil"), nil), tx.Put(plain, []byte("empty"), []byte{})))
		check("in the transaction", tx)
		return nil
	}))
	must(t, s.View(ctx, func(r kv.Reader) error { check("afterwards", r); return nil }))
}

func argumentsAreNotKept(t *testing.T, open Open) {
	s := fresh(t, open)
	for name, write := range writers(s) {
		must(t, write(ctx, func(tx kv.Tx) error {
			buf := []byte("key-1 value-1")
			if err := tx.Put(plain, buf[:5], buf[6:]); err != nil {
				return err
			}
			copy(buf, "xxxxxxxxxxxxx")
			same(t, name+": in the transaction", get(t, tx, plain, "key-1"), "value-1")
			from, to := []byte("key-2"), []byte("key-3")
			if _, err := tx.DeleteRange(plain, from, to); err != nil {
				return err
			}
			same(t, name+": bounds", string(from)+string(to), "key-2key-3")
			return nil
		}))
		same(t, name, dump(t, s, plain), `"key-1"="value-1" `)
	}
}

// slicesLastAsPromised keeps slices over as many calls as the contract allows.
func slicesLastAsPromised(t *testing.T, open Open) {
	s := fresh(t, open)
	must(t, s.Update(ctx, func(tx kv.Tx) error {
		for i := range 3000 {
			if err := tx.Put(plain, key(i), fmt.Appendf(nil, "value %d", i)); err != nil {
				return err
			}
		}
		return nil
	}))
	read := func(r kv.Reader) error {
		var keys, values [][]byte
		err := r.Scan(plain, nil, nil, 0, func(k, v []byte) error {
			keys, values = append(keys, k), append(values, v)
			return nil
		})
		if err != nil || len(keys) != 3000 {
			return fmt.Errorf("scan of %d keys: %w", len(keys), err)
		}
		for i := range keys {
			v, _, err := r.Get(plain, key(i))
			if err != nil || string(keys[i]) != string(key(i)) || string(values[i]) != fmt.Sprint("value ", i) || string(v) != string(values[i]) {
				return fmt.Errorf("key %d: %q, %q, %q, %v", i, keys[i], values[i], v, err)
			}
		}
		return nil
	}
	must(t, s.View(ctx, read))
	must(t, s.Update(ctx, func(tx kv.Tx) error {
		if err := read(tx); err != nil {
			return err
		}
		// Bytes that were handed out may be an argument of the write that ends
		// them.
		v, _, err := tx.Get(plain, key(7))
		if err != nil {
			return err
		}
		return tx.Put(other, []byte("copy"), v)
	}))
	same(t, "copied", dump(t, s, other), `"copy"="value 7" `)
	p, err := s.Pin(ctx)
	must(t, err)
	defer p.Release(nil)
	must(t, read(p))
}
