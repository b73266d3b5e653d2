package snib_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/kv/sharedkv"
	rec "github.com/snibdb/snib/internal/records"
	"github.com/snibdb/snib/snibtest"
)

func contains(s, part string) bool { return strings.Contains(s, part) }

func sweep(tb testing.TB, db *snib.DB) int {
	tb.Helper()
	return must(db.Sweep(ctx))(tb)
}

// records is how many sessions, families and one-time tokens there are.
func records(tb testing.TB, db *snib.DB) [3]int {
	tb.Helper()
	r := must(db.Check(ctx))(tb)
	return [3]int{r.Records["sessions"], r.Records["refresh_families"], r.Records["one_time_tokens"]}
}

// advanceTo moves the clock to a moment before or after t.
func advanceTo(clock *snibtest.Clock, t time.Time, d time.Duration) {
	clock.Advance(t.Add(d).Sub(clock.Now()))
}

// Each kind is kept until a day after its deadline, to the millisecond.
func TestSweepRemovesWhatIsDeadForADay(t *testing.T) {
	const day = 24 * time.Hour
	for name, create := range map[string]func(testing.TB, *snib.DB, snib.UserID) (time.Time, [3]int){
		"session": func(tb testing.TB, db *snib.DB, id snib.UserID) (time.Time, [3]int) {
			return session(tb, db, id).IdleUntil, [3]int{1, 0, 0}
		},
		"family": func(tb testing.TB, db *snib.DB, id snib.UserID) (time.Time, [3]int) {
			s, f, err := db.CreateRefreshToken(ctx, asNow(tb, db, id), snib.SessionOptions{})
			if err != nil {
				tb.Fatal(err)
			}
			must(0, db.RevokeUserSessions(ctx, id, s.ID))(tb) // ends nothing
			return f.IdleUntil, [3]int{0, 1, 0}               // its session goes earlier
		},
		"tombstone": func(tb testing.TB, db *snib.DB, id snib.UserID) (time.Time, [3]int) {
			return tombstone(tb, db, id).AbsoluteUntil, [3]int{0, 1, 0}
		},
		"one-time token": func(tb testing.TB, db *snib.DB, id snib.UserID) (time.Time, [3]int) {
			return must(db.Tokens().Create(ctx, id, "reset", 5*day, nil))(tb).ExpiresAt, [3]int{0, 0, 1}
		},
	} {
		t.Run(name, func(t *testing.T) {
			clock := snibtest.NewClock()
			db := snibtest.NewDB(t, &snib.Options{Now: clock.Now, Refresh: snib.RefreshPolicy{Idle: 3 * day, Absolute: 30 * day, Grace: -1}})
			u := nobody(t, db, "ada")
			until, want := create(t, db, u.ID)
			advanceTo(clock, until, -time.Millisecond)
			sweep(t, db)
			advanceTo(clock, until, day-time.Millisecond)
			sweep(t, db)
			if got := records(t, db); got != want {
				t.Errorf("a day after the deadline, less 1 ms: %v, want %v", got, want)
			}
			clock.Advance(time.Millisecond)
			if n := sweep(t, db); n != 1 {
				t.Errorf("%d removed, want 1", n)
			}
			if got := records(t, db); got != [3]int{} {
				t.Errorf("left: %v", got)
			}
			if n := sweep(t, db); n != 0 {
				t.Errorf("%d more removed", n)
			}
			if keys := withoutEvents(mentions(t, db, string(u.ID))); len(keys) != 2 { // the user and the identity
				t.Errorf("left of the user: %q", keys)
			}
		})
	}
}

// tombstone makes a family that was revoked for reuse.
func tombstone(tb testing.TB, db *snib.DB, id snib.UserID) snib.RefreshToken {
	tb.Helper()
	_, f, err := db.CreateRefreshToken(ctx, asNow(tb, db, id), snib.SessionOptions{})
	if err != nil {
		tb.Fatal(err)
	}
	reuse(tb, db, f)
	return f
}

// A tombstone remembers the reuse until the family's absolute deadline.
func TestSweepKeepsTombstones(t *testing.T) {
	clock := snibtest.NewClock()
	db := snibtest.NewDB(t, &snib.Options{Now: clock.Now, Refresh: snib.RefreshPolicy{Grace: -1}})
	u := nobody(t, db, "ada")
	f := tombstone(t, db, u.ID)
	advanceTo(clock, f.IdleUntil, 48*time.Hour)
	sweep(t, db)
	_, _, err := db.Refresh(ctx, f.Token.Reveal())
	wantErr(t, err, snib.ErrRefreshTokenReused)
	advanceTo(clock, f.AbsoluteUntil, 48*time.Hour)
	sweep(t, db)
	_, _, err = db.Refresh(ctx, f.Token.Reveal())
	wantErr(t, err, snib.ErrInvalidRefreshToken)
}

