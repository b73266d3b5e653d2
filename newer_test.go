package snib_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
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

// laterSpace is an owned space that only a later program knows.
const laterSpace = "later_secrets"

// ownerOf returns the owner of a user in a file.
func ownerOf(tb testing.TB, b *bolt.DB, id snib.UserID) codec.Owner {
	tb.Helper()
	key := must(codec.DecodeOwnerKey(rawGet(tb, b, "meta", codec.KeyOwners)))(tb)
	return codec.NewOwners(key.Key).Of(string(id))
}

// listed returns the owned spaces that a file names.
func listed(tb testing.TB, b *bolt.DB) []string {
	tb.Helper()
	return must(codec.DecodeOwnedSpaces(rawGet(tb, b, "meta", codec.KeyOwnedSpaces)))(tb).Names
}

// later puts into a file what a later program would: its space in the list, and
// n records for each user, of a version that is unknown here.
func later(tb testing.TB, b *bolt.DB, n int, users ...snib.UserID) {
	tb.Helper()
	list := codec.OwnedSpaces{Names: append(listed(tb, b), laterSpace)}
	slices.Sort(list.Names)
	rawPut(tb, b, "meta", codec.KeyOwnedSpaces, list.Append(nil))
	for _, id := range users {
		for i := range n {
			key := codec.MakeOwnedKey(ownerOf(tb, b, id), codec.NewOwnID(int64(1000+i), [4]byte{1}))
			rawPut(tb, b, laterSpace, string(key[:]), laterRecord(id, i))
		}
	}
}

// laterRecord has the form of no record of today.
func laterRecord(id snib.UserID, i int) []byte {
	return fmt.Appendf([]byte{0x9f, 0xff, 0, 0xc1}, "secret %d of %s", i, id)
}

// laterRecords counts the records of a user in the space of the later program,
// and fails the test if one is not as it was.
func laterRecords(tb testing.TB, b *bolt.DB, id snib.UserID) (n int) {
	tb.Helper()
	owner := ownerOf(tb, b, id)
	err := b.View(func(tx *bolt.Tx) error {
		space := tx.Bucket([]byte("snib")).Bucket([]byte(laterSpace))
		if space == nil {
			return nil
		}
		return space.ForEach(func(k, v []byte) error {
			if bytes.HasPrefix(k, owner[:]) {
				if !bytes.Equal(v, laterRecord(id, n)) {
					tb.Errorf("record %d of %s is %q", n, id, v)
				}
				n++
			}
			return nil
		})
	})
	if err != nil {
		tb.Fatal(err)
	}
	return n
}

// newLater makes the file of a later program, with three records each for ada
// and bob, and returns it closed.
func newLater(tb testing.TB) (path string, ada, bob snib.User, theirs snib.Session) {
	tb.Helper()
	path = filepath.Join(tb.TempDir(), "accounts.db")
	db := openFile(tb, path, nil)
	ada, bob = email(tb, db, "ada@example.com"), email(tb, db, "bob@example.com")
	theirs = session(tb, db, bob.ID)
	session(tb, db, ada.ID)
	closeDB(tb, db)
	b := openBolt(tb, path)
	later(tb, b, 3, ada.ID, bob.ID)
	if err := b.Close(); err != nil {
		tb.Fatal(err)
	}
	return path, ada, bob, theirs
}

// TestAFileOfALaterProgram: kinds that this program does not know are counted,
// go with their user and with nobody else's, and stay in the list.
func TestAFileOfALaterProgram(t *testing.T) {
	path, ada, bob, theirs := newLater(t)
	db := openFile(t, path, nil)
	b := handle(t, db)
	if r := must(db.Check(ctx))(t); r.Newer != 6 || r.Found != 0 {
		t.Errorf("Check counts %d newer records and finds %d, want 6 and none", r.Newer, r.Found)
	}
	if n := must(db.Sweep(ctx))(t); n != 0 {
		t.Errorf("a sweep removes %d", n)
	}
	must(db.UpdateUserPassword(ctx, ada.ID, "another passphrase"))(t)
	must(db.DisableUser(ctx, ada.ID, ""))(t)
	if err := db.EndEverything(ctx); err != nil {
		t.Fatal(err)
	}
	if a, b := laterRecords(t, b, ada.ID), laterRecords(t, b, bob.ID); a != 3 || b != 3 {
		t.Errorf("before the user is deleted: %d and %d", a, b)
	}
	if err := db.DeleteUser(ctx, ada.ID); err != nil {
		t.Fatal(err)
	}
	if a, b := laterRecords(t, b, ada.ID), laterRecords(t, b, bob.ID); a != 0 || b != 3 {
		t.Errorf("after ada is deleted: %d of hers, %d of bob's; want none and 3", a, b)
	}
	if left := mentions(t, db, string(ada.ID)); len(left) > 0 {
		t.Errorf("left of ada: %q", left)
	}
	invalid(t, db, theirs) // EndEverything
	snibtest.CheckAndClose(t, db)
	db = openFile(t, path, nil)
	if names := listed(t, handle(t, db)); !slices.Contains(names, laterSpace) || len(names) != len(snib.Kinds())+1 {
		t.Errorf("after reopening the list is %q", names)
	}
	if r := must(db.Check(ctx))(t); r.Newer != 3 {
		t.Errorf("Check counts %d newer records, want bob's 3", r.Newer)
	}
	snibtest.CheckAndClose(t, db)
}

