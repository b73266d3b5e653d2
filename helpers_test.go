package snib_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/snibtest"
)

var ctx = context.Background()

// second drops all but the error.
func second[T any](_ T, err error) error { return err }

// openFile is OpenDB for a test that closes and reopens: it checks nothing.
func openFile(tb testing.TB, path string, o *snib.Options) *snib.DB {
	tb.Helper()
	db := must(snib.Open(path, snibtest.Fast(o)))(tb)
	tb.Cleanup(func() { db.Close() })
	return db
}

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

// nobody creates a user without a password.
func nobody(tb testing.TB, db *snib.DB, name string) snib.User {
	tb.Helper()
	return must(db.CreateUser(ctx, snib.NewUser{Provider: "x", Identifier: name}))(tb)
}

// openBolt opens a handle of an application's.
func openBolt(tb testing.TB, path string) *bolt.DB {
	tb.Helper()
	b := must(bolt.Open(path, 0o600, &bolt.Options{NoSync: true, Timeout: time.Second}))(tb)
	tb.Cleanup(func() { b.Close() })
	return b
}

// lastCommit is the number of commits that the file has seen.
func lastCommit(tb testing.TB, b *bolt.DB) (id int) {
	tb.Helper()
	if err := b.View(func(tx *bolt.Tx) error { id = tx.ID(); return nil }); err != nil {
		tb.Fatal(err)
	}
	return id
}

func providers(u snib.User) string {
	var out []string
	for _, x := range u.Identities {
		out = append(out, x.Provider+":"+x.Identifier)
	}
	return strings.Join(out, " ")
}

// Access to what lies in the file, behind the library's back.

// handle returns the bbolt handle under db, which works however broken the
// accounts in it are.
func handle(tb testing.TB, db *snib.DB) (b *bolt.DB) {
	tb.Helper()
	if err := db.View(ctx, func(tx *snib.Tx) error { b = tx.Bolt().DB(); return nil }); err != nil {
		tb.Fatal(err)
	}
	return b
}

// rawBucket runs fn on the bucket of a space.
func rawBucket(tb testing.TB, b *bolt.DB, space string, fn func(*bolt.Bucket) error) {
	tb.Helper()
	err := b.Update(func(tx *bolt.Tx) error {
		bucket, err := tx.Bucket([]byte("snib")).CreateBucketIfNotExists([]byte(space))
		if err != nil {
			return err
		}
		return fn(bucket)
	})
	if err != nil {
		tb.Fatal(err)
	}
}

// foreignHashes counts the users whose imported hash is not replaced yet.
func foreignHashes(tb testing.TB, db *snib.DB) int {
	tb.Helper()
	return must(db.Check(ctx))(tb).ForeignHashes
}

// rawKey is the key under which a space holds the record of an id.
func rawKey(id string) []byte {
	if len(id) == 36 {
		if key, ok := codec.ParseOwnedKeyDigits(id[4:]); ok {
			return key[:]
		}
	}
	return []byte(id)
}

func rawGet(tb testing.TB, b *bolt.DB, space, key string) (value []byte) {
	tb.Helper()
	rawBucket(tb, b, space, func(b *bolt.Bucket) error {
		value = bytes.Clone(b.Get(rawKey(key)))
		return nil
	})
	if value == nil {
		tb.Fatalf("nothing in %s under %q", space, key)
	}
	return value
}

func rawPut(tb testing.TB, b *bolt.DB, space, key string, value []byte) {
	tb.Helper()
	rawBucket(tb, b, space, func(b *bolt.Bucket) error { return b.Put(rawKey(key), value) })
}

func rawDelete(tb testing.TB, b *bolt.DB, space, key string) {
	tb.Helper()
	rawBucket(tb, b, space, func(b *bolt.Bucket) error { return b.Delete(rawKey(key)) })
}

// folder fails the test unless the folder of path holds exactly these names.
func folder(tb testing.TB, path string, names ...string) {
	tb.Helper()
	var got []string
	for _, e := range must(os.ReadDir(filepath.Dir(path)))(tb) {
		got = append(got, e.Name())
	}
	if fmt.Sprint(got) != fmt.Sprint(names) {
		tb.Errorf("files %q, want %q", got, names)
	}
}

const tick = time.Millisecond // the resolution of stored times

// clocked opens a new database whose time stands still until it is told to
// move.
func clocked(tb testing.TB, o snib.Options) (*snib.DB, *snibtest.Clock) {
	tb.Helper()
	clock := snibtest.NewClock()
	o.Now = clock.Now
	return snibtest.NewDB(tb, &o), clock
}

// content returns all that the file holds of this library's, and how many
// commits it has seen, the application's among them.
func content(tb testing.TB, db *snib.DB) (records map[string]string, commits int) {
	tb.Helper()
	records = map[string]string{}
	err := db.View(ctx, func(tx *snib.Tx) error {
		commits = tx.Bolt().ID()
		root := tx.Bolt().Bucket([]byte("snib"))
		err := root.ForEachBucket(func(space []byte) error {
			return root.Bucket(space).ForEach(func(k, v []byte) error {
				records[fmt.Sprintf("%s/%q", space, k)] = string(v)
				return nil
			})
		})
		for _, row := range rowsIn(tx, "notes") {
			records["notes of the program/"+row] = ""
		}
		return err
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

// commits fails the test unless f makes exactly n commits.
func commits(tb testing.TB, db *snib.DB, n int, f func()) {
	tb.Helper()
	_, before := content(tb, db)
	f()
	if _, after := content(tb, db); after-before != n {
		tb.Errorf("%d commits, want %d", after-before, n)
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

// changePassword changes the password of a user by a session of its own.
func changePassword(tb testing.TB, db *snib.DB, id snib.UserID, current, password string) (snib.Session, error) {
	tb.Helper()
	return db.ChangePassword(ctx, newSession(tb, db, asNow(tb, db, id)).Token.Reveal(), current, password)
}

// removePassword removes the password of the bearer of s, and returns the
// session in its place.
func removePassword(db *snib.DB, s snib.Session) (snib.Session, error) {
	return db.ChangeCredentials(ctx, s.Token.Reveal(), func(tx *snib.Tx, s snib.Session) error {
		_, err := tx.RemoveUserPassword(s.UserID)
		return err
	})
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

// withoutEvents returns mentions but for events, which name what is gone.
func withoutEvents(keys []string) []string {
	return slices.DeleteFunc(keys, func(key string) bool { return strings.HasPrefix(key, "events/") })
}

// leastAllocs is [testing.AllocsPerRun], which counts what the whole process
// allocates, over again until it is not above enough, ten times at most: the
// least is what f itself allocates, however busy the machine is.
func leastAllocs(runs int, enough float64, f func()) float64 {
	least := testing.AllocsPerRun(runs, f)
	for range 9 {
		if least <= enough {
			break
		}
		least = min(least, testing.AllocsPerRun(runs, f))
	}
	return least
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
