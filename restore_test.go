package snib_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/snibtest"
)

// folder fails the test unless the folder of path holds exactly these names.
func folder(tb testing.TB, path string, names ...string) {
	tb.Helper()
	var got []string
	for _, e := range must(os.ReadDir(filepath.Dir(path)))(tb) {
		got = append(got, e.Name())
	}
	if fmt.Sprint(got) != fmt.Sprint(names) {
		tb.Errorf("files %q, want %q", got, names)
	}
}

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
	if l.famSession, l.family, err = l.db.CreateRefreshToken(ctx, l.bob.ID, snib.SessionOptions{}); err != nil {
		tb.Fatal(err)
	}
	l.link = must(l.db.CreateOneTimeToken(ctx, l.bob.ID, "reset", time.Hour, nil))(tb)
	l.used = must(l.db.CreateOneTimeToken(ctx, l.bob.ID, "reset", time.Hour, nil))(tb)
	l.clock.Advance(time.Minute)
	if err := l.db.BackupFile(ctx, l.backup, nil); err != nil {
		tb.Fatal(err)
	}
	l.clock.Advance(time.Minute)
	must(l.db.UseOneTimeToken(ctx, "reset", l.used.Token.Reveal()))(tb)
	if err := l.db.InvalidateSession(ctx, l.revoked.ID); err != nil {
		tb.Fatal(err)
	}
	must(l.db.UpdateUserPassword(ctx, l.ada.ID, "another passphrase", l.session.ID))(tb)
	must(l.db.DisableUser(ctx, l.bob.ID, "left"))(tb)
	return l
}

// options are those with which a lived database goes on.
func (l *lived) options() *snib.Options {
	return snibtest.Fast(&snib.Options{Now: l.clock.Now, LockTimeout: -1})
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
	want := snib.RestoreReport{Ended: 7, Report: snib.Report{
		Users: 2, Passwords: 1, Sessions: 4, RefreshTokens: 1, OneTimeTokens: 2, Newest: l.bob.CreatedAt}}
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
		_, err := db.UseOneTimeToken(ctx, "reset", o.Token.Reveal())
		wantErr(t, err, snib.ErrInvalidToken)
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
	_, err := db.UseOneTimeToken(ctx, "reset", l.used.Token.Reveal())
	wantErr(t, err, snib.ErrInvalidToken)
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
	refuse("newer", database(t, putFormat(codec.Format{Application: "snib", Version: 2, MinReader: 2})), snib.ErrNewerFormat)
	refuse("half", whole[:len(whole)/2], snib.ErrCorrupt)
	refuse("all but one byte", whole[:len(whole)-1], snib.ErrCorrupt)
	refuse("torn", torn(whole), snib.ErrCorrupt)
	compact := filepath.Join(t.TempDir(), "compact") // has no free pages
	if err := l.db.CompactTo(ctx, compact, nil); err != nil {
		t.Fatal(err)
	}
	whole = must(os.ReadFile(compact))(t)
	for at, n := 0, 0; ; n++ {
		i := bytes.Index(whole[at:], []byte(l.ada.ID)) // in records, keys and indexes
		if i < 0 {
			if n < 4 {
				t.Errorf("only %d places", n)
			}
			break
		}
		at += i + 1
		refuse("a flipped bit", flip(whole, at+10), snib.ErrCorrupt)
	}
	report := refuse("a breach", database(t, func(tb testing.TB, b *bolt.DB) {
		rawPut(tb, b, "user_sessions", pair("ghost", "ses"), nil)
	}), snib.ErrCorrupt)
	if report.Found != 1 || report.Problems[0].Invariant != 9 {
		t.Errorf("report %+v", report)
	}
	_, err := snib.Restore(ctx, filepath.Join(t.TempDir(), "missing"), path, nil)
	wantErr(t, err, fs.ErrNotExist)
	_, err = snib.Restore(ctx, l.backup, path, &snib.RestoreOptions{Options: &snib.Options{MaxSize: 1}})
	wantField(t, err, "Options.MaxSize")
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

func TestBackupRoundTrip(t *testing.T) {
	b, attachedDB := attached(t)
	if err := b.Update(func(tx *bolt.Tx) error {
		notes, err := tx.CreateBucket([]byte("notes"))
		if err != nil {
			return err
		}
		return notes.Put([]byte("row"), []byte("tea"))
	}); err != nil {
		t.Fatal(err)
	}
	for name, db := range map[string]*snib.DB{"Open": snibtest.NewDB(t, nil), "New": attachedDB} {
		u := user(t, db, "ada")
		s := newSession(t, db, u)
		backup, compact := filepath.Join(t.TempDir(), "backup"), filepath.Join(t.TempDir(), "compact")
		f := must(os.Create(filepath.Join(t.TempDir(), "stream")))(t)
		if err := errors.Join(db.Backup(ctx, f), f.Close(), db.BackupFile(ctx, backup, nil), db.CompactTo(ctx, compact, nil)); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, path := range []string{f.Name(), backup, compact} {
			c := snibtest.OpenDB(t, path, nil)
			valid(t, c, s) // a copy is the file, sessions and all: Restore ends them
			if got := must(c.GetUser(ctx, u.ID))(t); fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", u) {
				t.Errorf("%s: %+v, was %+v", name, got, u)
			}
		}
		own := handle(t, db).Path()
		wantField(t, db.BackupFile(ctx, own, &snib.CopyOptions{Replace: true}), "path")
		wantErr(t, db.BackupFile(ctx, own, nil), snib.ErrInvalidInput)
		wantErr(t, db.CompactTo(ctx, backup, nil), fs.ErrExist)
		if name == "New" {
			wantField(t, db.CompactTo(ctx, own, &snib.CopyOptions{Replace: true}), "path")
		}
		valid(t, db, s)
	}
}

