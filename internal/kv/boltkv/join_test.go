package boltkv

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/kv/faultkv"
	bolt "go.etcd.io/bbolt"
)

// openBolt opens a handle as an application would.
func openBolt(t *testing.T) *bolt.DB {
	t.Helper()
	path := filepath.Join(t.TempDir(), "app")
	db, err := bolt.Open(path, 0o600, &bolt.Options{InitialMmapSize: mapSize(0)})
	must(t, err)
	t.Cleanup(func() {
		must(t, db.Close())
		check(t, path)
	})
	return db
}

func attach(t *testing.T, db *bolt.DB, o Options) *Store {
	t.Helper()
	s, err := Attach(db, o)
	must(t, err)
	t.Cleanup(func() { must(t, s.Close()) })
	return s
}

func TestAttach(t *testing.T) {
	db := openBolt(t)
	o := options()
	inits := 0
	o.Init = func(tx kv.Tx) error { inits++; return tx.Put(plain, []byte("init"), []byte("done")) }
	s := attach(t, db, o)
	again := attach(t, db, o) // twice is fine
	same(t, "runs of Init", inits, 1)
	same(t, "its content", read(again, "init"), "done")
	put(t, s, "k", "v")
	same(t, "seen by the other", read(again, "k"), "v")
	must(t, s.Close())
	want(t, "closed", s.View(ctx, func(kv.Reader) error { return nil }), kv.ErrClosed)
	put(t, again, "k", "w") // the handle is open still
	must(t, db.View(func(btx *bolt.Tx) error {
		same(t, "as bbolt has it", string(btx.Bucket([]byte("snib")).Bucket([]byte("plain")).Get([]byte("k"))), "w")
		return nil
	}))
}

func TestAttachRefuses(t *testing.T) {
	db := openBolt(t)
	own := errors.New("init")
	o := options()
	o.Init = func(kv.Tx) error { return own }
	_, err := Attach(db, o)
	want(t, "Init failed", err, own)
	must(t, db.View(func(btx *bolt.Tx) error {
		if btx.Bucket([]byte("snib")) != nil {
			t.Error("a failed Init left a bucket")
		}
		return nil
	}))
	db.NoSync = true
	_, err = Attach(db, options())
	want(t, "NoSync", err, ErrNoSync)
	o = options()
	o.InsecureNoSync = true
	attach(t, db, o)
	db.NoSync = false

	// A file that Open would not open again.
	small, err := bolt.Open(filepath.Join(t.TempDir(), "small"), 0o600, &bolt.Options{PageSize: 512})
	must(t, err)
	defer small.Close()
	_, err = Attach(small, options())
	want(t, "pages of 512 bytes", err, ErrPageSize)
	must(t, small.View(func(btx *bolt.Tx) error {
		if btx.Bucket([]byte("snib")) != nil {
			t.Error("a refused handle has a bucket")
		}
		return nil
	}))

	path := filepath.Join(t.TempDir(), "db")
	for _, bucket := range []string{"foreign", "snib"} {
		rw, err := bolt.Open(path, 0o600, nil)
		must(t, err)
		must(t, rw.Update(func(btx *bolt.Tx) error { _, err := btx.CreateBucket([]byte(bucket)); return err }))
		must(t, rw.Close())
		ro, err := bolt.Open(path, 0o600, &bolt.Options{ReadOnly: true})
		must(t, err)
		s, err := Attach(ro, options())
		if bucket == "foreign" {
			want(t, "read-only without the bucket", err, kv.ErrReadOnly)
		} else {
			must(t, err)
			same(t, "read-only", read(s, "k"), "absent")
			want(t, "write", s.Apply(ctx, putting("k", "v")), kv.ErrReadOnly)
			must(t, s.Close())
		}
		must(t, ro.Close())
		_, err = Attach(ro, options())
		want(t, "closed handle", err, kv.ErrClosed)
	}
}

