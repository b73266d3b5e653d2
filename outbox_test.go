package snib_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibtest"
)

var errUndo = errors.New("undo")

// gapOf returns the gap that err is, or fails the test.
func gapOf(tb testing.TB, err error) *snib.GapError {
	tb.Helper()
	wantErr(tb, err, snib.ErrGap)
	gap, ok := errors.AsType[*snib.GapError](err)
	if !ok {
		tb.Fatalf("%v is no GapError", err)
	}
	return gap
}

// TestConsumeMissesNothing: 64 writers and one reader. Positions are without a
// hole, in the order of commits: an event that a writer caused after another is
// behind that, and a reader who has an event finds the session of it.
func TestConsumeMissesNothing(t *testing.T) {
	const writers, each = 64, 8
	db := snibtest.NewDB(t, &snib.Options{Outbox: []string{"mail"}})
	users := make([]snib.User, writers)
	for i := range users {
		users[i] = nobody(t, db, fmt.Sprint("user", i))
	}
	var made [writers][each]string
	var writing sync.WaitGroup
	for i := range writers {
		writing.Go(func() {
			for n := range each {
				s, err := db.CreateSession(ctx, users[i], snib.SessionOptions{})
				if err != nil {
					t.Error(err)
				}
				made[i][n] = string(s.ID)
			}
		})
	}
	var got []snib.Event
	reading, stop := context.WithTimeout(ctx, time.Minute)
	defer stop()
	err := db.Events().Consume(reading, "mail", func(_ context.Context, e snib.Event) error {
		if e.Kind == snib.EventLogIn {
			if _, err := db.GetSession(ctx, snib.SessionID(e.Subject)); err != nil {
				t.Errorf("an event before its session: %v", err)
			}
		}
		if got = append(got, e); len(got) == writers+writers*each {
			stop()
		}
		return nil
	})
	wantErr(t, err, context.Canceled)
	writing.Wait()
	order := map[string]int{}
	for i, e := range got {
		if e.Position != uint64(i+1) {
			t.Fatalf("event %d has position %d", i, e.Position)
		}
		order[e.Subject] = i
	}
	for i := range made {
		for n, id := range made[i] {
			if at, ok := order[id]; !ok || n > 0 && at < order[made[i][n-1]] {
				t.Fatalf("session %d of writer %d: there %t, or before the one before", n, i, ok)
			}
		}
	}
}

// TestConsumeAfterAKill: the program dies when the commit is durable and the
// mail is not sent. The file as it is then sends it, once.
func TestConsumeAfterAKill(t *testing.T) {
	o := &snib.Options{Outbox: []string{"mail"}}
	path := filepath.Join(t.TempDir(), "a.db")
	db := snibtest.OpenDB(t, path, o)
	u := user(t, db, "ada")
	ack(t, db, "mail")
	must(db.UpdateUserPassword(ctx, u.ID, "another passphrase"))(t)
	killed := filepath.Join(t.TempDir(), "killed.db")
	if err := os.WriteFile(killed, must(os.ReadFile(path))(t), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		db := must(snib.Open(killed, snibtest.Fast(o)))(t)
		var sent []snib.EventKind
		crash := errors.New("killed again")
		err := db.Events().Consume(ctx, "mail", func(_ context.Context, e snib.Event) error {
			sent = append(sent, e.Kind)
			return crash
		})
		if err != crash || !slices.Equal(sent, []snib.EventKind{snib.EventPasswordSet}) {
			t.Fatalf("sent %v, %v", sent, err)
		}
		snibtest.CheckAndClose(t, db)
	}
	db = snibtest.OpenDB(t, killed, o)
	ack(t, db, "mail")
	if left := unread(t, db, "mail"); len(left) != 0 {
		t.Errorf("left %+v", left)
	}
}

// ack acknowledges all that a consumer has not read.
func ack(tb testing.TB, db *snib.DB, consumer string) {
	tb.Helper()
	for _, e := range unread(tb, db, consumer) {
		if err := db.Events().Ack(ctx, consumer, e.Position); err != nil {
			tb.Fatal(err)
		}
	}
}

// TestConsumeWakes at a commit, long before it looks by itself, and at Close. The
// time is that of a bubble, where a machine takes as long as it likes.
func TestConsumeWakes(t *testing.T) { synctest.Test(t, consumeWakes) }

