package snib_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	bolt "go.etcd.io/bbolt"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibtest"
)

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
	_, err = snib.RepairFile(ctx, handle(t, db).Path(), snibtest.Fast(&snib.Options{LockTimeout: -1}))
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
