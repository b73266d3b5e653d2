package snibpg_test

import (
	"errors"
	"strconv"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/snibdb/snib/internal/kv"
)

const (
	plain kv.Space = iota
	shadow
	other
)

var shadowed = []kv.SpaceSpec{{Name: "plain"}, {Name: "plain", Shadow: true}, {Name: "other"}}

func put(t testing.TB, s kv.Store, space kv.Space, k, v string) {
	t.Helper()
	must(t, s.Apply(ctx, func(tx kv.Tx) error { return tx.Put(space, []byte(k), []byte(v)) }))
}

func get(t testing.TB, s kv.Store, space kv.Space, k string) (text string) {
	t.Helper()
	must(t, s.View(ctx, func(r kv.Reader) error {
		v, ok, err := r.Get(space, []byte(k))
		if text = string(v); !ok {
			text = "absent"
		}
		return err
	}))
	return text
}

func swap(s kv.Store, more func(kv.Tx) error) error {
	return s.Exclusive(ctx, func(tx kv.Tx) error {
		if err := s.(kv.Shadower).SwapShadows(tx, "plain"); err != nil {
			return err
		}
		return more(tx)
	})
}

func nothing(kv.Tx) error { return nil }

// TestSwap: a shadow takes the place of its space in one commit, for every
// program and for one that was in the middle of something.
func TestSwap(t *testing.T) {
	name := schema(t)
	a, b := store(t, name, false, shadowed), store(t, name, false, shadowed)
	put(t, a, plain, "k", "old")
	put(t, a, shadow, "k", "new")

	own := errors.New("undo")
	if err := swap(a, func(kv.Tx) error { return own }); err != own {
		t.Fatal(err)
	}
	if got := get(t, a, plain, "k") + get(t, b, shadow, "k"); got != "oldnew" {
		t.Errorf("undone: %s", got)
	}

	// A reader and a writer of b see one generation, whichever it is.
	runs := 0
	must(t, b.View(ctx, func(r kv.Reader) error {
		first, _, err := r.Get(other, []byte("k"))
		if runs++; err == nil && runs == 1 {
			must(t, swap(a, func(tx kv.Tx) error { return tx.Put(plain, []byte("more"), nil) }))
		}
		if err != nil || first != nil {
			return errors.Join(err, errors.New("something in other"))
		}
		v, _, err := r.Get(plain, []byte("k"))
		if err == nil && string(v) != "new" {
			t.Errorf("run %d: %q after the swap", runs, v)
		}
		return err
	}))
	if got := get(t, b, plain, "k") + get(t, b, shadow, "k") + get(t, b, plain, "more"); got != "newabsent" {
		t.Errorf("swapped: %s", got)
	}
	runs = 0
	must(t, b.Apply(ctx, func(tx kv.Tx) error {
		v, _, err := tx.Get(plain, []byte("k"))
		if runs++; err == nil && runs == 1 {
			put(t, a, shadow, "k", "newest")
			must(t, swap(a, nothing))
		}
		if err != nil {
			return err
		}
		return tx.Put(plain, []byte("seen"), v)
	}))
	if got := get(t, a, plain, "seen"); got != "newest" || runs != 2 {
		t.Errorf("a writer from before the swap saw %q in %d runs, want newest in 2", got, runs)
	}
	// One that reads nothing is found out, too.
	must(t, swap(a, nothing))
	put(t, b, plain, "blind", "v")
	if got := get(t, a, plain, "blind"); got != "v" {
		t.Errorf("a blind write went to a table that was replaced: %s", got)
	}
	// One whose tables are still there, because something reads them, as well.
	exec(t, func(conn *pgx.Conn) error {
		before := get(t, b, plain, "blind")
		if _, err := conn.Exec(ctx, "begin; select * from "+name+".plain_shadow_3; select * from "+name+".spaces"); err != nil {
			return err
		}
		put(t, a, shadow, "blind", "swapped")
		must(t, swap(a, nothing))
		if got := get(t, b, plain, "blind"); got != "swapped" || before != "v" {
			t.Errorf("a read of a table that was replaced: %s, then %s", before, got)
		}
		_, err := conn.Exec(ctx, "rollback")
		return err
	})
	must(t, swap(a, nothing))
	tables := 0
	exec(t, func(conn *pgx.Conn) error {
		return conn.QueryRow(ctx, "select count(*) from pg_tables where schemaname = $1", name).Scan(&tables)
	})
	if tables > 4+3 { // control, spaces, old, marks
		t.Errorf("%d tables, and the replaced ones are still there", tables)
	}
}

// TestDropShadows empties shadows only.
func TestDropShadows(t *testing.T) {
	s := store(t, schema(t), false, shadowed)
	put(t, s, plain, "k", "v")
	put(t, s, shadow, "k", "v")
	must(t, s.Exclusive(ctx, s.(kv.Shadower).DropShadows))
	if got := get(t, s, plain, "k") + get(t, s, shadow, "k"); got != "vabsent" {
		t.Errorf("left: %s", got)
	}
	put(t, s, shadow, "k", "again")
}

// TestSwapsUnderLoad: counters go on while tables are replaced by copies of
// themselves, and none loses a step.
func TestSwapsUnderLoad(t *testing.T) {
	name := schema(t)
	a, b := store(t, name, false, shadowed), store(t, name, false, shadowed)
	stop := make(chan bool)
	var group sync.WaitGroup
	counts := make([]int, 6)
	for i := range counts {
		group.Go(func() {
			k := []byte(strconv.Itoa(i))
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := b.Apply(ctx, func(tx kv.Tx) error {
					v, _, err := tx.Get(plain, k)
					if err != nil {
						return err
					}
					n, _ := strconv.Atoi(string(v))
					return tx.Put(plain, k, []byte(strconv.Itoa(n+1)))
				}); err != nil {
					t.Error(err)
					return
				}
				counts[i]++
			}
		})
	}
	for range 10 {
		must(t, a.Exclusive(ctx, func(tx kv.Tx) error {
			copies := map[string]string{}
			err := tx.Scan(plain, nil, nil, 0, func(k, v []byte) error { copies[string(k)] = string(v); return nil })
			if err != nil {
				return err
			}
			if err := a.(kv.Shadower).SwapShadows(tx, "plain"); err != nil {
				return err
			}
			for k, v := range copies {
				if err := tx.Put(plain, []byte(k), []byte(v)); err != nil {
					return err
				}
			}
			return nil
		}))
	}
	close(stop)
	group.Wait()
	for i, n := range counts {
		if got := get(t, a, plain, strconv.Itoa(i)); got != strconv.Itoa(n) && !(n == 0 && got == "absent") {
			t.Errorf("counter %d is %s after %d steps", i, got, n)
		}
	}
}
