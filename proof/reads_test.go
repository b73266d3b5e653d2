package proof_test

import (
	"fmt"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	bolt "go.etcd.io/bbolt"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibtest"
)

// endingsOf are the calls after which a token must be refused.
func endingsOf(db, other *snib.DB, u snib.User) map[string]func(s snib.Session) error {
	return map[string]func(s snib.Session) error{
		"RevokeToken":           func(s snib.Session) error { return db.RevokeToken(ctx, s.Token.Reveal()) },
		"RevokeSessionByID":     func(s snib.Session) error { return db.RevokeSessionByID(ctx, s.ID) },
		"RevokeUserSessions":    func(snib.Session) error { return db.RevokeUserSessions(ctx, u.ID) },
		"another DB":            func(s snib.Session) error { return other.RevokeSessionByID(ctx, s.ID) },
		"EndEverything":         func(snib.Session) error { return db.EndEverything(ctx) },
		"another EndEverything": func(snib.Session) error { return other.EndEverything(ctx) },
		"Update": func(s snib.Session) error {
			return db.Update(ctx, func(tx *snib.Tx) error { return tx.RevokeSessionByID(s.ID) })
		},
	}
}

// meanwhile repeats f on n goroutines until stop, which waits for them.
func meanwhile(n int, f func()) (stop func()) {
	var over atomic.Bool
	var running sync.WaitGroup
	for range n {
		running.Go(func() {
			for !over.Load() {
				f()
				runtime.Gosched() // let writers have a turn
			}
		})
	}
	return func() {
		over.Store(true)
		running.Wait()
	}
}

// TestValidateSessionRefusesTheEndedEverywhere: once a call that ends a session
// has returned, every later validation refuses it, in every goroutine, though
// reads keep their transactions. So it does when the session was ended through
// another DB on the same bbolt handle.
func TestValidateSessionRefusesTheEndedEverywhere(t *testing.T) {
	handle, err := bolt.Open(filepath.Join(t.TempDir(), "app.db"), 0o600, &bolt.Options{InitialMmapSize: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { handle.Close() })
	opts := snibtest.Fast(nil)
	db, other := must(snib.New(handle, opts))(t), must(snib.New(handle, opts))(t)
	t.Cleanup(func() { db.Close(); other.Close() })
	u := email(t, db, "a@example.com")

	type live struct {
		token string
		ended atomic.Bool
	}
	var current atomic.Pointer[live]
	var reads, late atomic.Int64
	stop := meanwhile(4, func() {
		l := current.Load()
		if l == nil {
			return
		}
		ended := l.ended.Load() // before the call begins
		_, err := db.ValidateSession(ctx, l.token)
		_, _, errUser := db.ValidateSessionUser(ctx, l.token)
		if ended && (err == nil || errUser == nil) {
			late.Add(1)
		}
		reads.Add(1)
	})
	for range 8 {
		for name, end := range endingsOf(db, other, u) {
			s := must(db.CreateSession(ctx, asNow(t, db, u.ID), snib.SessionOptions{}))(t)
			l := &live{token: s.Token.Reveal()}
			valid(t, db, s)
			current.Store(l)
			if err := end(s); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			l.ended.Store(true)
			_, err := db.ValidateSession(ctx, l.token)
			wantErr(t, err, snib.ErrInvalidSession)
		}
	}
	for reads.Load() == 0 {
		runtime.Gosched()
	}
	stop()
	t.Logf("%d concurrent validations", reads.Load())
	if n := late.Load(); n > 0 {
		t.Errorf("%d validations of an ended session succeeded", n)
	}
}

// TestValidateSessionUserSurvivesGrowth of a file whose map must move, by hands
// that know nothing of this library.
func TestValidateSessionUserSurvivesGrowth(t *testing.T) {
	handle, err := bolt.Open(filepath.Join(t.TempDir(), "app.db"), 0o600, &bolt.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { handle.Close() })
	db := must(snib.New(handle, snibtest.Fast(nil)))(t)
	t.Cleanup(func() { db.Close() })
	u := email(t, db, "a@example.com")
	token := must(db.CreateSession(ctx, u, snib.SessionOptions{}))(t).Token.Reveal()
	stop := meanwhile(4, func() {
		if _, got, err := db.ValidateSessionUser(ctx, token); err != nil || got.ID != u.ID {
			t.Errorf("got %s, %v", got.ID, err)
		}
	})
	for i := range 30 {
		if err := handle.Update(func(btx *bolt.Tx) error {
			b, err := btx.CreateBucketIfNotExists([]byte("app"))
			if err != nil {
				return err
			}
			return b.Put(fmt.Append(nil, i), make([]byte, 200_000))
		}); err != nil {
			t.Fatal(err)
		}
	}
	stop()
}
