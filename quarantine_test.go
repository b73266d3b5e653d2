package snib_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/snibtest"
)

// quarantined makes a file with a quarantine: a damaged session of ada's and one
// of bob's, under their owners, by Repair.
func quarantined(tb testing.TB, o snib.Options) (db *snib.DB, path string, ada, bob snib.User) {
	tb.Helper()
	path = filepath.Join(tb.TempDir(), "accounts.db")
	db = openFile(tb, path, &o)
	ada, bob = email(tb, db, "ada@example.com"), email(tb, db, "bob@example.com")
	for _, u := range []snib.User{ada, bob} {
		s := session(tb, db, u.ID)
		rawPut(tb, handle(tb, db), "sessions", string(s.ID), flip(rawGet(tb, handle(tb, db), "sessions", string(s.ID)), 30))
	}
	if r := must(db.Repair(ctx))(tb); r.Quarantined != 2 {
		tb.Fatalf("%d in quarantine, want 2", r.Quarantined)
	}
	return db, path, ada, bob
}

// inQuarantine counts what a file has in quarantine of an owner; of all with
// the zero one.
func inQuarantine(tb testing.TB, b *bolt.DB, owner codec.Owner) (n int) {
	tb.Helper()
	for key := range dumped(tb, b) {
		if key, ok := strings.CutPrefix(key, "quarantine/"); ok {
			if of, _, _, ok := codec.SplitQuarantineKey([]byte(key)); ok && (of == owner || owner == (codec.Owner{})) {
				n++
			}
		}
	}
	return n
}

func TestQuarantineGoesWithItsUser(t *testing.T) {
	db, _, ada, bob := quarantined(t, snib.Options{})
	b := handle(t, db)
	if err := db.DeleteUser(ctx, ada.ID); err != nil {
		t.Fatal(err)
	}
	if a, all := inQuarantine(t, b, ownerOf(t, b, ada.ID)), inQuarantine(t, b, codec.Owner{}); a != 0 || all != 1 {
		t.Errorf("%d of ada's and %d in all, want none and bob's", a, all)
	}
	if left := mentions(t, db, string(ada.ID)); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
	// A user whose own record lies there can be deleted too.
	rawPut(t, b, "users", string(bob.ID), flip(rawGet(t, b, "users", string(bob.ID)), 30))
	must(db.Repair(ctx))(t)
	wantErr(t, second(db.GetUser(ctx, bob.ID)), snib.ErrUserNotFound)
	if n := inQuarantine(t, b, ownerOf(t, b, bob.ID)); n != 2 {
		t.Fatalf("%d of bob's, want 2", n)
	}
	if err := db.DeleteUser(ctx, bob.ID); err != nil {
		t.Fatal(err)
	}
	if n := inQuarantine(t, b, codec.Owner{}); n != 0 {
		t.Errorf("%d are left", n)
	}
	snibtest.CheckAndClose(t, db)
}

func TestSweepEndsQuarantineAfter30Days(t *testing.T) {
	clock := snibtest.NewClock()
	db, _, ada, _ := quarantined(t, snib.Options{Now: clock.Now})
	b := handle(t, db)
	clock.Advance(24 * time.Hour)
	later := session(t, db, ada.ID) // a day younger
	rawPut(t, b, "sessions", string(later.ID), flip(rawGet(t, b, "sessions", string(later.ID)), 30))
	must(db.Repair(ctx))(t)
	for _, x := range []struct {
		after time.Duration
		left  int
	}{{0, 3}, {29*24*time.Hour - tick, 3}, {tick, 1}, {24*time.Hour - tick, 1}, {tick, 0}} {
		clock.Advance(x.after)
		must(db.Sweep(ctx))(t)
		if n := inQuarantine(t, b, codec.Owner{}); n != x.left {
			t.Fatalf("after %v more: %d, want %d", x.after, n, x.left)
		}
	}
	snibtest.CheckAndClose(t, db)
}