func consumeWakes(t *testing.T) {
	db := must(snib.Open(t.TempDir()+"/a.db", snibtest.Fast(&snib.Options{Outbox: []string{"mail"}})))(t)
	got, ended := make(chan snib.EventKind), make(chan error)
	go func() {
		ended <- db.Events().Consume(ctx, "mail", func(_ context.Context, e snib.Event) error { got <- e.Kind; return nil })
	}()
	begin := time.Now()
	for i := range 3 {
		nobody(t, db, fmt.Sprint(i))
		<-got
	}
	if err := db.EndEverything(ctx); err != nil {
		t.Fatal(err)
	}
	if kind := <-got; kind != snib.EventEverythingEnded {
		t.Errorf("%s", kind)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	wantErr(t, <-ended, snib.ErrClosed)
	if took := time.Since(begin); took > 10*time.Second { // by looking every 5 s, it would be 15
		t.Errorf("it has waited for %v", took)
	}
}

func TestReadAndAckRefuse(t *testing.T) {
	db := snibtest.NewDB(t, &snib.Options{Outbox: []string{"mail"}})
	nobody(t, db, "ada")
	for _, consumer := range []string{"", "sms", "\x00"} {
		wantField(t, second(db.Events().Read(ctx, consumer, 1)), "Consumer")
		wantField(t, db.Events().Ack(ctx, consumer, 1), "Consumer")
		wantField(t, db.Events().Consume(ctx, consumer, func(context.Context, snib.Event) error { return nil }), "Consumer")
	}
	wantField(t, second(db.Events().Read(ctx, "mail", 0)), "N")
	wantField(t, second(db.Events().Read(ctx, "mail", 1001)), "N")
	wantField(t, db.Events().Ack(ctx, "mail", 2), "Position")
	wantField(t, db.Events().Consume(ctx, "mail", nil), "Fn")
	if err := db.Events().Ack(ctx, "mail", 1); err != nil {
		t.Fatal(err)
	}
	quiet(t, db, func() { // never back
		if err := db.Events().Ack(ctx, "mail", 0); err != nil {
			t.Fatal(err)
		}
	})
	if left := unread(t, db, "mail"); len(left) != 0 {
		t.Errorf("left %+v", left)
	}
}

// TestAckInAnUpdate happens with the rest of the transaction or not at all.
func TestAckInAnUpdate(t *testing.T) {
	db := snibtest.NewDB(t, &snib.Options{Outbox: []string{"mail"}})
	u := nobody(t, db, "ada")
	for _, verdict := range []error{errUndo, nil} {
		err := db.Update(ctx, func(tx *snib.Tx) error {
			read, err := tx.Events().Read(ctx, "mail", 10)
			if err != nil || len(read) != 1 {
				t.Fatalf("%+v, %v", read, err)
			}
			if err := tx.Events().Ack(ctx, "mail", read[0].Position); err != nil {
				return err
			}
			if _, err := tx.UpdateUserAttributes(u.ID, snib.Attributes{"greeted": true}); err != nil {
				return err
			}
			return verdict
		})
		wantErr(t, err, verdict)
		_, greeted := must(db.GetUser(ctx, u.ID))(t).Attributes()["greeted"]
		if left := len(unread(t, db, "mail")); (left == 0) != (verdict == nil) || greeted != (verdict == nil) {
			t.Errorf("verdict %v: %d left, greeted %t", verdict, left, greeted)
		}
	}
}

// TestOutboxWaitsForTheSlowest, and for 30 days.
func TestOutboxWaitsForTheSlowest(t *testing.T) {
	clock := snibtest.NewClock()
	db := snibtest.NewDB(t, &snib.Options{Now: clock.Now, Outbox: []string{"fast", "slow"}})
	waiting := func() int { t.Helper(); return must(db.Check(ctx))(t).Outbox }
	u := nobody(t, db, "ada")
	for range 3 {
		session(t, db, u.ID)
	}
	ack(t, db, "fast")
	if n := waiting(); n != 4 {
		t.Errorf("%d wait for the slow one, want 4", n)
	}
	if err := db.Events().Ack(ctx, "slow", 1); err != nil {
		t.Fatal(err)
	}
	if n := waiting(); n != 3 {
		t.Errorf("%d wait, want 3", n)
	}
	clock.Advance(30*24*time.Hour - time.Millisecond)
	must(db.Sweep(ctx))(t)
	session(t, db, u.ID)
	if n := waiting(); n != 4 {
		t.Errorf("%d wait before the 30 days are over, want 4", n)
	}
	clock.Advance(time.Millisecond)
	must(db.Sweep(ctx))(t)
	if n := waiting(); n != 1 {
		t.Errorf("%d wait after 30 days, want 1", n)
	}
	if gap := gapOf(t, second(db.Events().Read(ctx, "slow", 5))); gap.From != 2 || gap.To != 4 {
		t.Errorf("gap %+v, want 2 to 4", gap)
	}
	if read := unread(t, db, "fast"); len(read) != 1 || read[0].Position != 5 {
		t.Errorf("the fast one reads %+v", read)
	}
}

// TestConsumeTellsOfAGapOnce and goes on behind it.
func TestConsumeTellsOfAGapOnce(t *testing.T) {
	db := snibtest.NewDB(t, &snib.Options{Outbox: []string{"mail"}})
	snib.SetMaxOutbox(db, 5)
	u := nobody(t, db, "ada")
	for range 7 {
		session(t, db, u.ID)
	}
	if n := must(db.Check(ctx))(t).Outbox; n != 5 {
		t.Errorf("%d wait, want 5", n)
	}
	var got []uint64
	consume := func() error {
		return db.Events().Consume(ctx, "mail", func(_ context.Context, e snib.Event) error {
			if got = append(got, e.Position); e.Position == 8 {
				return errUndo
			}
			return nil
		})
	}
	if gap := gapOf(t, consume()); gap.From != 1 || gap.To != 3 || len(got) != 0 {
		t.Errorf("gap %+v, after %v", gap, got)
	}
	if err := consume(); err != errUndo || !slices.Equal(got, []uint64{4, 5, 6, 7, 8}) {
		t.Errorf("read %v, %v", got, err)
	}
}

// TestOpenDeclaresConsumers: nil keeps those of the file; a new one begins with
// the next event; positions go on where all consumers had gone.
func TestOpenDeclaresConsumers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	with := func(outbox []string, do func(*snib.DB)) {
		t.Helper()
		db := must(snib.Open(path, snibtest.Fast(&snib.Options{Outbox: outbox})))(t)
		do(db)
		snibtest.CheckAndClose(t, db)
	}
	n := 0
	act := func(db *snib.DB) { n++; nobody(t, db, fmt.Sprint(n)) }
	with(nil, func(db *snib.DB) {
		act(db)
		wantField(t, second(db.Events().Read(ctx, "a", 1)), "Consumer")
	})
	with([]string{"a"}, act)
	with(nil, act) // a program that does not know of consumers
	with([]string{"a", "b"}, func(db *snib.DB) {
		act(db)
		if a, b := len(unread(t, db, "a")), len(unread(t, db, "b")); a != 3 || b != 1 {
			t.Errorf("a has %d, b %d, want 3 and 1", a, b)
		}
	})
	with([]string{}, func(db *snib.DB) {
		act(db)
		must(db.Sweep(ctx))(t)
		if report := must(db.Check(ctx))(t); report.Outbox != 0 {
			t.Errorf("%d events wait for nobody", report.Outbox)
		}
	})
	with([]string{"b"}, func(db *snib.DB) {
		act(db)
		if b := unread(t, db, "b"); len(b) != 1 || b[0].Position != 4 {
			t.Errorf("b has %+v, want one at 4", b)
		}
	})
}

