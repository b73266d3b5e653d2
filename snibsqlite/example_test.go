package snibsqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	_ "github.com/ncruces/go-sqlite3/driver"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibsqlite"
)

// Accounts in a SQLite database of their own.
func Example() {
	dir, err := os.MkdirTemp("", "snibsqlite")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()

	engine, err := snibsqlite.Open(filepath.Join(dir, "accounts.sqlite"), nil)
	if err != nil {
		log.Fatal(err)
	}
	db, err := snib.OpenStore(ctx, engine, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	u, err := db.CreateUser(ctx, snib.NewUser{Provider: "email", Identifier: "ada@example.com"})
	fmt.Println(u.Identities[0].Identifier, err)
	// Output: ada@example.com <nil>
}

// Accounts beside the tables of a program, whose rows are in the same transaction.
func ExampleConn() {
	dir, err := os.MkdirTemp("", "snibsqlite")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()

	own, err := sql.Open("sqlite3", "file:"+filepath.Join(dir, "shop.sqlite")+"?_pragma=journal_mode(wal)&_pragma=synchronous(full)")
	if err != nil {
		log.Fatal(err)
	}
	defer own.Close()
	if _, err := own.ExecContext(ctx, "CREATE TABLE carts (user_id TEXT)"); err != nil {
		log.Fatal(err)
	}
	engine, err := snibsqlite.New(own, nil)
	if err != nil {
		log.Fatal(err)
	}
	db, err := snib.OpenStore(ctx, engine, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()

	err = db.Update(ctx, func(tx *snib.Tx) error {
		u, err := tx.CreateUser(snib.NewUser{Provider: "email", Identifier: "ada@example.com"})
		if err != nil {
			return err
		}
		if _, err := snibsqlite.Conn(tx).ExecContext(ctx, "INSERT INTO carts (user_id) VALUES (?)", string(u.ID)); err != nil {
			return err
		}
		return errors.New("the payment has failed")
	})
	fmt.Println(err)
	var carts int
	if err := own.QueryRowContext(ctx, "SELECT count(*) FROM carts").Scan(&carts); err != nil {
		log.Fatal(err)
	}
	_, err = db.GetUserByProviderID(ctx, "email", "ada@example.com")
	fmt.Println(carts, "carts, no user:", errors.Is(err, snib.ErrUserNotFound))
	// Output:
	// the payment has failed
	// 0 carts, no user: true
}
