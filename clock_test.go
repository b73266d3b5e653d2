package snib_test

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibtest"
)

// shortLived are options under which a session lives for an hour and no
// longer, by a clock of the test's.
func shortLived(clock *snibtest.Clock) *snib.Options {
	return &snib.Options{Now: clock.Now, Sessions: snib.SessionPolicy{Active: time.Hour, Idle: -1}}
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
			wantField(t, db.File().ResetClock(ctx), "Options.Now")
			valid(t, db, s)
			clock.Set(right) // the time has come over the network, and decades with it
			invalid(t, db, s)
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

// bearers gives a user one of each kind that a bearer can have, for an hour,
// and returns how each is used.
func bearers(tb testing.TB, db *snib.DB, id snib.UserID) map[string]func(*snib.DB) error {
	tb.Helper()
	s := session(tb, db, id)
	_, f, err := db.CreateRefreshToken(ctx, asNow(tb, db, id), snib.SessionOptions{})
	if err != nil {
		tb.Fatal(err)
	}
	link := must(db.Tokens().Create(ctx, id, "reset", time.Hour, nil))(tb)
	return map[string]func(*snib.DB) error{
		"session": func(db *snib.DB) error { return second(db.ValidateSession(ctx, s.Token.Reveal())) },
		"refresh": func(db *snib.DB) error { _, _, err := db.Refresh(ctx, f.Token.Reveal()); return err },
		"link":    func(db *snib.DB) error { return second(db.Tokens().Use(ctx, "reset", link.Token.Reveal())) },
	}
}

// Nothing of any kind that was dead revives, whatever the wall clock is set to,
// before a start or after, and what is new lives: nobody is shut out for good.
func TestEveryKindStaysDeadAndNobodyIsShutOut(t *testing.T) {
	for name, wall := range deadClocks {
		t.Run(name, func(t *testing.T) {
			clock := snibtest.NewClock()
			o := shortLived(clock)
			o.Refresh = snib.RefreshPolicy{Idle: time.Hour}
			path := filepath.Join(t.TempDir(), "accounts.db")
			db := openFile(t, path, o)
			u := nobody(t, db, "ada")
			old := bearers(t, db, u.ID)
			clock.Advance(61 * time.Minute)
			must(db.ListUserSessions(ctx, u.ID))(t) // the time is seen
			clock.Set(wall)
			for range 3 {
				for kind, use := range old {
					if err := use(db); err == nil {
						t.Errorf("the old %s is accepted", kind)
					}
				}
				for kind, use := range bearers(t, db, u.ID) {
					if err := use(db); err != nil {
						t.Errorf("a new %s: %v", kind, err)
					}
				}
				snibtest.CheckAndClose(t, db)
				db = openFile(t, path, o) // by that clock
			}
			snibtest.CheckAndClose(t, db)
		})
	}
}

// A file whose clock was ahead is restored and repaired by the same rules.
func TestClockOfRestoredAndRepairedFiles(t *testing.T) {
	clock := snibtest.NewClock()
	o := snibtest.Fast(shortLived(clock))
	dir := t.TempDir()
	path, backup, again := filepath.Join(dir, "a"), filepath.Join(dir, "b"), filepath.Join(dir, "c")
	db := openFile(t, path, o)
	u := nobody(t, db, "ada")
	clock.Advance(time.Hour)
	last := session(t, db, u.ID)
	if err := db.File().BackupFile(ctx, backup, nil); err != nil {
		t.Fatal(err)
	}
	clock.Advance(-30 * time.Minute) // and behind since
	must(snib.Restore(ctx, backup, again, &snib.RestoreOptions{Options: o}))(t)
	restored := openFile(t, again, o)
	if s := session(t, restored, u.ID); s.CreatedAt.Before(last.CreatedAt) {
		t.Errorf("restored: a session of %v, after one of %v", s.CreatedAt, last.CreatedAt)
	}
	snibtest.CheckAndClose(t, restored)
	rawDelete(t, handle(t, db), "meta", "state")
	db.Close()
	must(snib.RepairFile(ctx, path, o))(t)
	db = openFile(t, path, o)
	invalid(t, db, last)
	s := session(t, db, u.ID)
	if s.CreatedAt.Before(last.CreatedAt) {
		t.Errorf("repaired: a session of %v, after one of %v", s.CreatedAt, last.CreatedAt)
	}
	valid(t, db, s)
	snibtest.CheckAndClose(t, db)
}
