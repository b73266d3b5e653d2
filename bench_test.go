package snib_test

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/snibdb/snib"
)

// benchDB opens a synced database with one user and n sessions of others.
func benchDB(b *testing.B, n int) (*snib.DB, snib.User, []string) {
	b.Helper()
	opts := &snib.Options{Passwords: snib.PasswordPolicy{MemoryKiB: 8, Time: 1, Parallelism: 1}}
	db, err := snib.Open(filepath.Join(b.TempDir(), "accounts.db"), opts)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { db.Close() })
	var tokens []string
	for len(tokens) < n {
		err := db.Update(ctx, func(tx *snib.Tx) error {
			tokens = tokens[:len(tokens):len(tokens)]
			for range 100 {
				u, err := tx.CreateUser(snib.NewUser{Provider: "n", Identifier: fmt.Sprint(len(tokens))})
				if err != nil {
					return err
				}
				for range 9 {
					s, err := tx.CreateSession(u, snib.SessionOptions{})
					if err != nil {
						return err
					}
					tokens = append(tokens, s.Token.Reveal())
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	return db, email(b, db, "a@example.com"), tokens
}

// The floor is what a program pays that looks the same record up with a plain
// View and Get; compare within one run.
func BenchmarkValidateSession(b *testing.B) {
	const sessions = 10_000
	db, _, tokens := benchDB(b, sessions)
	b.Run("floor=view+get", func(b *testing.B) {
		var handle *bolt.DB
		if err := db.View(ctx, func(tx *snib.Tx) error { handle = tx.Bolt().DB(); return nil }); err != nil {
			b.Fatal(err)
		}
		i := 0
		for b.Loop() {
			key := []byte(tokens[i%len(tokens)][2:32])
			i++
			if err := handle.View(func(tx *bolt.Tx) error {
				if tx.Bucket([]byte("snib")).Bucket([]byte("sessions")).Get(key) == nil {
					return fmt.Errorf("no session")
				}
				return nil
			}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("call=ValidateSession", func(b *testing.B) {
		i := 0
		for b.Loop() {
			if _, err := db.ValidateSession(ctx, tokens[i%len(tokens)]); err != nil {
				b.Fatal(err)
			}
			i++
		}
	})
	b.Run("call=ValidateSessionUser", func(b *testing.B) {
		i := 0
		for b.Loop() {
			if _, _, err := db.ValidateSessionUser(ctx, tokens[i%len(tokens)]); err != nil {
				b.Fatal(err)
			}
			i++
		}
	})
}

// BenchmarkCreateSession creates durable sessions by a number of writers at
// once; the reported time is per session.
func BenchmarkCreateSession(b *testing.B) {
	for _, writers := range []int{1, 64, 512} {
		b.Run(fmt.Sprint("writers=", writers), func(b *testing.B) {
			db, _, _ := benchDB(b, 900)
			var users []snib.User
			for u, err := range db.ListUsers(ctx, snib.ListOptions{}) {
				if err != nil {
					b.Fatal(err)
				}
				users = append(users, u)
			}
			before, start := must(db.Stats(ctx))(b), time.Now()
			var done atomic.Int64
			var wg sync.WaitGroup
			b.ResetTimer()
			for w := range writers {
				wg.Go(func() {
					for i := w; done.Add(1) <= int64(b.N); i++ {
						if _, err := db.CreateSession(ctx, users[i%len(users)], snib.SessionOptions{}); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			after := must(db.Stats(ctx))(b)
			b.ReportMetric(float64(b.N)/time.Since(start).Seconds(), "sessions/s")
			b.ReportMetric(float64(b.N)/float64(max(1, after.Commits-before.Commits)), "sessions/commit")
		})
	}
}

// Building an index must take time by the number of users, not by its square:
// compare the time per user of the two sizes, within one run.
func BenchmarkOpenBuildsAnIndex(b *testing.B) {
	for _, n := range []int{100_000, 200_000} {
		b.Run(fmt.Sprintf("users=%d", n), func(b *testing.B) {
			path := filepath.Join(b.TempDir(), "accounts.db")
			db := must(snib.Open(path, &snib.Options{InsecureNoSync: true}))(b)
			r := rand.New(rand.NewPCG(1, 2))
			for done := 0; done < n; done += 1000 {
				if err := db.Update(ctx, func(tx *snib.Tx) error {
					for range 1000 {
						u := snib.NewUser{Provider: "n", Identifier: fmt.Sprint(r.Uint64()), Attributes: snib.Attributes{"nick": fmt.Sprint(r.Uint64())}}
						if _, err := tx.CreateUser(u); err != nil {
							return err
						}
					}
					return nil
				}); err != nil {
					b.Fatal(err)
				}
			}
			unique := false
			for b.Loop() {
				closeDB(b, db)
				unique = !unique
				db = must(snib.Open(path, declare(snib.Index{Name: "nick", Unique: unique})))(b)
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/float64(n), "µs/user")
			closeDB(b, db)
		})
	}
}
