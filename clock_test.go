package snib_test

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibtest"
)

// shortLived are options under which a session lives for an hour and no
// longer, by a clock of the test's.
func shortLived(clock *snibtest.Clock) *snib.Options {
	return &snib.Options{Now: clock.Now, Sessions: snib.SessionPolicy{Active: time.Hour, Idle: -1}}
}

// openFile is OpenDB for a test that closes and reopens: it checks nothing.
func openFile(tb testing.TB, path string, o *snib.Options) *snib.DB {
	tb.Helper()
	db := must(snib.Open(path, snibtest.Fast(o)))(tb)
	tb.Cleanup(func() { db.Close() })
	return db
}

func closeDB(tb testing.TB, db *snib.DB) {
	tb.Helper()
	if err := db.Close(); err != nil {
		tb.Fatalf("close: %v", err)
	}
}

// session creates a session for u without a password.
func session(tb testing.TB, db *snib.DB, id snib.UserID) snib.Session {
	tb.Helper()
	return must(db.CreateSession(ctx, asNow(tb, db, id), snib.SessionOptions{}))(tb)
}

// nobody creates a user without a password.
func nobody(tb testing.TB, db *snib.DB, name string) snib.User {
	tb.Helper()
	return must(db.CreateUser(ctx, snib.NewUser{Provider: "x", Identifier: name}))(tb)
}

var deadClocks = map[string]time.Time{
	"minutes back":     snibtest.NewClock().Now().Add(time.Hour),
	"years back":       time.Date(2020, 5, 1, 0, 0, 0, 0, time.UTC),
	"the epoch":        time.Unix(0, 0),
	"before the epoch": time.Unix(-1e9, 0),
	"the zero time":    {},
	"far ahead":        time.Date(2300, 1, 1, 0, 0, 0, 0, time.UTC),
}

// Whatever the wall clock is set to while the database is open.
func TestWhatIsDeadStaysDead(t *testing.T) {
	for name, wall := range deadClocks {
		t.Run(name, func(t *testing.T) {
			clock := snibtest.NewClock()
			db := snibtest.NewDB(t, shortLived(clock))
			u := nobody(t, db, "ada")
			dead := session(t, db, u.ID)
			clock.Advance(30 * time.Minute)
			living := session(t, db, u.ID)
			clock.Advance(40 * time.Minute)
			invalid(t, db, dead) // only read: nothing has stored the time

			clock.Set(wall)
			invalid(t, db, dead)
			valid(t, db, living)
			fresh := session(t, db, u.ID)
			valid(t, db, fresh)
			if fresh.CreatedAt.Before(living.CreatedAt) || fresh.ActiveUntil.After(living.ActiveUntil.Add(time.Hour)) {
				t.Errorf("a new session lives from %v until %v", fresh.CreatedAt, fresh.ActiveUntil)
			}
			// Time goes on, though the wall clock is wrong.
			clock.Advance(21 * time.Minute)
			invalid(t, db, living)
			valid(t, db, fresh)
			clock.Advance(40 * time.Minute)
			invalid(t, db, fresh)
			invalid(t, db, dead)
			valid(t, db, session(t, db, u.ID))
		})
	}
}

// Likewise while it is closed: the stored floor counts then.
func TestWhatIsDeadStaysDeadAfterReopening(t *testing.T) {
	for name, wall := range deadClocks {
		t.Run(name, func(t *testing.T) {
			clock := snibtest.NewClock()
			path := filepath.Join(t.TempDir(), "accounts.db")
			db := openFile(t, path, shortLived(clock))
			u := nobody(t, db, "ada")
			dead := session(t, db, u.ID)
			clock.Advance(30 * time.Minute)
			living := session(t, db, u.ID)
			clock.Advance(40 * time.Minute)
			closeDB(t, db)

			clock.Set(wall)
			db = openFile(t, path, shortLived(clock))
			invalid(t, db, dead)
			valid(t, db, living)
			clock.Advance(21 * time.Minute)
			invalid(t, db, living)
			valid(t, db, session(t, db, u.ID))
		})
	}
}

func TestSetForwardAndBackKillsForGood(t *testing.T) {
	clock := snibtest.NewClock()
	db := snibtest.NewDB(t, shortLived(clock))
	u := nobody(t, db, "ada")
	s := session(t, db, u.ID)
	right := clock.Now()
	clock.Advance(1000 * time.Hour)
	invalid(t, db, s)
	clock.Set(right)
	invalid(t, db, s)
	fresh := session(t, db, u.ID)
	valid(t, db, fresh)
	clock.Advance(59 * time.Minute)
	valid(t, db, fresh)
	clock.Advance(2 * time.Minute)
	invalid(t, db, fresh)
}

