package snib_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/snibdb/snib"
)

// A forgotten password.
func ExampleOneTimeTokens_FinishReset() {
	db, _, done := example()
	defer done()
	ctx := context.Background()

	// The page asks for the address. The answer is the same for every one.
	request, err := db.Tokens().BeginReset(ctx, "email", "ada@example.com", time.Hour)
	if err != nil {
		log.Fatal(err)
	}
	// Behind the answer: ErrUserNotFound and the like are no mail.
	link, err := db.Tokens().StoreReset(ctx, request)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("mail to", link.To.Identifier)
	mailed := link.Token.Reveal()

	// The page of the link posts token and password.
	_, err = db.Tokens().FinishReset(ctx, mailed, "short")
	fmt.Println(errors.Is(err, snib.ErrInvalidInput)) // and the link is still good
	_, err = db.Tokens().FinishReset(ctx, mailed, "a new passphrase")
	fmt.Println(err)
	_, err = db.Tokens().FinishReset(ctx, mailed, "a new passphrase")
	fmt.Println(errors.Is(err, snib.ErrInvalidOneTimeToken))
	// Output:
	// mail to ada@example.com
	// true
	// <nil>
	// true
}

// An address is proven: one transaction uses the token and does what it is for.
func ExampleOneTimeTokens_Use() {
	db, ada, done := example()
	defer done()
	ctx := context.Background()

	link, err := db.Tokens().Create(ctx, ada.ID, "verify-email", time.Hour, []byte("ada@example.com"))
	if err != nil {
		log.Fatal(err)
	}
	mailed := link.Token.Reveal()

	err = db.Update(ctx, func(tx *snib.Tx) error {
		used, err := tx.Tokens().Use(ctx, "verify-email", mailed)
		if err != nil {
			return err
		}
		_, err = tx.Identities().Verify(ctx, used.UserID, "email", string(used.Data))
		return err
	})
	fmt.Println(err)
	_, err = db.Tokens().Use(ctx, "verify-email", mailed)
	fmt.Println(errors.Is(err, snib.ErrInvalidOneTimeToken))
	// Output:
	// <nil>
	// true
}

func ExampleCodes_Use() {
	db, _, done := example()
	defer done()
	ctx := context.Background()

	code, err := db.Codes().Begin(ctx, "sign-in", "email", "ada@example.com")
	if err != nil {
		log.Fatal(err)
	}
	cookie := code.Handle.Reveal() // for every address that is asked for
	if err := db.Codes().Store(ctx, code); err != nil {
		log.Fatal(err)
	}
	mailed := code.Digits.Reveal()

	var session snib.Session
	err = db.Codes().Use(ctx, "sign-in", cookie, mailed, func(tx *snib.Tx, u snib.User) error {
		session, err = tx.CreateSession(u, snib.SessionOptions{})
		return err
	})
	fmt.Println(session.State, err)
	// Output:
	// active <nil>
}

// The page behind a mailed link looks without using it up.
func ExampleOneTimeTokens_Peek() {
	db, ada, done := example()
	defer done()
	ctx := context.Background()

	link, err := db.Tokens().Create(ctx, ada.ID, "verify-email", time.Hour, []byte("/orders"))
	if err != nil {
		log.Fatal(err)
	}
	seen, err := db.Tokens().Peek(ctx, "verify-email", link.Token.Reveal())
	fmt.Println(seen.UserID == ada.ID, string(seen.Data), err)
	_, err = db.Tokens().Peek(ctx, "another-purpose", link.Token.Reveal())
	fmt.Println(errors.Is(err, snib.ErrInvalidOneTimeToken))
	// Output:
	// true /orders <nil>
	// true
}
