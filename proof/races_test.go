package proof_test

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibtest"
)

// together runs f n times at the same moment and returns what each returned,
// in the order of their numbers. It fails the test if they hang.
func together[T any](tb testing.TB, n int, f func(i int) T) []T {
	tb.Helper()
	out := make([]T, n)
	start := make(chan struct{})
	var ready, done sync.WaitGroup
	ready.Add(n)
	for i := range n {
		done.Go(func() {
			ready.Done()
			<-start
			out[i] = f(i)
		})
	}
	ready.Wait()
	close(start)
	finished := make(chan struct{})
	go func() { done.Wait(); close(finished) }()
	select {
	case <-finished:
	case <-time.After(2 * time.Minute):
		stacks := make([]byte, 1<<20)
		tb.Fatalf("they hang:\n%s", stacks[:runtime.Stack(stacks, true)])
	}
	return out
}

// count returns how many of errs are nil and how many are err. All others
// fail the test.
func count(tb testing.TB, errs []error, err error) (ok, refused int) {
	tb.Helper()
	for _, e := range errs {
		switch {
		case e == nil:
			ok++
		case errors.Is(e, err):
			refused++
		default:
			tb.Errorf("unexpected error: %v", e)
		}
	}
	return ok, refused
}

// oneWins fails the test unless one succeeded and all others got want.
func oneWins(tb testing.TB, errs []error, want error) {
	tb.Helper()
	if ok, refused := count(tb, errs, want); ok != 1 || refused != len(errs)-1 {
		tb.Errorf("%d of %d succeeded, %d were refused; want one to", ok, len(errs), refused)
	}
}

const racers = 16

func TestRefreshRacesGetOneSuccessor(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	u := user(t, db, "ada")
	_, r := family(t, db, u)
	type result struct {
		s   snib.Session
		r   snib.RefreshToken
		err error
	}
	for generation := range uint64(5) {
		results := together(t, racers, func(int) (x result) {
			x.s, x.r, x.err = db.Refresh(ctx, r.Token.Reveal())
			return x
		})
		first := results[0]
		for _, x := range results {
			if x.err != nil {
				t.Fatalf("refresh: %v", x.err)
			}
			if x.s.ID != first.s.ID || x.s.Token.Reveal() != first.s.Token.Reveal() ||
				x.r.Token.Reveal() != first.r.Token.Reveal() || x.r.Rotations != generation+1 {
				t.Fatalf("two successors in generation %d: %+v and %+v", x.r.Rotations, x.r, first.r)
			}
		}
		valid(t, db, first.s)
		if got := sessionIDs(t, db, u.ID); len(got) != 1 {
			t.Fatalf("%d sessions, want 1", len(got))
		}
		r = first.r
	}
}

func TestRefreshReplaysThatRaceEndTheFamily(t *testing.T) {
	for range 5 {
		db := snibtest.NewDB(t, nil)
		u := user(t, db, "ada")
		_, first := family(t, db, u)
		_, second := refresh(t, db, first)
		_, current := refresh(t, db, second)
		_, before := content(t, db)

		errs := together(t, racers, func(i int) error {
			token := first.Token.Reveal()
			if i%4 == 0 { // the owner goes on using the family
				token = current.Token.Reveal()
			}
			_, _, err := db.Refresh(ctx, token)
			return err
		})
		for i, err := range errs {
			if !errors.Is(err, snib.ErrRefreshTokenReused) && (i%4 != 0 || err != nil) {
				t.Errorf("racer %d: %v", i, err)
			}
		}
		if _, after := content(t, db); after-before > 2 {
			t.Errorf("%d commits, want one revocation and at most one rotation", after-before)
		}
		refused(t, db, current.Token.Reveal(), snib.ErrRefreshTokenReused)
		if got := sessionIDs(t, db, u.ID); got != nil {
			t.Errorf("a session of a revoked family lives: %v", got)
		}
	}
}

