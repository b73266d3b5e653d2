package snib_test

import (
	"crypto/sha256"
	"os"
	"testing"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/codec"
)

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

func thirdError[A, B any](_ A, _ B, err error) error { return err }

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
