package kvtest

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/snibdb/snib/internal/kv"
)

// many returns the result of a GetMany as text.
func many(r kv.Reader, refs []kv.Ref) (string, error) {
	var b strings.Builder
	next := 0
	err := r.GetMany(refs, func(i int, v []byte, ok bool) error {
		if i != next {
			return fmt.Errorf("visit of %d, want %d", i, next)
		}
		next++
		switch {
		case ok:
			fmt.Fprintf(&b, "%q ", v)
		case v != nil:
			return fmt.Errorf("absent, and a value %q", v)
		default:
			b.WriteString("- ")
		}
		return nil
	})
	return b.String(), err
}

func ref(space kv.Space, k string) kv.Ref { return kv.Ref{Space: space, Key: []byte(k)} }

func getMany(t *testing.T, open Open) {
	s := fresh(t, open)
	put(t, s, plain, "a", "1")
	put(t, s, plain, "empty", "")
	put(t, s, ascending, "a", "2")
	refs := []kv.Ref{
		ref(plain, "b"), ref(ascending, "a"), ref(plain, "a"), ref(other, "a"),
		ref(plain, "a"), ref(plain, "empty"), ref(plain, ""), ref(plain, "aa"),
	}
	check := func(when string, r kv.Reader, want string) error {
		got, err := many(r, refs)
		same(t, when, got, want)
		return err
	}
	stored := `- "2" "1" - "1" "" - - `
	must(t, s.View(ctx, func(r kv.Reader) error {
		if got, err := many(r, nil); got != "" || err != nil {
			t.Errorf("no refs: %q, %v", got, err)
		}
		return check("view", r, stored)
	}))
	p, err := s.Pin(ctx)
	must(t, err)
	err = check("pin", p, stored)
	must(t, p.Release(nil))
	must(t, err)
	errUndo := errors.New("undo")
	for name, write := range writers(s) {
		want(t, name, write(ctx, func(tx kv.Tx) error {
			must(t, check(name, tx, stored))
			must(t, tx.Put(plain, []byte("b"), []byte("new")))
			must(t, tx.Delete(plain, []byte("a")))
			must(t, check(name+", its own writes", tx, `"new" "2" - - - "" - - `))
			return errUndo
		}), errUndo)
	}
}

// getManyVisits: a visit may read and keep its arguments, and its error is the
// result.
func getManyVisits(t *testing.T, open Open) {
	s := fresh(t, open)
	refs := make([]kv.Ref, 5)
	for i := range refs {
		put(t, s, plain, string(key(i)), fmt.Sprint("value ", i))
		refs[i] = ref(plain, string(key(i)))
	}
	own := errors.New("enough")
	read := func(r kv.Reader) {
		var kept [][]byte
		must(t, r.GetMany(refs, func(i int, v []byte, _ bool) error {
			kept = append(kept, v)
			again, _, err := r.Get(plain, refs[len(refs)-1-i].Key)
			same(t, "read in a visit", string(again), fmt.Sprint("value ", len(refs)-1-i))
			return err
		}))
		for i, v := range kept {
			same(t, "kept", string(v), fmt.Sprint("value ", i))
		}
		visits := 0
		err := r.GetMany(refs, func(int, []byte, bool) error {
			if visits++; visits == 3 {
				return own
			}
			return nil
		})
		if err != own || visits != 3 {
			t.Errorf("%d visits, got %v, want the very error", visits, err)
		}
	}
	must(t, s.View(ctx, func(r kv.Reader) error { read(r); return nil }))
	must(t, s.Update(ctx, func(tx kv.Tx) error {
		read(tx)
		return tx.Put(other, []byte("after"), nil) // it dooms nothing
	}))
	same(t, "written after", dump(t, s, other), `"after"="" `)
}