func TestCreateUserRacesHaveOneWinner(t *testing.T) {
	db := snibtest.NewDB(t, &snib.Options{Indexes: []snib.Index{{Name: "nick", Unique: true}}})
	oneWins(t, together(t, racers, func(i int) error {
		identifier := []string{"ada@example.com", "Ada@Example.com", "ADA@EXAMPLE.COM"}[i%3]
		_, err := db.CreateUser(ctx, snib.NewUser{Provider: "email", Identifier: identifier, Password: password})
		return err
	}), snib.ErrIdentityTaken)
	oneWins(t, together(t, racers, func(i int) error {
		_, err := db.CreateUser(ctx, snib.NewUser{
			Provider: "username", Identifier: fmt.Sprint("u", i), Attributes: snib.Attributes{"nick": "the one"},
		})
		return err
	}), snib.ErrAttributeTaken)

	var users []snib.User
	for i := range racers {
		users = append(users, user(t, db, fmt.Sprint("v", i)))
	}
	oneWins(t, together(t, racers, func(i int) error {
		_, err := db.LinkIdentity(ctx, users[i].ID, "github", "1")
		return err
	}), snib.ErrIdentityTaken)
	oneWins(t, together(t, racers, func(i int) error {
		_, err := db.UpdateUserProviderID(ctx, users[i].ID, "username", "grace")
		return err
	}), snib.ErrIdentityTaken)
}

func TestDeleteUserWhileOthersCreateForItLeavesNoOrphan(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	for round := range 5 {
		u := user(t, db, fmt.Sprint("u", round))
		var devices [racers]snib.RefreshToken
		for i := range devices {
			_, devices[i] = family(t, db, u)
		}
		errs := together(t, racers, func(i int) error {
			for n := 0; ; n++ {
				var err error
				switch i % 5 {
				case 0:
					_, err = db.CreateSession(ctx, u, snib.SessionOptions{})
				case 1:
					_, _, err = db.CreateRefreshToken(ctx, u, snib.SessionOptions{})
				case 2:
					_, err = db.Tokens().Create(ctx, u.ID, fmt.Sprint("purpose-", n%40), time.Hour, nil)
					if errors.Is(err, snib.ErrOneTimeTokenLimit) {
						err = nil
					}
				case 3:
					_, err = db.LinkIdentity(ctx, u.ID, "github", fmt.Sprint(round))
				case 4:
					_, devices[i], err = db.Refresh(ctx, devices[i].Token.Reveal())
					if errors.Is(err, snib.ErrInvalidRefreshToken) {
						err = snib.ErrUserNotFound
					}
				}
				if i == 0 && n == 3 {
					err = db.DeleteUser(ctx, u.ID)
				}
				if err != nil || i == 0 && n == 3 {
					return err
				}
			}
		})
		if ok, _ := count(t, errs, snib.ErrUserNotFound); ok != 1 {
			t.Errorf("%d ended without an error, want who deleted", ok)
		}
		if left := mentions(t, db, string(u.ID)); left != nil {
			t.Fatalf("something of a deleted user is left: %q", left)
		}
	}
}

func TestUseOneTimeTokenRacesHaveOneWinner(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	u := user(t, db, "ada")
	for round := range 5 {
		l := link(t, db, u, "reset", time.Hour)
		oneWins(t, together(t, racers, func(i int) (err error) {
			if (i+round)%2 == 0 {
				_, err = db.Tokens().Use(ctx, "reset", l.Token.Reveal())
				return err
			}
			return db.Update(ctx, func(tx *snib.Tx) error {
				_, err := tx.Tokens().Use(ctx, "reset", l.Token.Reveal())
				return err
			})
		}), snib.ErrInvalidOneTimeToken)
	}
}