func TestHandleClosedUnderneath(t *testing.T) {
	db := openBolt(t)
	s := attach(t, db, options())
	must(t, db.Close())
	want(t, "View", s.View(ctx, func(kv.Reader) error { return nil }), kv.ErrClosed)
	want(t, "Apply", s.Apply(ctx, putting("k", "v")), kv.ErrClosed)
	_, err := s.Pin(ctx)
	want(t, "Pin", err, kv.ErrClosed)
}

func TestJoin(t *testing.T) {
	db := openBolt(t)
	s := attach(t, db, options())
	put(t, s, "k", "old")
	btx, err := db.Begin(true)
	must(t, err)
	tx, err := s.Join(btx)
	must(t, err)
	must(t, tx.Put(plain, []byte("k"), []byte("new")))
	v, ok, err := tx.Get(plain, []byte("k"))
	same(t, "in the transaction", string(v)+" "+errorText(err), "new ok")
	if !ok {
		t.Error("absent")
	}
	want(t, "View while joined", s.View(ctx, func(kv.Reader) error { return nil }), kv.ErrNested)
	want(t, "Apply while joined", s.Apply(ctx, putting("k", "v")), kv.ErrNested)
	want(t, "Close while joined", s.Close(), kv.ErrNested)
	elsewhere := make(chan string)
	go func() { elsewhere <- read(s, "k") }()
	same(t, "another goroutine", <-elsewhere, "old")
	must(t, btx.Commit())
	same(t, "committed", read(s, "k"), "new")
	want(t, "Get after the end", second(tx.Get(plain, nil)), kv.ErrTxClosed)
	want(t, "Put after the end", tx.Put(plain, []byte("k"), nil), kv.ErrTxClosed)
	_, err = s.Join(btx)
	want(t, "join what has ended", err, kv.ErrTxClosed)
	_, err = s.Join(nil)
	want(t, "join nothing", err, kv.ErrTxClosed)
}

func second(_ []byte, _ bool, err error) error { return err }

func errorText(err error) string {
	if err != nil {
		return err.Error()
	}
	return "ok"
}

func TestJoinAndRollBack(t *testing.T) {
	db := openBolt(t)
	s := attach(t, db, options())
	for range 3 { // the slot is freed without a hook, too
		btx, err := db.Begin(true)
		must(t, err)
		tx, err := s.Join(btx)
		must(t, err)
		must(t, tx.Put(plain, []byte("k"), nil))
		must(t, btx.Rollback())
		want(t, "after the end", second(tx.Get(plain, nil)), kv.ErrTxClosed)
		same(t, "rolled back", read(s, "k"), "absent")
	}
	// Rolled back on another goroutine: the writer finds out.
	done := make(chan bool)
	go func() {
		btx, _ := db.Begin(true)
		s.Join(btx)
		btx.Rollback()
		close(done)
	}()
	<-done
	put(t, s, "k", "v")
	if !s.nest.Empty() {
		t.Error("an ended transaction counts as open")
	}
}

func TestJoinForeignAndReadOnly(t *testing.T) {
	db, otherDB := openBolt(t), openBolt(t)
	s := attach(t, db, options())
	must(t, otherDB.View(func(btx *bolt.Tx) error {
		if _, err := s.Join(btx); err == nil {
			t.Error("joined a transaction of another handle")
		}
		return nil
	}))
	must(t, db.View(func(btx *bolt.Tx) error {
		tx, err := s.Join(btx)
		must(t, err)
		want(t, "Put", tx.Put(plain, []byte("k"), nil), kv.ErrReadOnly)
		want(t, "Delete", tx.Delete(plain, []byte("k")), kv.ErrReadOnly)
		_, err = tx.DeleteRange(plain, nil, nil)
		want(t, "DeleteRange", err, kv.ErrReadOnly)
		want(t, "Get", second(tx.Get(plain, []byte("k"))), nil)
		want(t, "Scan", tx.Scan(plain, nil, nil, 0, nil), nil)
		return nil
	}))
	must(t, db.Update(func(btx *bolt.Tx) error {
		tx, err := s.Join(btx)
		must(t, err)
		done := make(chan error)
		go func() { done <- s.Close() }() // does not wait for what is not its own
		must(t, <-done)
		want(t, "after Close", tx.Put(plain, []byte("k"), nil), kv.ErrClosed)
		return nil
	}))
}

