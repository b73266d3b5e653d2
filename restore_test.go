package snib_test

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/accounttest"
	"github.com/snibdb/snib/snibtest"
)

// A lived database has been backed up, and things have happened since.
type lived struct {
	*checked
	clock        *snibtest.Clock
	path, backup string
	used         snib.OneTimeToken // since
	revoked      snib.Session      // since
}

func newLived(tb testing.TB) *lived {
	tb.Helper()
	l := &lived{checked: &checked{}, clock: snibtest.NewClock()}
	l.path = filepath.Join(tb.TempDir(), "accounts.db")
	l.backup = filepath.Join(tb.TempDir(), "backup.db")
	l.db = openFile(tb, l.path, &snib.Options{Now: l.clock.Now, Indexes: []snib.Index{{Name: "nick", Unique: true}}})
	l.ada = email(tb, l.db, "ada@example.com")
	l.bob = nobody(tb, l.db, "bob")
	l.session, l.revoked, l.bobs = session(tb, l.db, l.ada.ID), session(tb, l.db, l.ada.ID), session(tb, l.db, l.bob.ID)
	var err error
	if l.famSession, l.family, err = l.db.CreateRefreshToken(ctx, l.bob, snib.SessionOptions{}); err != nil {
		tb.Fatal(err)
	}
	l.link = must(l.db.Tokens().Create(ctx, l.bob.ID, "reset", time.Hour, nil))(tb)
	l.clock.Advance(time.Minute)
	l.used = must(l.db.Tokens().Create(ctx, l.bob.ID, "reset", time.Hour, nil))(tb)
	l.clock.Advance(time.Minute)
	if err := l.db.File().BackupFile(ctx, l.backup, nil); err != nil {
		tb.Fatal(err)
	}
	l.clock.Advance(time.Minute)
	must(l.db.Tokens().Use(ctx, "reset", l.used.Token.Reveal()))(tb)
	if err := l.db.RevokeSessionByID(ctx, l.revoked.ID); err != nil {
		tb.Fatal(err)
	}
	must(l.db.ChangePassword(ctx, l.session.Token.Reveal(), password, "another passphrase"))(tb)
	must(l.db.DisableUser(ctx, l.bob.ID, "left"))(tb)
	return l
}

// options are those with which a lived database goes on.
func (l *lived) options() *snib.Options {
	return snibtest.Fast(&snib.Options{Now: l.clock.Now, File: snib.FileOptions{LockTimeout: -1}})
}

func TestRestoreBringsBackUsersAndNoSession(t *testing.T) {
	l := newLived(t)
	var log events
	o := l.options()
	o.Logger = log.logger()
	told := map[string]int64{}
	o.Progress = func(p snib.Progress) { told[p.Op] = p.Done }
	again := filepath.Join(filepath.Dir(l.path), "again.db")
	report := must(snib.Restore(ctx, l.backup, again, &snib.RestoreOptions{Options: o}))(t)
	want := snib.RestoreReport{Ended: 7, CheckReport: snib.CheckReport{
		Users: 2, Passwords: 1, Newest: l.used.CreatedAt, Records: map[string]int{"sessions": 4, "refresh_families": 1, "one_time_tokens": 2, "events": 8}}}
	dropZeros(report.Records)
	if fmt.Sprintf("%+v", report) != fmt.Sprintf("%+v", want) {
		t.Errorf("report\n%+v, want\n%+v", report, want)
	}
	if info := must(os.Stat(again))(t); info.Mode() != 0o600 || told["restore"] != info.Size() || told["check"] == 0 {
		t.Errorf("mode %v, told %v of %d", info.Mode(), told, info.Size())
	}
	if !strings.Contains(log.String(), "restored") {
		t.Errorf("log %q", log.String())
	}
	folder(t, l.path, "accounts.db", "again.db")
	db := snibtest.OpenDB(t, again, l.options())
	for _, s := range []snib.Session{l.session, l.revoked, l.bobs, l.famSession} {
		invalid(t, db, s)
	}
	_, _, err := db.Refresh(ctx, l.family.Token.Reveal())
	wantErr(t, err, snib.ErrInvalidRefreshToken)
	for _, o := range []snib.OneTimeToken{l.link, l.used} {
		_, err := db.Tokens().Use(ctx, "reset", o.Token.Reveal())
		wantErr(t, err, snib.ErrInvalidOneTimeToken)
	}
	must(db.AuthenticateUser(ctx, "email", "ada@example.com", password))(t) // as of then
	if must(db.GetUser(ctx, l.bob.ID))(t).Disabled() {
		t.Error("bob is disabled, and was not then")
	}
	valid(t, db, session(t, db, l.ada.ID))
	if n := must(db.Sweep(ctx))(t); n != report.Ended {
		t.Errorf("the sweep removes %d, want the %d that ended", n, report.Ended)
	}
}

func TestRestoreKeepsSessionsOnlyWhenAsked(t *testing.T) {
	l := newLived(t)
	again := filepath.Join(t.TempDir(), "again.db")
	report := must(snib.Restore(ctx, l.backup, again, &snib.RestoreOptions{KeepSessions: true, Options: l.options()}))(t)
	if report.Ended != 2 {
		t.Errorf("%d ended, want the one-time tokens", report.Ended)
	}
	db := snibtest.OpenDB(t, again, l.options())
	for _, s := range []snib.Session{l.session, l.revoked, l.bobs, l.famSession} {
		valid(t, db, s)
	}
	if _, _, err := db.Refresh(ctx, l.family.Token.Reveal()); err != nil {
		t.Error(err)
	}
	_, err := db.Tokens().Use(ctx, "reset", l.used.Token.Reveal())
	wantErr(t, err, snib.ErrInvalidOneTimeToken)
}