// TestRevokedAPIKeyIsRefusedFromThenOn: whoever asks after the call that ended
// the key has returned is refused, while others ask all the time.
func TestRevokedAPIKeyIsRefusedFromThenOn(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	u := user(t, db, "ada")
	for round, end := range []func(k snib.APIKey) error{
		func(k snib.APIKey) error { return db.APIKeys().RevokeByID(ctx, k.ID) },
		func(snib.APIKey) error { return db.APIKeys().RevokeAll(ctx, u.ID) },
		func(snib.APIKey) error { _, err := db.UpdateUserPassword(ctx, u.ID, "a passphrase"); return err },
		func(snib.APIKey) error { _, err := db.DisableUser(ctx, u.ID, ""); return err },
	} {
		k := must(db.APIKeys().CreateFor(ctx, u.ID, snib.NewAPIKey{Name: "n", TTL: snib.Never}))(t)
		var over atomic.Bool
		errs := together(t, racers, func(i int) error {
			if i == 0 {
				err := end(k)
				over.Store(true)
				return err
			}
			for refused := false; ; {
				asked := over.Load()
				_, _, err := db.APIKeys().Validate(ctx, k.Token.Reveal())
				switch {
				case err == nil && (asked || refused):
					return errors.New("a key that has ended was accepted")
				case errors.Is(err, snib.ErrInvalidAPIKey):
					refused = true
				case err != nil:
					return err
				}
				if asked {
					return nil
				}
				if i == 1 { // whose use of the key must not bring it back
					if _, err := db.Sweep(ctx); err != nil {
						return err
					}
				}
			}
		})
		if err := errors.Join(errs...); err != nil {
			t.Errorf("round %d: %v", round, err)
		}
	}
}

func TestRenewSessionRacesHaveOneWinner(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	u := user(t, db, "ada")
	for range 5 {
		s := newSession(t, db, u)
		oneWins(t, together(t, racers, func(int) error {
			_, err := db.RenewSession(ctx, s.Token.Reveal())
			return err
		}), snib.ErrInvalidSession)
	}
	if got := sessionIDs(t, db, u.ID); len(got) != 5 {
		t.Errorf("%d sessions, want 5", len(got))
	}
}

