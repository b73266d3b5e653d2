package proof_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	mathrand "math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/snibdb/snib"
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
	makeToken  = accounttest.MakeToken
	newSession = accounttest.NewSession
	refresh    = accounttest.Refresh
	reuse      = accounttest.Reuse
	session    = accounttest.Session
	secretOf   = accounttest.SecretOf
	sessionIDs = accounttest.SessionIDs
	storedHash = accounttest.StoredHash
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
