package snib_test

import (
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibtest"
)

func TestResetClockEndsEverythingAndBelievesTheWall(t *testing.T) {
	clock := snibtest.NewClock()
	path := filepath.Join(t.TempDir(), "accounts.db")
	db := openFile(t, path, shortLived(clock))
	u := nobody(t, db, "ada")
	right := clock.Now()
	early := session(t, db, u.ID)
	clock.Advance(50 * 365 * 24 * time.Hour)
	wrong := session(t, db, u.ID)
	_, family, err := db.CreateRefreshToken(ctx, u, snib.SessionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	link := must(db.Tokens().Create(ctx, u.ID, "reset", time.Hour, nil))(t)
	clock.Set(right.Add(time.Minute))
	if behind := must(db.Stats(ctx))(t).ClockBehind; behind < 49*365*24*time.Hour {
		t.Errorf("the clock is behind by %v", behind)
	}
	if err := db.File().ResetClock(ctx); err != nil {
		t.Fatal(err)
	}
	check := func(db *snib.DB) {
		t.Helper()
		invalid(t, db, early) // would live by the wall clock alone
		invalid(t, db, wrong)
		_, _, err = db.Refresh(ctx, family.Token.Reveal())
		wantErr(t, err, snib.ErrInvalidRefreshToken)
		_, err = db.Tokens().Use(ctx, "reset", link.Token.Reveal())
		wantErr(t, err, snib.ErrInvalidOneTimeToken)
		s := session(t, db, u.ID)
		valid(t, db, s)
		if !s.CreatedAt.Equal(clock.Now()) || !s.ActiveUntil.Equal(clock.Now().Add(time.Hour)) {
			t.Errorf("lives from %v to %v by a clock at %v", s.CreatedAt, s.ActiveUntil, clock.Now())
		}
		if behind := must(db.Stats(ctx))(t).ClockBehind; behind != 0 {
			t.Errorf("the clock is behind by %v", behind)
		}
	}
	check(db)
	closeDB(t, db)
	db = openFile(t, path, shortLived(clock))
	check(db)
	snibtest.CheckAndClose(t, db)
}

// Two DBs on one handle have two clocks in memory. What one resets, the other
// must not carry on.
func TestResetClockReachesAnotherDBOnTheHandle(t *testing.T) {
	b := openBolt(t, filepath.Join(t.TempDir(), "app.db"))
	clock := snibtest.NewClock()
	right := clock.Now()
	one := must(snib.New(b, snibtest.Fast(shortLived(clock))))(t)
	two := must(snib.New(b, snibtest.Fast(shortLived(clock))))(t)
	u := nobody(t, one, "ada")
	clock.Advance(100 * 365 * 24 * time.Hour)
	old := session(t, two, u.ID)
	session(t, one, u.ID)
	clock.Set(right)
	if err := one.File().ResetClock(ctx); err != nil {
		t.Fatal(err)
	}
	for _, db := range []*snib.DB{two, one} {
		invalid(t, db, old)
		s := session(t, db, u.ID)
		if s.ActiveUntil.After(right.Add(time.Hour)) {
			t.Errorf("a session until %v, more than an hour from %v", s.ActiveUntil, right)
		}
		for _, other := range []*snib.DB{one, two} {
			valid(t, other, s)
		}
	}
	snibtest.CheckAndClose(t, one)
	snibtest.CheckAndClose(t, two)
}

// Sessions made while the clock is reset are of the old time and dead, or of
// the new time and short.
func TestResetClockAndSessionsAroundIt(t *testing.T) {
	b := openBolt(t, filepath.Join(t.TempDir(), "app.db"))
	clock := snibtest.NewClock()
	right := clock.Now()
	dbs := []*snib.DB{
		must(snib.New(b, snibtest.Fast(shortLived(clock))))(t),
		must(snib.New(b, snibtest.Fast(shortLived(clock))))(t),
	}
	u := nobody(t, dbs[0], "ada")
	for range 10 {
		clock.Set(right.Add(60 * 365 * 24 * time.Hour))
		session(t, dbs[1], u.ID)
		clock.Set(right)
		var wg sync.WaitGroup
		made := make([][]snib.Session, 4)
		for i := range made {
			wg.Go(func() {
				for range 5 {
					s, err := dbs[i%2].CreateSession(ctx, u, snib.SessionOptions{})
					if err != nil {
						t.Errorf("create: %v", err)
					}
					made[i] = append(made[i], s)
				}
			})
		}
		if err := dbs[0].File().ResetClock(ctx); err != nil {
			t.Error(err)
		}
		wg.Wait()
		for _, list := range made {
			for _, s := range list {
				for _, db := range dbs {
					_, err := db.ValidateSession(ctx, s.Token.Reveal())
					if far := s.ActiveUntil.After(right.Add(time.Hour)); far != errors.Is(err, snib.ErrInvalidSession) || !far && err != nil {
						t.Fatalf("a session until %v: %v", s.ActiveUntil, err)
					}
				}
			}
		}
	}
	snibtest.CheckAndClose(t, dbs[0])
	snibtest.CheckAndClose(t, dbs[1])
}

func TestEndEverythingIsOneCommit(t *testing.T) {
	b := openBolt(t, filepath.Join(t.TempDir(), "app.db"))
	o := snibtest.Fast(nil)
	db := must(snib.New(b, o))(t)
	var old []snib.Session
	var families []snib.RefreshToken
	var links []snib.OneTimeToken
	for _, name := range []string{"ada", "bob", "eve"} {
		u := nobody(t, db, name)
		for range 30 {
			old = append(old, session(t, db, u.ID))
		}
		s, f, err := db.CreateRefreshToken(ctx, u, snib.SessionOptions{})
		if err != nil {
			t.Fatal(err)
		}
		old, families = append(old, s), append(families, f)
		links = append(links, must(db.Tokens().Create(ctx, u.ID, "reset", time.Hour, nil))(t))
	}
	before := lastCommit(t, b)
	if err := db.EndEverything(ctx); err != nil {
		t.Fatal(err)
	}
	if n := lastCommit(t, b) - before; n != 1 {
		t.Errorf("took %d commits, want 1", n)
	}
	allDead := func(db *snib.DB) {
		t.Helper()
		for _, s := range old {
			invalid(t, db, s)
		}
		for _, f := range families {
			_, _, err := db.Refresh(ctx, f.Token.Reveal())
			wantErr(t, err, snib.ErrInvalidRefreshToken)
		}
		for _, l := range links {
			_, err := db.Tokens().Use(ctx, "reset", l.Token.Reveal())
			wantErr(t, err, snib.ErrInvalidOneTimeToken)
		}
	}
	allDead(db)
	u := must(db.GetUserByProviderID(ctx, "x", "ada"))(t)
	fresh := session(t, db, u.ID)
	if list := must(db.ListUserSessions(ctx, u.ID))(t); len(list) != 1 || list[0].ID != fresh.ID {
		t.Errorf("%d sessions are listed, want the new one", len(list))
	}
	snibtest.CheckAndClose(t, db)
	db = must(snib.New(b, o))(t)
	allDead(db)
	valid(t, db, fresh)
	snibtest.CheckAndClose(t, db)
}

// Where the wall clock does not help, what elapses counts from the end of
// everything, and not from the next call.
func TestEndEverythingLetsTimeGoOn(t *testing.T) {
	clock := snibtest.NewClock()
	db := snibtest.NewDB(t, shortLived(clock))
	u := nobody(t, db, "ada")
	clock.Advance(time.Hour)
	before := session(t, db, u.ID).CreatedAt
	clock.Advance(-30 * time.Minute)
	if err := db.EndEverything(ctx); err != nil {
		t.Fatal(err)
	}
	clock.Advance(10 * time.Minute)
	if s := session(t, db, u.ID); s.CreatedAt.Sub(before) != 10*time.Minute {
		t.Errorf("%v after, want 10 minutes", s.CreatedAt.Sub(before))
	}
}
