package snib_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/snibdb/snib"
)

func ExampleEvents_Consume() {
	dir, err := os.MkdirTemp("", "snib")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	db, err := snib.Open(filepath.Join(dir, "accounts.db"), &snib.Options{Outbox: []string{"mail"}})
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	ctx, stop := context.WithCancel(context.Background())
	ada, err := db.CreateUser(ctx, snib.NewUser{Provider: "email", Identifier: "ada@example.com"})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := db.UpdateUserProviderID(ctx, ada.ID, "email", "ada@example.org"); err != nil {
		log.Fatal(err)
	}

	// A program does this in a goroutine of its own, until it ends.
	err = db.Events().Consume(ctx, "mail", func(ctx context.Context, e snib.Event) error {
		if e.Kind == snib.EventIdentityMoved {
			fmt.Println("tell", e.Detail)
			stop()
		}
		return nil
	})
	fmt.Println(errors.Is(err, context.Canceled))
	// Output:
	// tell email ada@example.com
	// true
}

func ExampleDB_Update() {
	db, ada, done := example()
	defer done()
	ctx := context.Background()

	err := db.Update(ctx, func(tx *snib.Tx) error {
		notes, err := tx.Bolt().CreateBucketIfNotExists([]byte("notes"))
		if err != nil {
			return err
		}
		if err := notes.Put([]byte(ada.ID), []byte("prefers tea")); err != nil {
			return err
		}
		_, err = tx.UpdateUserAttributes(ada.ID, snib.Attributes{"notes": 1})
		return err // an error would undo both
	})
	fmt.Println(err)
	// Output: <nil>
}

// A row whose key begins with the user's id goes with the user.
func ExampleOwnedKey() {
	dir, err := os.MkdirTemp("", "snib")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	db, err := snib.Open(filepath.Join(dir, "accounts.db"), &snib.Options{Owned: []string{"notes"}})
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	ctx := context.Background()
	ada, err := db.CreateUser(ctx, snib.NewUser{Provider: "username", Identifier: "ada"})
	if err != nil {
		log.Fatal(err)
	}

	err = db.Update(ctx, func(tx *snib.Tx) error {
		if _, err := tx.GetUser(ada.ID); err != nil {
			return err // deleted meanwhile: the row would stay
		}
		notes, err := tx.Bolt().CreateBucketIfNotExists([]byte("notes"))
		if err != nil {
			return err
		}
		return notes.Put(snib.OwnedKey(ada.ID, "tea"), []byte("milk first"))
	})
	if err != nil {
		log.Fatal(err)
	}
	before, err := db.Check(ctx)
	fmt.Println(before.Rows, err)
	if err := db.DeleteUser(ctx, ada.ID); err != nil {
		log.Fatal(err)
	}
	after, err := db.Check(ctx)
	fmt.Println(after.Rows, err)
	// Output:
	// 1 <nil>
	// 0 <nil>
}

func ExampleDB_Join() {
	path, remove := scratch()
	defer remove()
	b, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: time.Second})
	if err != nil {
		log.Fatal(err)
	}
	defer b.Close()
	db, err := snib.New(b, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()

	err = b.Update(func(btx *bolt.Tx) error {
		tx, err := db.Join(btx)
		if err != nil {
			return err
		}
		user, err := tx.CreateUser(snib.NewUser{Provider: "username", Identifier: "ada"})
		if err != nil {
			return err
		}
		orders, err := btx.CreateBucketIfNotExists([]byte("orders"))
		if err != nil {
			return err
		}
		return orders.Put([]byte(user.ID), []byte("one pot of tea"))
	})
	fmt.Println(err)
	// Output: <nil>
}

// A backup is made while the database is in use. Put back, it has no session
// that is alive.
func ExampleRestore() {
	db, ada, done := example()
	defer done()
	ctx := context.Background()
	session, err := db.CreateSession(ctx, ada, snib.SessionOptions{})
	if err != nil {
		log.Fatal(err)
	}
	path, remove := scratch()
	defer remove()
	backup := path + ".backup"
	if err := db.File().BackupFile(ctx, backup, nil); err != nil {
		log.Fatal(err)
	}

	report, err := snib.Restore(ctx, backup, path, nil)
	if err != nil {
		log.Fatal(err)
	}
	restored, err := snib.Open(path, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer restored.Close()
	_, err = restored.ValidateSession(ctx, session.Token.Reveal())
	fmt.Println(report.Users, "user,", report.Ended, "session ended:", errors.Is(err, snib.ErrInvalidSession))
	// Output: 1 user, 1 session ended: true
}

// The file without what was deleted, in its own place.
func ExampleFile_Compact() {
	path, remove := scratch()
	defer remove()
	db, err := snib.Open(path, nil)
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	defer db.Close()
	if err := db.File().Compact(ctx); err != nil {
		log.Fatal(err)
	}
	report, err := db.Check(ctx)
	fmt.Println(report.Found, err)
	// Output: 0 <nil>
}

// A closure of View reads one moment.
func ExampleDB_View() {
	db, ada, done := example()
	defer done()

	var sessions int
	err := db.View(context.Background(), func(tx *snib.Tx) error {
		user, err := tx.GetUser(ada.ID)
		if err != nil {
			return err
		}
		list, err := tx.ListUserSessions(user.ID)
		sessions = len(list)
		return err
	})
	fmt.Println(sessions, err)
	// Output: 0 <nil>
}

func ExampleDB_Check() {
	db, _, done := example()
	defer done()

	report, err := db.Check(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(report.Users, "user,", report.Found, "problems")
	// Output: 1 user, 0 problems
}

func ExampleDB_Stats() {
	db, ada, done := example()
	defer done()
	ctx := context.Background()

	if _, err := db.CreateSession(ctx, ada, snib.SessionOptions{}); err != nil {
		log.Fatal(err)
	}
	stats, err := db.Stats(ctx)
	fmt.Println(stats.Users, "user,", stats.Sessions, "session", err)
	// Output: 1 user, 1 session <nil>
}

// The history of a user, newest first.
func ExampleEvents_List() {
	db, ada, done := example()
	defer done()
	ctx := context.Background()

	if _, err := db.UpdateUserPassword(ctx, ada.ID, "another passphrase"); err != nil {
		log.Fatal(err)
	}
	events, err := db.Events().List(ctx, ada.ID)
	if err != nil {
		log.Fatal(err)
	}
	for _, e := range events {
		fmt.Println(e.Kind)
	}
	// Output:
	// password-set
	// user-created
}