func TestJoinHasNoBudget(t *testing.T) {
	db := openBolt(t)
	s := attach(t, db, options())
	must(t, db.Update(func(btx *bolt.Tx) error {
		tx, err := s.Join(btx)
		must(t, err)
		for i := range 3 {
			must(t, bulk(tx, string(rune('a'+i)), kv.MaxBytes))
		}
		want(t, "a key too long", tx.Put(plain, make([]byte, kv.MaxKey+1), nil), kv.ErrTooLarge)
		return nil
	}))
}

// TestBolt puts rows of an application beside ours, in one transaction.
func TestBolt(t *testing.T) {
	db := openBolt(t)
	inner := attach(t, db, options())
	s := faultkv.Wrap(inner, faultkv.Faults{Fail: faultkv.Never, Overwrite: true})
	must(t, s.Update(ctx, func(tx kv.Tx) error {
		btx, ok := Bolt(tx)
		if !ok {
			return errors.New("no bolt transaction")
		}
		b, err := btx.CreateBucketIfNotExists([]byte("app"))
		return errors.Join(err, b.Put([]byte("row"), []byte("1")), tx.Put(plain, []byte("k"), []byte("v")))
	}))
	var kept kv.Reader
	must(t, s.View(ctx, func(r kv.Reader) error {
		btx, ok := Bolt(r)
		if !ok || string(btx.Bucket([]byte("app")).Get([]byte("row"))) != "1" {
			t.Error("the application's row is not there")
		}
		kept = r
		return nil
	}))
	if _, ok := Bolt(kept); ok {
		t.Error("given after the end")
	}
	must(t, s.Apply(ctx, func(tx kv.Tx) error {
		if _, ok := Bolt(tx); ok {
			t.Error("given to an Apply, which shares it with others")
		}
		kept = tx
		return nil
	}))
	if _, ok := Bolt(kept); ok {
		t.Error("given after the end")
	}
	p, err := s.Pin(context.Background())
	must(t, err)
	if _, ok := Bolt(p); ok {
		t.Error("given to a Pin")
	}
	p.Release(nil)
	must(t, db.View(func(btx *bolt.Tx) error {
		tx, err := inner.Join(btx)
		must(t, err)
		if got, ok := Bolt(tx); !ok || got != btx {
			t.Error("not given for a joined one")
		}
		return nil
	}))
	if _, ok := Bolt(nil); ok {
		t.Error("given for nothing")
	}
}

// TestBoltIsWriting: rows of an application whose closure fails are rolled
// back, though we saw no write; and they commit, though nothing else does.
func TestBoltIsWriting(t *testing.T) {
	db := openBolt(t)
	s := attach(t, db, options())
	own := errors.New("verdict")
	row := func(value string, verdict error) error {
		return s.Update(ctx, func(tx kv.Tx) error {
			btx, _ := Bolt(tx)
			b, err := btx.CreateBucketIfNotExists([]byte("app"))
			return errors.Join(err, b.Put([]byte("row"), []byte(value)), verdict)
		})
	}
	must(t, row("1", nil))
	errs := queueUp(t, s, func() error { return row("2", own) }, func() error { return s.Apply(ctx, putting("k", "v")) })
	want(t, "failed", errs[0], own)
	want(t, "its neighbour", errs[1], nil)
	must(t, db.View(func(btx *bolt.Tx) error {
		same(t, "row", string(btx.Bucket([]byte("app")).Get([]byte("row"))), "1")
		return nil
	}))
}
