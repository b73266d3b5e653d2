package proof_test

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"flag"
	"hash/crc32"
	mathrand "math/rand/v2"
	"os"
	"regexp"
	"testing"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/accounttest"
)

var ctx = context.Background()

// What these tests share with others, by the short names that they use.

const password = accounttest.Password

var (
	asNow      = accounttest.AsNow
	closeDB    = accounttest.Close
	email      = accounttest.Email
	extend     = accounttest.Extend
	family     = accounttest.Family
	holdWriter = accounttest.HoldWriter
	ids        = accounttest.UserIDs
	invalid    = accounttest.Invalid
	logIn      = accounttest.LogIn
	newSession = accounttest.NewSession
	refresh    = accounttest.Refresh
	reuse      = accounttest.Reuse
	session    = accounttest.Session
	sessionIDs = accounttest.SessionIDs
	user       = accounttest.User
	valid      = accounttest.Valid
	wantErr    = accounttest.WantErr
	wantField  = accounttest.WantField
)

func must[T any](v T, err error) func(testing.TB) T { return accounttest.Must(v, err) }

func second[T any](v T, err error) error { return accounttest.Second(v, err) }

const foreignHash = "$2y$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"

// link makes a one-time token that lives for ttl.
func link(tb testing.TB, db *snib.DB, u snib.User, purpose string, ttl time.Duration) snib.OneTimeToken {
	tb.Helper()
	return must(db.Tokens().Create(ctx, u.ID, purpose, ttl, nil))(tb)
}

