package snib_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/snibdb/snib"
)

func ExampleDB_ExtendSession() {
	db, ada, done := example()
	defer done()
	ctx := context.Background()

	session, err := db.CreateSession(ctx, ada, snib.SessionOptions{
		Attributes: snib.Attributes{"device": "laptop", "address": "192.0.2.7"},
	})
	if err != nil {
		log.Fatal(err)
	}
	session, err = db.ExtendSession(ctx, session.Token.Reveal()) // writes at most once an hour
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(session.State, session.Attributes()["device"])
	// Output: active laptop
}

func ExampleDB_RevokeUserSessions() {
	db, ada, done := example()
	defer done()
	ctx := context.Background()

	here, err := db.CreateSession(ctx, ada, snib.SessionOptions{})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := db.CreateSession(ctx, ada, snib.SessionOptions{}); err != nil {
		log.Fatal(err)
	}
	if err := db.RevokeUserSessions(ctx, ada.ID, here.ID); err != nil { // log out everywhere else
		log.Fatal(err)
	}
	sessions, err := db.ListUserSessions(ctx, ada.ID)
	fmt.Println(len(sessions), err)
	// Output: 1 <nil>
}

func ExampleDB_Refresh() {
	db, ada, done := example()
	defer done()
	ctx := context.Background()

	_, first, err := db.CreateRefreshToken(ctx, ada, snib.SessionOptions{})
	if err != nil {
		log.Fatal(err)
	}
	_, second, err := db.Refresh(ctx, first.Token.Reveal())
	if err != nil {
		log.Fatal(err)
	}
	if _, _, err = db.Refresh(ctx, second.Token.Reveal()); err != nil {
		log.Fatal(err)
	}
	_, _, err = db.Refresh(ctx, first.Token.Reveal()) // somebody has kept a copy
	fmt.Println(errors.Is(err, snib.ErrRefreshTokenReused))
	tokens, err := db.RefreshTokens().List(ctx, ada.ID)
	fmt.Println(len(tokens), err)
	// Output:
	// true
	// 0 <nil>
}

func ExampleDB_LogIn() {
	db, _, done := example()
	defer done()
	ctx := context.Background()

	session, user, err := db.LogIn(ctx, "email", "ada@example.com", "correct horse battery", snib.SessionOptions{
		Persistent: true, // "remember me"
	})
	fmt.Println(session.State, user.Identities[0].Identifier, err)

	_, _, err = db.LogIn(ctx, "email", "ada@example.com", "a guess", snib.SessionOptions{})
	fmt.Println(errors.Is(err, snib.ErrInvalidCredentials))
	// Output:
	// active ada@example.com <nil>
	// true
}

// A password in one step, the session in another.
func ExampleDB_AuthenticateUser() {
	db, _, done := example()
	defer done()
	ctx := context.Background()

	user, err := db.AuthenticateUser(ctx, "email", "ada@example.com", "correct horse battery")
	if err != nil {
		log.Fatal(err)
	}
	session, err := db.CreateSession(ctx, user, snib.SessionOptions{})
	fmt.Println(session.UserID == user.ID, err)
	// Output: true <nil>
}

// The user as read is the proof: a password that has changed since is refused.
func ExampleDB_CreateSession() {
	db, ada, done := example()
	defer done()
	ctx := context.Background()

	if _, err := db.UpdateUserPassword(ctx, ada.ID, "another passphrase"); err != nil {
		log.Fatal(err)
	}
	_, err := db.CreateSession(ctx, ada, snib.SessionOptions{})
	fmt.Println(errors.Is(err, snib.ErrInvalidCredentials))
	// Output: true
}

func ExampleDB_ValidateSession() {
	db, ada, done := example()
	defer done()
	ctx := context.Background()

	session, err := db.CreateSession(ctx, ada, snib.SessionOptions{})
	if err != nil {
		log.Fatal(err)
	}
	session, err = db.ValidateSession(ctx, session.Token.Reveal())
	fmt.Println(session.State, err)
	_, err = db.ValidateSession(ctx, "made up")
	fmt.Println(errors.Is(err, snib.ErrInvalidSession))
	// Output:
	// active <nil>
	// true
}

func ExampleDB_ValidateSessionUser() {
	db, ada, done := example()
	defer done()
	ctx := context.Background()

	session, err := db.CreateSession(ctx, ada, snib.SessionOptions{})
	if err != nil {
		log.Fatal(err)
	}
	_, user, err := db.ValidateSessionUser(ctx, session.Token.Reveal()) // both of one moment
	fmt.Println(user.Attributes()["name"], err)
	// Output: Ada <nil>
}

