package snib_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"
	"strings"
	"time"

	"github.com/snibdb/snib"
)

// Strangers have guessed until log-ins are throttled. From a known device its
// user logs in all the same.
func ExampleDevices_Remember() {
	db, ada, done := example()
	defer done()
	ctx := context.Background()

	session, err := db.CreateSession(ctx, ada, snib.SessionOptions{})
	if err != nil {
		log.Fatal(err)
	}
	device, err := db.Devices().Remember(ctx, session)
	if err != nil {
		log.Fatal(err)
	}
	cookie := device.Token.Reveal() // stays in the browser, through log-outs

	for range 5 {
		db.AuthenticateUser(ctx, "email", "ada@example.com", "a guess")
	}
	_, err = db.AuthenticateUser(ctx, "email", "ada@example.com", "correct horse battery")
	fmt.Println("elsewhere:", errors.Is(err, snib.ErrThrottled))
	_, err = db.AuthenticateUser(snib.WithDevice(ctx, cookie), "email", "ada@example.com", "correct horse battery")
	fmt.Println("on the device:", err)
	// Output:
	// elsewhere: true
	// on the device: <nil>
}

func ExampleAPIKeys_Validate() {
	db, ada, done := example()
	defer done()
	ctx := context.Background()

	session, _, err := db.LogIn(ctx, "email", "ada@example.com", "correct horse battery", snib.SessionOptions{})
	if err != nil {
		log.Fatal(err)
	}
	key, err := db.APIKeys().Create(ctx, session, snib.NewAPIKey{
		Name: "nightly backup", Scopes: []string{"notes:read"}, TTL: 90 * 24 * time.Hour,
	})
	if err != nil {
		log.Fatal(err)
	}
	shown := key.Token.Reveal() // once, to be copied into the other program

	key, user, err := db.APIKeys().Validate(ctx, shown)
	fmt.Println(user.ID == ada.ID, key.Name, key.HasScope("notes:read"), key.HasScope("notes:write"), err)
	_, err = db.ValidateSession(ctx, shown)
	fmt.Println(errors.Is(err, snib.ErrInvalidSession))
	// Output:
	// true nightly backup true false <nil>
	// true
}

func ExampleRoles_Claim() {
	path, remove := scratch()
	defer remove()
	ctx := context.Background()
	db, err := snib.Open(path, &snib.Options{Roles: snib.RolePolicy{Protected: []string{"admin"}}})
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()

	// At start, on the terminal, as long as there is no administrator.
	token, err := db.Roles().ClaimToken(ctx, "admin")
	if err != nil {
		log.Fatal(err)
	}
	link := "/first-admin?token=" + token.Reveal()

	ada, err := db.CreateUser(ctx, snib.NewUser{Provider: "email", Identifier: "ada@example.com", Password: "correct horse battery"})
	if err != nil {
		log.Fatal(err)
	}
	_, presented, _ := strings.Cut(link, "=")
	ada, err = db.Roles().Claim(ctx, ada, "admin", presented)
	fmt.Println(ada.Roles, err)

	_, err = db.Roles().Claim(ctx, ada, "admin", presented)
	fmt.Println(errors.Is(err, snib.ErrRoleHeld))
	_, err = db.DisableUser(ctx, ada.ID, "on leave")
	fmt.Println(errors.Is(err, snib.ErrLastHolder))
	// Output:
	// [admin] <nil>
	// true
	// true
}