// storedHash returns the password hash in a user's record.
func storedHash(tb testing.TB, db *snib.DB, id snib.UserID) (hash string) {
	tb.Helper()
	err := db.View(ctx, func(tx *snib.Tx) error {
		users := tx.Bolt().Bucket([]byte("snib")).Bucket([]byte("users"))
		u, err := codec.DecodeUser([]byte(id), users.Get([]byte(id)))
		hash = u.PasswordHash
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	return hash
}

// refused fails the test unless r's token is refused with want and nothing is
// written.
func refused(tb testing.TB, db *snib.DB, token string, want error) {
	tb.Helper()
	quiet(tb, db, func() {
		tb.Helper()
		s, r, err := db.Refresh(ctx, token)
		wantErr(tb, err, want)
		if want != snib.ErrRefreshTokenReused && errors.Is(err, snib.ErrRefreshTokenReused) {
			tb.Errorf("%v is both", err)
		}
		if s.Token.Reveal() != "" || r.Token.Reveal() != "" || s.ID != "" || r.ID != "" {
			tb.Error("a refused token gave something")
		}
	})
}

// content returns all that the file holds of this library's, and how many
// commits it has seen, the application's among them.
func content(tb testing.TB, db *snib.DB) (records map[string]string, commits int) {
	tb.Helper()
	if err := db.View(ctx, func(tx *snib.Tx) (err error) {
		commits = tx.Bolt().ID()
		records, err = accounttest.Content(tx.Bolt())
		return err
	}); err != nil {
		tb.Fatal(err)
	}
	return records, commits
}

// quiet fails the test if f writes anything or commits at all.
func quiet(tb testing.TB, db *snib.DB, f func()) {
	tb.Helper()
	accounttest.Quiet(tb, func() (map[string]string, int) { return content(tb, db) }, f)
}

// A trace is what any write would change.
type trace struct {
	commits int64
	txid    int
	file    [32]byte
}

// traceOf takes the trace of a database at a path.
func traceOf(tb testing.TB, db *snib.DB, path string) trace {
	tb.Helper()
	var out trace
	if err := db.View(ctx, func(tx *snib.Tx) error { out.txid = tx.Bolt().ID(); return nil }); err != nil {
		tb.Fatal(err)
	}
	out.commits = must(db.Stats(ctx))(tb).Commits
	out.file = sha256.Sum256(must(os.ReadFile(path))(tb))
	return out
}

// A login is one of the two ways to present a password.
type login struct {
	name string
	call func(db *snib.DB, provider, identifier, password string) error
}

var logins = []login{
	{"LogIn", func(db *snib.DB, provider, identifier, password string) error {
		_, _, err := db.LogIn(ctx, provider, identifier, password, snib.SessionOptions{})
		return err
	}},
	{"AuthenticateUser", func(db *snib.DB, provider, identifier, password string) error {
		_, err := db.AuthenticateUser(ctx, provider, identifier, password)
		return err
	}},
}

// storeHash writes a string into a user's record as its password hash.
func storeHash(tb testing.TB, db *snib.DB, id snib.UserID, hash string) {
	tb.Helper()
	err := db.Update(ctx, func(tx *snib.Tx) error {
		users := tx.Bolt().Bucket([]byte("snib")).Bucket([]byte("users"))
		u, err := codec.DecodeUser([]byte(id), users.Get([]byte(id)))
		if err != nil {
			return err
		}
		u.PasswordHash = hash
		return users.Put([]byte(id), u.Append(nil))
	})
	if err != nil {
		tb.Fatal(err)
	}
}

// A password and what NFKC makes of it.
const (
	ligature = "ﬁle Ⅷ étude"
	folded   = "file VIII étude"
)

// populate makes one user of every kind that a stranger must not tell apart.
func populate(tb testing.TB, db *snib.DB) {
	tb.Helper()
	email(tb, db, "active@example.com")
	disabled := email(tb, db, "disabled@example.com")
	must(db.DisableUser(ctx, disabled.ID, "left"))(tb)
	must(db.CreateUser(ctx, snib.NewUser{Provider: "email", Identifier: "none@example.com"}))(tb)
	removed := email(tb, db, "removed@example.com")
	must(db.RemoveUserPassword(ctx, removed.ID))(tb)
	must(db.CreateUser(ctx, snib.NewUser{Provider: "email", Identifier: "nfkc@example.com", Password: ligature}))(tb)
	for name, hash := range map[string]string{
		"corrupt": "$argon2id$v=19$m=8,t=1,p=1$no base64$neither",
		"huge":    "$argon2id$v=19$m=4294967295,t=4294967295,p=1$c29tZXNhbHQ$c29tZWtleXNvbWVrZXk",
		"unknown": "$6$rounds=5000$salt$key",
		"text":    "password",
	} {
		storeHash(tb, db, email(tb, db, name+"@example.com").ID, hash)
	}
}

// A second writing of the documented form of a token.
var (
	crockford  = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)
	tokenForms = map[string]*regexp.Regexp{
		"session":  regexp.MustCompile(`^sn(ses_[0-9a-z]{32})\.([0-9a-z]{52})([0-9a-z]{7})$`),
		"refresh":  regexp.MustCompile(`^sn(rft_[0-9a-z]{32})\.([0-9a-z]{77})([0-9a-z]{7})$`),
		"one-time": regexp.MustCompile(`^sn(ott_[0-9a-z]{32})\.([0-9a-z]{52})([0-9a-z]{7})$`),
		"device":   regexp.MustCompile(`^sn(dev_[0-9a-z]{32})\.([0-9a-z]{52})([0-9a-z]{7})$`),
		"api-key":  regexp.MustCompile(`^sn(key_[0-9a-z]{32})\.([0-9a-z]{52})([0-9a-z]{7})$`),
	}
)

// makeToken returns the text of a token of id with this secret.
func makeToken(id string, secret []byte) string {
	text := "sn" + id + "." + crockford.EncodeToString(secret)
	crc := crc32.Checksum([]byte(text), crc32.MakeTable(crc32.Castagnoli))
	return text + crockford.EncodeToString(binary.BigEndian.AppendUint32(nil, crc))
}

// secretOf returns the secret bytes of a token, whose checksum it looks at.
func secretOf(tb testing.TB, token string) []byte {
	tb.Helper()
	for _, form := range tokenForms {
		m := form.FindStringSubmatch(token)
		if m == nil {
			continue
		}
		secret, err := crockford.DecodeString(m[2])
		if err != nil || makeToken(m[1], secret) != token {
			tb.Fatalf("a token that is not written as documented: %v", err)
		}
		return secret
	}
	tb.Fatal("a token of no documented form")
	return nil
}

// mentions returns the keys in the whole file, of which the key or the value
// contains text.
func mentions(tb testing.TB, db *snib.DB, text string) (keys []string) {
	tb.Helper()
	records, _ := content(tb, db)
	return accounttest.Mentions(tb, records, text)
}

// A bound is one call with one argument outside of its bounds.
type bound struct {
	name, field string
	call        func() error
}

var securitySeed = flag.Uint64("security.seed", 1, "seed of the random security tests; 0 draws one")

// securityRand returns a source for a random test and logs its seed.
func securityRand(tb testing.TB) *mathrand.Rand {
	tb.Helper()
	seed := *securitySeed
	for seed == 0 {
		seed = mathrand.Uint64()
	}
	tb.Logf("repeat with -security.seed=%d", seed)
	return mathrand.New(mathrand.NewPCG(seed, 0))
}
