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
)

// wanted gives hints to engines that take them.
func wanted(r kv.Reader, refs []kv.Ref, space kv.Space, from, to []byte, limit int) {
	if far, ok := kv.As[kv.Wanter](r); ok {
		far.Want(refs)
	}
	if far, ok := kv.As[kv.ScanWanter](r); ok {
		far.WantScan(space, from, to, limit)
	}
}

// firstOf is list of a map.
func firstOf(model map[string]string, from, to []byte, limit int) string {
	var b strings.Builder
	n := 0
	for _, k := range slices.Sorted(maps.Keys(model)) {
		if k >= string(from) && (to == nil || k < string(to)) && (limit <= 0 || n < limit) {
			fmt.Fprintf(&b, "%q=%q ", k, model[k])
			n++
		}
	}
	return b.String()
}

// readAhead: hints change no result, under the transaction's own writes either.
func readAhead(t *testing.T, open Open) {
	s := fresh(t, open)
	must(t, s.Apply(ctx, func(tx kv.Tx) error {
		for i := range 300 {
			must(t, tx.Put(plain, key(i*2), fmt.Appendf(nil, "v%d", i)))
		}
		return nil
	}))
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 0))
	errUndo := errors.New("undo")
	bounds := func() (from, to []byte, limit int) {
		a := rnd.IntN(650)
		from, to = key(a), key(a+rnd.IntN(400)-5)
		switch rnd.IntN(5) {
		case 0:
			from = nil
		case 1:
			to = nil
		}
		if rnd.IntN(2) == 0 {
			limit = 1 + rnd.IntN(200)
		}
		return from, to, limit
	}
	for round := range 60 {
		want(t, "a transaction", s.Update(ctx, func(tx kv.Tx) error {
			model := map[string]string{}
			for i := range 300 {
				model[string(key(i*2))] = fmt.Sprintf("v%d", i)
			}
			for range rnd.IntN(4) {
				from, to, limit := bounds()
				wanted(tx, []kv.Ref{{Space: plain, Key: key(rnd.IntN(700))}, ref(other, "none")}, plain, from, to, limit)
			}
			for range 12 {
				k := key(rnd.IntN(700))
				switch rnd.IntN(6) {
				case 0:
					must(t, tx.Put(plain, k, []byte("own")))
					model[string(k)] = "own"
				case 1:
					must(t, tx.Delete(plain, k))
					delete(model, string(k))
				case 2:
					v, ok, err := tx.Get(plain, k)
					must(t, err)
					if want, there := model[string(k)]; string(v) != want || ok != there {
						t.Fatalf("seed %d, round %d: %s is %q, %v, want %q", seed, round, k, v, ok, want)
					}
				case 3:
					from := rnd.IntN(700)
					to := from + rnd.IntN(20)
					gone := 0
					for i := from; i < to; i++ {
						if _, there := model[string(key(i))]; there {
							gone++
							delete(model, string(key(i)))
						}
					}
					n, err := tx.DeleteRange(plain, key(from), key(to))
					must(t, err)
					if n != gone {
						t.Fatalf("seed %d, round %d: %d were removed, want %d", seed, round, n, gone)
					}
				default:
					from, to, limit := bounds()
					got, err := list(tx, plain, from, to, limit)
					must(t, err)
					if want := firstOf(model, from, to, limit); got != want {
						t.Fatalf("seed %d, round %d, [%s, %s) %d:\n%s\nwant\n%s", seed, round, from, to, limit, got, want)
					}
				}
			}
			return errUndo
		}), errUndo)
	}
}

