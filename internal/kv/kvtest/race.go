package kvtest

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"

	"github.com/snibdb/snib/internal/kv"
)

func snapshots(t *testing.T, open Open) {
	s := fresh(t, open)
	put(t, s, plain, "k", "old")
	p, err := s.Pin(ctx)
	must(t, err)
	defer p.Release(nil)
	began, changed := make(chan bool), make(chan bool)
	var group sync.WaitGroup
	group.Go(func() {
		err := s.View(ctx, func(r kv.Reader) error {
			began <- true
			<-changed
			same(t, "view", get(t, r, plain, "k")+get(t, r, plain, "new"), "oldabsent")
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
	<-began
	parallel(1, func(int) { // elsewhere: this goroutine holds a snapshot
		put(t, s, plain, "k", "changed")
		put(t, s, plain, "new", "")
	})
	close(changed)
	group.Wait()
	same(t, "pin", get(t, p, plain, "k")+get(t, p, plain, "new"), "oldabsent")
}

// lateSnapshots changes two keys between their reads: all reads fit one commit,
// or must begin anew.
func lateSnapshots(t *testing.T, open Open) {
	s := fresh(t, open)
	set := func(v string) {
		parallel(1, func(int) { // elsewhere: this goroutine holds a snapshot
			must(t, s.Apply(ctx, func(tx kv.Tx) error {
				return errors.Join(tx.Put(plain, []byte("a"), []byte(v)), tx.Put(plain, []byte("b"), []byte(v)))
			}))
		})
	}
	set("old")
	// read compares the keys in several ways, the first before the change.
	read := func(r kv.Reader, change func()) error {
		a, _, err := r.Get(plain, []byte("a"))
		if err != nil {
			return err
		}
		first := string(a)
		change()
		text, err := list(r, plain, nil, nil, 0)
		if err == nil {
			same(t, "a scan after "+first, text, fmt.Sprintf(`"a"=%q "b"=%q `, first, first))
			text, err = many(r, []kv.Ref{ref(plain, "b"), ref(plain, "c"), ref(plain, "a")})
		}
		if err == nil {
			same(t, "others after "+first, text, fmt.Sprintf(`%q - %q `, first, first))
		}
		return err
	}
	var once sync.Once
	must(t, s.View(ctx, func(r kv.Reader) error {
		return read(r, func() { once.Do(func() { set("new") }) })
	}))
	p, err := s.Pin(ctx)
	must(t, err)
	defer p.Release(nil)
	if err := read(p, func() { set("newer") }); err != nil {
		want(t, "pin", err, kv.ErrAgain)
	}
}

func ackIsVisible(t *testing.T, open Open) {
	s := fresh(t, open)
	parallel(64, func(g int) {
		k := fmt.Appendf(nil, "g%02d", g)
		for i := range 20 {
			v := strconv.Itoa(i)
			op := func(tx kv.Tx) error { return tx.Put(plain, k, []byte(v)) }
			var err error
			if (g+i)%4 == 0 {
				err = s.Update(ctx, op)
			} else {
				err = s.Apply(ctx, op)
			}
			if err != nil {
				t.Error(err)
				return
			}
			p, err := s.Pin(ctx)
			if err != nil {
				t.Error(err)
				return
			}
			same(t, "pinned after the answer", get(t, p, plain, string(k)), v)
			p.Release(nil)
		}
	})
}

// counter reads a number; absent is zero.
func counter(r kv.Reader, space kv.Space, k string) (int, error) {
	v, ok, err := r.Get(space, []byte(k))
	if err != nil || !ok {
		return 0, err
	}
	return strconv.Atoi(string(v))
}

func add(tx kv.Tx, space kv.Space, k string, n int) error {
	old, err := counter(tx, space, k)
	if err != nil {
		return err
	}
	return tx.Put(space, []byte(k), []byte(strconv.Itoa(old+n)))
}

func increments(t *testing.T, open Open) {
	s := fresh(t, open)
	const goroutines, each = 24, 15
	parallel(goroutines, func(g int) {
		for i := range each {
			write := s.Apply
			switch (g + i) % 8 {
			case 0:
				write = s.Update
			case 1:
				write = s.Exclusive
			}
			if err := write(ctx, func(tx kv.Tx) error { return add(tx, plain, "n", 1) }); err != nil {
				t.Error(err)
			}
		}
	})
	same(t, "sum", dump(t, s, plain), fmt.Sprintf("%q=%q ", "n", strconv.Itoa(goroutines*each)))
}

func count(r kv.Reader, space kv.Space) (n int, err error) { return countIn(r, space, nil, nil) }

func countIn(r kv.Reader, space kv.Space, from, to []byte) (n int, err error) {
	err = r.Scan(space, from, to, 0, func(_, _ []byte) error { n++; return nil })
	return n, err
}

// writeSkew has racing writers each remove one of a set, unless it is the
// last: each reads all and writes one.
func writeSkew(t *testing.T, open Open) {
	s := fresh(t, open)
	skew(t, s, 16, 1, func(i int) string { return string(key(i)) }, nil, nil)
}

// writeSkewOfMany has a set that is larger than an engine would compare key by
// key.
func writeSkewOfMany(t *testing.T, open Open) {
	s := fresh(t, open)
	must(t, s.Update(ctx, func(tx kv.Tx) error {
		for i := range 200 {
			if err := tx.Put(plain, key(i), nil); err != nil {
				return err
			}
		}
		return nil
	}))
	skew(t, s, 16, 200-16+1, func(i int) string { return string(key(i * 11)) }, nil, nil)
}

// writeSkewOfAnOwner has sets that are ranges, one of each owner, between which
// others lie.
func writeSkewOfAnOwner(t *testing.T, open Open) {
	s := fresh(t, open)
	for _, k := range []string{"a", "a\x00", "a\x01", "aa", "aa\x00x", "b\x00", "b\x01"} {
		put(t, s, plain, k, "other")
	}
	for owner, left := range map[string]int{"a": 2, "b": 3} { // with the empty member of each
		skew(t, s, 16, left, func(i int) string { return fmt.Sprintf("%s\x00%03d", owner, i) }, []byte(owner+"\x00"), []byte(owner+"\x01"))
	}
}

// skew puts n keys and has as many writers that each read a range and remove
// one, as long as more than least are left.
func skew(t *testing.T, s kv.Store, n, least int, name func(i int) string, from, to []byte) {
	t.Helper()
	errLast := errors.New("last one")
	for i := range n {
		put(t, s, plain, name(i), "")
	}
	parallel(n, func(i int) {
		write := s.Apply
		if i%2 == 0 {
			write = s.Update
		}
		err := write(ctx, func(tx kv.Tx) error {
			left, err := countIn(tx, plain, from, to)
			if err != nil {
				return err
			}
			if left <= least {
				return errLast
			}
			return tx.Delete(plain, []byte(name(i)))
		})
		if err != nil && err != errLast {
			t.Error(err)
		}
	})
	must(t, s.View(ctx, func(r kv.Reader) error {
		if left, err := countIn(r, plain, from, to); left != least || err != nil {
			t.Errorf("%d left, want %d: %v", left, least, err)
		}
		return nil
	}))
}

// phantoms has racing writers each add one to a set that may hold five.
func phantoms(t *testing.T, open Open) {
	s := fresh(t, open)
	errFull := errors.New("full")
	const most = 5
	var mu sync.Mutex
	added := 0
	parallel(40, func(i int) {
		write := s.Apply
		if i%2 == 0 {
			write = s.Update
		}
		err := write(ctx, func(tx kv.Tx) error {
			n, err := count(tx, plain)
			if err != nil {
				return err
			}
			if n >= most {
				return errFull
			}
			return tx.Put(plain, key(i), nil)
		})
		switch err {
		case nil:
			mu.Lock()
			added++
			mu.Unlock()
		case errFull:
		default:
			t.Error(err)
		}
	})
	must(t, s.View(ctx, func(r kv.Reader) error {
		if n, err := count(r, plain); n != most || added != most || err != nil {
			t.Errorf("%d stored, %d acknowledged, want %d: %v", n, added, most, err)
		}
		return nil
	}))
}

// sums moves amounts between accounts while readers add them up.
func sums(t *testing.T, open Open) {
	s := fresh(t, open)
	const accounts, total = 8, 800
	for i := range accounts {
		put(t, s, ascending, string(key(i)), strconv.Itoa(total/accounts))
	}
	sum := func(r kv.Reader) {
		got := 0
		err := r.Scan(ascending, nil, nil, 0, func(_, v []byte) error {
			n, err := strconv.Atoi(string(v))
			got += n
			return err
		})
		if err != nil || got != total {
			t.Errorf("sum is %d, want %d: %v", got, total, err)
		}
	}
	parallel(12, func(g int) {
		for i := range 30 {
			var err error
			if g%3 == 0 {
				err = s.View(ctx, func(r kv.Reader) error { sum(r); return nil })
			} else {
				err = s.Apply(ctx, func(tx kv.Tx) error {
					from, to := string(key((g+i)%accounts)), string(key((g*i+1)%accounts))
					if err := add(tx, ascending, from, -3); err != nil {
						return err
					}
					return add(tx, ascending, to, 3)
				})
			}
			if err != nil {
				t.Error(err)
			}
		}
	})
	must(t, s.View(ctx, func(r kv.Reader) error { sum(r); return nil }))
}
