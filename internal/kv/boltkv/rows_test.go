package boltkv

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/snibdb/snib/internal/kv"
	bolt "go.etcd.io/bbolt"
)

// fillRows puts keys into a bucket of the application's; a key that ends with
// "/" is a bucket with three keys in it.
func fillRows(tb testing.TB, s *Store, set string, keys ...string) {
	tb.Helper()
	must(tb, s.Update(ctx, func(tx kv.Tx) error {
		btx, _ := Bolt(tx)
		b, err := btx.CreateBucketIfNotExists([]byte(set))
		for _, key := range keys {
			if err == nil && !strings.HasSuffix(key, "/") {
				err = b.Put([]byte(key), bytes.Repeat([]byte("v"), 100))
				continue
			}
			var child *bolt.Bucket
			if err == nil {
				child, err = b.CreateBucket([]byte(key))
			}
			for i := range 3 {
				err = errors.Join(err, child.Put(fmt.Append(nil, i), nil))
			}
		}
		return err
	}))
}

// rowsOf returns the keys of a set.
func rowsOf(tb testing.TB, s *Store, set string) (keys []string) {
	tb.Helper()
	must(tb, s.View(ctx, func(r kv.Reader) error {
		rows, err := kv.RowsOf(r)
		if err != nil {
			return err
		}
		keys = nil
		return rows.ScanRows([]string{set}, nil, nil, 0, func(key, _ []byte) error {
			keys = append(keys, string(key))
			return nil
		})
	}))
	return keys
}

func deleteRows(tb testing.TB, s *Store, set, from, to string, limit int) (n int) {
	tb.Helper()
	must(tb, s.Apply(ctx, func(tx kv.Tx) error {
		rows, err := kv.RowsOf(tx)
		if err == nil {
			n, err = rows.DeleteRows(set, []byte(from), []byte(to), limit)
		}
		return err
	}))
	return n
}

// TestRowsOfTheApplication: a range goes from the front, as far as the limit, and
// its neighbours stay.
func TestRowsOfTheApplication(t *testing.T) {
	s := newStoreIn(t, options())
	keys := []string{"a", "b\x00", "b\x001", "b\x00\xff", "b\x01", "ba\x001", "c"}
	fillRows(t, s, "notes", keys...)
	fillRows(t, s, "other", keys...)
	same(t, "none", deleteRows(t, s, "notes", "b\x00", "b\x01", 0), 0)
	same(t, "limited", deleteRows(t, s, "notes", "b\x00", "b\x01", 2), 2)
	same(t, "left", rowsOf(t, s, "notes"), slices.Delete(slices.Clone(keys), 1, 3))
	same(t, "the rest", deleteRows(t, s, "notes", "b\x00", "b\x01", 2), 1)
	same(t, "beside", rowsOf(t, s, "notes"), slices.Delete(slices.Clone(keys), 1, 4))
	same(t, "another set", rowsOf(t, s, "other"), keys)
	same(t, "missing", deleteRows(t, s, "nowhere", "a", "z", 10), 0)
	same(t, "missing", rowsOf(t, s, "nowhere"), []string(nil))
}

// TestRowsThatAreBuckets go in bounded steps, too, and count with what is in them.
func TestRowsThatAreBuckets(t *testing.T) {
	s := newStoreIn(t, options())
	fillRows(t, s, "notes", "a", "b\x001", "b\x002/", "b\x003", "c/")
	for _, n := range []int{2, 2, 2, 0} { // 1 and a key of 2; two keys of 2; 2 and 3
		same(t, "removed", deleteRows(t, s, "notes", "b\x00", "b\x01", 2), n)
	}
	same(t, "left", rowsOf(t, s, "notes"), []string{"a", "c/"})
}

