package snib_test

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibtest"
)

// bearers gives a user one of each kind that a bearer can have, for an hour,
// and returns how each is used.
func bearers(tb testing.TB, db *snib.DB, id snib.UserID) map[string]func(*snib.DB) error {
	tb.Helper()
	s := session(tb, db, id)
	_, f, err := db.CreateRefreshToken(ctx, id, snib.SessionOptions{})
	if err != nil {
		tb.Fatal(err)
	}
	link := must(db.CreateOneTimeToken(ctx, id, "reset", time.Hour, nil))(tb)
	return map[string]func(*snib.DB) error{
		"session": func(db *snib.DB) error { return second(db.ValidateSession(ctx, s.Token.Reveal())) },
		"refresh": func(db *snib.DB) error { _, _, err := db.Refresh(ctx, f.Token.Reveal()); return err },
		"link":    func(db *snib.DB) error { return second(db.UseOneTimeToken(ctx, "reset", link.Token.Reveal())) },
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
	if err := db.BackupFile(ctx, backup, nil); err != nil {
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

// What an operator sees: each of these is in the log, without secrets.
func TestEventsOfUpkeep(t *testing.T) {
	var log events
	clock := snibtest.NewClock()
	o := snibtest.Fast(shortLived(clock))
	o.Logger = log.logger()
	told := map[string][]int64{}
	o.Progress = func(p snib.Progress) { told[p.Op] = append(told[p.Op], p.Done) }
	path := filepath.Join(t.TempDir(), "accounts.db")
	db := must(snib.Open(path, o))(t)
	u := nobody(t, db, "ada")
	session(t, db, u.ID)
	for step, c := range map[string]struct {
		do   func() error
		says string
	}{
		"backup":  {func() error { return db.BackupFile(ctx, path+".b", nil) }, "copy"},
		"compact": {func() error { return db.CompactTo(ctx, path+".c", nil) }, "copy"},
		"restore": {func() error {
			return second(snib.Restore(ctx, path+".s", path+".r", &snib.RestoreOptions{Options: o}))
		}, "restored"},
		"sweep": {func() error { clock.Advance(1000 * time.Hour); return second(db.Sweep(ctx)) }, "sweep"},
		"check": {func() error {
			rawPut(t, handle(t, db), "user_sessions", "ghost\x00ses", nil)
			_, err := db.Check(ctx)
			return map[bool]error{false: fmt.Errorf("check returned %w", err)}[err != nil]
		}, "problems"},
		"repair": {func() error {
			rawPut(t, handle(t, db), "user_sessions", "ghost\x00ses", nil)
			return second(db.Repair(ctx))
		}, "repaired"},
	} {
		if step == "restore" {
			if err := db.BackupFile(ctx, path+".s", nil); err != nil {
				t.Fatal(err)
			}
		}
		before := len(log.String())
		if err := c.do(); err != nil {
			t.Errorf("%s: %v", step, err)
		}
		if text := log.String()[before:]; !strings.Contains(text, c.says) {
			t.Errorf("%s: the log says %q", step, text)
		}
		must(db.Repair(ctx))(t)
	}
	for _, op := range []string{"backup", "compact", "restore", "check", "repair"} {
		if len(told[op]) == 0 {
			t.Errorf("nobody was told of the progress of %s", op)
		}
	}
	snibtest.CheckAndClose(t, db)
}

// The figures of the writer: how many wait, how many share a commit.
func TestStatsTellWhoWaits(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	u := user(t, db, "ada")
	entered, leave := make(chan bool), make(chan bool)
	out := make(chan error)
	go func() {
		out <- db.Update(ctx, func(*snib.Tx) error { entered <- true; <-leave; return nil })
	}()
	<-entered
	const n = 5
	for range n {
		go func() { out <- second(db.CreateSession(ctx, u.ID, snib.SessionOptions{})) }()
	}
	for {
		st := must(db.Stats(ctx))(t)
		if st.WaitingWrites == n {
			break
		}
	}
	leave <- true
	for range n + 1 {
		if err := <-out; err != nil {
			t.Error(err)
		}
	}
	st := must(db.Stats(ctx))(t)
	if st.WaitingWrites != 0 || st.Largest < 2 || st.Operations <= st.Commits || st.FileBytes == 0 || st.OpenReaders != 0 {
		t.Errorf("%+v", st)
	}
}

// Copies are made by nobody who is inside a closure, and by none after Close;
// progress is inside.
func TestCopiesInsideAndAfter(t *testing.T) {
	var db *snib.DB
	var nested error
	o := snibtest.Fast(&snib.Options{Progress: func(snib.Progress) { nested = second(db.GetUser(ctx, "u")) }})
	path := filepath.Join(t.TempDir(), "accounts.db")
	db = must(snib.Open(path, o))(t)
	if err := db.CompactTo(ctx, path+".c", nil); err != nil {
		t.Fatal(err)
	}
	wantErr(t, nested, snib.ErrNested)
	closeDB(t, db)
	for _, err := range []error{
		db.Backup(ctx, io.Discard), db.BackupFile(ctx, path+".x", nil),
		db.CompactTo(ctx, path+".x", nil), db.CompactTo(ctx, path, &snib.CopyOptions{Replace: true}), db.Compact(ctx),
	} {
		wantErr(t, err, snib.ErrClosed)
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	_, err := snib.Restore(ended, path, path+".x", nil)
	wantErr(t, err, context.Canceled)
	folder(t, path, "accounts.db", "accounts.db.c")
	_, err = snib.Restore(ctx, path+".c", path, &snib.RestoreOptions{Replace: true, Options: o})
	wantErr(t, err, nil)
	snibtest.CheckAndClose(t, must(snib.Open(path, o))(t))
}