func TestRestoreReplacesOnlyWhenAskedAndNeverWhatIsOpen(t *testing.T) {
	l := newLived(t)
	_, err := snib.Restore(ctx, l.backup, l.path, &snib.RestoreOptions{Options: l.options()})
	wantErr(t, err, fs.ErrExist)
	replace := &snib.RestoreOptions{Replace: true, Options: l.options()}
	_, err = snib.Restore(ctx, l.backup, l.path, replace)
	wantErr(t, err, snib.ErrLocked)
	_, err = snib.Restore(ctx, l.path, filepath.Join(t.TempDir(), "x"), replace)
	wantErr(t, err, snib.ErrLocked) // a file in use is no backup
	_, err = l.db.AuthenticateUser(ctx, "email", "ada@example.com", "another passphrase")
	wantErr(t, err, nil)
	closeDB(t, l.db)
	folder(t, l.path, "accounts.db")
	must(snib.Restore(ctx, l.backup, l.path, replace))(t)
	folder(t, l.path, "accounts.db")
	db := snibtest.OpenDB(t, l.path, l.options())
	must(db.AuthenticateUser(ctx, "email", "ada@example.com", password))(t)
	if n := must(os.Stat(l.backup))(t).Size(); n == 0 {
		t.Error("the backup is gone")
	}
}

// What is damaged anywhere does not get to the path, and the report says what
// it is.
func TestRestoreRefusesDamage(t *testing.T) {
	l := newLived(t)
	whole := must(os.ReadFile(l.backup))(t)
	path := filepath.Join(t.TempDir(), "accounts.db")
	refuse := func(name string, content []byte, kinds ...error) snib.RestoreReport {
		t.Helper()
		backup := filepath.Join(t.TempDir(), "backup.db")
		if err := os.WriteFile(backup, content, 0o400); err != nil {
			t.Fatal(err)
		}
		report, err := snib.Restore(ctx, backup, path, &snib.RestoreOptions{Options: l.options()})
		if !isOneOf(err, kinds) {
			t.Errorf("%s: got %v, want %v", name, err, kinds)
		}
		untouched(t, backup, content, 0o400)
		folder(t, path)
		return report
	}
	refuse("empty", nil, snib.ErrForeignFile)
	refuse("text", bytes.Repeat([]byte("hello, world\n"), 5000), snib.ErrForeignFile)
	refuse("of another program", ofAnotherProgram(t), snib.ErrForeignFile)
	refuse("newer", database(t, putFormat(codec.Format{Application: "snib", Version: 3, MinReader: 3})), snib.ErrNewerFormat)
	refuse("half", whole[:len(whole)/2], snib.ErrCorrupt)
	refuse("all but one byte", whole[:len(whole)-1], snib.ErrCorrupt)
	refuse("torn", torn(whole), snib.ErrCorrupt)
	compact := filepath.Join(t.TempDir(), "compact") // has no free pages
	if err := l.db.File().CompactTo(ctx, compact, nil); err != nil {
		t.Fatal(err)
	}
	whole = must(os.ReadFile(compact))(t)
	places := 0
	records, _ := content(t, l.db)
	for _, form := range accounttest.Forms(t, records, string(l.ada.ID)) { // in records, keys and indexes
		for at := 0; ; places++ {
			i := bytes.Index(whole[at:], form)
			if i < 0 {
				break
			}
			at += i + 1
			refuse("a flipped bit", flip(whole, at+5), snib.ErrCorrupt)
		}
	}
	if places < 4 {
		t.Errorf("only %d places", places)
	}
	report := refuse("a breach", database(t, func(tb testing.TB, b *bolt.DB) {
		rawPut(tb, b, "sessions", "no key", nil)
	}), snib.ErrCorrupt)
	if report.Found != 1 || report.Problems[0].Invariant != 2 {
		t.Errorf("report %+v", report)
	}
	_, err := snib.Restore(ctx, filepath.Join(t.TempDir(), "missing"), path, nil)
	wantErr(t, err, fs.ErrNotExist)
	_, err = snib.Restore(ctx, l.backup, path, &snib.RestoreOptions{Options: &snib.Options{File: snib.FileOptions{MaxSize: 1}}})
	wantField(t, err, "Options.File.MaxSize")
	folder(t, path)
}

func TestRestoreEndsWithItsContextAtEveryPoint(t *testing.T) {
	l := newLived(t)
	path := filepath.Join(t.TempDir(), "accounts.db")
	for n := 0; ; n++ {
		_, err := snib.Restore(&cancelled{ctx, n}, l.backup, path, &snib.RestoreOptions{Options: l.options()})
		if err == nil {
			if n < 4 {
				t.Errorf("ctx was looked at %d times", n)
			}
			folder(t, path, "accounts.db")
			return
		}
		wantErr(t, err, context.Canceled)
		folder(t, path)
	}
}
