package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/snibdb/snib"
)

// BenchmarkCreateSessionWithOutbox compares the creation of durable sessions in
// a file with a consumer and in one without, in short turns, one after the
// other. It reports the median of the ratios of neighbours. What the events
// themselves cost, which every file has, -before tells.
func BenchmarkCreateSessionWithOutbox(b *testing.B) {
	for _, writers := range []int{1, 64} {
		b.Run(fmt.Sprint("writers=", writers), func(b *testing.B) {
			without, with := eventStore(b, nil), eventStore(b, []string{"mail"})
			per := max(200, b.N/20)
			var ratios []float64
			for b.Loop() {
				a := without.create(b, writers, per)
				ratios = append(ratios, with.create(b, writers, per).Seconds()/a.Seconds())
			}
			slices.Sort(ratios)
			b.ReportMetric(ratios[len(ratios)/2], "x")
			b.ReportMetric(0, "ns/op")
		})
	}
}

type eventUsers struct {
	db    *snib.DB
	users []snib.User
}

// eventStore has 500 users, each with a few sessions.
func eventStore(b *testing.B, outbox []string) *eventUsers {
	b.Helper()
	db, err := snib.Open(filepath.Join(b.TempDir(), "a.db"), &snib.Options{Outbox: outbox})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { db.Close() })
	s := &eventUsers{db: db}
	err = db.Update(context.Background(), func(tx *snib.Tx) error {
		s.users = nil
		for i := range 500 {
			u, err := tx.CreateUser(snib.NewUser{Provider: "n", Identifier: fmt.Sprint(i)})
			if err != nil {
				return err
			}
			s.users = append(s.users, u)
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	s.create(b, 64, 3000)
	return s
}

// create makes n sessions and returns how long that took.
func (s *eventUsers) create(b *testing.B, writers, n int) time.Duration {
	b.Helper()
	start := time.Now()
	var made atomic.Int64
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := w * 31; made.Add(1) <= int64(n); i += 7 {
				if _, err := s.db.CreateSession(context.Background(), s.users[i%len(s.users)], snib.SessionOptions{}); err != nil {
					b.Error(err)
				}
			}
		})
	}
	wg.Wait()
	return time.Since(start)
}