func TestLogInRacingAPasswordChangeLeavesNoSessionOfTheOldPassword(t *testing.T) {
	db := snibtest.NewDB(t, &snib.Options{Throttle: snib.ThrottlePolicy{InsecureOff: true}})
	u := email(t, db, "a@example.com")
	var changed atomic.Bool
	errs := together(t, racers, func(i int) error {
		for n := range 20 {
			if i == 0 && n == 5 {
				_, err := db.UpdateUserPassword(ctx, u.ID, "a new passphrase")
				changed.Store(true)
				return err
			}
			late := changed.Load()
			_, _, err := db.LogIn(ctx, "email", "a@example.com", password, snib.SessionOptions{})
			if err == nil && late {
				return errors.New("a log-in with the old password after the change")
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	count(t, errs, snib.ErrInvalidCredentials)
	if got := sessionIDs(t, db, u.ID); got != nil {
		t.Errorf("%d sessions of the old password are left", len(got))
	}
}

func TestUpdateClosuresAreSerialisedAndMayRunAgain(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	u := must(db.CreateUser(ctx, snib.NewUser{Provider: "username", Identifier: "ada", Attributes: snib.Attributes{"n": 0}}))(t)
	undo := errors.New("undo")
	errs := together(t, racers, func(i int) error {
		for n := range 5 {
			err := db.Update(ctx, func(tx *snib.Tx) error {
				u, err := tx.GetUser(u.ID)
				if err != nil {
					return err
				}
				was, _ := snib.Attr[int64](u.Attributes(), "n")
				if _, err := tx.UpdateUserAttributes(u.ID, snib.Attributes{"n": was + 1}); err != nil {
					return err
				}
				if n == 2 { // fails after it has written
					return undo
				}
				return nil
			})
			if (n == 2) != errors.Is(err, undo) {
				return fmt.Errorf("closure %d: %w", n, err)
			}
		}
		return nil
	})
	count(t, errs, undo)
	if n, _ := snib.Attr[int64](must(db.GetUser(ctx, u.ID))(t).Attributes(), "n"); n != 4*racers {
		t.Errorf("counted %d, want %d", n, 4*racers)
	}
}

func TestUpdateThatPanicsOrEndsItsGoroutineLeavesTheOthersAnswered(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	var finished atomic.Int32
	errs := together(t, 2*racers, func(i int) (err error) {
		name := func(n int) string { return fmt.Sprintf("u%d.%d", i, n) }
		for n := range 5 {
			if i%4 != 0 {
				_, err := db.CreateUser(ctx, snib.NewUser{Provider: "username", Identifier: name(n)})
				if err != nil {
					return err
				}
				continue
			}
			done := make(chan any)
			go func() {
				defer func() { done <- recover() }()
				db.Update(ctx, func(tx *snib.Tx) error {
					if _, err := tx.CreateUser(snib.NewUser{Provider: "username", Identifier: name(n)}); err != nil {
						return err
					}
					if i%8 == 0 {
						runtime.Goexit()
					}
					panic("on purpose")
				})
			}()
			if p := <-done; (p != nil) != (i%8 != 0) {
				return fmt.Errorf("panic %v", p)
			}
		}
		finished.Add(1)
		return nil
	})
	count(t, errs, nil)
	want := 5 * 2 * racers * 3 / 4
	if got := ids(t, db.ListUsers(ctx, snib.ListOptions{})); len(got) != want || finished.Load() != 2*racers {
		t.Errorf("%d users by %d racers, want %d by all", len(got), finished.Load(), want)
	}
}

func TestCloseAnswersEverybody(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	u := user(t, db, "ada")
	s := newSession(t, db, u)
	errs := together(t, racers, func(i int) error {
		for n := 0; ; n++ {
			if i == 0 && n == 3 {
				return db.Close()
			}
			var err error
			switch i % 4 {
			case 0:
				_, err = db.CreateSession(ctx, u, snib.SessionOptions{})
			case 1:
				_, err = db.ValidateSession(ctx, s.Token.Reveal())
			case 2:
				err = db.Update(ctx, func(tx *snib.Tx) error { _, err := tx.GetUser(u.ID); return err })
			case 3:
				err = db.View(ctx, func(tx *snib.Tx) error { _, err := tx.GetUser(u.ID); return err })
			}
			if err != nil {
				return err
			}
		}
	})
	if ok, _ := count(t, errs, snib.ErrClosed); ok != 1 || errs[0] != nil {
		t.Errorf("%d without an error, want who closed; it got %v", ok, errs[0])
	}
}

func TestWhatNeedNotWriteDoesNotWaitForTheWriter(t *testing.T) {
	db := snibtest.NewDB(t, &snib.Options{BusyTimeout: 2 * time.Second}) // one call waits so long
	u := user(t, db, "ada")
	s := newSession(t, db, u)
	_, spent := family(t, db, u)
	refresh(t, db, spent)
	_, revoked := family(t, db, u)
	reuse(t, db, revoked)

	holdWriter(t, db, func(tx *snib.Tx) error {
		_, err := tx.UpdateUserAttributes(u.ID, snib.Attributes{"a": 1})
		return err
	})
	_, err := db.CreateSession(ctx, u, snib.SessionOptions{})
	wantErr(t, err, snib.ErrBusy)
	valid(t, db, s)
	extend(t, db, s)
	refresh(t, db, spent) // within the grace
	_, _, err = db.Refresh(ctx, revoked.Token.Reveal())
	wantErr(t, err, snib.ErrRefreshTokenReused)
	_, _, err = db.Refresh(ctx, s.Token.Reveal())
	wantErr(t, err, snib.ErrInvalidRefreshToken)
	_, err = db.RenewSession(ctx, spent.Token.Reveal())
	wantErr(t, err, snib.ErrInvalidSession)
	_, err = db.ExtendSession(ctx, "")
	wantErr(t, err, snib.ErrInvalidSession)
	_, err = db.Tokens().Use(ctx, "reset", s.Token.Reveal())
	wantErr(t, err, snib.ErrInvalidOneTimeToken)
	if err := db.RevokeToken(ctx, revoked.Token.Reveal()); err != nil {
		t.Error(err)
	}
}
