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
	"github.com/snibdb/snib/snibtest"
)

func TestBackupFileAndCompactToRoundTrip(t *testing.T) {
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
		if err := errors.Join(db.File().Backup(ctx, f), f.Close(), db.File().BackupFile(ctx, backup, nil), db.File().CompactTo(ctx, compact, nil)); err != nil {
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
		wantField(t, db.File().BackupFile(ctx, own, &snib.CopyOptions{Replace: true}), "path")
		wantErr(t, db.File().BackupFile(ctx, own, nil), snib.ErrInvalidInput)
		wantErr(t, db.File().CompactTo(ctx, backup, nil), fs.ErrExist)
		if name == "New" {
			wantField(t, db.File().CompactTo(ctx, own, &snib.CopyOptions{Replace: true}), "path")
		}
		valid(t, db, s)
	}
}

// What was deleted is in no compact copy, in place or beside.
func TestCompactToForgetsWhatWasDeleted(t *testing.T) {
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
	if err := db.File().CompactTo(ctx, path, &snib.CopyOptions{Replace: true}); err != nil {
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
func TestBackupThatIsNeverReadIsInNobodysWay(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	u := user(t, db, "ada")
	r, w := io.Pipe()
	out := make(chan error)
	go func() { out <- db.File().Backup(ctx, w) }()
	if _, err := io.ReadFull(r, make([]byte, 100)); err != nil { // it has begun
		t.Fatal(err)
	}
	soon, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	big := snib.Attributes{"a": strings.Repeat("x", 60<<10)}
	for i := range 150 { // 9 MB and more: the file grows
		must(db.CreateUser(soon, snib.NewUser{Provider: "x", Identifier: fmt.Sprint(i), Attributes: big}))(t)
		s := must(db.CreateSession(soon, u, snib.SessionOptions{}))(t)
		must(db.ValidateSession(soon, s.Token.Reveal()))(t)
	}
	for { // Stats reads too, and what has read before is kept for some milliseconds
		n := must(db.Stats(ctx))(t).OpenReaders
		if n == 1 || n == 2 {
			break
		} else if n == 0 || soon.Err() != nil {
			t.Fatalf("%d readers are open, want the backup", n)
		}
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
	go func() { out <- db.File().Backup(ctx, w) }()
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

// Copies are made by nobody who is inside a closure, and by none after Close;
// progress is inside.
func TestBackupFileAndCompactToInsideAClosureAndAfterClose(t *testing.T) {
	var db *snib.DB
	var nested error
	o := snibtest.Fast(&snib.Options{Progress: func(snib.Progress) { nested = second(db.GetUser(ctx, "u")) }})
	path := filepath.Join(t.TempDir(), "accounts.db")
	db = must(snib.Open(path, o))(t)
	if err := db.File().CompactTo(ctx, path+".c", nil); err != nil {
		t.Fatal(err)
	}
	wantErr(t, nested, snib.ErrNested)
	closeDB(t, db)
	for _, err := range []error{
		db.File().Backup(ctx, io.Discard), db.File().BackupFile(ctx, path+".x", nil),
		db.File().CompactTo(ctx, path+".x", nil), db.File().CompactTo(ctx, path, &snib.CopyOptions{Replace: true}), db.File().Compact(ctx),
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
