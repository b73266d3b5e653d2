package snib_test

import (
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
