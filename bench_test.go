package snib_test

import (
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/internal/token"
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

// sessionKey is where the record of a token's session lies.
func sessionKey(text string) []byte {
	key, _ := token.Session.Parse(text, make([]byte, token.Session.Secret))
	return key[:]
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
			key := sessionKey(tokens[i%len(tokens)])
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

// BenchmarkView is a closure that reads a user, against bbolt's with the record alone;
// compare within one run.
func BenchmarkView(b *testing.B) {
	db, u, _ := benchDB(b, 900)
	var handle *bolt.DB
	if err := db.View(ctx, func(tx *snib.Tx) error { handle = tx.Bolt().DB(); return nil }); err != nil {
		b.Fatal(err)
	}
	for name, view := range map[string]func() error{
		"bbolt": func() error {
			return handle.View(func(tx *bolt.Tx) error {
				if tx.Bucket([]byte("snib")).Bucket([]byte("users")).Get([]byte(u.ID)) == nil {
					return fmt.Errorf("no user")
				}
				return nil
			})
		},
		"snib": func() error {
			return db.View(ctx, func(tx *snib.Tx) error { _, err := tx.GetUser(u.ID); return err })
		},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := view(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkCreateSession creates durable sessions by a number of writers at
// once; the reported time is per session. Run it with GOGC and GOMEMLIMIT to see how
// often the collector runs for them, and the memory that it leaves.
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
			runtime.GC()
			var old, now runtime.MemStats
			runtime.ReadMemStats(&old)
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
			runtime.ReadMemStats(&now)
			b.ReportMetric(1000*float64(now.NumGC-old.NumGC)/float64(b.N), "collections/1000-sessions")
			b.ReportMetric(float64(now.HeapSys-now.HeapReleased)/(1<<20), "heap-MB")
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

// BenchmarkUpgrade opens a file of format 1 with a million sessions of 100,000
// users. It reports the time of Open, and by how much the memory of the process
// grows meanwhile that is not the map of the file. Without syncs it is the time
// of the work alone.
func BenchmarkUpgrade(b *testing.B) {
	whole := millionSessions(b)
	b.Run("synced", func(b *testing.B) { benchmarkUpgrade(b, whole, nil) })
	b.Run("unsynced", func(b *testing.B) { benchmarkUpgrade(b, whole, &snib.Options{InsecureNoSync: true}) })
}

func benchmarkUpgrade(b *testing.B, whole string, o *snib.Options) {
	peak := int64(0)
	for range b.N {
		b.StopTimer()
		path := filepath.Join(b.TempDir(), "accounts.db")
		copyFile(b, path, whole)
		debug.FreeOSMemory() // what grows is then seen
		grown := watchMemory()
		b.StartTimer()
		db, err := snib.Open(path, o)
		b.StopTimer()
		peak = max(peak, grown())
		if err != nil {
			b.Fatal(err)
		}
		if r := must(db.Check(ctx))(b); r.Users != 4 || r.Records["sessions"] != 0 {
			b.Fatalf("%+v", r)
		}
		closeDB(b, db)
		os.Remove(path)
	}
	b.ReportMetric(float64(peak)/(1<<20), "MB-grown")
}

// millionSessions makes the file: the golden one and the trees of sessions, of
// which an upgrade reads nothing, with keys and values as long as they were.
func millionSessions(b *testing.B) string {
	b.Helper()
	path := filepath.Join(b.TempDir(), "one.db")
	if err := os.WriteFile(path, must(os.ReadFile(goldenOne))(b), 0o600); err != nil {
		b.Fatal(err)
	}
	db := openBolt(b, path)
	value := make([]byte, 122)
	for batch := range 50 {
		err := db.Update(func(tx *bolt.Tx) error {
			root := tx.Bucket([]byte("snib"))
			sessions, index := root.Bucket([]byte("sessions")), root.Bucket([]byte("user_sessions"))
			sessions.FillPercent = 0.95
			for i := range 20_000 {
				n := batch*20_000 + i
				id := fmt.Sprintf("snses_%026d", n)
				binary.BigEndian.PutUint64(value, uint64(n))
				if err := sessions.Put([]byte(id), append([]byte{}, value...)); err != nil {
					return err
				}
				// In order of users, so that the file is made in no time.
				if err := index.Put(fmt.Appendf(nil, "snusr_%026d\x00%s", n/10, id), nil); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		b.Fatal(err)
	}
	return path
}

// copyFile copies a file and waits until the disk has it.
func copyFile(b *testing.B, to, from string) {
	b.Helper()
	in := must(os.Open(from))(b)
	defer in.Close()
	out := must(os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o600))(b)
	defer out.Close()
	must(io.Copy(out, in))(b)
	if err := out.Sync(); err != nil {
		b.Fatal(err)
	}
}

// watchMemory returns a function that ends the watch and returns by how many
// bytes anonymous memory has grown at most; 0 where that cannot be seen.
func watchMemory() func() int64 {
	before := anonymous()
	var peak atomic.Int64
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			peak.Store(max(peak.Load(), anonymous()-before))
			select {
			case <-done:
				return
			case <-time.After(2 * time.Millisecond):
			}
		}
	}()
	return func() int64 { close(done); <-ended; return peak.Load() }
}

func anonymous() int64 {
	status, _ := os.ReadFile("/proc/self/status")
	_, rest, _ := strings.Cut(string(status), "RssAnon:")
	var kb int64
	fmt.Sscan(rest, &kb)
	return kb << 10
}

// BenchmarkListUserSessions lists users with nine sessions each, at random.
func BenchmarkListUserSessions(b *testing.B) {
	db, _, _ := benchDB(b, 20_000)
	var users []snib.UserID
	for u, err := range db.ListUsers(ctx, snib.ListOptions{}) {
		if err != nil {
			b.Fatal(err)
		}
		users = append(users, u.ID)
	}
	users = users[:len(users)-1] // benchDB's own has none
	rnd := rand.New(rand.NewPCG(1, 1))
	b.ReportAllocs()
	for b.Loop() {
		list, err := db.ListUserSessions(ctx, users[rnd.IntN(len(users))])
		if err != nil || len(list) != 9 {
			b.Fatal(len(list), err)
		}
	}
}