// TestDeleteUserLeavesIDAndKindInTheOutbox, and the id of the user where that is
// the message, until it is read.
func TestDeleteUserLeavesIDAndKindInTheOutbox(t *testing.T) {
	db := snibtest.NewDB(t, &snib.Options{Outbox: []string{"mail"}})
	s := newScene(t, db)
	before := unread(t, db, "mail")
	if err := db.DeleteUser(snib.AsOperator(ctx), s.user.ID); err != nil {
		t.Fatal(err)
	}
	after := unread(t, db, "mail")
	for i, e := range before {
		if e.UserID != s.user.ID {
			continue
		}
		if got, want := after[i], (snib.Event{ID: e.ID, Kind: e.Kind, At: e.At, Last: e.At, Count: 1, Actor: e.Actor, Position: e.Position}); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
	last := after[len(after)-1]
	if last.Kind != snib.EventUserDeleted || last.UserID != s.user.ID || last.Actor != snib.ActorOperator {
		t.Errorf("last %+v", last)
	}
	all, _ := content(t, db)
	for key, value := range all {
		for _, text := range []string{"ada@example.com", "second", "reset"} {
			if strings.Contains(strings.ReplaceAll(key+value, "snib:reset", ""), text) { // that is of another user
				t.Errorf("%q is in %q", text, key)
			}
		}
	}
	ack(t, db, "mail")
	if left := mentions(t, db, string(s.user.ID)); len(left) > 0 {
		t.Errorf("when all is read: %q", left)
	}
}

// TestRestoreEmptiesTheOutbox: no position of the lost file is given again, and
// consumers are told. The lists of users come back.
func TestRestoreEmptiesTheOutbox(t *testing.T) {
	clock := snibtest.NewClock()
	dir := t.TempDir()
	o := &snib.Options{Now: clock.Now, Outbox: []string{"mail"}}
	db := snibtest.OpenDB(t, filepath.Join(dir, "a.db"), o)
	u := nobody(t, db, "ada")
	if err := db.File().BackupFile(ctx, filepath.Join(dir, "backup.db"), nil); err != nil {
		t.Fatal(err)
	}
	session(t, db, u.ID) // which the backup does not have
	lost := unread(t, db, "mail")
	last := lost[len(lost)-1].Position
	for i := range 2 {
		clock.Advance(time.Second)
		path := filepath.Join(dir, fmt.Sprint("restored", i))
		must(snib.Restore(ctx, filepath.Join(dir, "backup.db"), path, &snib.RestoreOptions{Options: o}))(t)
		again := snibtest.OpenDB(t, path, o)
		if got := happened(t, again, u.ID); !slices.Equal(got, []snib.EventKind{snib.EventUserCreated}) {
			t.Errorf("events %v", got)
		}
		gap := gapOf(t, second(again.Events().Read(ctx, "mail", 1)))
		if err := again.Events().Ack(ctx, "mail", gap.To); err != nil {
			t.Fatal(err)
		}
		session(t, again, u.ID)
		read := unread(t, again, "mail")
		// EndEverything is an event of the restored file.
		if len(read) != 2 || read[0].Position <= last || read[1].Kind != snib.EventLogIn || read[1].Position >= 1<<53 {
			t.Fatalf("read %+v, after %d", read, last)
		}
		last = read[1].Position
	}
}
