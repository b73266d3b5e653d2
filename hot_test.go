package snib_test

import (
	"fmt"
	"math/bits"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	bolt "go.etcd.io/bbolt"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibtest"
)

// TestValidateAllocations: what a validation allocates is the text that it
// returns, and for the user the list of identities too.
func TestValidateAllocations(t *testing.T) {
	if bits.UintSize < 64 {
		t.Skip("on 32 bits a read begins its own transaction")
	}
	db := snibtest.NewDB(t, &snib.Options{Indexes: []snib.Index{{Name: "team"}}})
	u := email(t, db, "a@example.com")
	must(db.UpdateUserAttributes(ctx, u.ID, snib.Attributes{"team": "red", "theme": "dark"}))(t)
	must(db.LinkIdentity(ctx, u.ID, "username", "ada"))(t)
	device := snib.Attributes{"address": "192.0.2.7", "agent": "Mozilla/5.0 (X11; Linux x86_64)"}
	token := must(db.CreateSession(ctx, u.ID, snib.SessionOptions{Attributes: device}))(t).Token.Reveal()
	for _, tt := range []struct {
		name string
		most float64
		call func() error
	}{
		{"ValidateSession", 1, func() error { _, err := db.ValidateSession(ctx, token); return err }},
		{"ValidateSessionUser", 3, func() error { _, _, err := db.ValidateSessionUser(ctx, token); return err }},
		{"GetUser", 2, func() error { _, err := db.GetUser(ctx, u.ID); return err }},
	} {
		if err := tt.call(); err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		// Over so many calls, a transaction begun anew because the last was
		// kept long enough is below one allocation a call.
		got := testing.AllocsPerRun(5000, func() { tt.call() })
		t.Logf("%s: %v allocations", tt.name, got)
		if got > tt.most && !raceDetector {
			t.Errorf("%s: %v allocations, want at most %v", tt.name, got, tt.most)
		}
	}
}

// endingsOf are the calls after which a token must be refused.
func endingsOf(db, other *snib.DB, u snib.User) map[string]func(s snib.Session) error {
	return map[string]func(s snib.Session) error{
		"InvalidateToken":        func(s snib.Session) error { return db.InvalidateToken(ctx, s.Token.Reveal()) },
		"InvalidateSession":      func(s snib.Session) error { return db.InvalidateSession(ctx, s.ID) },
		"InvalidateUserSessions": func(snib.Session) error { return db.InvalidateUserSessions(ctx, u.ID) },
		"another DB":             func(s snib.Session) error { return other.InvalidateSession(ctx, s.ID) },
		"EndEverything":          func(snib.Session) error { return db.EndEverything(ctx) },
		"another EndEverything":  func(snib.Session) error { return other.EndEverything(ctx) },
		"Update": func(s snib.Session) error {
			return db.Update(ctx, func(tx *snib.Tx) error { return tx.InvalidateSession(s.ID) })
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

// TestEndedIsRefusedEverywhere: once a call that ends a session has returned,
// every later validation refuses it, in every goroutine, though reads keep
// their transactions. So it does when the session was ended through another DB
// on the same bbolt handle.
func TestEndedIsRefusedEverywhere(t *testing.T) {
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
			s := must(db.CreateSession(ctx, u.ID, snib.SessionOptions{}))(t)
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
	stop()
	t.Logf("%d concurrent validations", reads.Load())
	if n := late.Load(); n > 0 {
		t.Errorf("%d validations of an ended session succeeded", n)
	}
	if reads.Load() == 0 {
		t.Error("nobody read")
	}
}

// TestReadsSurviveGrowth of a file whose map must move, by hands that know
// nothing of this library.
func TestReadsSurviveGrowth(t *testing.T) {
	handle, err := bolt.Open(filepath.Join(t.TempDir(), "app.db"), 0o600, &bolt.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { handle.Close() })
	db := must(snib.New(handle, snibtest.Fast(nil)))(t)
	t.Cleanup(func() { db.Close() })
	u := email(t, db, "a@example.com")
	token := must(db.CreateSession(ctx, u.ID, snib.SessionOptions{}))(t).Token.Reveal()
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
