package snib_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/snibtest"
)

// from is a client of its own network.
func from(addr string) context.Context { return snib.WithClient(ctx, netip.MustParseAddr(addr)) }

// fail makes n failed log-ins, and stops at the first that is throttled.
func fail(db *snib.DB, identifier string, n int) error {
	for range n {
		if _, err := db.AuthenticateUser(ctx, "email", identifier, "a guess"); !errors.Is(err, snib.ErrInvalidCredentials) {
			return err
		}
	}
	return nil
}

// wantThrottled fails the test unless err says to wait that long.
func wantThrottled(tb testing.TB, err error, wait time.Duration) {
	tb.Helper()
	var e *snib.ThrottledError
	if !errors.Is(err, snib.ErrThrottled) || !errors.As(err, &e) || e.RetryAfter != wait {
		tb.Errorf("%v, want a wait of %v", err, wait)
	}
}

// TestGuessesOfAnAccountCountForAllItsIdentities, and alike where there is no
// account.
func TestGuessesOfAnAccountCountForAllItsIdentities(t *testing.T) {
	db, clock := clocked(t, snib.Options{})
	u := email(t, db, "ada@example.com")
	must(db.LinkIdentity(ctx, u.ID, "email", "ada@example.org"))(t)
	for _, names := range [][2]string{{"ada@example.com", "ADA@example.org"}, {"nobody@example.com", "Nobody@example.com"}} {
		if err := fail(db, names[0], 5); err != nil {
			t.Fatal(err)
		}
		_, err := db.AuthenticateUser(ctx, "email", names[1], "a guess")
		wantThrottled(t, err, 30*time.Second)
		clock.Advance(30 * time.Second)
		if err := fail(db, names[1], 1); err != nil {
			t.Error(err)
		}
		_, err = db.AuthenticateUser(ctx, "email", names[0], password)
		wantThrottled(t, err, time.Minute)
	}
	// Nothing is hashed for those.
	passes := observe(t, db)
	if got := passes.during(func() { fail(db, "ada@example.com", 1); fail(db, "nobody@example.com", 1) }); len(got) != 0 {
		t.Errorf("%d passes", len(got))
	}
	clock.Advance(time.Minute)
	logIn(t, db, "ada@example.com") // which ends the run
	if err := fail(db, "ada@example.com", 5); err != nil {
		t.Errorf("after a log-in: %v", err)
	}
}

// TestGuessesCountThroughARestart, of a closed and of a killed process.
func TestGuessesCountThroughARestart(t *testing.T) {
	clock := snibtest.NewClock()
	path := filepath.Join(t.TempDir(), "a.db")
	options := &snib.Options{Now: clock.Now}
	db := snibtest.OpenDB(t, path, options)
	email(t, db, "ada@example.com")
	names := []string{"ada@example.com", "nobody@example.com"}
	for _, name := range names {
		if err := fail(db, name, 5); err != nil {
			t.Fatal(err)
		}
	}
	copied := filepath.Join(t.TempDir(), "killed.db")
	for end := time.Now().Add(time.Minute); must(db.Stats(ctx))(t).Commits < 2; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) { // the user is there, and the counts are a second later
			t.Fatal("the counts are not stored")
		}
	}
	if err := db.File().BackupFile(ctx, copied, nil); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	for what, path := range map[string]string{"closed": path, "killed": copied} {
		db := snibtest.OpenDB(t, path, options)
		for _, name := range names {
			_, err := db.AuthenticateUser(ctx, "email", name, password)
			if wantThrottled(t, err, 30*time.Second); t.Failed() {
				t.Errorf("%s, %s", what, name)
			}
		}
	}
}

