package snibpg_test

import (
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibpg"
)

// BenchmarkCalls compares calls by 1, 16 and 64 goroutines with those on a file.
func BenchmarkCalls(b *testing.B) {
	for _, where := range []string{"bbolt", "postgres"} {
		db := benched(b, where)
		u, err := db.CreateUser(ctx, snib.NewUser{Provider: "email", Identifier: "a@example.com"})
		must(b, err)
		s, err := db.CreateSession(ctx, u, snib.SessionOptions{})
		must(b, err)
		var n atomic.Int64
		users := make([]snib.User, 1000)
		for i := range users {
			users[i], err = db.CreateUser(ctx, snib.NewUser{Provider: "email", Identifier: fmt.Sprintf("s%d@example.com", i)})
			must(b, err)
		}
		for _, call := range []struct {
			name string
			run  func() error
		}{
			{"ValidateSession", func() error { _, err := db.ValidateSession(ctx, s.Token.Reveal()); return err }},
			{"CreateUser", func() error {
				_, err := db.CreateUser(ctx, snib.NewUser{Provider: "email", Identifier: fmt.Sprintf("u%d@example.com", n.Add(1))})
				return err
			}},
			{"CreateSession", func() error {
				_, err := db.CreateSession(ctx, users[n.Add(1)%int64(len(users))], snib.SessionOptions{})
				return err
			}},
		} {
			for _, goroutines := range []int{1, 16, 64} {
				b.Run(fmt.Sprintf("engine=%s/call=%s/goroutines=%d", where, call.name, goroutines), func(b *testing.B) {
					var left atomic.Int64
					left.Store(int64(b.N))
					var group sync.WaitGroup
					for range goroutines {
						group.Go(func() {
							for left.Add(-1) >= 0 {
								if err := call.run(); err != nil {
									b.Error(err)
									return
								}
							}
						})
					}
					group.Wait()
					b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
				})
			}
		}
	}
}

func benched(b *testing.B, where string) (db *snib.DB) {
	b.Helper()
	var err error
	if where == "bbolt" {
		db, err = snib.Open(filepath.Join(b.TempDir(), "snib.db"), &snib.Options{SweepEvery: -1})
	} else {
		db, err = snib.OpenStore(ctx, engine(b, snibpg.Options{}), &snib.Options{SweepEvery: -1})
	}
	must(b, err)
	b.Cleanup(func() { must(b, db.Close()) })
	return db
}