// TestRowsRemovedManyAtOnce: leaves empty and merge under the cursor.
func TestRowsRemovedManyAtOnce(t *testing.T) {
	o := options()
	o.InsecureNoSync = true
	s := newStoreIn(t, o)
	want := map[string]bool{}
	var keys []string
	for i := range 5000 {
		keys = append(keys, fmt.Sprintf("%c\x00%05d", 'a'+i%3, i))
		want[keys[i]] = i%3 != 1
	}
	fillRows(t, s, "notes", keys...)
	total := 0
	for {
		n := deleteRows(t, s, "notes", "b\x00", "b\x01", 700)
		if total += n; n == 0 {
			break
		}
	}
	same(t, "removed", total, 1667)
	maps.DeleteFunc(want, func(_ string, stays bool) bool { return !stays })
	same(t, "left", rowsOf(t, s, "notes"), slices.Sorted(maps.Keys(want)))
}

// TestRowsAreNotTheStores: the store's own bucket is none, a reader removes
// nothing, a joined transaction has them, and ends.
func TestRowsAreNotTheStores(t *testing.T) {
	s := newStoreIn(t, options())
	put(t, s, "k", "v")
	fillRows(t, s, "notes", "a")
	err := s.Apply(ctx, func(tx kv.Tx) error { return clearRows(tx, "snib") })
	if err == nil || read(s, "k") != "v" {
		t.Errorf("the bucket of the store: %v", err)
	}
	want(t, "a reader", s.View(ctx, func(r kv.Reader) error { return clearRows(r, "notes") }), kv.ErrReadOnly)
	btx, err := s.db.at().Begin(true)
	must(t, err)
	joined, err := s.Join(btx)
	must(t, err)
	must(t, clearRows(joined, "notes"))
	same(t, "joined", btx.Bucket([]byte("notes")).Get([]byte("a")), []byte(nil))
	must(t, btx.Rollback())
	want(t, "ended", clearRows(joined, "notes"), kv.ErrTxClosed)
	same(t, "rolled back", rowsOf(t, s, "notes"), []string{"a"})
	_, err = kv.RowsOf(struct{ kv.Reader }{})
	want(t, "an engine without", err, errors.ErrUnsupported)
}

// clearRows removes the rows of a set through any reader.
func clearRows(r kv.Reader, set string) error {
	_, err := r.(kv.Rows).DeleteRows(set, nil, nil, 9)
	return err
}

func moveRows(tb testing.TB, s *Store, set, from, to string) (n int, err error) {
	tb.Helper()
	err = s.Apply(ctx, func(tx kv.Tx) error {
		rows, err := kv.RowsOf(tx)
		if err == nil {
			n, err = rows.MoveRows(set, []byte(from), []byte(to))
		}
		return err
	})
	return n, err
}

// TestRowsMoved: the keys with a beginning get another one, forwards and backwards in
// the order of keys, and their neighbours stay.
func TestRowsMoved(t *testing.T) {
	for _, to := range []string{"a\x00", "z\x00", "b\x00\xff\xff"} {
		s := newStoreIn(t, options())
		fillRows(t, s, "notes", "a", "b\x00", "b\x001", "b\x002/", "b\x00\xff", "b\x01", "ba\x001", "c")
		n, err := moveRows(t, s, "notes", "b\x00", to)
		must(t, err)
		same(t, "moved", n, 7) // a bucket is one, and three in it
		want := []string{"a", "b\x01", "ba\x001", "c", to, to + "1", to + "2/", to + "\xff"}
		slices.Sort(want)
		same(t, "keys", rowsOf(t, s, "notes"), want)
		must(t, s.View(ctx, func(r kv.Reader) error {
			btx, _ := Bolt(r)
			b := btx.Bucket([]byte("notes"))
			same(t, "value", b.Get([]byte(to+"1")), bytes.Repeat([]byte("v"), 100))
			same(t, "in the bucket", b.Bucket([]byte(to+"2/")).Get([]byte("2")), []byte{})
			return nil
		}))
		n, err = moveRows(t, s, "notes", "b\x00\x00", to)
		must(t, err)
		same(t, "none", n, 0)
		n, err = moveRows(t, s, "nowhere", "b", to)
		must(t, err)
		same(t, "of a missing set", n, 0)
	}
}