// What was deleted is in no compact copy, in place or beside.
func TestCompactedFileForgetsWhatWasDeleted(t *testing.T) {
	clock := snibtest.NewClock()
	path := filepath.Join(t.TempDir(), "accounts.db")
	db := openFile(t, path, &snib.Options{Now: clock.Now})
	kept := user(t, db, "kept")
	s := newSession(t, db, kept)
	var last snib.User
	for i := range 300 {
		last = must(db.CreateUser(ctx, snib.NewUser{Provider: "x", Identifier: fmt.Sprint("somebody ", i),
			Attributes: snib.Attributes{"note": strings.Repeat("forget me ", 100)}}))(t)
	}
	for u, err := range db.ListUsers(ctx, snib.ListOptions{}) {
		if err == nil && u.ID != kept.ID {
			err = db.DeleteUser(ctx, u.ID)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	clock.Advance(30 * time.Second)
	now := must(db.CreateUser(ctx, snib.NewUser{Provider: "x", Identifier: "late"}))(t).CreatedAt
	clock.Advance(20 * time.Second)
	var log events
	if err := db.CompactTo(ctx, path, &snib.CopyOptions{Replace: true}); err != nil {
		t.Fatal(err)
	}
	valid(t, db, s) // it goes on
	closeDB(t, db)
	content := must(os.ReadFile(path))(t)
	for _, gone := range []string{"somebody", "forget me", string(last.ID)} {
		if bytes.Contains(content, []byte(gone)) {
			t.Errorf("%q is still there", gone)
		}
	}
	clock.Set(now) // the time of the compaction is not forgotten
	o := &snib.Options{Now: clock.Now, Logger: log.logger()}
	db = snibtest.OpenDB(t, path, o)
	valid(t, db, s)
	if got := user(t, db, "next").CreatedAt.Sub(now); got != 20*time.Second {
		t.Errorf("time goes on %v after, want 20 s", got)
	}
	st := must(db.Stats(ctx))(t)
	if st.FreeBytes > 200<<10 || st.FileBytes > 2<<20 {
		t.Errorf("%d of %d bytes are free", st.FreeBytes, st.FileBytes)
	}
}

// Validating and creating go on while somebody has stopped reading a backup.
func TestABackupThatIsNeverReadIsInNobodysWay(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	u := user(t, db, "ada")
	r, w := io.Pipe()
	out := make(chan error)
	go func() { out <- db.Backup(ctx, w) }()
	if _, err := io.ReadFull(r, make([]byte, 100)); err != nil { // it has begun
		t.Fatal(err)
	}
	soon, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	big := snib.Attributes{"a": strings.Repeat("x", 60<<10)}
	for i := range 150 { // 9 MB and more: the file grows
		must(db.CreateUser(soon, snib.NewUser{Provider: "x", Identifier: fmt.Sprint(i), Attributes: big}))(t)
		s := must(db.CreateSession(soon, u.ID, snib.SessionOptions{}))(t)
		must(db.ValidateSession(soon, s.Token.Reveal()))(t)
	}
	if n := must(db.Stats(ctx))(t).OpenReaders; n < 1 || n > 2 { // Stats reads too
		t.Errorf("%d readers are open, want the backup", n)
	}
	broken := errors.New("connection lost")
	r.CloseWithError(broken)
	wantErr(t, <-out, broken)
}

// A Close ends a backup at the next write, and another Close and every call
// after it are as ever.
func TestCloseEndsABackup(t *testing.T) {
	db := must(snib.Open(filepath.Join(t.TempDir(), "accounts.db"), snibtest.Fast(nil)))(t)
	must(db.CreateUser(ctx, snib.NewUser{Provider: "x", Identifier: "a", Attributes: snib.Attributes{"a": strings.Repeat("x", 60<<10)}}))(t)
	r, w := io.Pipe()
	out, closed := make(chan error), make(chan error)
	go func() { out <- db.Backup(ctx, w) }()
	if _, err := io.ReadFull(r, make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	go func() { closed <- db.Close() }()
	for {
		if _, err := db.GetUser(ctx, "u"); errors.Is(err, snib.ErrClosed) {
			break
		}
	}
	go io.Copy(io.Discard, r)
	wantErr(t, <-out, snib.ErrClosed)
	wantErr(t, <-closed, nil)
	wantErr(t, db.Close(), nil)
}