// TestStrangersDoNotThrottleAProvenCaller, whose own failures count, log-in by
// log-in.
func TestStrangersDoNotThrottleAProvenCaller(t *testing.T) {
	db, clock := clocked(t, snib.Options{})
	email(t, db, "ada@example.com")
	laptop := logIn(t, db, "ada@example.com")
	clock.Advance(time.Second)
	phone := logIn(t, db, "ada@example.com")
	grace := email(t, db, "grace@example.com")
	other := newSession(t, db, grace)
	if err := fail(db, "ada@example.com", 5); err != nil {
		t.Fatal(err)
	}
	attempt := func(ctx context.Context) error {
		_, err := db.AuthenticateUser(ctx, "email", "ada@example.com", password)
		return err
	}
	change := func(s snib.Session, current string) error {
		_, err := db.ChangePassword(ctx, s.Token.Reveal(), current, "a new passphrase")
		return err
	}
	wantThrottled(t, attempt(ctx), 30*time.Second)
	wantThrottled(t, attempt(snib.WithProof(ctx, other.Token.Reveal())), 30*time.Second)
	wantThrottled(t, attempt(snib.WithProof(ctx, "no token")), 30*time.Second)
	for range 5 {
		wantErr(t, change(laptop, "a guess"), snib.ErrInvalidCredentials)
	}
	wantThrottled(t, change(laptop, password), 30*time.Second)
	if err := change(phone, password); err != nil {
		t.Errorf("with another session: %v", err)
	}
	if _, err := db.AuthenticateUser(snib.AsOperator(ctx), "email", "ada@example.com", "a new passphrase"); err != nil {
		t.Errorf("the operator: %v", err)
	}
	// The proven success has not given strangers new guesses.
	wantThrottled(t, fail(db, "ada@example.com", 1), 30*time.Second)
}

// TestNoSessionOfALogInHasNewTries: the thief of a session guesses the password
// no faster for renewing, refreshing or carrying it.
func TestNoSessionOfALogInHasNewTries(t *testing.T) {
	next := map[string]func(*snib.DB, snib.Session, *string) (snib.Session, error){
		"renew": func(db *snib.DB, s snib.Session, _ *string) (snib.Session, error) {
			return db.RenewSession(ctx, s.Token.Reveal())
		},
		"carry": func(db *snib.DB, s snib.Session, _ *string) (snib.Session, error) {
			return db.CreateSession(ctx, s, snib.SessionOptions{})
		},
		"refresh": func(db *snib.DB, _ snib.Session, token *string) (snib.Session, error) {
			s, r, err := db.Refresh(ctx, *token)
			*token = r.Token.Reveal()
			return s, err
		},
	}
	for name, next := range next {
		t.Run(name, func(t *testing.T) {
			db, clock := clocked(t, snib.Options{})
			u := email(t, db, "ada@example.com")
			s, token := logIn(t, db, "ada@example.com"), ""
			if name == "refresh" {
				var r snib.RefreshToken
				var err error
				if s, r, err = db.CreateRefreshToken(ctx, u, snib.SessionOptions{}); err != nil {
					t.Fatal(err)
				}
				token = r.Token.Reveal()
			}
			guess := func() error {
				_, err := db.ChangePassword(ctx, s.Token.Reveal(), "a guess", "a new passphrase")
				return err
			}
			for range 5 {
				wantErr(t, guess(), snib.ErrInvalidCredentials)
			}
			clock.Advance(time.Second)
			s = must(next(db, s, &token))(t)
			wantThrottled(t, guess(), 30*time.Second)
		})
	}
}

// occupied is a store whose writer is not free for a while.
type occupied struct {
	kv.Store
	now *atomic.Bool
}

func (o occupied) Apply(ctx context.Context, op func(kv.Tx) error) error {
	if o.now.Load() {
		return kv.ErrBusy
	}
	return o.Store.Apply(ctx, op)
}

// TestThrottleRefundsWhatWasNotTried: a full gate, and a commit that fails after
// the right password.
func TestThrottleRefundsWhatWasNotTried(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	var busy atomic.Bool
	db.WrapStore(func(inner kv.Store) kv.Store { return occupied{inner, &busy} })
	email(t, db, "ada@example.com")
	busy.Store(true)
	for range 8 {
		_, _, err := db.LogIn(ctx, "email", "ada@example.com", password, snib.SessionOptions{})
		wantErr(t, err, snib.ErrBusy)
	}
	busy.Store(false)
	gone, cancel := context.WithCancel(ctx)
	cancel()
	for range 8 {
		_, err := db.AuthenticateUser(gone, "email", "ada@example.com", "a guess")
		wantErr(t, err, context.Canceled)
	}
	if err := fail(db, "ada@example.com", 5); err != nil {
		t.Errorf("after 16 that counted for nothing: %v", err)
	}
}

