package proof_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"hash/crc32"
	"maps"
	mathrand "math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/codec"
)

var ctx = context.Background()

// second drops all but the error.
func second[T any](_ T, err error) error { return err }

const foreignHash = "$2y$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"

func closeDB(tb testing.TB, db *snib.DB) {
	tb.Helper()
	if err := db.Close(); err != nil {
		tb.Fatalf("close: %v", err)
	}
}

// session creates a session for u without a password.
func session(tb testing.TB, db *snib.DB, id snib.UserID) snib.Session {
	tb.Helper()
	return must(db.CreateSession(ctx, asNow(tb, db, id), snib.SessionOptions{}))(tb)
}

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

// family starts a family of refresh tokens.
func family(tb testing.TB, db *snib.DB, u snib.User) (snib.Session, snib.RefreshToken) {
	tb.Helper()
	s, r, err := db.CreateRefreshToken(ctx, u, snib.SessionOptions{})
	if err != nil {
		tb.Fatalf("create refresh token: %v", err)
	}
	return s, r
}

// refresh uses r's token.
func refresh(tb testing.TB, db *snib.DB, r snib.RefreshToken) (snib.Session, snib.RefreshToken) {
	tb.Helper()
	s, next, err := db.Refresh(ctx, r.Token.Reveal())
	if err != nil {
		tb.Fatalf("refresh: %v", err)
	}
	return s, next
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

// reuse revokes r's family: it presents the token twice more than it may be.
func reuse(tb testing.TB, db *snib.DB, r snib.RefreshToken) {
	tb.Helper()
	_, second := refresh(tb, db, r)
	refresh(tb, db, second)
	_, _, err := db.Refresh(ctx, r.Token.Reveal())
	wantErr(tb, err, snib.ErrRefreshTokenReused)
}

// content returns all that the file holds of this library's, and how many
// commits it has seen, the application's among them.
func content(tb testing.TB, db *snib.DB) (records map[string]string, commits int) {
	tb.Helper()
	records = map[string]string{}
	err := db.View(ctx, func(tx *snib.Tx) error {
		commits = tx.Bolt().ID()
		root := tx.Bolt().Bucket([]byte("snib"))
		return root.ForEachBucket(func(space []byte) error {
			return root.Bucket(space).ForEach(func(k, v []byte) error {
				records[fmt.Sprintf("%s/%q", space, k)] = string(v)
				return nil
			})
		})
	})
	if err != nil {
		tb.Fatal(err)
	}
	return records, commits
}

// quiet fails the test if f writes anything or commits at all.
func quiet(tb testing.TB, db *snib.DB, f func()) {
	tb.Helper()
	before, n := content(tb, db)
	f()
	after, m := content(tb, db)
	if !maps.Equal(before, after) {
		tb.Errorf("something was written")
	}
	if m != n {
		tb.Errorf("%d commits, want none", m-n)
	}
}

// user creates a user without a password.
func user(tb testing.TB, db *snib.DB, name string) snib.User {
	tb.Helper()
	return must(db.CreateUser(ctx, snib.NewUser{Provider: "username", Identifier: name}))(tb)
}

func newSession(tb testing.TB, db *snib.DB, u snib.User) snib.Session {
	tb.Helper()
	return must(db.CreateSession(ctx, u, snib.SessionOptions{}))(tb)
}

// sessionIDs lists the user's sessions.
func sessionIDs(tb testing.TB, db *snib.DB, id snib.UserID) []snib.SessionID {
	tb.Helper()
	var out []snib.SessionID
	for _, s := range must(db.ListUserSessions(ctx, id))(tb) {
		out = append(out, s.ID)
	}
	return out
}

// extend extends s and returns it, with its token.
func extend(tb testing.TB, db *snib.DB, s snib.Session) snib.Session {
	tb.Helper()
	out := must(db.ExtendSession(ctx, s.Token.Reveal()))(tb)
	if out.Token.Reveal() != "" || out.ID != s.ID {
		tb.Fatalf("extending %v gave %v and a token %t", s.ID, out.ID, out.Token.Reveal() != "")
	}
	out.Token = s.Token
	return out
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

const password = "correct horse battery"

// must returns v, failing the test on an error.
func must[T any](v T, err error) func(testing.TB) T {
	return func(tb testing.TB) T {
		tb.Helper()
		if err != nil {
			tb.Fatalf("unexpected error: %v", err)
		}
		return v
	}
}

// wantErr fails the test unless err is want.
func wantErr(tb testing.TB, err, want error) {
	tb.Helper()
	if !errors.Is(err, want) {
		tb.Fatalf("got error %v, want %v", err, want)
	}
}

// wantField fails the test unless err is an InputError of field.
func wantField(tb testing.TB, err error, field string) {
	tb.Helper()
	e, ok := errors.AsType[*snib.InputError](err)
	if !ok || !strings.HasPrefix(e.Field, field) || !errors.Is(err, snib.ErrInvalidInput) {
		tb.Fatalf("got error %v, want an InputError of %s", err, field)
	}
	if e.Code == "" || e.Reason == "" {
		tb.Fatalf("%s has the code %q and the reason %q", e.Field, e.Code, e.Reason)
	}
}

// email creates a user with this address and the password of these tests.
func email(tb testing.TB, db *snib.DB, address string) snib.User {
	tb.Helper()
	return must(db.CreateUser(ctx, snib.NewUser{Provider: "email", Identifier: address, Password: password}))(tb)
}

// asNow is a user as of now, let in without a log-in.
func asNow(tb testing.TB, db *snib.DB, id snib.UserID) snib.User {
	tb.Helper()
	return must(db.GetUser(ctx, id))(tb)
}

func logIn(tb testing.TB, db *snib.DB, address string) snib.Session {
	tb.Helper()
	s, _, err := db.LogIn(ctx, "email", address, password, snib.SessionOptions{})
	if err != nil {
		tb.Fatalf("log in: %v", err)
	}
	return s
}

// invalid fails the test unless the token is refused.
func invalid(tb testing.TB, db *snib.DB, s snib.Session) {
	tb.Helper()
	_, err := db.ValidateSession(ctx, s.Token.Reveal())
	wantErr(tb, err, snib.ErrInvalidSession)
}

// valid fails the test unless the token is accepted.
func valid(tb testing.TB, db *snib.DB, s snib.Session) {
	tb.Helper()
	if _, err := db.ValidateSession(ctx, s.Token.Reveal()); err != nil {
		tb.Fatalf("validate: %v", err)
	}
}

// ids collects the ids of a list.
func ids(tb testing.TB, list func(func(snib.User, error) bool)) []snib.UserID {
	tb.Helper()
	var out []snib.UserID
	for u, err := range list {
		if err != nil {
			tb.Fatalf("list: %v", err)
		}
		out = append(out, u.ID)
	}
	return out
}

// forms are those in which a text can lie in the file: as it is, and an id as
// the bytes that it stands for, in keys and in the records of others.
func forms(tb testing.TB, db *snib.DB, text string) (all [][]byte) {
	tb.Helper()
	all = [][]byte{[]byte(text)}
	var raw [16]byte
	switch {
	case len(text) == 30 && codec.DecodeBase32(raw[:], text[4:]):
		all = append(all, raw[:])
		fallthrough
	case len(text) < 30:
		err := db.View(ctx, func(tx *snib.Tx) error {
			key, err := codec.DecodeOwnerKey(tx.Bolt().Bucket([]byte("snib")).Bucket([]byte("meta")).Get([]byte(codec.KeyOwners)))
			owner := codec.NewOwners(key.Key).Of(text)
			all = append(all, owner[:])
			return err
		})
		if err != nil {
			tb.Fatal(err)
		}
	case len(text) == 36:
		if key, ok := codec.ParseOwnedKeyDigits(text[4:]); ok {
			id := key.OwnID()
			all = append(all, id[:])
		}
	}
	return all
}

// mentions returns the keys in the whole file, of which the key or the value
// contains text.
func mentions(tb testing.TB, db *snib.DB, text string) (keys []string) {
	tb.Helper()
	all := forms(tb, db, text)
	err := db.View(ctx, func(tx *snib.Tx) error {
		root := tx.Bolt().Bucket([]byte("snib"))
		return root.ForEachBucket(func(space []byte) error {
			return root.Bucket(space).ForEach(func(k, v []byte) error {
				if slices.ContainsFunc(all, func(form []byte) bool { return bytes.Contains(k, form) || bytes.Contains(v, form) }) {
					keys = append(keys, fmt.Sprintf("%s/%q", space, k))
				}
				return nil
			})
		})
	})
	if err != nil {
		tb.Fatal(err)
	}
	return keys
}

// A bound is one call with one argument outside of its bounds.
type bound struct {
	name, field string
	call        func() error
}

var securitySeed = flag.Uint64("security.seed", 0, "seed of the random security tests; 0 draws one")

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

// holdWriter keeps the writer inside an Update until release is called, or the
// test ends. fn runs first, if it is not nil. Without the release at the end
// of the test a failure in between would leave Close waiting for ever; without
// the second look at done a database that refuses the Update would.
func holdWriter(tb testing.TB, db *snib.DB, fn func(*snib.Tx) error) (release func()) {
	tb.Helper()
	held, leave, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		closure := func(tx *snib.Tx) error {
			if fn != nil {
				if err := fn(tx); err != nil {
					return err
				}
			}
			close(held)
			<-leave
			return nil
		}
		err := db.Update(ctx, closure)
		for errors.Is(err, snib.ErrBusy) { // on a busy machine it did not come to its turn
			err = db.Update(ctx, closure)
		}
		done <- err
	}()
	release = sync.OnceFunc(func() {
		close(leave)
		if err := <-done; err != nil {
			tb.Errorf("the Update that held the writer: %v", err)
		}
	})
	tb.Cleanup(release)
	select {
	case <-held:
	case err := <-done:
		done <- err
		tb.FailNow()
	}
	return release
}
