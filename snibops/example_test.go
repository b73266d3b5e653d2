package snibops_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibops"
)

// A program serves its database; the operator lists users and shuts one out while
// it runs.
func Example() {
	folder, err := os.MkdirTemp("", "snibops")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)
	path := filepath.Join(folder, "accounts.db")

	// In the program:
	db, err := snib.Open(path, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	ops, err := snibops.Listen(db, path, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer ops.Close()

	// In another one, of the same user:
	ctx := context.Background()
	client, err := snibops.Dial(ctx, path, &snibops.Options{Name: "grace"})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	create := snibops.CreateArgs{Provider: "email", Identifier: "ada@example.com"}
	if _, err := snibops.VerbUserCreate.Do(ctx, client, create, nil); err != nil {
		log.Fatal(err)
	}
	user, err := snibops.VerbUserDisable.Do(ctx, client, snibops.DisableArgs{User: "ada@example.com", Reason: "left"}, nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(snibops.Quote(user.Identities[0].Identifier), user.Disabled, user.DisabledReason)
	// Output: ada@example.com true left
}

// Local gives the same answers for a file that no program has open.
func ExampleLocal() {
	folder, err := os.MkdirTemp("", "snibops")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)
	db, err := snib.Open(filepath.Join(folder, "accounts.db"), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	client := snibops.Local(db, nil)
	defer client.Close()
	_, err = snibops.VerbUserShow.Do(context.Background(), client, snibops.UserArgs{User: "nobody"}, nil)
	fmt.Println(err)
	// Output: user not found
}
