package snib_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"
	"time"

	bolt "go.etcd.io/bbolt"

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

func ExampleOneTimeTokens_Use() {
	db, ada, done := example()
	defer done()
	ctx := context.Background()

	link, err := db.Tokens().Create(ctx, ada.ID, "password-reset", time.Hour, nil)
	if err != nil {
		log.Fatal(err)
	}
	mailed := link.Token.Reveal()

	hash, err := db.HashPassword(ctx, "a new passphrase")
	if err != nil {
		log.Fatal(err)
	}
	err = db.Update(ctx, func(tx *snib.Tx) error {
		used, err := tx.Tokens().Use(ctx, "password-reset", mailed)
		if err != nil {
			return err
		}
		_, err = tx.UpdateUserPassword(used.UserID, hash)
		return err
	})
	fmt.Println(err)
	_, err = db.Tokens().Use(ctx, "password-reset", mailed)
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
	if _, err := db.Factors().ConfirmTOTP(ctx, here, phone.ID, codeOf(phone, 0)); err != nil {
		log.Fatal(err)
	}
	codes, err := db.Factors().CreateRecoveryCodes(ctx, here) // show them once
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