// TestRepairLeavesKindsOfALaterProgram: also RepairFile, which does not open
// the file as Open does, and where it writes the list anew.
func TestRepairLeavesKindsOfALaterProgram(t *testing.T) {
	for name, repair := range map[string]func(db *snib.DB, path string) error{
		"Repair": func(db *snib.DB, _ string) error { return second(db.Repair(ctx)) },
		"RepairFile": func(db *snib.DB, path string) error {
			closeDB(t, db)
			return second(snib.RepairFile(ctx, path, snibtest.Fast(nil)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			path, ada, bob, theirs := newLater(t)
			db := openFile(t, path, nil)
			b := handle(t, db)
			// Something to repair: the record of ada, and the state.
			rawPut(t, b, "users", string(ada.ID), flip(rawGet(t, b, "users", string(ada.ID)), 30))
			if err := repair(db, path); err != nil {
				t.Fatal(err)
			}
			db.Close()
			db = openFile(t, path, nil)
			if r := must(db.Check(ctx))(t); r.Newer != 6 || r.Users != 1 {
				t.Errorf("%d newer records, %d users", r.Newer, r.Users)
			}
			b = handle(t, db)
			if n := laterRecords(t, b, bob.ID); n != 3 {
				t.Errorf("%d of bob's, want 3", n)
			}
			if !slices.Contains(listed(t, b), laterSpace) {
				t.Error("the list does not name the space any more")
			}
			valid(t, db, theirs)
			// Of ada there is no record, and what is left of her can be deleted.
			if err := db.DeleteUser(ctx, ada.ID); err != nil {
				t.Fatal(err)
			}
			if left := mentions(t, db, string(ada.ID)); len(left) > 0 {
				t.Errorf("left of ada: %q", left)
			}
			if n := laterRecords(t, b, bob.ID); n != 3 {
				t.Errorf("%d of bob's, want 3", n)
			}
			quiet(t, db, func() { must(0, db.DeleteUser(ctx, ada.ID))(t) })
			snibtest.CheckAndClose(t, db)
		})
	}
}

// TestCopiesAndRestoreOfALaterProgramsFile: copies have everything, Restore
// ends what it cannot judge, whatever it keeps.
func TestCopiesAndRestoreOfALaterProgramsFile(t *testing.T) {
	path, ada, bob, theirs := newLater(t)
	db := openFile(t, path, nil)
	defer snibtest.CheckAndClose(t, db)
	dir := t.TempDir()
	for name, copied := range map[string]func(path string) error{
		"backup":  func(path string) error { return db.File().BackupFile(ctx, path, nil) },
		"compact": func(path string) error { return db.File().CompactTo(ctx, path, nil) },
	} {
		to := filepath.Join(dir, name)
		if err := copied(to); err != nil {
			t.Fatal(err)
		}
		b := openBolt(t, to)
		if a, b := laterRecords(t, b, ada.ID), laterRecords(t, b, bob.ID); a != 3 || b != 3 {
			t.Errorf("%s: %d of ada's and %d of bob's, want 3 each", name, a, b)
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		for _, keep := range []bool{false, true} {
			to := filepath.Join(dir, fmt.Sprint(name, keep))
			report := must(snib.Restore(ctx, filepath.Join(dir, name), to, &snib.RestoreOptions{KeepSessions: keep}))(t)
			restored := openFile(t, to, nil)
			if r := must(restored.Check(ctx))(t); r.Newer != 0 || r.Users != 2 || report.Newer != 6 {
				t.Errorf("%s, sessions kept %t: %d newer records, %d users; the report says %d newer", name, keep, r.Newer, r.Users, report.Newer)
			}
			if want := map[bool]int{false: 8, true: 6}[keep]; report.Ended != want {
				t.Errorf("%s, sessions kept %t: %d ended, want %d", name, keep, report.Ended, want)
			}
			if a, b := laterRecords(t, handle(t, restored), ada.ID), laterRecords(t, handle(t, restored), bob.ID); a+b != 0 {
				t.Errorf("%s, sessions kept %t: %d of ada's and %d of bob's are back", name, keep, a, b)
			}
			if !slices.Contains(listed(t, handle(t, restored)), laterSpace) {
				t.Error("the list does not name the space any more")
			}
			if err := second(restored.ValidateSession(ctx, theirs.Token.Reveal())); (err == nil) != keep {
				t.Errorf("sessions kept %t: %v", keep, err)
			}
			snibtest.CheckAndClose(t, restored)
		}
	}
}

// TestRepairOfTheListKeepsASpaceOfALaterProgram: a DB that has read the list
// knows the space, whose records else would outlive their users.
func TestRepairOfTheListKeepsASpaceOfALaterProgram(t *testing.T) {
	path, ada, _, _ := newLater(t)
	db := openFile(t, path, nil)
	rawPut(t, handle(t, db), "meta", codec.KeyOwnedSpaces, flip(rawGet(t, handle(t, db), "meta", codec.KeyOwnedSpaces), 12))
	must(db.Repair(ctx))(t)
	closeDB(t, db)
	db = openFile(t, path, nil)
	if !slices.Contains(listed(t, handle(t, db)), laterSpace) {
		t.Error("the list does not name the space any more")
	}
	must(0, db.DeleteUser(ctx, ada.ID))(t)
	if n := laterRecords(t, handle(t, db), ada.ID); n != 0 {
		t.Errorf("%d records of a deleted user", n)
	}
	snibtest.CheckAndClose(t, db)
}

// TestRepairFileOfTheListKeepsASpaceOfALaterProgram: where the list is damaged, a
// space that is unknown is one that it named.
func TestRepairFileOfTheListKeepsASpaceOfALaterProgram(t *testing.T) {
	path, ada, _, _ := newLater(t)
	b := openBolt(t, path)
	rawPut(t, b, "meta", codec.KeyOwnedSpaces, flip(rawGet(t, b, "meta", codec.KeyOwnedSpaces), 12))
	b.Close()
	must(snib.RepairFile(ctx, path, snibtest.Fast(nil)))(t)
	db := openFile(t, path, nil)
	if !slices.Contains(listed(t, handle(t, db)), laterSpace) {
		t.Error("the list does not name the space any more")
	}
	must(0, db.DeleteUser(ctx, ada.ID))(t)
	if n := laterRecords(t, handle(t, db), ada.ID); n != 0 {
		t.Errorf("%d records of a deleted user", n)
	}
	snibtest.CheckAndClose(t, db)
}

// TestASpaceThatHasLostItsName: a flipped bit in the name of a space would make all
// that is in it absent, and nothing else in the file would tell.
func TestASpaceThatHasLostItsName(t *testing.T) {
	c := newChecked(t)
	path := c.b.Path()
	var names []string
	if err := c.b.View(func(tx *bolt.Tx) error {
		return tx.Bucket([]byte("snib")).ForEachBucket(func(name []byte) error {
			names = append(names, string(name))
			return nil
		})
	}); err != nil {
		t.Fatal(err)
	}
	closeDB(t, c.db)
	whole := must(os.ReadFile(path))(t)
	for _, name := range names {
		if err := os.WriteFile(path, whole, 0o600); err != nil {
			t.Fatal(err)
		}
		b, wrong := openBolt(t, path), string(flip([]byte(name), len(name)-1))
		rename(t, b, name, wrong)
		_, err := snib.New(b, snibtest.Fast(nil))
		lost(t, "New", name, wrong, err)
		b.Close()
		before := must(os.ReadFile(path))(t)
		_, err = snib.Open(path, snibtest.Fast(nil))
		lost(t, "Open", name, wrong, err)
		_, err = snib.RepairFile(ctx, path, snibtest.Fast(nil))
		lost(t, "RepairFile", name, wrong, err)
		if after := must(os.ReadFile(path))(t); !bytes.Equal(before, after) {
			t.Errorf("%s: the file has changed", name)
		}
	}
}

// lost requires that a call refuses a file with the wrong name for a space.
func lost(tb testing.TB, call, name, wrong string, err error) {
	tb.Helper()
	switch {
	case name == "meta" && errors.Is(err, snib.ErrForeignFile): // the file says nothing of itself
	case !errors.Is(err, snib.ErrCorrupt), name != "meta" && !strings.Contains(err.Error(), strconv.Quote(wrong)):
		tb.Errorf("%s, %s: %v", call, name, err)
	}
}

// rename gives a space another name.
func rename(tb testing.TB, b *bolt.DB, name, other string) {
	tb.Helper()
	err := b.Update(func(tx *bolt.Tx) error {
		root := tx.Bucket([]byte("snib"))
		to, err := root.CreateBucket([]byte(other))
		if err == nil {
			err = root.Bucket([]byte(name)).ForEach(to.Put)
		}
		return errors.Join(err, root.DeleteBucket([]byte(name)))
	})
	if err != nil {
		tb.Fatal(err)
	}
}
