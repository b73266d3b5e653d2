package snib_test

import (
	"context"
	"errors"
	"maps"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/kv/farkv"
	"github.com/snibdb/snib/snibtest"
)

// nested fails the test unless every method of db returns ErrNested here.
func nested(t *testing.T, db *snib.DB) {
	t.Helper()
	for _, name := range methodNames(t, dbType, map[string]bool{
		"Close": true, "Join": true, "HashPassword": true, "SetVerified": true, "ObserveHashes": true, "WrapStore": true,
	}) {
		if err := call(t, db, name, ctx); !errors.Is(err, snib.ErrNested) {
			t.Errorf("%s: %v, want ErrNested", name, err)
		}
	}
}

func TestMethodsOfDBInsideAClosureAreNested(t *testing.T) {
	b, db := attached(t)
	for _, f := range []func(context.Context, func(*snib.Tx) error) error{db.View, db.Update} {
		before, _ := content(t, db)
		if err := f(ctx, func(*snib.Tx) error { nested(t, db); return nil }); err != nil {
			t.Fatal(err)
		}
		if after, _ := content(t, db); !maps.Equal(before, after) {
			t.Error("something was written")
		}
	}
	err := b.Update(func(btx *bolt.Tx) error {
		if _, err := db.Join(btx); err != nil {
			return err
		}
		nested(t, db)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	user(t, db, "ada") // after it, all is as ever
	// Another goroutine is not inside.
	err = db.View(ctx, func(*snib.Tx) error {
		done := make(chan error)
		go func() {
			_, err := db.GetUserByProviderID(ctx, "username", "ada")
			done <- err
		}()
		return <-done
	})
	if err != nil {
		t.Errorf("another goroutine: %v", err)
	}
}

func TestACancelledContextIsHonouredByEveryMethod(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	email(t, db, "a@example.com")
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	quiet(t, db, func() {
		for _, name := range methodNames(t, dbType, map[string]bool{"Join": true, "Close": true, "SetVerified": true, "ObserveHashes": true, "WrapStore": true}) {
			if err := call(t, db, name, cancelled); !errors.Is(err, context.Canceled) {
				t.Errorf("%s: %v, want context.Canceled", name, err)
			}
		}
		_, _, err := db.LogIn(cancelled, "email", "a@example.com", password, snib.SessionOptions{})
		wantErr(t, err, context.Canceled)
	})
}

func TestLogInWhoseContextEndsLetsNobodyIn(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	u := email(t, db, "a@example.com")
	ending, cancel := context.WithCancel(ctx)
	once(db, cancel)
	quiet(t, db, func() {
		_, _, err := db.LogIn(ending, "email", "a@example.com", password, snib.SessionOptions{})
		wantErr(t, err, context.Canceled)
		if got := sessionIDs(t, db, u.ID); got != nil {
			t.Errorf("sessions %v", got)
		}
	})
}

func TestCloseMakesEveryMethodReturnErrClosed(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	// HashPassword touches no file.
	for _, name := range methodNames(t, dbType, map[string]bool{
		"Join": true, "Close": true, "HashPassword": true, "SetVerified": true, "ObserveHashes": true, "WrapStore": true,
	}) {
		if err := call(t, db, name, ctx); !errors.Is(err, snib.ErrClosed) {
			t.Errorf("%s: %v, want ErrClosed", name, err)
		}
	}
	if _, err := db.Join(nil); !errors.Is(err, snib.ErrClosed) {
		t.Errorf("Join: %v, want ErrClosed", err)
	}
	if err := db.Close(); err != nil {
		t.Errorf("a second Close: %v", err)
	}
}

func TestCloseInsideAClosureDoesNothing(t *testing.T) {
	db := snibtest.NewDB(t, &snib.Options{SweepEvery: time.Hour})
	err := db.View(ctx, func(*snib.Tx) error { return db.Close() })
	wantErr(t, err, snib.ErrNested)
	email(t, db, "a@example.com")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = db.GetUser(ctx, "nobody")
	wantErr(t, err, snib.ErrClosed)
}

// A read declares its keys, so that an engine over a network needs no trip for
// each: one where the argument names the record, one more where that record
// names another.
func TestReadsDeclareTheirKeys(t *testing.T) {
	db := snibtest.NewDB(t, &snib.Options{Indexes: []snib.Index{{Name: "nick", Unique: true}}})
	s := newScene(t, db)
	var far *farkv.Store
	defer db.WrapStore(func(inner kv.Store) kv.Store {
		far = farkv.Wrap(inner)
		return far
	})()
	reads := map[string]struct {
		trips int64
		read  func() error
	}{
		"ValidateSession":     {1, func() error { _, err := db.ValidateSession(ctx, s.session.Token.Reveal()); return err }},
		"ValidateSessionUser": {2, func() error { _, _, err := db.ValidateSessionUser(ctx, s.session.Token.Reveal()); return err }},
		"GetSession":          {1, func() error { _, err := db.GetSession(ctx, s.session.ID); return err }},
		"ListUserSessions":    {2, func() error { _, err := db.ListUserSessions(ctx, s.user.ID); return err }},
		"GetUser":             {1, func() error { _, err := db.GetUser(ctx, s.user.ID); return err }},
		"GetUserByProviderID": {2, func() error { _, err := db.GetUserByProviderID(ctx, "email", "ADA@example.com"); return err }},
		"GetUserByAttribute":  {2, func() error { _, err := db.GetUserByAttribute(ctx, "nick", "Ada"); return err }},
	}
	for name, x := range reads {
		t.Run(name, func(t *testing.T) {
			// A commit before each: the state, too, has to be read anew.
			must(db.LinkIdentity(ctx, s.user.ID, "github", name))(t)
			far.Trips()
			wantErr(t, x.read(), nil)
			if n := far.Trips(); n > x.trips {
				t.Errorf("%d trips, want %d", n, x.trips)
			}
		})
	}
}