// TestSweepReadsAllOfTheQuarantine: what is old may lie behind thousands of
// entries that are not.
func TestSweepReadsAllOfTheQuarantine(t *testing.T) {
	clock := snibtest.NewClock()
	db := openFile(t, filepath.Join(t.TempDir(), "a.db"), &snib.Options{Now: clock.Now})
	b, now := handle(t, db), clock.Now().UnixMilli()
	rawBucket(t, b, "quarantine", func(q *bolt.Bucket) error {
		for i := range 5000 {
			at := now
			if i%2500 >= 2000 {
				at -= (30 * 24 * time.Hour).Milliseconds()
			}
			key := codec.AppendQuarantineKey(nil, codec.Owner{byte(i >> 8), byte(i)}, "users", fmt.Append(nil, i))
			if err := q.Put(key, codec.AppendQuarantineValue(nil, at, []byte("x"))); err != nil {
				return err
			}
		}
		return nil
	})
	must(db.Sweep(ctx))(t)
	if n := inQuarantine(t, b, codec.Owner{}); n != 4000 {
		t.Errorf("%d are left, want 4000", n)
	}
	snibtest.CheckAndClose(t, db)
}

// TestCopiesOfTheQuarantine: a backup is the whole file; compact copies and
// restored files have the quarantine only when it is asked for.
func TestCopiesOfTheQuarantine(t *testing.T) {
	db, path, ada, bob := quarantined(t, snib.Options{})
	content := dumped(t, handle(t, db))
	dir := t.TempDir()
	keep := &snib.CopyOptions{KeepQuarantine: true}
	backup := filepath.Join(dir, "backup")
	restore := func(o snib.RestoreOptions) func(string) error {
		return func(to string) error { return second(snib.Restore(ctx, backup, to, &o)) }
	}
	for _, x := range []struct {
		name   string
		copied func(to string) error
		want   int
	}{
		{"backup", func(to string) error { return db.File().BackupFile(ctx, to, nil) }, 2},
		{"compact", func(to string) error { return db.File().CompactTo(ctx, to, nil) }, 0},
		{"compact, zero options", func(to string) error { return db.File().CompactTo(ctx, to, &snib.CopyOptions{}) }, 0},
		{"compact, kept", func(to string) error { return db.File().CompactTo(ctx, to, keep) }, 2},
		{"restored", restore(snib.RestoreOptions{}), 0},
		{"restored, sessions kept", restore(snib.RestoreOptions{KeepSessions: true}), 0},
		{"restored, kept", restore(snib.RestoreOptions{KeepQuarantine: true}), 2},
		{"restored, both kept", restore(snib.RestoreOptions{KeepSessions: true, KeepQuarantine: true}), 2},
	} {
		to := filepath.Join(dir, x.name)
		if err := x.copied(to); err != nil {
			t.Fatalf("%s: %v", x.name, err)
		}
		b := openBolt(t, to)
		if n := inQuarantine(t, b, codec.Owner{}); n != x.want {
			t.Errorf("%s: %d in quarantine, want %d", x.name, n, x.want)
		}
		got := dumped(t, b)
		for key, value := range content {
			if space, _, _ := strings.Cut(key, "/"); slices.Contains([]string{"users", "identities", "sessions"}, space) && got[key] != value {
				t.Errorf("%s: %q is missing or another", x.name, key)
			}
		}
		b.Close()
	}
	// In place: by CompactTo with everything, by Compact without quarantine.
	if err := db.File().CompactTo(ctx, path, &snib.CopyOptions{Replace: true, KeepQuarantine: true}); err != nil {
		t.Fatal(err)
	}
	if n := inQuarantine(t, handle(t, db), codec.Owner{}); n != 2 {
		t.Errorf("in place, kept: %d in quarantine, want 2", n)
	}
	if err := db.File().Compact(ctx); err != nil {
		t.Fatal(err)
	}
	if n := inQuarantine(t, handle(t, db), codec.Owner{}); n != 0 {
		t.Errorf("in place: %d in quarantine, want none", n)
	}
	for _, u := range []snib.User{ada, bob} {
		must(db.GetUser(ctx, u.ID))(t)
	}
	snibtest.CheckAndClose(t, db)
}