// A family or tombstone without absolute deadline stays for ever.
func TestSweepKeepsWhatHasNoDeadline(t *testing.T) {
	clock := snibtest.NewClock()
	db := snibtest.NewDB(t, &snib.Options{Now: clock.Now, Refresh: snib.RefreshPolicy{Absolute: -1, Grace: -1}})
	u := nobody(t, db, "ada")
	f := tombstone(t, db, u.ID)
	clock.Advance(20 * 365 * 24 * time.Hour)
	sweep(t, db)
	_, _, err := db.Refresh(ctx, f.Token.Reveal())
	wantErr(t, err, snib.ErrRefreshTokenReused)
}

// manySessions creates n sessions for each of the users, 400 in a transaction.
func manySessions(tb testing.TB, db *snib.DB, n int, users ...snib.UserID) []snib.Session {
	tb.Helper()
	var out []snib.Session
	for _, id := range users {
		for left := n; left > 0; left -= 400 {
			var made []snib.Session
			err := db.Update(ctx, func(tx *snib.Tx) error {
				made = made[:0]
				u, err := tx.GetUser(id)
				if err != nil {
					return err
				}
				for range min(left, 400) {
					s, err := tx.CreateSession(u, snib.SessionOptions{})
					if err != nil {
						return err
					}
					made = append(made, s)
				}
				return nil
			})
			if err != nil {
				tb.Fatal(err)
			}
			out = append(out, made...)
		}
	}
	return out
}

// Live and dead ones lie mixed over several pages of reading, and more are
// dead in one page than one transaction deletes.
func TestSweepWalksPastTheLiving(t *testing.T) {
	clock := snibtest.NewClock()
	db := snibtest.NewDB(t, &snib.Options{Now: clock.Now, Sessions: snib.SessionPolicy{ExtendEvery: -1}})
	var users []snib.UserID
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		users = append(users, nobody(t, db, name).ID)
	}
	all := manySessions(t, db, 300, users...)
	clock.Advance(3 * 24 * time.Hour)
	extend := func(keep func(i int) bool) {
		for i, s := range all {
			if keep(i) {
				must(db.ExtendSession(ctx, s.Token.Reveal()))(t)
			}
		}
	}
	keep := func(i int) bool { return i < 20 || i%50 == 0 || i > len(all)-20 }
	extend(keep)
	clock.Advance(13 * 24 * time.Hour)
	living := 0
	for i := range all {
		if keep(i) {
			living++
		}
	}
	before := lastCommit(t, handle(t, db))
	if n := sweep(t, db); n != len(all)-living {
		t.Errorf("%d removed, want %d of %d", n, len(all)-living, len(all))
	}
	if n := lastCommit(t, handle(t, db)) - before; n < 3 {
		t.Errorf("in %d transactions, want at most 500 in one", n)
	}
	if got := records(t, db); got[0] != living {
		t.Errorf("%d are left, want %d", got[0], living)
	}
	extend(keep) // idle, so it can be extended
}

func TestSweepRemovesEarlierEpochsAtOnce(t *testing.T) {
	db := snibtest.NewDB(t, &snib.Options{Refresh: snib.RefreshPolicy{Grace: -1, Absolute: -1}})
	u := nobody(t, db, "ada")
	session(t, db, u.ID)
	tombstone(t, db, u.ID)
	must(db.Tokens().Create(ctx, u.ID, "reset", time.Hour, nil))(t)
	if err := db.EndEverything(ctx); err != nil {
		t.Fatal(err)
	}
	fresh := session(t, db, u.ID)
	if n := sweep(t, db); n != 3 {
		t.Errorf("%d removed, want 3", n)
	}
	if got := records(t, db); got != [3]int{1, 0, 0} {
		t.Errorf("left: %v", got)
	}
	valid(t, db, fresh)
}

// onceDone is a context that ends when it has been looked at n times.
type onceDone struct {
	context.Context
	looks int
	done  chan struct{}
}

func (c *onceDone) Err() error {
	if c.looks--; c.looks == 0 {
		close(c.done)
	}
	if c.looks <= 0 {
		return context.Canceled
	}
	return nil
}

func (c *onceDone) Done() <-chan struct{} { return c.done }

