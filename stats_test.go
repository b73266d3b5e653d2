package snib_test

import (
	"fmt"
	"testing"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibtest"
)

func TestStatsCountsCommits(t *testing.T) {
	db, _ := clocked(t, snib.Options{})
	u := user(t, db, "ada")
	before := must(db.Stats(ctx))(t)
	s := newSession(t, db, u)
	for range 10 {
		valid(t, db, s)
		extend(t, db, s)
	}
	after := must(db.Stats(ctx))(t)
	if n := after.Commits - before.Commits; n != 1 {
		t.Errorf("one session and twenty uses of it: %d commits, want 1", n)
	}
}

// The figures of the writer: how many wait, how many share a commit.
func TestStatsTellWhoWaits(t *testing.T) {
	db := snibtest.NewDB(t, &snib.Options{BusyTimeout: -1}) // all wait as long as it takes
	u := user(t, db, "ada")
	release := holdWriter(t, db, nil)
	const n = 5
	out := make(chan error, n)
	for range n {
		go func() { out <- second(db.CreateSession(ctx, u, snib.SessionOptions{})) }()
	}
	for {
		st := must(db.Stats(ctx))(t)
		if st.WaitingWrites == n {
			break
		}
	}
	release()
	for range n {
		if err := <-out; err != nil {
			t.Error(err)
		}
	}
	st := must(db.Stats(ctx))(t)
	if st.WaitingWrites != 0 || st.Largest < 2 || st.Operations <= st.Commits || st.FileBytes == 0 || st.OpenReaders != 0 {
		t.Errorf("%+v", st)
	}
}

// TestStatsCountAttempts: each password and code once, by its outcome, and those
// that were refused.
func TestStatsCountAttempts(t *testing.T) {
	db, _ := clocked(t, snib.Options{})
	u := email(t, db, "ada@example.com")
	guess := func(password string) error {
		return second(db.AuthenticateUser(ctx, "email", "ada@example.com", password))
	}
	wantErr(t, guess(password), nil)
	for range 5 {
		wantErr(t, guess("a guess"), snib.ErrInvalidCredentials)
	}
	for range 3 {
		wantErr(t, guess(password), snib.ErrThrottled)
	}
	st := must(db.Stats(ctx))(t)
	if st.PasswordsRight != 1 || st.PasswordsWrong != 5 || st.Throttled != 3 {
		t.Errorf("right %d, wrong %d, throttled %d; want 1, 5, 3", st.PasswordsRight, st.PasswordsWrong, st.Throttled)
	}
	if st.HashTime.Count < 6 || st.HashWait.Count != st.HashTime.Count || st.WriteTime.Count == 0 || st.WriteTime.Sum <= 0 {
		t.Errorf("hash times %+v, waits %+v, writes %+v", st.HashTime, st.HashWait, st.WriteTime)
	}
	wantErr(t, db.Throttle().Unlock(ctx, u.ID), nil)
	newSession(t, db, u)
	_, _, err := db.CreateRefreshToken(ctx, u, snib.SessionOptions{})
	wantErr(t, err, nil)
	for i := range 10 {
		user(t, db, fmt.Sprint("u", i))
	}
	st = must(db.Stats(ctx))(t)
	if st.Users != 11 || st.Sessions != 2 || st.RefreshTokens != 1 {
		t.Errorf("%d users, %d sessions, %d families; want 11, 2, 1", st.Users, st.Sessions, st.RefreshTokens)
	}
}

// TestStatsCountCodes: right, wrong, and refused as too many.
func TestStatsCountCodes(t *testing.T) {
	h := newHolder(t, snib.Options{})
	before := must(h.db.Stats(ctx))(t)
	pending := h.pend(t)
	for range 5 {
		wantErr(t, second(h.finish(pending, h.phone.wrong(h.db))), snib.ErrInvalidCredentials)
	}
	wantErr(t, second(h.finish(pending, h.phone.wrong(h.db))), snib.ErrThrottled)
	must(h.finish(pending, h.codes[0]))(t)
	after := must(h.db.Stats(ctx))(t)
	if r, w, n := after.CodesRight-before.CodesRight, after.CodesWrong-before.CodesWrong, after.Throttled-before.Throttled; r != 1 || w != 5 || n != 1 {
		t.Errorf("right %d, wrong %d, throttled %d; want 1, 5, 1", r, w, n)
	}
}
