package snib_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/snibdb/snib"
)

// A link proves the address and not who has signed up, so the password is chosen
// behind it.
func ExampleIdentities_Verify() {
	db, _, done := example()
	defer done()
	ctx := context.Background()

	bob, err := db.CreateUser(ctx, snib.NewUser{Provider: "email", Identifier: "bob@example.com"})
	if err != nil {
		log.Fatal(err)
	}
	link, err := db.Tokens().Create(ctx, bob.ID, "sign-up", 24*time.Hour, []byte("bob@example.com"))
	if err != nil {
		log.Fatal(err)
	}
	mailed := link.Token.Reveal()

	hash, err := db.HashPassword(ctx, "correct horse battery")
	if err != nil {
		log.Fatal(err)
	}
	err = db.Update(ctx, func(tx *snib.Tx) error {
		t, err := tx.Tokens().Use(ctx, "sign-up", mailed)
		if err != nil {
			return err
		}
		if _, err := tx.Identities().Verify(ctx, t.UserID, "email", string(t.Data)); err != nil {
			return err
		}
		bob, err = tx.UpdateUserPassword(t.UserID, hash)
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	s, err := db.CreateSession(ctx, bob, snib.SessionOptions{})
	fmt.Println(!bob.Identities[0].VerifiedAt.IsZero(), s.State, err)
	// Output:
	// true active <nil>
}

func ExampleIdentities_FinishMove() {
	db, ada, done := example()
	defer done()
	ctx := context.Background()

	link, err := db.Identities().BeginMove(ctx, ada.ID, "email", "ada@new.example", time.Hour)
	if err != nil {
		log.Fatal(err)
	}
	mailed := link.Token.Reveal() // to the new address

	moved, old, err := db.Identities().FinishMove(ctx, mailed)
	fmt.Println(moved.Identities[0].Identifier, err)
	fmt.Println("a notice goes to", old.Identifier)
	// Output:
	// ada@new.example <nil>
	// a notice goes to ada@example.com
}

// The form asks for the address alone, and stores nothing. The page of the mailed
// link asks for the rest.
func ExampleIdentities_FinishSignUp() {
	db, _, done := example()
	defer done()
	ctx := context.Background()

	up, err := db.Identities().BeginSignUp(ctx, "email", "bob@example.com", 24*time.Hour)
	if err != nil {
		log.Fatal(err)
	}
	mailed := up.Token.Reveal() // or, with up.UserID, that there is an account

	bob, err := db.Identities().FinishSignUp(ctx, mailed, snib.NewUser{Attributes: snib.Attributes{"name": "Bob"}})
	fmt.Println(bob.Identities[0].Identifier, !bob.Identities[0].VerifiedAt.IsZero(), err)
	_, err = db.Identities().FinishSignUp(ctx, mailed, snib.NewUser{})
	fmt.Println(errors.Is(err, snib.ErrIdentityTaken))
	// Output:
	// bob@example.com true <nil>
	// true
}

func ExampleIdentities_AcceptInvitation() {
	db, _, done := example()
	defer done()
	ctx := context.Background()

	i, err := db.Identities().Invite(ctx, snib.NewInvitation{Provider: "email", Identifier: "eve@example.com", TTL: 7 * 24 * time.Hour, Roles: []string{"support"}})
	if err != nil {
		log.Fatal(err)
	}
	eve, err := db.Identities().AcceptInvitation(ctx, i.Token.Reveal(), snib.NewUser{})
	fmt.Println(eve.Roles, err)
	// Output:
	// [support] <nil>
}

// A visitor begins without an account, and keeps everything when there is one.
func ExampleIdentities_CreateGuest() {
	db, _, done := example()
	defer done()
	ctx := context.Background()

	s, guest, err := db.Identities().CreateGuest(ctx, snib.SessionOptions{})
	if err != nil {
		log.Fatal(err)
	}
	s, err = db.ChangeCredentials(ctx, s.Token.Reveal(), func(tx *snib.Tx, s snib.Session) error {
		_, err := tx.Identities().Verify(ctx, s.UserID, "github", "4711")
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	u, err := db.GetUser(ctx, guest.ID)
	fmt.Println(guest.Guest, u.Guest, s.UserID == guest.ID, err)
	// Output:
	// true false true <nil>
}

// An OAuth library has verified the answer of a provider. A person comes back
// by the subject; the address counts where the provider vouches for its domain.
func ExampleIdentities_ResolveExternal() {
	db, _, done := exampleWith(&snib.Options{VouchesFor: map[string][]string{"google": {"gmail.com"}}})
	defer done()
	ctx := context.Background()

	answer := snib.External{
		Provider: "google", Subject: "10769150350006150715113082367", // the claim sub
		AddressProvider: "email", Address: "bob@gmail.com", // only with the claim email_verified
	}
	bob, err := db.Identities().ResolveExternal(ctx, answer) // a new user
	if err != nil {
		log.Fatal(err)
	}
	session, err := db.CreateSession(ctx, bob, snib.SessionOptions{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(bob.Identities[0].Provider, bob.Identities[1].Identifier, session.Methods)

	answer.Address = "bob.new@gmail.com" // has changed there
	again, err := db.Identities().ResolveExternal(ctx, answer)
	fmt.Println(again.ID == bob.ID, err)
	// Output:
	// google bob@gmail.com provider
	// true <nil>
}

// The address of the answer is that of an account, for which the provider's word is
// not enough: the person logs in as ever, and then links the two.
func ExampleIdentities_FinishLink() {
	db, ada, done := example()
	defer done()
	ctx := context.Background()
	if _, err := db.Identities().Verify(ctx, ada.ID, "email", "ada@example.com"); err != nil {
		log.Fatal(err)
	}

	answer := snib.External{Provider: "github", Subject: "4711", AddressProvider: "email", Address: "ada@example.com"}
	_, err := db.Identities().ResolveExternal(ctx, answer)
	link, ok := errors.AsType[*snib.LinkRequiredError](err)
	if !ok {
		log.Fatal(err)
	}
	kept := link.Pending.Reveal() // in a cookie, while the sign-in form is shown

	session, _, err := db.LogIn(ctx, "email", "ada@example.com", "correct horse battery", snib.SessionOptions{})
	if err != nil {
		log.Fatal(err)
	}
	session, err = db.ChangeCredentials(ctx, session.Token.Reveal(), func(tx *snib.Tx, s snib.Session) error {
		_, err := tx.Identities().FinishLink(ctx, s, kept)
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	user, err := db.Identities().ResolveExternal(ctx, answer) // from now on
	fmt.Println(user.ID == ada.ID, session.State, err)
	// Output:
	// true active <nil>
}

// A visitor has begun as a guest, and logs in to an account of before. The cart in a
// bucket of Options.Owned comes along.
func ExampleIdentities_Merge() {
	db, ada, done := exampleWith(&snib.Options{Owned: []string{"cart"}})
	defer done()
	ctx := context.Background()

	guest, _, err := db.Identities().CreateGuest(ctx, snib.SessionOptions{})
	if err != nil {
		log.Fatal(err)
	}
	err = db.Update(ctx, func(tx *snib.Tx) error {
		cart, err := tx.Bolt().CreateBucketIfNotExists([]byte("cart"))
		if err != nil {
			return err
		}
		return cart.Put(snib.OwnedKey(guest.UserID, "tea"), []byte("2"))
	})
	if err != nil {
		log.Fatal(err)
	}

	s, _, err := db.LogIn(ctx, "email", "ada@example.com", "correct horse battery", snib.SessionOptions{})
	if err != nil {
		log.Fatal(err)
	}
	m, err := db.Identities().Merge(ctx, s.Token.Reveal(), guest.Token.Reveal())
	if err != nil {
		log.Fatal(err)
	}
	s = m.Session // the cookie gets its token
	_, err = db.GetUser(ctx, m.From.ID)
	fmt.Println(s.UserID == ada.ID, m.Rows, errors.Is(err, snib.ErrUserNotFound))
	// Output:
	// true 1 true
}
