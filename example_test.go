package snib_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/snibdb/snib"
)

// scratch returns where an example may put its file.
func scratch() (path string, remove func()) {
	dir, err := os.MkdirTemp("", "snib-example")
	if err != nil {
		log.Fatal(err)
	}
	return filepath.Join(dir, "accounts.db"), func() { os.RemoveAll(dir) }
}

// example opens a database with one user, ada@example.com.
func example() (db *snib.DB, ada snib.User, done func()) {
	return exampleWith(&snib.Options{Indexes: []snib.Index{{Name: "name", Unique: true, Fold: true}}})
}

func exampleWith(o *snib.Options) (db *snib.DB, ada snib.User, done func()) {
	path, remove := scratch()
	db, err := snib.Open(path, o)
	if err != nil {
		log.Fatal(err)
	}
	ada, err = db.CreateUser(context.Background(), snib.NewUser{
		Provider: "email", Identifier: "ada@example.com", Password: "correct horse battery",
		Attributes: snib.Attributes{"name": "Ada"},
	})
	if err != nil {
		log.Fatal(err)
	}
	return db, ada, func() { db.Close(); remove() }
}

func Example() {
	path, remove := scratch()
	defer remove()
	ctx := context.Background()

	db, err := snib.Open(path, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()

	if _, err := db.CreateUser(ctx, snib.NewUser{
		Provider: "email", Identifier: "ada@example.com", Password: "correct horse battery",
		Attributes: snib.Attributes{"name": "Ada"},
	}); err != nil && !errors.Is(err, snib.ErrIdentityTaken) {
		log.Fatal(err)
	}
	session, _, err := db.LogIn(ctx, "email", "Ada@Example.com", "correct horse battery", snib.SessionOptions{})
	if err != nil {
		log.Fatal(err)
	}
	token := session.Token.Reveal() // into a cookie; the file holds only a hash of it

	session, user, err := db.ValidateSessionUser(ctx, token) // on each request
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(user.Attributes()["name"], "is", session.State)

	if err := db.DeleteUser(ctx, user.ID); err != nil { // with all that is the user's
		log.Fatal(err)
	}
	_, err = db.ValidateSession(ctx, token)
	fmt.Println(errors.Is(err, snib.ErrInvalidSession))
	// Output:
	// Ada is active
	// true
}
