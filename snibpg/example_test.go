package snibpg_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibpg"
)

// The lines in the place of snib.Open. The key file is the same on all machines.
func Example() {
	ctx := context.Background()

	engine, err := snibpg.Open(ctx, os.Getenv("DATABASE_URL"), nil)
	if err != nil {
		log.Fatal(err)
	}
	db, err := snib.OpenStore(ctx, engine, &snib.Options{
		Keys: []snib.Key{snib.KeyFile("/etc/shop/snib.key")},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
}

// A user and a row of the program's own, in one transaction.
func ExampleConn() {
	ctx := context.Background()
	engine, err := snibpg.Open(ctx, os.Getenv("DATABASE_URL"), nil)
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
		_, err = snibpg.Conn(tx).Exec(ctx, "INSERT INTO carts (user_id) VALUES ($1)", string(u.ID))
		return err
	})
	fmt.Println(err)
}

// An order and the account of its buyer are stored together, on a connection of the
// program's own pool.
func ExampleRetry() {
	ctx := context.Background()
	engine, err := snibpg.Open(ctx, os.Getenv("DATABASE_URL"), nil)
	if err != nil {
		log.Fatal(err)
	}
	db, err := snib.OpenStore(ctx, engine, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	pool, err := pgxpool.New(ctx, os.Getenv("SHOP_URL")) // the same database, another role
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()

	err = snibpg.Retry(ctx, db, pool, func(tx pgx.Tx) error {
		var buyer snib.User
		err := snibpg.Join(ctx, db, tx, func(accounts *snib.Tx) (err error) {
			buyer, err = accounts.CreateUser(snib.NewUser{Provider: "email", Identifier: "ada@example.com"})
			return err
		})
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, "insert into orders (buyer, item) values ($1, 'lamp')", string(buyer.ID))
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
}