func ExampleDB_RenewSession() {
	db, ada, done := example()
	defer done()
	ctx := context.Background()

	first, err := db.CreateSession(ctx, ada, snib.SessionOptions{})
	if err != nil {
		log.Fatal(err)
	}
	second, err := db.RenewSession(ctx, first.Token.Reveal())
	if err != nil {
		log.Fatal(err)
	}
	_, err = db.ValidateSession(ctx, second.Token.Reveal())
	fmt.Println(err)
	_, err = db.ValidateSession(ctx, first.Token.Reveal())
	fmt.Println(errors.Is(err, snib.ErrInvalidSession))
	// Output:
	// <nil>
	// true
}

// A sign-out takes the token of the cookie, and ends no other device's session.
func ExampleDB_RevokeToken() {
	db, ada, done := example()
	defer done()
	ctx := context.Background()

	session, err := db.CreateSession(ctx, ada, snib.SessionOptions{})
	if err != nil {
		log.Fatal(err)
	}
	if err := db.RevokeToken(ctx, session.Token.Reveal()); err != nil {
		log.Fatal(err)
	}
	_, err = db.ValidateSession(ctx, session.Token.Reveal())
	fmt.Println(errors.Is(err, snib.ErrInvalidSession))
	// Output: true
}

// The list of sessions shows ids, by which their user ends them.
func ExampleDB_ListUserSessions() {
	db, ada, done := example()
	defer done()
	ctx := context.Background()

	for _, device := range []string{"laptop", "phone"} {
		o := snib.SessionOptions{Attributes: snib.Attributes{"device": device}}
		if _, err := db.CreateSession(ctx, ada, o); err != nil {
			log.Fatal(err)
		}
	}
	sessions, err := db.ListUserSessions(ctx, ada.ID)
	if err != nil {
		log.Fatal(err)
	}
	for _, s := range sessions {
		if s.Attributes()["device"] == "phone" {
			err = db.RevokeSession(ctx, ada.ID, s.ID)
		}
	}
	fmt.Println(len(sessions), err)
	sessions, err = db.ListUserSessions(ctx, ada.ID)
	fmt.Println(sessions[0].Attributes()["device"], err)
	// Output:
	// 2 <nil>
	// laptop <nil>
}

// For actions too dangerous for a stolen session.
func ExampleDB_Reauthenticate() {
	db, ada, done := example()
	defer done()
	ctx := context.Background()

	before, err := db.CreateSession(ctx, ada, snib.SessionOptions{})
	if err != nil {
		log.Fatal(err)
	}
	after, err := db.Reauthenticate(ctx, before.Token.Reveal(), "correct horse battery")
	if err != nil {
		log.Fatal(err)
	}
	_, err = db.ValidateSession(ctx, before.Token.Reveal()) // its token is another now
	fmt.Println(after.State, errors.Is(err, snib.ErrInvalidSession))
	// Output: active true
}

// The session that changes its password stays, under another token; the others
// end.
func ExampleDB_ChangePassword() {
	db, ada, done := example()
	defer done()
	ctx := context.Background()

	here, err := db.CreateSession(ctx, ada, snib.SessionOptions{})
	if err != nil {
		log.Fatal(err)
	}
	there, err := db.CreateSession(ctx, ada, snib.SessionOptions{})
	if err != nil {
		log.Fatal(err)
	}
	here, err = db.ChangePassword(ctx, here.Token.Reveal(), "correct horse battery", "a better passphrase")
	fmt.Println(here.State, err)
	_, err = db.ValidateSession(ctx, there.Token.Reveal())
	fmt.Println(errors.Is(err, snib.ErrInvalidSession))
	// Output:
	// active <nil>
	// true
}

// A native client keeps the refresh token and asks for a session when it needs one.
func ExampleDB_CreateRefreshToken() {
	db, ada, done := example()
	defer done()
	ctx := context.Background()

	session, refresh, err := db.CreateRefreshToken(ctx, ada, snib.SessionOptions{})
	fmt.Println(session.State, refresh.UserID == ada.ID, err)
	// Output: active true <nil>
}

// For the user's page of devices: browsers and native clients alike.
func ExampleLogins_List() {
	db, ada, done := example()
	defer done()
	ctx := context.Background()

	if _, err := db.CreateSession(ctx, ada, snib.SessionOptions{Attributes: snib.Attributes{"device": "laptop"}}); err != nil {
		log.Fatal(err)
	}
	logins, err := db.Logins().List(ctx, ada.ID)
	if err != nil {
		log.Fatal(err)
	}
	for _, l := range logins {
		fmt.Println(l.Attributes()["device"], l.State)
	}
	if err := db.Logins().Revoke(ctx, ada.ID, logins[0].ID); err != nil {
		log.Fatal(err)
	}
	logins, err = db.Logins().List(ctx, ada.ID)
	fmt.Println(len(logins), err)
	// Output:
	// laptop active
	// 0 <nil>
}