// What was removed before the context ended stays removed, and the indexes
// agree with the records then.
func TestSweepStopsBetweenSteps(t *testing.T) {
	clock := snibtest.NewClock()
	db := snibtest.NewDB(t, &snib.Options{Now: clock.Now})
	all := manySessions(t, db, 400, nobody(t, db, "a").ID, nobody(t, db, "b").ID, nobody(t, db, "c").ID)
	clock.Advance(20 * 24 * time.Hour)

	gone, cancel := context.WithCancel(ctx)
	cancel()
	n, err := db.Sweep(gone)
	if n != 0 || !errors.Is(err, context.Canceled) {
		t.Errorf("with an ended context: %d, %v", n, err)
	}
	total, partial := 0, 0
	for looks := 1; total < len(all) && looks < 100; looks++ {
		n, err := db.Sweep(&onceDone{ctx, looks, make(chan struct{})})
		total += n
		if err != nil && !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		if err != nil && n > 0 {
			partial++
		}
		if got := records(t, db); got[0] != len(all)-total {
			t.Fatalf("%d are left after %d of %d were removed", got[0], total, len(all))
		}
	}
	if total != len(all) || partial == 0 {
		t.Errorf("%d removed of %d, %d times in part", total, len(all), partial)
	}
}

// sweepClock runs in a bubble, where the ticker's time is fake, beside a wall
// clock of the test's.
func TestSweepInTheBackground(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock := snibtest.NewClock()
		db := snibtest.NewDB(t, &snib.Options{Now: clock.Now, SweepEvery: time.Minute})
		u := nobody(t, db, "ada")
		session(t, db, u.ID)
		clock.Advance(17 * 24 * time.Hour)
		session(t, db, u.ID)
		time.Sleep(59 * time.Second)
		synctest.Wait()
		if got := records(t, db); got[0] != 2 {
			t.Errorf("%d sessions before the first tick, want 2", got[0])
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if got := records(t, db); got[0] != 1 {
			t.Errorf("%d sessions after the first tick, want 1", got[0])
		}
		clock.Advance(17 * 24 * time.Hour)
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := records(t, db); got[0] != 0 {
			t.Errorf("%d sessions after the second tick, want none", got[0])
		}
		// A goroutine that outlived Close would hang the bubble.
		closeDB(t, db)
		time.Sleep(time.Hour)
	})
}

// The default options sweep every hour; a negative interval does not.
func TestSweepIsOnByDefault(t *testing.T) {
	for every, want := range map[time.Duration]int{0: 0, -1: 1} {
		synctest.Test(t, func(t *testing.T) {
			clock := snibtest.NewClock()
			db := snibtest.NewDB(t, &snib.Options{Now: clock.Now, SweepEvery: every})
			session(t, db, nobody(t, db, "ada").ID)
			clock.Advance(100 * 24 * time.Hour)
			time.Sleep(time.Hour - time.Second)
			synctest.Wait()
			if got := records(t, db); got[0] != 1 {
				t.Errorf("every %v: %d sessions before an hour has passed, want 1", every, got[0])
			}
			time.Sleep(2 * time.Second)
			synctest.Wait()
			if got := records(t, db); got[0] != want {
				t.Errorf("every %v: %d sessions after an hour, want %d", every, got[0], want)
			}
			closeDB(t, db)
		})
	}
}

// A sweep that fails is an event, and the next one happens.
func TestSweepInTheBackgroundReportsTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log events
		clock := snibtest.NewClock()
		o := &snib.Options{Now: clock.Now, SweepEvery: time.Minute, Logger: log.logger()}
		db := snibtest.NewDB(t, o)
		u := nobody(t, db, "ada")
		session(t, db, u.ID)
		clock.Advance(17 * 24 * time.Hour)
		b := handle(t, db)
		state := rawGet(t, b, "meta", "state")
		rawPut(t, b, "meta", "state", []byte("broken"))
		time.Sleep(61 * time.Second)
		synctest.Wait()
		if !contains(log.String(), "sweep") {
			t.Errorf("no event: %q", log.String())
		}
		rawPut(t, b, "meta", "state", state)
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := records(t, db); got[0] != 0 {
			t.Errorf("%d sessions are left", got[0])
		}
	})
}

func TestCloseStopsASweepThatRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock := snibtest.NewClock()
		db := snibtest.NewDB(t, &snib.Options{Now: clock.Now, SweepEvery: time.Second})
		for i := range 4 {
			manySessions(t, db, 300, nobody(t, db, fmt.Sprint(i)).ID)
		}
		clock.Advance(17 * 24 * time.Hour)
		time.Sleep(time.Second) // no Wait: it has begun, or is about to
		closeDB(t, db)
		_, err := db.Sweep(ctx)
		wantErr(t, err, snib.ErrClosed)
	})
}

