package snib_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
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
	"github.com/snibdb/snib/internal/accounttest"
	"github.com/snibdb/snib/internal/testopen"
	"github.com/snibdb/snib/snibtest"
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
	user       = accounttest.User
	valid      = accounttest.Valid
	wantField  = accounttest.WantField
)

func must[T any](v T, err error) func(testing.TB) T { return accounttest.Must(v, err) }

func second[T any](v T, err error) error { return accounttest.Second(v, err) }

// wantErr fails the test unless err is want. internal/policy looks in this package for
// the comparison.
func wantErr(tb testing.TB, err, want error) {
	tb.Helper()
	if !errors.Is(err, want) {
		tb.Fatalf("got error %v, want %v", err, want)
	}
}

// openFile is OpenDB for a test that closes and reopens: it checks nothing.
func openFile(tb testing.TB, path string, o *snib.Options) *snib.DB {
	tb.Helper()
	db := must(testopen.Open(path, snibtest.Fast(o)))(tb)
	tb.Cleanup(func() { db.Close() })
	return db
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
	if testopen.Engine != "" && !snib.InFile(db) {
		return mirror(tb, db)
	}
	if err := db.View(ctx, func(tx *snib.Tx) error { b = tx.Bolt().DB(); return nil }); err != nil {
		tb.Fatal(err)
	}
	return b
}

// inFile is tx.Bolt, for tests of what lies in a file. On another engine they are
// skipped.
func inFile(tb testing.TB, tx *snib.Tx) *bolt.Tx {
	tb.Helper()
	if testopen.Engine != "" && tx.Bolt() == nil {
		tb.Skip("looks into a file of bbolt")
	}
	return tx.Bolt()
}

// On another engine, a mirror is a copy of the store in a file of bbolt: helpers that
// look and write behind the library work on it, and then on the store.
var mirrors sync.Map // of *bolt.DB, to the *snib.DB

// mirror returns a mirror of a store.
func mirror(tb testing.TB, db *snib.DB) *bolt.DB {
	tb.Helper()
	b := openBolt(tb, filepath.Join(tb.TempDir(), "mirror.db"))
	mirrors.Store(b, db)
	tb.Cleanup(func() { mirrors.Delete(b) })
	mirrored(tb, b)
	return b
}

// mirrored copies the store into its mirror, if b is one.
func mirrored(tb testing.TB, b *bolt.DB) {
	tb.Helper()
	db, ok := mirrors.Load(b)
	if !ok {
		return
	}
	records := must(snib.Records(db.(*snib.DB)))(tb)
	err := b.Update(func(tx *bolt.Tx) error {
		if tx.Bucket([]byte("snib")) != nil {
			if err := tx.DeleteBucket([]byte("snib")); err != nil {
				return err
			}
		}
		root, err := tx.CreateBucket([]byte("snib"))
		if err != nil {
			return err
		}
		for space, keys := range records {
			bucket, err := root.CreateBucket([]byte(space))
			if err != nil {
				return err
			}
			for key, value := range keys {
				if err := bucket.Put([]byte(key), []byte(value)); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
}

// writeBack makes a space of the store as it is in its mirror, if b is one.
func writeBack(tb testing.TB, b *bolt.DB, space string) {
	tb.Helper()
	db, ok := mirrors.Load(b)
	if !ok {
		return
	}
	was, ok := must(snib.Records(db.(*snib.DB)))(tb)[space]
	if !ok {
		tb.Skip("writes a space of a later program into a file")
	}
	changed, gone := map[string]string{}, []string{}
	if err := b.View(func(tx *bolt.Tx) error {
		bucket := tx.Bucket([]byte("snib")).Bucket([]byte(space))
		for key := range was {
			if bucket.Get([]byte(key)) == nil {
				gone = append(gone, key)
			}
		}
		return bucket.ForEach(func(k, v []byte) error {
			if old, ok := was[string(k)]; !ok || old != string(v) {
				changed[string(k)] = string(v)
			}
			return nil
		})
	}); err != nil {
		tb.Fatal(err)
	}
	if len(changed)+len(gone) == 0 {
		return
	}
	if err := snib.PutRecords(db.(*snib.DB), space, changed, gone); err != nil {
		tb.Fatal(err)
	}
}

// rawBucket runs fn on the bucket of a space.
func rawBucket(tb testing.TB, b *bolt.DB, space string, fn func(*bolt.Bucket) error) {
	tb.Helper()
	mirrored(tb, b)
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
	writeBack(tb, b, space)
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

const notesOfProgram = "notes of the program"

// content returns all that the file holds of this library's, and how many
// commits it has seen, the application's among them.
func content(tb testing.TB, db *snib.DB) (records map[string]string, commits int) {
	tb.Helper()
	records = map[string]string{}
	if testopen.Engine != "" && !snib.InFile(db) {
		for space, keys := range must(snib.Records(db))(tb) {
			for key, value := range keys {
				records[fmt.Sprintf("%s/%q", space, key)] = value
			}
		}
		return records, int(must(db.Stats(ctx))(tb).Commits)
	}
	err := db.View(ctx, func(tx *snib.Tx) error {
		commits = tx.Bolt().ID()
		var err error
		if records, err = accounttest.Content(tx.Bolt()); err != nil {
			return err
		}
		for _, row := range rowsIn(tx, "notes") {
			records[fmt.Sprintf("%s/%q", notesOfProgram, row)] = ""
		}
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return records, commits
}

// quiet fails the test if f writes anything or commits at all.
func quiet(tb testing.TB, db *snib.DB, f func()) {
	tb.Helper()
	accounttest.Quiet(tb, func() (map[string]string, int) { return content(tb, db) }, f)
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

// mentions returns the keys in the whole file, of which the key or the value
// contains text.
func mentions(tb testing.TB, db *snib.DB, text string) (keys []string) {
	tb.Helper()
	records, _ := content(tb, db)
	return slices.DeleteFunc(accounttest.Mentions(tb, records, text), func(name string) bool { return strings.HasPrefix(name, notesOfProgram+"/") })
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
