package snib_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	bolt "go.etcd.io/bbolt"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/snibtest"
)

// A file of format 1 of which only the declarations can be read is known by a
// tree that format 2 does not have.
func TestRepairFileOfFormatOneWithoutFormatAndState(t *testing.T) {
	f := newFormatOne(t)
	b := openBolt(t, f.path)
	for _, key := range []string{codec.KeyFormat, codec.KeyState} {
		rawPut(t, b, "meta", key, flip(rawGet(t, b, "meta", key), 12))
	}
	b.Close()
	must(snib.RepairFile(ctx, f.path, f.options()))(t)
	db := must(snib.Open(f.path, f.options()))(t)
	f.upgraded(t, db) // none of its old trees stays
	f.goesOn(t, db)
	snibtest.CheckAndClose(t, db)
}

// Another key of owners than the one that was read before is damage, and the one
// that finds the records comes back.
func TestCheckAndRepairOfAnotherKeyOfOwners(t *testing.T) {
	c := newChecked(t)
	was := rawGet(t, c.b, "meta", "owner_key")
	other := codec.OwnerKey{}
	other.Key[0] = 1
	rawPut(t, c.b, "meta", "owner_key", other.Append(nil))
	c.breaches(t, breach{1, "meta", ""})
	c.mended(t)
	if got := rawGet(t, c.b, "meta", "owner_key"); !bytes.Equal(got, was) {
		t.Errorf("the key is %x, was %x", got, was)
	}
	valid(t, c.db, c.bobs)
}

// A run that is dropped leaves no key of owners to the next one.
func TestRepairFileMakesAKeyOfOwnersInTheRunThatCommits(t *testing.T) {
	c := newChecked(t)
	path := c.b.Path()
	rawDelete(t, c.b, "meta", "owner_key")
	closeDB(t, c.db)
	report := must(snib.RepairFileTwice(ctx, path, snibtest.Fast(nil)))(t)
	if !slices.ContainsFunc(report.Repairs, func(p snib.Problem) bool {
		return p.Invariant == 1 && p.Severity == snib.EndsLogin && strings.Contains(p.Text, "made anew")
	}) {
		t.Errorf("repairs %v", report.Repairs)
	}
	db := snibtest.OpenDB(t, path, nil)
	invalid(t, db, c.bobs)
	valid(t, db, session(t, db, c.bob.ID))
}

func TestRepairFileCountsRecordsOfALaterProgram(t *testing.T) {
	c := newChecked(t)
	path := c.b.Path()
	later(t, c.b, 3, c.ada.ID, c.bob.ID)
	rawPut(t, c.b, "meta", "state", flip(rawGet(t, c.b, "meta", "state"), 12))
	closeDB(t, c.db)
	report := must(snib.RepairFile(ctx, path, snibtest.Fast(nil)))(t)
	if report.Before.Newer != 6 {
		t.Errorf("%d records of a later program, want 6", report.Before.Newer)
	}
	db := snibtest.OpenDB(t, path, nil)
	if n := must(db.Check(ctx))(t).Newer; n != 6 {
		t.Errorf("%d records of a later program afterwards, want 6", n)
	}
}