func ExampleFactors() {
	key, err := snib.NewKey("2026", bytes.Repeat([]byte{7}, 32)) // 32 random bytes, kept apart from the file
	if err != nil {
		log.Fatal(err)
	}
	db, _, done := exampleWith(&snib.Options{Keys: []snib.Key{key}})
	defer done()
	ctx := context.Background()

	here, _, err := db.LogIn(ctx, "email", "ada@example.com", "correct horse battery", snib.SessionOptions{})
	if err != nil {
		log.Fatal(err)
	}
	phone, err := db.Factors().BeginTOTP(ctx, here, "Notes", "my phone") // show phone.URI as a QR code
	if err != nil {
		log.Fatal(err)
	}
	var codes []snib.Token // to be shown once
	here, err = db.ChangeCredentials(ctx, here.Token.Reveal(), func(tx *snib.Tx, here snib.Session) error {
		if _, err := tx.Factors().ConfirmTOTP(ctx, here, phone.ID, codeOf(phone, 0)); err != nil {
			return err
		}
		codes, err = tx.Factors().CreateRecoveryCodes(ctx, here)
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(codes))

	_, _, err = db.LogIn(ctx, "email", "ada@example.com", "correct horse battery", snib.SessionOptions{})
	e, ok := errors.AsType[*snib.SecondFactorError](err)
	fmt.Println(ok, e.Kinds, e.Pending)
	s, ada, err := db.Factors().FinishLogIn(ctx, e.Pending.Reveal(), codeOf(phone, 1))
	fmt.Println(s.UserID == ada.ID, err)
	// Output:
	// 10
	// true [totp recovery_codes] REDACTED
	// true <nil>
}

// codeOf types the code of now, or of the step after it.
func codeOf(phone snib.TOTPEnrolment, later int64) string {
	return authenticatorOf(phone).at(time.Now().Unix()/30 + later)
}

func ExampleRoles_Grant() {
	db, ada, done := example()
	defer done()
	ctx := context.Background()

	ada, err := db.Roles().Grant(ctx, ada.ID, "support")
	fmt.Println(ada.HasRole("support"), err)
	for user, err := range db.Roles().List(ctx, "support", snib.ListOptions{}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(user.Identities[0].Identifier)
	}
	ada, err = db.Roles().Withdraw(ctx, ada.ID, "support")
	fmt.Println(ada.Roles, err)
	// Output:
	// true <nil>
	// ada@example.com
	// [] <nil>
}

// An operator makes a key for a program, lists the keys and ends them.
func ExampleAPIKeys_CreateFor() {
	db, ada, done := example()
	defer done()
	ctx := context.Background()

	_, err := db.APIKeys().CreateFor(ctx, ada.ID, snib.NewAPIKey{Name: "thermostat", Scopes: []string{"read"}, TTL: 24 * time.Hour})
	if err != nil {
		log.Fatal(err)
	}
	keys, err := db.APIKeys().List(ctx, ada.ID)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(keys[0].Name, keys[0].Scopes)
	fmt.Println(db.APIKeys().Revoke(ctx, ada.ID, keys[0].ID))
	// Output:
	// thermostat [read]
	// <nil>
}

// A change of the ways in, with a session as proof. It goes on under
// another token.
func ExampleDB_ChangeCredentials() {
	db, ada, done := example()
	defer done()
	ctx := context.Background()

	session, err := db.CreateSession(ctx, ada, snib.SessionOptions{})
	if err != nil {
		log.Fatal(err)
	}
	session, err = db.ChangeCredentials(ctx, session.Token.Reveal(), func(tx *snib.Tx, s snib.Session) error {
		_, err := tx.LinkIdentity(s.UserID, "github", "4711")
		return err
	})
	fmt.Println(session.State, err)
	// Output: active <nil>
}

// A limit for a route of the program's own, and an operator's way past it.
func ExampleThrottle_Begin() {
	db, _, done := example()
	defer done()
	ctx := context.Background()

	var err error
	for err == nil {
		err = db.Throttle().Begin(ctx, "coupon", "192.0.2.7")
	}
	throttled, ok := errors.AsType[*snib.ThrottledError](err)
	fmt.Println(ok, throttled.RetryAfter > 0)
	db.Throttle().Reset("coupon", "192.0.2.7")
	fmt.Println(db.Throttle().Begin(ctx, "coupon", "192.0.2.7"))
	// Output:
	// true true
	// <nil>
}
