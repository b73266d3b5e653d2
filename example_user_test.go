package snib_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"strings"

	"github.com/snibdb/snib"
)

func ExampleDB_UpdateUserAttributes() {
	db, ada, done := example()
	defer done()
	ctx := context.Background()

	ada, err := db.UpdateUserAttributes(ctx, ada.ID, snib.Attributes{
		"city":  "London",
		"phone": nil, // present, and null
	})
	if err != nil {
		log.Fatal(err)
	}
	name, _ := snib.Attr[string](ada.Attributes(), "name") // left alone
	_, known := ada.Attributes()["phone"]
	fmt.Println(name, known)

	ada, err = db.UpdateUserAttributes(ctx, ada.ID, snib.Attributes{"phone": snib.Unset})
	if err != nil {
		log.Fatal(err)
	}
	_, known = ada.Attributes()["phone"]
	fmt.Println(known)
	// Output:
	// Ada true
	// false
}

func ExampleDB_GetUserByAttribute() {
	db, ada, done := example() // Indexes: {Name: "name", Unique: true, Fold: true}
	defer done()
	ctx := context.Background()

	found, err := db.GetUserByAttribute(ctx, "name", "ADA")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(found.ID == ada.ID)

	_, err = db.CreateUser(ctx, snib.NewUser{
		Provider: "email", Identifier: "other@example.com",
		Attributes: snib.Attributes{"name": "aDa"},
	})
	if taken, ok := errors.AsType[*snib.AttributeTakenError](err); ok {
		fmt.Println(taken.Name, "is taken")
	}
	// Output:
	// true
	// name is taken
}

func ExampleDB_ListUsers() {
	db, _, done := example()
	defer done()

	for user, err := range db.ListUsers(context.Background(), snib.ListOptions{}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(user.Identities[0].Identifier)
	}
	// Output: ada@example.com
}

func ExampleDB_ImportUser() {
	db, _, done := example()
	defer done()
	ctx := context.Background()

	_, err := db.ImportUser(ctx, snib.UserImport{
		ID: "u00042", Provider: "username", Identifier: "grace",
		PasswordHash:   "0123456789abcdef0123456789abcdef:2fb9a017ba3d220084bc6479190e6758edff8c11feb022b0e4126dd9f6d72fd64945191d122787dd117939afbf88504dcec5b957a54c425ad5e00451088494eb",
		PasswordSource: "lucia-3",
	})
	if err != nil {
		log.Fatal(err)
	}
	grace, err := db.AuthenticateUser(ctx, "username", "Grace", "pässwörd-1")
	fmt.Println(grace.ID, err)
	// Output: u00042 <nil>
}

func ExampleDB_CreateUser() {
	db, _, done := example()
	defer done()
	ctx := context.Background()

	bob, err := db.CreateUser(ctx, snib.NewUser{
		Provider: "email", Identifier: "bob@example.com", Password: "a long passphrase",
		Attributes: snib.Attributes{"name": "Bob"},
	})
	fmt.Println(bob.Identities[0].Identifier, err)

	_, err = db.CreateUser(ctx, snib.NewUser{Provider: "email", Identifier: "Bob@Example.com"})
	fmt.Println(errors.Is(err, snib.ErrIdentityTaken))
	// Output:
	// bob@example.com <nil>
	// true
}

func ExampleDB_GetUser() {
	db, ada, done := example()
	defer done()
	ctx := context.Background()

	user, err := db.GetUser(ctx, ada.ID)
	if err != nil {
		log.Fatal(err)
	}
	name, _ := snib.Attr[string](user.Attributes(), "name")
	fmt.Println(name, user.Disabled())
	// Output: Ada false
}

func ExampleDB_GetUserByProviderID() {
	db, ada, done := example()
	defer done()
	ctx := context.Background()

	user, err := db.GetUserByProviderID(ctx, "email", "ADA@example.com")
	fmt.Println(user.ID == ada.ID, err)
	_, err = db.GetUserByProviderID(ctx, "email", "eve@example.com")
	fmt.Println(errors.Is(err, snib.ErrUserNotFound))
	// Output:
	// true <nil>
	// true
}

// Sessions, tokens and identities go in the same commit.
func ExampleDB_DeleteUser() {
	db, ada, done := example()
	defer done()
	ctx := context.Background()

	session, err := db.CreateSession(ctx, ada, snib.SessionOptions{})
	if err != nil {
		log.Fatal(err)
	}
	if err := db.DeleteUser(ctx, ada.ID); err != nil {
		log.Fatal(err)
	}
	_, err = db.ValidateSession(ctx, session.Token.Reveal())
	fmt.Println(errors.Is(err, snib.ErrInvalidSession))
	// Output: true
}

func ExampleDB_DisableUser() {
	db, ada, done := example()
	defer done()
	ctx := context.Background()

	ada, err := db.DisableUser(ctx, ada.ID, "stolen laptop") // ends all sessions and tokens
	fmt.Println(ada.Disabled(), err)
	_, err = db.AuthenticateUser(ctx, "email", "ada@example.com", "correct horse battery")
	fmt.Println(errors.Is(err, snib.ErrInvalidCredentials), errors.Is(err, snib.ErrUserDisabled))

	ada, err = db.EnableUser(ctx, ada.ID)
	fmt.Println(ada.Disabled(), err)
	// Output:
	// true <nil>
	// true true
	// false <nil>
}

func ExampleDB_LinkIdentity() {
	db, ada, done := example()
	defer done()
	ctx := context.Background()

	ada, err := db.LinkIdentity(ctx, ada.ID, "username", "ada")
	if err != nil {
		log.Fatal(err)
	}
	for _, identity := range ada.Identities {
		fmt.Println(identity.Provider, identity.Identifier)
	}
	ada, err = db.UnlinkIdentity(ctx, ada.ID, "username", "ada")
	fmt.Println(len(ada.Identities), err)
	// Output:
	// email ada@example.com
	// username ada
	// 1 <nil>
}

// An operator sets a password: every session and token ends.
func ExampleDB_UpdateUserPassword() {
	db, ada, done := example()
	defer done()
	ctx := context.Background()

	if _, err := db.UpdateUserPassword(ctx, ada.ID, "another passphrase"); err != nil {
		log.Fatal(err)
	}
	_, err := db.AuthenticateUser(ctx, "email", "ada@example.com", "correct horse battery")
	fmt.Println(errors.Is(err, snib.ErrInvalidCredentials))
	// Output: true
}

// A dry run says which rows collide or cannot be read, and writes nothing.
func ExampleDB_ImportUsers() {
	db, _, done := example()
	defer done()

	rows := func(yield func(snib.UserImport, error) bool) {
		_ = yield(snib.UserImport{ID: "1", Provider: "email", Identifier: "grace@example.com"}, nil) &&
			yield(snib.UserImport{ID: "2", Provider: "email", Identifier: "ADA@example.com"}, nil)
	}
	report, err := db.ImportUsers(context.Background(), rows, snib.ImportOptions{DryRun: true})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(report.Rows, "rows,", report.Imported, "would be imported")
	// Output: 2 rows, 1 would be imported
}

func ExampleDB_ExportUser() {
	db, ada, done := example()
	defer done()

	var file strings.Builder // the answer to a user who asks for their data
	err := db.ExportUser(context.Background(), ada.ID, &file)
	fmt.Println(strings.Contains(file.String(), "ada@example.com"), strings.Contains(file.String(), "$argon2id$"), err) // no hash
	// Output: true false <nil>
}