func TestFrozenClockWorks(t *testing.T) {
	clock := snibtest.NewClock()
	db := snibtest.NewDB(t, shortLived(clock))
	u := nobody(t, db, "ada")
	var all []snib.Session
	for range 20 {
		all = append(all, session(t, db, u.ID))
	}
	for _, s := range all {
		valid(t, db, s)
		if !s.CreatedAt.Equal(clock.Now()) {
			t.Errorf("created at %v by a clock at %v", s.CreatedAt, clock.Now())
		}
	}
}

// A machine without a clock battery makes its file in 1970.
func TestDeadClockAtTheFirstBoot(t *testing.T) {
	for name, wall := range deadClocks {
		if name == "minutes back" || name == "years back" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			clock := snibtest.NewClock()
			right := clock.Now()
			clock.Set(wall)
			db := snibtest.NewDB(t, shortLived(clock))
			u := nobody(t, db, "ada")
			s := session(t, db, u.ID)
			valid(t, db, s)
			clock.Advance(61 * time.Minute)
			invalid(t, db, s)
			if s = session(t, db, u.ID); s.CreatedAt.Year() != 2000 {
				t.Errorf("created in %d, want the least believable year", s.CreatedAt.Year())
			}
			wantField(t, db.ResetClock(ctx), "Options.Now")
			valid(t, db, s)
			clock.Set(right) // the time has come over the network
			if s = session(t, db, u.ID); !s.CreatedAt.Equal(right) {
				t.Errorf("created at %v, want %v", s.CreatedAt, right)
			}
		})
	}
}

// After a crash the stored floor counts, which is a minute old at most.
func TestFloorSurvivesACrash(t *testing.T) {
	clock := snibtest.NewClock()
	dir := t.TempDir()
	path, copied := filepath.Join(dir, "accounts.db"), filepath.Join(dir, "crashed.db")
	db := openFile(t, path, shortLived(clock))
	u := nobody(t, db, "ada")
	dead := session(t, db, u.ID)
	start := clock.Now()
	clock.Advance(2 * time.Hour)
	invalid(t, db, dead)
	var last time.Time
	for range 5 {
		clock.Advance(29 * time.Second)
		last = session(t, db, u.ID).CreatedAt
	}
	raw := must(os.ReadFile(path))(t)
	if err := os.WriteFile(copied, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	clock.Set(start)
	crashed := openFile(t, copied, shortLived(clock))
	invalid(t, crashed, dead)
	if s := session(t, crashed, u.ID); last.Sub(s.CreatedAt) > time.Minute {
		t.Errorf("after the crash it is %v, more than a minute before %v", s.CreatedAt, last)
	}
}

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
	link := must(db.CreateOneTimeToken(ctx, u.ID, "reset", time.Hour, nil))(t)
	clock.Set(right.Add(time.Minute))
	if behind := must(db.Stats(ctx))(t).ClockBehind; behind < 49*365*24*time.Hour {
		t.Errorf("the clock is behind by %v", behind)
	}
	if err := db.ResetClock(ctx); err != nil {
		t.Fatal(err)
	}
	check := func(db *snib.DB) {
		t.Helper()
		invalid(t, db, early) // would live by the wall clock alone
		invalid(t, db, wrong)
		_, _, err = db.Refresh(ctx, family.Token.Reveal())
		wantErr(t, err, snib.ErrInvalidRefreshToken)
		_, err = db.UseOneTimeToken(ctx, "reset", link.Token.Reveal())
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
	if err := one.ResetClock(ctx); err != nil {
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
func TestSessionsAroundResetClock(t *testing.T) {
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
		if err := dbs[0].ResetClock(ctx); err != nil {
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
		links = append(links, must(db.CreateOneTimeToken(ctx, u.ID, "reset", time.Hour, nil))(t))
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
			_, err := db.UseOneTimeToken(ctx, "reset", l.Token.Reveal())
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
func TestTimeGoesOnAfterEndEverything(t *testing.T) {
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

// events is a log that can be read while it is written.
type events struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (e *events) Write(p []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.buf.Write(p)
}

func (e *events) String() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.buf.String()
}

func (e *events) logger() *slog.Logger { return slog.New(slog.NewTextHandler(e, nil)) }

func TestClockThatDisagreesIsAnEvent(t *testing.T) {
	clock := snibtest.NewClock()
	path := filepath.Join(t.TempDir(), "accounts.db")
	closeDB(t, openFile(t, path, shortLived(clock)))
	for _, c := range []struct {
		step  time.Duration
		event bool
	}{{time.Hour, false}, {-4 * time.Minute, false}, {-2 * time.Minute, true}} {
		clock.Advance(c.step)
		var log events
		o := shortLived(clock)
		o.Logger = log.logger()
		db := openFile(t, path, o)
		if got := strings.Contains(log.String(), "clock"); got != c.event {
			t.Errorf("after a step of %v the log is %q", c.step, log.String())
		}
		behind := must(db.Stats(ctx))(t).ClockBehind
		if c.step < 0 != (behind > 0) || behind > 6*time.Minute {
			t.Errorf("after a step of %v the clock is behind by %v", c.step, behind)
		}
		closeDB(t, db)
	}
}