// A tree that was being built when the program died, and is damaged, keeps no one
// out: RepairFile drops it, and nothing else.
func TestRepairFileDropsADamagedShadow(t *testing.T) {
	c := newChecked(t)
	path, size := c.b.Path(), int64(c.b.Info().PageSize)
	root := int64(0)
	if err := c.b.Update(func(tx *bolt.Tx) error {
		shadow := must(must(tx.Bucket([]byte("snib")).CreateBucketIfNotExists([]byte("shadow")))(t).CreateBucket([]byte("users")))(t)
		for i := range 3000 {
			if err := shadow.Put(binary.BigEndian.AppendUint32(nil, uint32(i)), make([]byte, 40)); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if err := c.b.View(func(tx *bolt.Tx) error {
		root = int64(tx.Bucket([]byte("snib")).Bucket([]byte("shadow")).Bucket([]byte("users")).Root())
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	closeDB(t, c.db)
	f := must(os.OpenFile(path, os.O_RDWR, 0))(t)
	loop := binary.NativeEndian.AppendUint64(nil, uint64(root)) // a branch that leads to itself
	if _, err := f.WriteAt(loop, root*size+16+8); err != nil {
		t.Fatal(err)
	}
	f.Close()
	_, err := snib.Open(path, snibtest.Fast(nil))
	wantErr(t, err, snib.ErrCorrupt)
	must(snib.RepairFile(ctx, path, snibtest.Fast(nil)))(t)
	db := snibtest.OpenDB(t, path, nil)
	valid(t, db, c.bobs)
	must(db.AuthenticateUser(ctx, "email", "ada@example.com", password))(t)
	if r := must(db.Check(ctx))(t); r.Users != 3 {
		t.Errorf("%d users", r.Users)
	}
}

// A panic in the middle of a repair leaves the file as it was, for the next one.
func TestRepairFileAfterAPanicOfProgress(t *testing.T) {
	c := newChecked(t)
	for i := range 300 {
		nobody(t, c.db, string(rune('a'+i%26))+strings.Repeat("x", i/26))
	}
	path := c.b.Path()
	c.ruined(t)
	before := dumped(t, c.b)
	closeDB(t, c.db)
	told := 0
	o := snibtest.Fast(&snib.Options{Indexes: []snib.Index{{Name: "nick", Unique: true, Fold: true}, {Name: "team"}}})
	for at := 1; ; at++ {
		told = 0
		o.Progress = func(snib.Progress) {
			if told++; told == at {
				panic("progress")
			}
		}
		panicked := func() (p any) {
			defer func() { p = recover() }()
			must(snib.RepairFile(ctx, path, o))(t)
			return nil
		}()
		if panicked == nil {
			break
		}
		if at == told && at < 4 {
			b := openBolt(t, path)
			sameBut(t, before, dumped(t, b), "meta/state")
			b.Close()
		}
	}
	if told < 3 {
		t.Errorf("it was told %d times", told)
	}
	snibtest.OpenDB(t, path, nil) // and checked
}

// sameBut compares what lies in two files, but for one key.
func sameBut(t *testing.T, before, after map[string]string, key string) {
	t.Helper()
	for k := range after {
		if k != key && before[k] != after[k] {
			t.Errorf("%s has changed", k)
		}
	}
	if len(before) != len(after) {
		t.Errorf("%d records, were %d", len(after), len(before))
	}
}

// TestProgressThatPanicsLeavesNoFileLocked: in Open and RepairFile, of which no
// DB comes that could be closed.
func TestProgressThatPanicsLeavesNoFileLocked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "accounts.db")
	closeDB(t, must(snib.Open(path, snibtest.Fast(nil)))(t))
	o := snibtest.Fast(&snib.Options{Indexes: []snib.Index{{Name: "nick"}}, File: snib.FileOptions{LockTimeout: -1}})
	o.Progress = func(snib.Progress) { panic("progress") }
	for name, call := range map[string]func(){
		"Open":       func() { snib.Open(path, o) },
		"RepairFile": func() { snib.RepairFile(ctx, path, o) },
	} {
		func() {
			defer func() {
				if p := recover(); p != "progress" {
					t.Errorf("%s: the panic is %v", name, p)
				}
			}()
			call()
		}()
		db, err := snib.Open(path, snibtest.Fast(&snib.Options{File: snib.FileOptions{LockTimeout: -1}}))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		closeDB(t, db)
	}
}

// What a file says of itself is damaged: Open refuses it, and RepairFile makes
// it anew.
func TestRepairFileMendsWhatOpenRefuses(t *testing.T) {
	o := snibtest.Fast(&snib.Options{Indexes: []snib.Index{{Name: "nick", Unique: true, Fold: true}, {Name: "team"}}})
	for _, key := range []string{"format", "state", "declarations", "owner_key", "owned_spaces"} {
		for name, spoil := range map[string]func(record []byte) []byte{
			"flipped": func(record []byte) []byte { return flip(record, 12) },
			"missing": func([]byte) []byte { return nil },
		} {
			t.Run(key+" "+name, func(t *testing.T) {
				c := newChecked(t)
				path := c.b.Path()
				if err := c.db.EndEverything(ctx); err != nil {
					t.Fatal(err)
				}
				fresh := session(t, c.db, c.bob.ID)
				if spoilt := spoil(rawGet(t, c.b, "meta", key)); spoilt != nil {
					rawPut(t, c.b, "meta", key, spoilt)
				} else {
					rawDelete(t, c.b, "meta", key)
				}
				closeDB(t, c.db)
				_, err := snib.Open(path, o)
				if key == "format" && name == "missing" {
					wantErr(t, err, snib.ErrForeignFile)
				} else {
					wantErr(t, err, snib.ErrCorrupt)
				}
				report := must(snib.RepairFile(ctx, path, o))(t)
				if report.Before.Found == 0 || report.Before.Users != 3 {
					t.Errorf("%+v", report)
				}
				db := snibtest.OpenDB(t, path, nil)
				must(db.AuthenticateUser(ctx, "email", "ada@example.com", password))(t)
				must(db.GetUserByAttribute(ctx, "nick", "countess"))(t)
				invalid(t, db, c.session) // EndEverything is not forgotten
				if _, err := db.ValidateSession(ctx, fresh.Token.Reveal()); (err == nil) != (key != "state" && key != "owner_key") {
					t.Errorf("a session of before: %v", err)
				}
				valid(t, db, session(t, db, c.bob.ID))
			})
		}
	}
}

func TestRepairFileOfWhatIsNoDatabase(t *testing.T) {
	dir := t.TempDir()
	missing := filepath.Join(dir, "accounts.db")
	_, err := snib.RepairFile(ctx, missing, nil)
	wantErr(t, err, fs.ErrNotExist)
	if names := must(os.ReadDir(dir))(t); len(names) != 0 {
		t.Errorf("made: %v", names)
	}
	for name, content := range map[string][]byte{"empty": nil, "text": []byte("hello"), "other": ofAnotherProgram(t)} {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, content, 0o640); err != nil {
			t.Fatal(err)
		}
		_, err := snib.RepairFile(ctx, path, snibtest.Fast(nil))
		wantErr(t, err, snib.ErrForeignFile)
		untouched(t, path, content, 0o640)
	}
	// A bucket of our name that says nothing of itself is another program's.
	path := filepath.Join(t.TempDir(), "bucket.db")
	b := openBolt(t, path)
	err = b.Update(func(tx *bolt.Tx) error { _, err := tx.CreateBucket([]byte("snib")); return err })
	if err := errors.Join(err, b.Close()); err != nil {
		t.Fatal(err)
	}
	_, err = snib.RepairFile(ctx, path, snibtest.Fast(nil))
	wantErr(t, err, snib.ErrForeignFile)
	db := snibtest.OpenDB(t, filepath.Join(t.TempDir(), "open.db"), nil)
	_, err = snib.RepairFile(ctx, handle(t, db).Path(), snibtest.Fast(&snib.Options{File: snib.FileOptions{LockTimeout: -1}}))
	wantErr(t, err, snib.ErrLocked)
}

// A page that cannot be read is more than Repair can mend: it says so and
// changes nothing.
func TestRepairFileOfADamagedPage(t *testing.T) {
	c := newChecked(t)
	for i := range 200 {
		nobody(t, c.db, fmt.Sprint(i))
	}
	rawDelete(t, c.b, "identities", pair("email", "ada@example.com"))
	path, size := c.b.Path(), c.b.Info().PageSize
	root := 0
	if err := c.b.View(func(tx *bolt.Tx) error {
		root = int(tx.Bucket([]byte("snib")).Bucket([]byte("users")).Root())
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	f := must(os.OpenFile(path, os.O_RDWR, 0))(t)
	defer f.Close()
	if _, err := f.WriteAt([]byte{0x10, 0}, int64(root*size+8)); err != nil {
		t.Fatal(err)
	}
	_, err := c.db.Repair(ctx)
	wantErr(t, err, snib.ErrCorrupt)
	if _, err := c.db.Check(ctx); err == nil {
		t.Error("Check finds nothing")
	}
	_, err = c.db.GetUserByProviderID(ctx, "email", "ada@example.com")
	wantErr(t, err, snib.ErrUserNotFound) // not even that was mended
}

// When the file no longer says by which rules identities were folded, a wrong
// guess would take from users what is sound.
func TestRepairFileDoesNotGuessProviders(t *testing.T) {
	o := snibtest.Fast(&snib.Options{Providers: map[string]snib.IdentifierRule{"username": snib.Exact}})
	path := filepath.Join(t.TempDir(), "accounts.db")
	db := must(snib.Open(path, o))(t)
	for _, name := range []string{"ada", "Ada", "Countess of Lovelace"} {
		must(db.CreateUser(ctx, snib.NewUser{Provider: "username", Identifier: name, Password: password}))(t)
	}
	rawDelete(t, handle(t, db), "meta", "declarations")
	closeDB(t, db)
	report, err := snib.RepairFile(ctx, path, snibtest.Fast(nil))
	wantErr(t, err, snib.ErrInvalidInput)
	if field := new(snib.InputError); !errors.As(err, &field) || field.Field != "Options.Providers" {
		t.Errorf("%v, and did %v", err, report.Repairs)
	}
	must(snib.RepairFile(ctx, path, o))(t)
	db = snibtest.OpenDB(t, path, nil)
	for _, name := range []string{"ada", "Ada", "Countess of Lovelace"} {
		must(db.AuthenticateUser(ctx, "username", name, password))(t)
	}
}

// TestRepairOfStateAndDeclarationsIsSeen: no DB takes the declarations that were