// TestThrottleCloses only users who have another way in, and names without a
// user, until an operator unlocks them.
func TestThrottleCloses(t *testing.T) {
	db, clock := clocked(t, snib.Options{Throttle: snib.ThrottlePolicy{
		Closes: func(u snib.User) bool { return len(u.Identities) > 1 },
	}})
	u := email(t, db, "two@example.com")
	must(db.LinkIdentity(ctx, u.ID, "github", "two"))(t)
	email(t, db, "one@example.com")
	names := []string{"one@example.com", "two@example.com", "nobody@example.com"}
	for range 230 {
		clock.Advance(24 * time.Hour)
		for _, name := range names {
			fail(db, name, 1)
		}
	}
	clock.Advance(25 * time.Hour)
	wantErr(t, second(db.AuthenticateUser(ctx, "email", names[0], "a guess")), snib.ErrInvalidCredentials)
	wantThrottled(t, fail(db, names[1], 1), 24*time.Hour)
	wantThrottled(t, fail(db, names[2], 1), 24*time.Hour)
	if err := db.Throttle().UnlockIdentity(ctx, "email", "Two@example.com"); err != nil {
		t.Fatal(err)
	}
	logIn(t, db, "two@example.com")
	wantErr(t, db.Throttle().UnlockIdentity(ctx, "email", "nobody@example.com"), snib.ErrUserNotFound)
	wantErr(t, db.Throttle().Unlock(ctx, "usr_unknown"), snib.ErrUserNotFound)
}

// TestThrottleOfTheProgramsOwn counts by purpose and key, and by network.
func TestThrottleOfTheProgramsOwn(t *testing.T) {
	db, clock := clocked(t, snib.Options{})
	th := db.Throttle()
	for range 5 {
		if err := th.Begin(from("203.0.113.9"), "reset", "ada@example.com"); err != nil {
			t.Fatal(err)
		}
	}
	wantThrottled(t, th.Begin(from("198.51.100.1"), "reset", "ada@example.com"), 30*time.Second)
	if err := th.Begin(ctx, "code", "ada@example.com"); err != nil {
		t.Errorf("for another purpose: %v", err)
	}
	clock.Advance(30 * time.Second)
	th.Reset("reset", "ada@example.com")
	for i := range 20 {
		th.Begin(from("203.0.113.9"), "reset", strings.Repeat("x", i))
	}
	wantThrottled(t, th.Begin(from("203.0.113.9"), "reset", "another@example.com"), 30*time.Second)
	if err := th.Begin(snib.AsOperator(from("203.0.113.9")), "reset", "another@example.com"); err != nil {
		t.Errorf("the operator: %v", err)
	}
	wantField(t, th.Begin(ctx, "No purpose", "x"), "Purpose")
}

// TestThrottleLogsALineASecond, which names nobody.
func TestThrottleLogsALineASecond(t *testing.T) {
	var log bytes.Buffer
	db, clock := clocked(t, snib.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	fail(db, "ada@example.com", 5)
	log.Reset()
	for range 100 {
		fail(db, "ada@example.com", 1)
	}
	clock.Advance(time.Second)
	fail(db, "ada@example.com", 1)
	text := log.String()
	if n := strings.Count(text, "throttled"); n != 2 || !strings.Contains(text, "refused=100") || strings.Contains(text, "ada") || strings.Contains(text, "ERROR") {
		t.Errorf("%d lines:\n%s", n, text)
	}
}

// TestBeforeAuthIsToldTheClient, as it was given.
func TestBeforeAuthIsToldTheClient(t *testing.T) {
	var seen []string
	db := snibtest.NewDB(t, &snib.Options{Throttle: snib.ThrottlePolicy{BeforeAuth: func(_ context.Context, a snib.Attempt) error {
		if a.Client != nil {
			seen = append(seen, a.Client.String())
		}
		return nil
	}}})
	for _, c := range []context.Context{from("203.0.113.9"), ctx, snib.WithClient(ctx, netip.Addr{}), snib.WithClient(ctx, nil)} {
		db.AuthenticateUser(c, "email", "ada@example.com", "a guess")
	}
	if strings.Join(seen, " ") != "203.0.113.9" {
		t.Errorf("seen %q", seen)
	}
}
