package snib_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibtest"
)

func TestJoinSeesAndIsSeen(t *testing.T) {
	b, db := attached(t)
	row := []byte("row")
	undo := errors.New("undo")
	for _, verdict := range []error{undo, nil} {
		var u snib.User
		err := b.Update(func(btx *bolt.Tx) error {
			notes, err := btx.CreateBucketIfNotExists([]byte("notes"))
			if err != nil {
				return err
			}
			if err := notes.Put(row, []byte("before")); err != nil {
				return err
			}
			tx, err := db.Join(btx)
			if err != nil {
				return err
			}
			if tx.Bolt() != btx || string(tx.Bolt().Bucket([]byte("notes")).Get(row)) != "before" {
				t.Error("the joined transaction is another")
			}
			if u, err = tx.CreateUser(snib.NewUser{Provider: "username", Identifier: "ada"}); err != nil {
				return err
			}
			again := must(db.Join(btx))(t)
			if _, err := again.GetUser(u.ID); err != nil {
				t.Errorf("a second Join does not see the first: %v", err)
			}
			if err := notes.Put(row, []byte(u.ID)); err != nil {
				return err
			}
			return verdict
		})
		wantErr(t, err, verdict)
		_, err = db.GetUser(ctx, u.ID)
		wantErr(t, err, map[error]error{undo: snib.ErrUserNotFound}[verdict])
		err = db.View(ctx, func(tx *snib.Tx) error {
			got := ""
			if b := tx.Bolt().Bucket([]byte("notes")); b != nil {
				got = string(b.Get(row))
			}
			if want := map[error]string{nil: string(u.ID)}[verdict]; got != want {
				t.Errorf("the application's row is %q, want %q", got, want)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := b.View(func(*bolt.Tx) error { return nil }); err != nil {
		t.Errorf("Close has closed the application's handle: %v", err)
	}
}

func TestJoinRefusesTransactionsThatEndedOrAreOthers(t *testing.T) {
	b, db := attached(t)
	other, _ := attached(t)
	btx := must(b.Begin(true))(t)
	tx := must(db.Join(btx))(t)
	must(tx.CreateUser(snib.NewUser{Provider: "username", Identifier: "ada"}))(t)
	if err := btx.Commit(); err != nil {
		t.Fatal(err)
	}
	for _, name := range methodNames(t, txType, map[string]bool{"Bolt": true, "Underlying": true}) {
		if err := call(t, tx, name); !errors.Is(err, snib.ErrTxClosed) {
			t.Errorf("%s after the commit: %v, want ErrTxClosed", name, err)
		}
	}
	if tx.Bolt() != nil {
		t.Error("the ended transaction can still be had")
	}
	_, err := db.Join(btx)
	wantErr(t, err, snib.ErrTxClosed)
	must(db.GetUserByProviderID(ctx, "username", "ada"))(t)

	foreign := must(other.Begin(true))(t)
	if _, err := db.Join(foreign); err == nil {
		t.Error("a transaction of another handle was joined")
	}
	if err := foreign.Rollback(); err != nil {
		t.Fatal(err)
	}
	err = b.View(func(btx *bolt.Tx) error {
		tx := must(db.Join(btx))(t)
		for _, name := range methodNames(t, txType, map[string]bool{"Bolt": true, "Underlying": true}) {
			if err := call(t, tx, name); errors.Is(err, snib.ErrReadOnly) == reading[name] {
				t.Errorf("%s in a joined read transaction: %v", name, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	err = b.View(func(btx *bolt.Tx) error { _, err := db.Join(btx); return err })
	wantErr(t, err, snib.ErrClosed)
}

func TestJoinTwiceInOneTransactionCountsOn(t *testing.T) {
	b, err := bolt.Open(filepath.Join(t.TempDir(), "app.db"), 0o600, &bolt.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	db := must(snib.New(b, snibtest.Fast(nil)))(t)
	defer snibtest.CheckAndClose(t, db)
	if err := b.Update(func(btx *bolt.Tx) error {
		one, two := must(db.Join(btx))(t), must(db.Join(btx))(t)
		for i, tx := range []*snib.Tx{one, two, one} {
			must(tx.ImportUser(snib.UserImport{
				Provider: "github", Identifier: fmt.Sprint(i),
				PasswordHash: "$2b$06$jWR0JbunbcW8Fi5tg6avBu5V3kVRzuZ5pxMc63R8joVdfu7vCldYu",
			}))(t)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if n := foreignHashes(t, db); n != 3 {
		t.Errorf("%d foreign hashes, want 3", n)
	}
}

// attached returns a database within a handle of the application's.
func attached(tb testing.TB) (*bolt.DB, *snib.DB) {
	tb.Helper()
	b := must(bolt.Open(filepath.Join(tb.TempDir(), "app.db"), 0o600, &bolt.Options{Timeout: time.Second, NoSync: true}))(tb)
	tb.Cleanup(func() {
		if err := b.Close(); err != nil {
			tb.Error(err)
		}
	})
	db := must(snib.New(b, snibtest.Fast(nil)))(tb)
	tb.Cleanup(func() { snibtest.CheckAndClose(tb, db) })
	return b, db
}

// TestUnderlyingIsTheTransactionOfTheEngine: programs that know the engine get
// its transaction, and nothing of one that has ended.
func TestUnderlyingIsTheTransactionOfTheEngine(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	var kept *snib.Tx
	if err := db.View(ctx, func(tx *snib.Tx) error {
		kept = tx
		if btx, ok := tx.Underlying().(*bolt.Tx); !ok || btx != tx.Bolt() || btx.Writable() {
			t.Errorf("got %T", tx.Underlying())
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if kept.Underlying() != nil || kept.Bolt() != nil {
		t.Error("a transaction that has ended is handed out")
	}
}

// TestJoinTwiceInOneTransaction: two Txs in one transaction see each other's
// writes, also the first ones to a space, which the engine makes then.
func TestJoinTwiceInOneTransaction(t *testing.T) {
	b := openBolt(t, filepath.Join(t.TempDir(), "app.db"))
	db := must(snib.New(b, snibtest.Fast(nil)))(t)
	btx := must(b.Begin(true))(t)
	defer btx.Rollback()
	one, two := must(db.Join(btx))(t), must(db.Join(btx))(t)
	wantErr(t, second(one.GetUserByProviderID("email", "ada@example.com")), snib.ErrUserNotFound)
	must(one.ListUserSessions("usr_a"))(t)
	ada := must(two.CreateUser(snib.NewUser{Provider: "email", Identifier: "ada@example.com"}))(t)
	if u := must(one.GetUserByProviderID("email", "ada@example.com"))(t); u.ID != ada.ID {
		t.Errorf("found %s, want %s", u.ID, ada.ID)
	}
	must(one.CreateUser(snib.NewUser{Provider: "email", Identifier: "bob@example.com"}))(t)
	s := must(two.CreateSession(ada, snib.SessionOptions{}))(t)
	must(0, one.DeleteUser(ada.ID))(t)
	must(0, btx.Commit())(t)
	invalid(t, db, s)
	snibtest.CheckAndClose(t, db)
}