// phantomsAhead: a range that was read ahead is read. Of many writers that put a
// key where they have found none, one succeeds.
func phantomsAhead(t *testing.T, open Open) {
	s := fresh(t, open)
	const owners, writers = 15, 6
	for o := range owners {
		from, to := fmt.Appendf(nil, "owner%05d/", o), fmt.Appendf(nil, "owner%05d0", o)
		parallel(writers, func(g int) {
			err := s.Apply(ctx, func(tx kv.Tx) error {
				wanted(tx, []kv.Ref{ref(other, "state")}, plain, from, to, 0)
				if _, _, err := tx.Get(other, []byte("state")); err != nil {
					return err
				}
				found := 0
				if err := tx.Scan(plain, from, to, 0, func(_, _ []byte) error { found++; return nil }); err != nil || found > 0 {
					return err
				}
				return tx.Put(plain, fmt.Appendf(from[:len(from):len(from)], "%d", g), nil)
			})
			if err != nil {
				t.Error(err)
			}
		})
		must(t, s.View(ctx, func(r kv.Reader) error {
			found := 0
			err := r.Scan(plain, from, to, 0, func(_, _ []byte) error { found++; return nil })
			if found != 1 {
				t.Errorf("owner %d: %d keys, want 1", o, found)
			}
			return err
		}))
	}
}

// claimed is a Get that names the key as one to put.
func claimed(tx kv.Tx, space kv.Space, k string) (ok bool, err error) {
	if far, able := kv.As[kv.Claimer](tx); able {
		far.Claim([]kv.Ref{ref(space, k)})
	}
	_, ok, err = tx.Get(space, []byte(k))
	return ok, err
}

// claims: of many writers that find a key free, one has it; and a key that was
// found free and is not put was read all the same.
func claims(t *testing.T, open Open) {
	s := fresh(t, open)
	const rounds, writers = 12, 6
	for i := range rounds {
		a, b := fmt.Sprintf("a%d", i), fmt.Sprintf("b%d", i)
		name, won := fmt.Sprintf("name%d", i), make([]bool, writers)
		parallel(writers, func(g int) {
			if err := s.Apply(ctx, func(tx kv.Tx) error {
				there, err := claimed(tx, plain, name)
				if won[g] = !there; there || err != nil {
					return err
				}
				return tx.Put(plain, []byte(name), nil)
			}); err != nil {
				t.Error(err)
			}
			mine, theirs := a, b
			if g%2 == 0 {
				mine, theirs = b, a
			}
			if err := s.Apply(ctx, func(tx kv.Tx) error {
				there, err := claimed(tx, plain, theirs)
				if there || err != nil {
					return err
				}
				return tx.Put(plain, []byte(mine), nil)
			}); err != nil {
				t.Error(err)
			}
		})
		n := 0
		for _, w := range won {
			if w {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%d writers have found the key free, want 1", n)
		}
		must(t, s.View(ctx, func(r kv.Reader) error {
			text, err := list(r, plain, []byte("a"), []byte("c"), 0)
			if err == nil && strings.Contains(text, fmt.Sprintf("%q=", a)) == strings.Contains(text, fmt.Sprintf("%q=", b)) {
				t.Errorf("want one of %s and %s: %s", a, b, text)
			}
			return err
		}))
	}
	want(t, "undone", s.Apply(ctx, func(tx kv.Tx) error {
		if _, err := claimed(tx, other, "undone"); err != nil {
			return err
		}
		return kv.ErrTooLarge
	}), kv.ErrTooLarge)
	must(t, s.Apply(ctx, func(tx kv.Tx) error {
		if _, err := claimed(tx, other, "left"); err != nil {
			return err
		}
		text, err := list(tx, other, nil, nil, 0)
		same(t, "a claim in a scan", text, "")
		return errors.Join(err, tx.Put(other, []byte("put"), nil))
	}))
	must(t, s.Apply(ctx, func(tx kv.Tx) error {
		if _, err := claimed(tx, other, "left again"); err != nil {
			return err
		}
		return errors.Join(tx.Delete(other, []byte("left again")), tx.Put(other, []byte("put again"), nil))
	}))
	same(t, "claims", dump(t, s, other), `"put"="" "put again"="" `)
}