// TestRowsMovedManyAtOnce: leaves split and empty on the way, with rows of this
// transaction, without a value, among them.
func TestRowsMovedManyAtOnce(t *testing.T) {
	o := options()
	o.InsecureNoSync = true
	s := newStoreIn(t, o)
	var keys, want []string
	for i := range 5000 {
		keys = append(keys, fmt.Sprintf("%c\x00%05d", 'a'+i%3, i))
		want = append(want, strings.Replace(keys[i], "b\x00", "zz\x00", 1))
	}
	fillRows(t, s, "notes", keys...)
	want = append(want, "zz\x00new", "zz\x00bucket")
	n := 0
	must(t, s.Update(ctx, func(tx kv.Tx) error {
		btx, _ := Bolt(tx)
		b := btx.Bucket([]byte("notes"))
		if err := b.Put([]byte("b\x00new"), nil); err != nil {
			return err
		}
		in, err := b.CreateBucket([]byte("b\x00bucket"))
		for i := range 2000 { // no bucket inside of a page
			err = errors.Join(err, in.Put(fmt.Append(nil, i), bytes.Repeat([]byte("w"), 50)))
		}
		if deeper, err2 := in.CreateBucket([]byte("deeper")); err2 == nil {
			err = errors.Join(err, deeper.Put([]byte("k"), nil))
		}
		if err == nil {
			n, err = tx.(kv.Rows).MoveRows("notes", []byte("b\x00"), []byte("zz\x00"))
		}
		return err
	}))
	same(t, "moved", n, 1667+1+1+2000+2)
	slices.Sort(want)
	same(t, "keys", rowsOf(t, s, "notes"), want)
	n, err := moveRows(t, s, "notes", "zz\x00", "b\x00") // from the file
	must(t, err)
	same(t, "back", n, 1667+1+1+2000+2)
	must(t, s.View(ctx, func(r kv.Reader) error {
		btx, _ := Bolt(r)
		in := btx.Bucket([]byte("notes")).Bucket([]byte("b\x00bucket"))
		same(t, "deeper", in.Bucket([]byte("deeper")).Get([]byte("k")), []byte{})
		n := 0
		in.ForEach(func(_, _ []byte) error { n++; return nil })
		same(t, "keys of the bucket", n, 2001)
		return nil
	}))
}

// TestRowsMovedOntoOthersAreRefused: nothing of it is written.
func TestRowsMovedOntoOthersAreRefused(t *testing.T) {
	s := newStoreIn(t, options())
	put(t, s, "k", "v")
	fillRows(t, s, "notes", "a\x001", "a\x002", "b\x002")
	if _, err := moveRows(t, s, "notes", "a\x00", "b\x00"); err == nil {
		t.Error("a row was overwritten")
	}
	same(t, "left", rowsOf(t, s, "notes"), []string{"a\x001", "a\x002", "b\x002"})
	if _, err := moveRows(t, s, "snib", "a", "b"); err == nil || read(s, "k") != "v" {
		t.Errorf("the bucket of the store: %v", err)
	}
	want(t, "a reader", s.View(ctx, func(r kv.Reader) error {
		_, err := r.(kv.Rows).MoveRows("notes", []byte("a"), []byte("z"))
		return err
	}), kv.ErrReadOnly)
	btx, err := s.db.at().Begin(true)
	must(t, err)
	joined, err := s.Join(btx)
	must(t, err)
	n, err := joined.(kv.Rows).MoveRows("notes", []byte("a\x00"), []byte("c\x00"))
	must(t, err)
	same(t, "joined", n, 2)
	must(t, btx.Rollback())
	same(t, "rolled back", rowsOf(t, s, "notes"), []string{"a\x001", "a\x002", "b\x002"})
}