// slowLog is a log that takes long to tell of a sweep.
type slowLog struct {
	slog.Handler
	goOn chan struct{}
}

func (slowLog) Enabled(context.Context, slog.Level) bool { return true }

func (l slowLog) Handle(_ context.Context, r slog.Record) error {
	if contains(r.Message, "sweep") {
		<-l.goOn
	}
	return nil
}

func TestCloseWaitsForTheSweep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := slowLog{slog.DiscardHandler, make(chan struct{})}
		db := openFile(t, filepath.Join(t.TempDir(), "accounts.db"), &snib.Options{SweepEvery: time.Second, Logger: slog.New(log)})
		b := handle(t, db)
		rawPut(t, b, "meta", "state", []byte("broken"))
		time.Sleep(2 * time.Second)
		closed := make(chan struct{})
		go func() {
			closeDB(t, db)
			close(closed)
		}()
		synctest.Wait()
		select {
		case <-closed:
			t.Error("Close has not waited for the sweep")
		default:
		}
		close(log.goOn)
		<-closed
	})
}

// Sessions that are dead, for methods that remove them.
func deadSessions(t *testing.T, n int) (*snib.DB, snib.User, *snibtest.Clock) {
	t.Helper()
	clock := snibtest.NewClock()
	db := snibtest.NewDB(t, shortLived(clock))
	u := nobody(t, db, "ada")
	for range n {
		session(t, db, u.ID)
	}
	clock.Advance(30 * 24 * time.Hour)
	return db, u, clock
}

func TestAFailureLeavesDeadSessions(t *testing.T) {
	db, u, _ := deadSessions(t, 5)
	before, _ := content(t, db)
	failing(t, db, func() error { return second(db.DeleteDeadUserSessions(ctx, u.ID)) }, func(n int64) {
		if after, _ := content(t, db); !maps.Equal(before, after) {
			t.Fatalf("operation %d failed and something was written", n)
		}
	})
}

func TestASweepThatFailsHasRemovedWholeRecords(t *testing.T) {
	db, u, _ := deadSessions(t, 5)
	must(db.Tokens().Create(ctx, u.ID, "reset", time.Hour, nil))(t)
	left := -1
	failing(t, db, func() error { return second(db.Sweep(ctx)) }, func(n int64) {
		report, err := db.Check(ctx)
		if err != nil || left >= 0 && report.Records["sessions"] > left {
			t.Fatalf("operation %d failed: %+v, %v", n, report, err)
		}
		left = report.Records["sessions"]
	})
	if st := must(db.Stats(ctx))(t); st.Sweeps != 1 || st.Swept != 5 {
		t.Errorf("%d sweeps, %d records", st.Sweeps, st.Swept)
	}
}

// A build of indexes that a crash has ended leaves copies of users in the store: a
// sweep removes them, unless a program is building.
func TestSweepRemovesWhatABuildHasLeft(t *testing.T) {
	e := sharedkv.New(t, sharedkv.Options{})
	db := openStore(t, e, nil)
	s, err := e.Open(ctx, kv.Setup{Spaces: rec.Spaces})
	wantErr(t, err, nil)
	defer s.Close()
	put := func(space kv.Space, key string, value []byte) {
		t.Helper()
		wantErr(t, s.Exclusive(ctx, func(w kv.Tx) error { return w.Put(space, []byte(key), value) }), nil)
	}
	left := func() (n int) {
		wantErr(t, s.View(ctx, func(r kv.Reader) error {
			return r.Scan(rec.ShadowUsers, nil, nil, 0, func(_, _ []byte) error { n++; return nil })
		}), nil)
		return n
	}
	put(rec.ShadowUsers, "usr", []byte("a copy"))
	for _, until := range []int64{1 << 50, 1} {
		lease := codec.Lease{Holder: [16]byte{1}, Until: until}
		put(rec.SpaceMeta, codec.KeyBuildLease, lease.Append(nil, codec.KeyBuildLease))
		_, err = db.Sweep(ctx)
		wantErr(t, err, nil)
		if got, want := left() == 1, until > 1; got != want {
			t.Errorf("lease until %d: left %v", until, got)
		}
	}
	wantErr(t, db.File().Redeclare(ctx, []snib.Index{{Name: "nick"}}, nil), nil)
}
