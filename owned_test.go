package snib_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	bolt "go.etcd.io/bbolt"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/snibtest"
)

// owning are options that declare buckets.
func owning(buckets ...string) *snib.Options {
	return &snib.Options{Owned: buckets, SweepEvery: -1, InsecureNoSync: true}
}

// putRows puts n rows for each user into a bucket of the program's.
func putRows(tb testing.TB, db *snib.DB, bucket string, n int, users ...snib.UserID) {
	tb.Helper()
	err := db.Update(ctx, func(tx *snib.Tx) error {
		b, err := inFile(tb, tx).CreateBucketIfNotExists([]byte(bucket))
		for _, id := range users {
			for i := range n {
				key := snib.OwnedKey(id, string(binary.BigEndian.AppendUint32(nil, uint32(i))))
				if err == nil {
					err = b.Put(key, []byte("a row of "+bucket))
				}
			}
		}
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
}

// rowsIn returns the keys of a bucket of the program's.
func rowsIn(tx *snib.Tx, bucket string) (keys []string) {
	if b := tx.Bolt().Bucket([]byte(bucket)); b != nil {
		b.ForEach(func(k, _ []byte) error { keys = append(keys, string(k)); return nil })
	}
	return keys
}

// rowsOfUsers counts the rows of a bucket by user.
func rowsOfUsers(tb testing.TB, db *snib.DB, bucket string) map[snib.UserID]int {
	tb.Helper()
	of := map[snib.UserID]int{}
	err := db.View(ctx, func(tx *snib.Tx) error {
		for _, key := range rowsIn(tx, bucket) {
			id, _, _ := strings.Cut(key, "\x00")
			of[snib.UserID(id)]++
		}
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return of
}

// moveIn makes users with ids of another system.
func moveIn(tb testing.TB, db *snib.DB, ids ...snib.UserID) {
	tb.Helper()
	for _, id := range ids {
		must(db.ImportUser(ctx, snib.UserImport{ID: id, Provider: "x", Identifier: string(id)}))(tb)
	}
}

// leave deletes a user.
func leave(tb testing.TB, db *snib.DB, id snib.UserID) {
	tb.Helper()
	if err := db.DeleteUser(ctx, id); err != nil {
		tb.Fatal(err)
	}
}

// checkedReport is Check, without a breach.
func checkedReport(tb testing.TB, db *snib.DB) snib.CheckReport {
	tb.Helper()
	return must(db.Check(ctx))(tb)
}

// TestDeleteUserTakesItsRows and no others: of ids that begin with each other,
// that are at the borders of the bytes an id may have, of other buckets.
func TestDeleteUserTakesItsRows(t *testing.T) {
	db := snibtest.NewDB(t, owning("notes", "more", "empty"))
	ids := []snib.UserID{"a", "aa", "ab", "a!", "a~", "!", "~", "u|1", "usr_", snib.UserID(strings.Repeat("z", 127)), snib.UserID(strings.Repeat("z", 128))}
	moveIn(t, db, ids...)
	ids = append(ids, nobody(t, db, "made here").ID)
	want := map[snib.UserID]int{}
	for _, id := range ids {
		want[id] = 3
	}
	// Of no user, and next to the rows of one.
	want["a\x01"] = 3
	for _, bucket := range []string{"notes", "more", "undeclared"} {
		putRows(t, db, bucket, 3, slices.Collect(maps.Keys(want))...)
	}
	all := maps.Clone(want)
	for _, id := range ids {
		leave(t, db, id)
		delete(want, id)
		for _, bucket := range []string{"notes", "more"} {
			if got := rowsOfUsers(t, db, bucket); !maps.Equal(got, want) {
				t.Fatalf("%s without %q: %v", bucket, id, got)
			}
		}
	}
	if got := rowsOfUsers(t, db, "undeclared"); !maps.Equal(got, all) {
		t.Errorf("a bucket that is not declared: %v", got)
	}
	if r := checkedReport(t, db); r.Leaving != 0 || r.Rows != 6 {
		t.Errorf("Check counts %+v", r)
	}
}

// TestEveryProgramTakesTheRows: one without Options.Owned, one with other
// buckets, one that has the file open while another declares.
func TestEveryProgramTakesTheRows(t *testing.T) {
	path := filepath.Join(t.TempDir(), "accounts.db")
	closeDB(t, openFile(t, path, owning("notes")))
	for name, o := range map[string]*snib.Options{"without": nil, "empty": owning(), "other": owning("more"), "both": owning("more", "notes")} {
		db := openFile(t, path, o)
		moveIn(t, db, "ada", "bob")
		putRows(t, db, "notes", 2, "ada", "bob")
		leave(t, db, "ada")
		if got := rowsOfUsers(t, db, "notes"); got["ada"] != 0 || got["bob"] != 2 {
			t.Errorf("%s: %v", name, got)
		}
		leave(t, db, "bob")
		closeDB(t, db)
	}
	b := openBolt(t, path)
	first := must(snib.New(b, owning()))(t)
	second := must(snib.New(b, owning("late")))(t)
	moveIn(t, first, "ada")
	putRows(t, second, "late", 2, "ada")
	leave(t, first, "ada")
	if got := rowsOfUsers(t, first, "late"); len(got) != 0 {
		t.Errorf("a DB that was open when another declared leaves %v", got)
	}
	snibtest.CheckAndClose(t, second)
	snibtest.CheckAndClose(t, first)
}

// TestDeclaredBucketsAreBounded: 64 in a file, whoever declares them.
func TestDeclaredBucketsAreBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "accounts.db")
	var names []string
	for i := range 64 {
		names = append(names, fmt.Sprint("bucket", i))
	}
	closeDB(t, openFile(t, path, owning(names...)))
	_, err := snib.Open(path, owning("one more"))
	wantField(t, err, "Options.Owned")
	closeDB(t, openFile(t, path, owning(names[7])))
}

// TestManyRowsFollowTheUser: 10,000 rows go with the user, in all buckets
// together. One more, and the user is gone all the same, the id is not free, and
// the sweep of any later program removes the rest.
func TestManyRowsFollowTheUser(t *testing.T) {
	path := filepath.Join(t.TempDir(), "accounts.db")
	db := openFile(t, path, owning("a", "b"))
	moveIn(t, db, "ada", "bob", "eve", "ada2")
	putRows(t, db, "a", 6000, "ada", "bob")
	putRows(t, db, "b", 4000, "ada")
	putRows(t, db, "b", 8500, "bob")
	putRows(t, db, "b", 7, "eve", "ada2")

	leave(t, db, "ada")
	if r := checkedReport(t, db); r.Leaving != 0 || r.Rows != 6000+8500+14 {
		t.Errorf("10,000 rows: %d leaving, %d rows", r.Leaving, r.Rows)
	}
	moveIn(t, db, "ada") // the id is free at once

	s := session(t, db, "bob")
	leave(t, db, "bob")
	wantLeft := func(when string, left int) {
		t.Helper()
		if r := checkedReport(t, db); r.Leaving != min(left, 1) || r.Rows != left+14 || r.OrphanRows != 0 {
			t.Errorf("%s: %d leaving, %d rows, %d orphans; want %d", when, r.Leaving, r.Rows, r.OrphanRows, left+14)
		}
		if got := rowsOfUsers(t, db, "b"); got["bob"] != left || got["eve"] != 7 || got["ada2"] != 7 {
			t.Errorf("%s: %v", when, got)
		}
	}
	wantLeft("after the commit", 4500)
	invalid(t, db, s)
	wantErr(t, second(db.GetUser(ctx, "bob")), snib.ErrUserNotFound)
	row := snib.UserImport{ID: "bob", Provider: "x", Identifier: "bob"}
	quiet(t, db, func() {
		wantField(t, second(db.ImportUser(ctx, row)), "ID")
		if r := must(db.ImportUsers(ctx, rowsOf(row), snib.ImportOptions{Update: true}))(t); r.Refused != 1 {
			t.Errorf("ImportUsers: %+v", r)
		}
		if r := must(db.ImportUsers(ctx, rowsOf(row), snib.ImportOptions{DryRun: true}))(t); r.Refused != 1 {
			t.Errorf("a dry run: %+v", r)
		}
	})
	closeDB(t, db)

	db = openFile(t, path, &snib.Options{SweepEvery: -1}) // a program that knows of no bucket
	wantLeft("after a crash", 4500)
	if n := must(db.Sweep(ctx))(t); n != 4500 {
		t.Errorf("the sweep removed %d", n)
	}
	wantLeft("after the sweep", 0)
	moveIn(t, db, "bob")
	if n := must(db.Sweep(ctx))(t); n != 0 || rowsOfUsers(t, db, "b")["eve"] != 7 {
		t.Errorf("a second sweep removed %d", n)
	}
	closeDB(t, db)
}

// TestDeletingAgainGoesOn: DeleteUser of an id that is leaving removes the next
// rows, and the tombstone with the last.
func TestDeletingAgainGoesOn(t *testing.T) {
	db := snibtest.NewDB(t, owning("a"))
	moveIn(t, db, "ada")
	putRows(t, db, "a", 20_001, "ada")
	for _, left := range []int{10_001, 1, 0} {
		leave(t, db, "ada")
		if r := checkedReport(t, db); r.Rows != left || r.Leaving != min(left, 1) {
			t.Fatalf("%d rows and %d leaving, want %d", r.Rows, r.Leaving, left)
		}
	}
	quiet(t, db, func() { leave(t, db, "ada") })
}

// TestASweepOfRowsThatFailsGoesOn: wherever the engine fails, there is a
// tombstone as long as there are rows.
func TestASweepOfRowsThatFailsGoesOn(t *testing.T) {
	db := snibtest.NewDB(t, owning("a"))
	moveIn(t, db, "ada")
	putRows(t, db, "a", 14_500, "ada")
	leave(t, db, "ada")
	left := 4500
	failing(t, db, func() error { return second(db.Sweep(ctx)) }, func(n int64) {
		r := checkedReport(t, db)
		if r.Rows > left || r.OrphanRows != 0 || r.Leaving != min(r.Rows, 1) && r.Rows > 0 {
			t.Fatalf("operation %d failed: %d rows of %d, %d orphans, %d leaving", n, r.Rows, left, r.OrphanRows, r.Leaving)
		}
		left = r.Rows
	})
	if r := checkedReport(t, db); r.Rows != 0 || r.Leaving != 0 {
		t.Errorf("%d rows, %d leaving", r.Rows, r.Leaving)
	}
}

// TestRowsInTheTransactionOfTheProgram: rows put before, in an Update and in a
// transaction that is joined, go with the user; with an error nothing goes.
func TestRowsInTheTransactionOfTheProgram(t *testing.T) {
	b := openBolt(t, filepath.Join(t.TempDir(), "app.db"))
	db := must(snib.New(b, owning("notes")))(t)
	put := func(btx *bolt.Tx) error {
		notes, err := btx.CreateBucketIfNotExists([]byte("notes"))
		if err != nil {
			return err
		}
		return errors.Join(notes.Put(snib.OwnedKey("ada", "x"), nil), notes.Put(snib.OwnedKey("bob", "x"), nil))
	}
	undo := errors.New("undo")
	for _, verdict := range []error{undo, nil} {
		moveIn(t, db, "ada")
		wantErr(t, db.Update(ctx, func(tx *snib.Tx) error {
			if err := errors.Join(put(tx.Bolt()), tx.DeleteUser("ada")); err != nil {
				return err
			}
			if got := rowsIn(tx, "notes"); !slices.Equal(got, []string{"bob\x00x"}) {
				t.Errorf("inside: %q", got)
			}
			return verdict
		}), verdict)
		if verdict != nil {
			leave(t, db, "ada")
		}
	}
	moveIn(t, db, "ada")
	wantErr(t, b.Update(func(btx *bolt.Tx) error {
		tx, err := db.Join(btx)
		return errors.Join(err, put(btx), tx.DeleteUser("ada"))
	}), nil)
	if got := rowsOfUsers(t, db, "notes"); got["ada"] != 0 || got["bob"] != 1 {
		t.Errorf("%v", got)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

// TestCheckCountsOrphans, which are no breach: Repair leaves them, a backup of
// them can be restored, DeleteUser with the id removes them.
func TestCheckCountsOrphans(t *testing.T) {
	path := filepath.Join(t.TempDir(), "accounts.db")
	db := openFile(t, path, owning("a", "b"))
	moveIn(t, db, "bob")
	putRows(t, db, "a", 2, "ada", "bob", "eve")
	putRows(t, db, "b", 3, "ada")
	err := db.Update(ctx, func(tx *snib.Tx) error {
		b := tx.Bolt().Bucket([]byte("a"))
		for _, key := range []string{"bob", "bob\x01x", "\x00x", "two words\x00x", "zzz"} {
			if err := b.Put([]byte(key), []byte("v")); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []snib.Orphans{{Bucket: "a", Rows: 5}, {Bucket: "a", UserID: "ada", Rows: 2}, {Bucket: "a", UserID: "eve", Rows: 2}, {Bucket: "b", UserID: "ada", Rows: 3}}
	same := func(when string, r snib.CheckReport) {
		t.Helper()
		if r.Rows != 14 || r.OrphanRows != 12 || !slices.Equal(r.Orphans, want) || r.Found != 0 {
			t.Errorf("%s: %d rows, %d orphans, %+v", when, r.Rows, r.OrphanRows, r.Orphans)
		}
	}
	same("checked", checkedReport(t, db))
	repaired := must(db.Repair(ctx))(t)
	same("repaired", repaired.Before)
	copies := filepath.Join(t.TempDir(), "copy.db")
	if err := db.File().CompactTo(ctx, copies, nil); err != nil {
		t.Fatal(err)
	}
	closeDB(t, db)
	restored := must(snib.Restore(ctx, copies, path, &snib.RestoreOptions{Replace: true}))(t)
	same("restored", restored.CheckReport)
	db = openFile(t, path, nil)
	leave(t, db, "ada")
	moveIn(t, db, "eve") // of another system: its rows were here first
	if r := checkedReport(t, db); r.OrphanRows != 5 || r.Rows != 9 {
		t.Errorf("%d orphans of %d: %v", r.OrphanRows, r.Rows, r.Orphans)
	}
	closeDB(t, db)
}

// TestOrphansAreCountedBeyondTheReport: the list ends at 1,000 places.
func TestOrphansAreCountedBeyondTheReport(t *testing.T) {
	db := snibtest.NewDB(t, owning("a"))
	var ids []snib.UserID
	for i := range 1001 {
		ids = append(ids, snib.UserID(fmt.Sprintf("u%04d", i)))
	}
	putRows(t, db, "a", 2, ids...)
	if r := checkedReport(t, db); r.OrphanRows != 2002 || len(r.Orphans) != 1000 || r.Orphans[999].Rows != 2 {
		t.Errorf("%d orphans in %d places", r.OrphanRows, len(r.Orphans))
	}
}

// leavingRecord is the record of a user who is leaving.
func leavingRecord(id string, buckets ...string) []byte {
	l := codec.Leaving{ID: id, LeftAt: 1, Buckets: buckets}
	return l.Append(nil)
}

func TestCheckINV21Leaving(t *testing.T) {
	breaking(t, map[string]func(testing.TB, *checked) breach{
		"its user exists": func(tb testing.TB, c *checked) breach {
			rawPut(tb, c.b, "leaving", string(c.bob.ID), leavingRecord(string(c.bob.ID), "notes"))
			return breach{21, "leaving", string(c.bob.ID)}
		},
		"damaged": func(tb testing.TB, c *checked) breach {
			rawPut(tb, c.b, "leaving", "gone", flip(leavingRecord("gone", "notes"), 12))
			return breach{2, "leaving", "gone"}
		},
		"no id": func(tb testing.TB, c *checked) breach {
			rawPut(tb, c.b, "leaving", "two words", nil)
			return breach{2, "leaving", ""}
		},
	})
}

// TestATombstoneHarmsNobody: of a user who exists it removes nothing; one that
// cannot be read, and a file that has lost its declarations, still end with no row
// of the user.
func TestATombstoneHarmsNobody(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	closeDB(t, openFile(t, path, owning("notes")))
	db := openFile(t, path, nil)
	b := handle(t, db)
	moveIn(t, db, "ada", "bob")
	putRows(t, db, "notes", 3, "ada", "bob", "gone", "lost", "torn")
	rawPut(t, b, "leaving", "ada", leavingRecord("ada", "notes"))
	rawPut(t, b, "leaving", "gone", []byte("damaged"))
	must(db.Sweep(ctx))(t)
	if got := rowsOfUsers(t, db, "notes"); got["ada"] != 3 || got["gone"] != 0 || got["bob"] != 3 {
		t.Errorf("after a sweep: %v", got)
	}
	rawPut(t, b, "leaving", "lost", leavingRecord("lost", "notes"))
	rawPut(t, b, "leaving", "torn", []byte("damaged"))
	rawDelete(t, b, "meta", "declarations")
	must(db.Repair(ctx))(t)
	if r := checkedReport(t, db); r.Leaving != 2 || r.OrphanRows != 0 {
		t.Errorf("after a repair %d leave, %d orphans", r.Leaving, r.OrphanRows)
	}
	must(db.Sweep(ctx))(t)
	leave(t, db, "ada")
	if got := rowsOfUsers(t, db, "notes"); got["ada"] != 0 || got["lost"]+got["torn"] != 0 || got["bob"] != 3 {
		t.Errorf("after a repair: %v", got)
	}
	if r := checkedReport(t, db); r.Leaving != 0 {
		t.Errorf("%d leave", r.Leaving)
	}
	closeDB(t, db)
}

// TestRepairFileKeepsTombstones though the program does not say what was
// declared, and the sweep goes on by what they name.
func TestRepairFileKeepsTombstones(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	db := openFile(t, path, owning("notes"))
	b := handle(t, db)
	putRows(t, db, "notes", 3, "lost")
	rawPut(t, b, "leaving", "lost", leavingRecord("lost", "notes"))
	rawDelete(t, b, "meta", "declarations")
	db.Close()
	must(snib.RepairFile(ctx, path, nil))(t)
	db = openFile(t, path, nil)
	if n := must(db.Sweep(ctx))(t); n != 3 {
		t.Errorf("%d rows went", n)
	}
	closeDB(t, db)
}

// TestDeclarationsOfRowsOutliveOthers: other indexes, a compact copy, a restore.
func TestDeclarationsOfRowsOutliveOthers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	closeDB(t, openFile(t, path, owning("notes")))
	db := openFile(t, path, declare(snib.Index{Name: "nick"}))
	moveIn(t, db, "ada", "bob")
	putRows(t, db, "notes", 10_001, "ada")
	putRows(t, db, "notes", 2, "bob")
	leave(t, db, "ada")
	compact := filepath.Join(t.TempDir(), "compact.db")
	if err := db.File().CompactTo(ctx, compact, nil); err != nil {
		t.Fatal(err)
	}
	closeDB(t, db)
	must(snib.Restore(ctx, compact, path, &snib.RestoreOptions{Replace: true}))(t)
	db = openFile(t, path, nil)
	must(db.Sweep(ctx))(t)
	leave(t, db, "bob")
	if got := rowsOfUsers(t, db, "notes"); len(got) != 0 {
		t.Errorf("%v", got)
	}
	closeDB(t, db)
}

// TestMergeAtTheBoundOfRows: in all buckets together, those in nested ones too.
func TestMergeAtTheBoundOfRows(t *testing.T) {
	fill := func(p *twoAccounts, id snib.UserID, nested int) {
		must(0, p.db.Update(ctx, func(tx *snib.Tx) error {
			b, err := tx.Bolt().CreateBucketIfNotExists([]byte("more"))
			if err != nil {
				return err
			}
			in, err := b.CreateBucketIfNotExists(snib.OwnedKey(id, "folder"))
			for i := range nested {
				if err == nil {
					err = in.Put(fmt.Append(nil, "row ", i), []byte("x"))
				}
			}
			return errors.Join(err, in.SetSequence(7))
		}))(t)
	}
	p := newPair(t, snib.Options{InsecureNoSync: true})
	putRows(t, p.db, "notes", snib.MaxMergeRows-3, p.bob.ID)
	fill(p, p.bob.ID, 3)                                               // and their bucket
	p.refuses(t, snib.MergeRows, false, "notes", snib.ErrNotMergeable) // they are looked at by name
	must(0, p.db.Update(ctx, func(tx *snib.Tx) error {
		return tx.Bolt().Bucket([]byte("more")).Bucket(snib.OwnedKey(p.bob.ID, "folder")).Delete([]byte("row 0"))
	}))(t)
	m := must(p.merge())(t)
	if r := checkedReport(t, p.db); m.Rows != snib.MaxMergeRows || rowsOfUsers(t, p.db, "notes")[p.ada.ID] != snib.MaxMergeRows-3 || r.OrphanRows != 0 {
		t.Errorf("%d rows have moved, %+v", m.Rows, r)
	}
	must(0, p.db.View(ctx, func(tx *snib.Tx) error {
		more := tx.Bolt().Bucket([]byte("more"))
		in := more.Bucket(snib.OwnedKey(p.ada.ID, "folder"))
		if in == nil || in.Sequence() != 7 || string(in.Get([]byte("row 2"))) != "x" || in.Get([]byte("row 0")) != nil || more.Bucket(snib.OwnedKey(p.bob.ID, "folder")) != nil {
			t.Error("the bucket in the bucket is not what it was")
		}
		return nil
	}))(t)

	p = newPair(t, snib.Options{InsecureNoSync: true})
	for i := range 16 {
		rowOf(t, p.db, "notes", p.bob.ID, fmt.Sprint(i), strings.Repeat("x", 1<<20))
	}
	p.refuses(t, snib.MergeRows, false, "notes", snib.ErrNotMergeable)
	must(0, p.db.Update(ctx, func(tx *snib.Tx) error {
		return tx.Bolt().Bucket([]byte("notes")).Delete(snib.OwnedKey(p.bob.ID, "3"))
	}))(t)
	must(p.merge())(t)

	p = newPair(t, snib.Options{})
	long := snib.UserID(strings.Repeat("z", 128))
	moveIn(t, p.db, long)
	p.into = session(t, p.db, long)
	rowOf(t, p.db, "notes", p.bob.ID, strings.Repeat("k", bolt.MaxKeySize-100), "x")
	p.refuses(t, snib.MergeRows, false, "notes", snib.ErrNotMergeable)
}

// TestPagesOfAMerge bounds the commit of a usual merge: a guest with ten rows.
func TestPagesOfAMerge(t *testing.T) {
	p := newPair(t, snib.Options{Outbox: []string{"mail"}})
	for i := range 400 { // so that trees have leaves apart
		putRows(t, p.db, "notes", 2, session(t, p.db, nobody(t, p.db, fmt.Sprint("user", i)).ID).UserID)
	}
	p.into = logIn(t, p.db, "ada@example.com")
	p.from, _ = guest(t, p.db)
	putRows(t, p.db, "notes", 10, p.from.UserID)
	b := handle(t, p.db)
	before := b.Stats().TxStats
	must(p.merge())(t)
	after := b.Stats().TxStats
	pages := (after.GetPageAlloc()-before.GetPageAlloc())/int64(b.Info().PageSize) + 1 // and the meta page
	t.Logf("one merge of a guest with ten rows writes %d pages", pages)
	if pages == 0 || pages > 100 {
		t.Errorf("%d pages", pages)
	}
}

// BenchmarkDeleteUserOfManyRows is the commit that a user leaves in, which
// removes 10,000 rows at most; the rest is for the sweep.
func BenchmarkDeleteUserOfManyRows(b *testing.B) {
	for _, rows := range []int{10, 10_000, 1_000_000} {
		b.Run(strconv.Itoa(rows), func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				db := snibtest.NewDB(b, owning("notes"))
				moveIn(b, db, "ada")
				putRows(b, db, "notes", rows, "ada")
				b.StartTimer()
				leave(b, db, "ada")
			}
		})
	}
}
