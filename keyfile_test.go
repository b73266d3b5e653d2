package snib_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/kv/faultkv"
	"github.com/snibdb/snib/snibtest"
)

// folders returns paths of a database and of a key file apart from it.
func folders(tb testing.TB) (database, key string) {
	tb.Helper()
	dir := tb.TempDir()
	for _, name := range []string{"data", "keys"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			tb.Fatal(err)
		}
	}
	return filepath.Join(dir, "data", "a.db"), filepath.Join(dir, "keys", "snib.key")
}

func TestKeyFileIsMadeOnceAndReadAgain(t *testing.T) {
	path, key := folders(t)
	db := openFile(t, path, sealing(snib.KeyFile(key)))
	ada := email(t, db, "ada@example.com")
	info := must(os.Stat(key))(t)
	if runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	content := must(os.ReadFile(key))(t)
	id := strings.Fields(string(content))[1]
	wantSealed(t, db, ada.ID, id)
	closeDB(t, db)
	if bytes.Contains(must(os.ReadFile(path))(t), []byte(strings.Fields(string(content))[2])) {
		t.Error("the secret is in the file")
	}
	db = openFile(t, path, sealing(snib.KeyFile(key)))
	logIn(t, db, "ada@example.com")
	if !bytes.Equal(content, must(os.ReadFile(key))(t)) {
		t.Error("the key file was written again")
	}
	if left := must(filepath.Glob(filepath.Join(filepath.Dir(key), "*")))(t); len(left) != 1 {
		t.Errorf("%q", left)
	}
}

// A key file that was lost is not made anew: that would lose everything that is
// sealed, silently.
func TestKeyFileThatIsMissingFailsOpen(t *testing.T) {
	path, key := folders(t)
	db := openFile(t, path, sealing(snib.KeyFile(key)))
	email(t, db, "ada@example.com")
	closeDB(t, db)
	moved := key + ".moved"
	if err := os.Rename(key, moved); err != nil {
		t.Fatal(err)
	}
	before := must(os.ReadFile(path))(t)
	for range 2 {
		_, err := snib.Open(path, snibtest.Fast(sealing(snib.KeyFile(key))))
		wantErr(t, err, fs.ErrNotExist)
		_, err = snib.RepairFile(ctx, path, snibtest.Fast(sealing(snib.KeyFile(key))))
		wantErr(t, err, fs.ErrNotExist)
		_, err = snib.Restore(ctx, path, path+".restored", &snib.RestoreOptions{Options: snibtest.Fast(sealing(snib.KeyFile(key)))})
		wantErr(t, err, fs.ErrNotExist)
	}
	if _, err := os.Stat(key); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a key was made: %v", err)
	}
	if !bytes.Equal(before, must(os.ReadFile(path))(t)) {
		t.Error("the database was changed")
	}
	// Another key file in its place is a key more, under which nothing opens.
	if err := snib.CreateKeyFile(key); err != nil {
		t.Fatal(err)
	}
	db = openFile(t, path, sealing(snib.KeyFile(key)))
	wantErr(t, second(db.AuthenticateUser(ctx, "email", "ada@example.com", password)), snib.ErrNoKey)
	closeDB(t, db)
	db = openFile(t, path, sealing(snib.KeyFile(moved)))
	closeDB(t, db)
	db = openFile(t, path, sealing(snib.KeyFile(key), snib.KeyFile(moved)))
	logIn(t, db, "ada@example.com")
}

// Only the first of Options.Keys is made, and Restore makes none.
func TestKeyFileIsMadeForTheCurrentKeyOnly(t *testing.T) {
	path, key := folders(t)
	_, err := snib.Open(path, snibtest.Fast(sealing(testKey("k1", 1), snib.KeyFile(key))))
	wantErr(t, err, fs.ErrNotExist)
	db := openFile(t, path+".plain", nil)
	email(t, db, "ada@example.com")
	closeDB(t, db)
	must(snib.Restore(ctx, path+".plain", path+".restored", &snib.RestoreOptions{Options: snibtest.Fast(sealing(snib.KeyFile(key)))}))(t)
	if _, err := os.Stat(key); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a key was made: %v", err)
	}
}

func TestKeyFileRefuses(t *testing.T) {
	line := "snib-key k1 " + strings.Repeat("ab", 32) + "\n"
	write := func(content string, mode fs.FileMode) func(testing.TB, string, string) string {
		return func(tb testing.TB, _, key string) string {
			if err := os.WriteFile(key, []byte(content), mode); err != nil {
				tb.Fatal(err)
			}
			if err := os.Chmod(key, mode); err != nil {
				tb.Fatal(err)
			}
			return key
		}
	}
	beside := func(sub string, made bool) func(testing.TB, string, string) string {
		return func(tb testing.TB, path, _ string) string {
			dir := filepath.Join(filepath.Dir(path), sub)
			if err := os.MkdirAll(dir, 0o700); err != nil {
				tb.Fatal(err)
			}
			if made {
				return write(line, 0o600)(tb, path, filepath.Join(dir, "snib.key"))
			}
			return filepath.Join(dir, "snib.key")
		}
	}
	for name, c := range map[string]struct {
		place func(tb testing.TB, path, key string) string
		says  string
	}{
		"mode 0644":          {write(line, 0o644), "mode 0644"},
		"mode 0640":          {write(line, 0o640), "mode 0640"},
		"mode 0700":          {write(line, 0o700), "mode 0700"},
		"empty":              {write("", 0o600), "not a key file"},
		"cut":                {write(line[:50], 0o600), "not a key file"},
		"long":               {write(line+strings.Repeat("\n", 300), 0o600), "not a key file"},
		"another file":       {write("-----BEGIN PRIVATE KEY-----", 0o600), "not a key file"},
		"beside":             {beside("", true), "directory of the database"},
		"below":              {beside("keys", true), "directory of the database"},
		"to be made beside":  {beside("", false), "directory of the database"},
		"to be made below":   {beside("keys", false), "directory of the database"},
		"a link to the data": {linked(line), "directory of the database"},
	} {
		t.Run(name, func(t *testing.T) {
			if runtime.GOOS == "windows" {
				t.Skip("modes and links are those of Unix")
			}
			path, key := folders(t)
			_, err := snib.Open(path, snibtest.Fast(sealing(snib.KeyFile(c.place(t, path, key)))))
			wantField(t, err, "Options.Keys")
			if !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "abab") {
				t.Error(err)
			}
		})
	}
	path, key := folders(t)
	if err := os.Mkdir(key, 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := snib.Open(path, snibtest.Fast(sealing(snib.KeyFile(key))))
	wantErr(t, err, fs.ErrInvalid) // a directory
	_, err = snib.Open(path, snibtest.Fast(sealing(snib.KeyFile(filepath.Join(filepath.Dir(key), "no", "such", "folder")))))
	wantErr(t, err, fs.ErrNotExist)
	_, err = snib.Open(path, snibtest.Fast(sealing(snib.KeyFile(""))))
	if err == nil {
		t.Error("no path was taken")
	}
}

// linked makes a link that leads to a key file beside the database.
func linked(line string) func(testing.TB, string, string) string {
	return func(tb testing.TB, path, key string) string {
		target := filepath.Join(filepath.Dir(path), "target")
		if err := errors.Join(os.WriteFile(target, []byte(line), 0o600), os.Symlink(target, key)); err != nil {
			tb.Fatal(err)
		}
		return key
	}
}

// What is read through a link, or is read-only, is a key file too.
func TestKeyFileThroughALink(t *testing.T) {
	path, key := folders(t)
	line := "snib-key k1 " + strings.Repeat("ab", 32)
	if err := os.WriteFile(key+".target", []byte(line), 0o400); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(key+".target", key); err != nil {
		t.Skip(err)
	}
	db := openFile(t, path, sealing(snib.KeyFile(key)))
	wantSealed(t, db, email(t, db, "ada@example.com").ID, "k1")
}

// The key file is whole before the database depends on it: whatever operation
// of the engine fails while it is opened, the next Open has one key.
func TestKeyFileIsThereBeforeItsCanary(t *testing.T) {
	for n := int64(0); ; n++ {
		path, key := folders(t)
		closeDB(t, openFile(t, path, nil))
		var faulty *faultkv.Store
		db, err := snib.OpenWrapped(path, snibtest.Fast(sealing(snib.KeyFile(key))), func(inner kv.Store) kv.Store {
			faulty = faultkv.Wrap(inner, faultkv.Faults{Fail: n})
			return faulty
		})
		if err == nil {
			closeDB(t, db)
		}
		if !faulty.Failed() {
			if err != nil || n < 5 {
				t.Fatalf("after %d operations: %v", n, err)
			}
			return
		}
		first, _ := os.ReadFile(key)
		plain := openFile(t, path, nil)
		canary := must(rawHas(t, plain, "meta", codec.KeySealKeys))(t)
		closeDB(t, plain)
		if canary && len(first) == 0 {
			t.Fatalf("operation %d failed: the database depends on a key that is not there", n)
		}
		db = openFile(t, path, sealing(snib.KeyFile(key)))
		email(t, db, "ada@example.com")
		logIn(t, db, "ada@example.com")
		if again := must(os.ReadFile(key))(t); len(first) > 0 && !bytes.Equal(first, again) {
			t.Fatalf("operation %d failed: another key was made", n)
		}
		closeDB(t, db)
	}
}

func rawHas(tb testing.TB, db *snib.DB, space, key string) (found bool, err error) {
	err = db.View(ctx, func(tx *snib.Tx) error {
		found = tx.Bolt().Bucket([]byte("snib")).Bucket([]byte(space)).Get([]byte(key)) != nil
		return nil
	})
	return found, err
}

func TestCreateKeyFileReplacesNothing(t *testing.T) {
	path, key := folders(t)
	if err := snib.CreateKeyFile(key); err != nil {
		t.Fatal(err)
	}
	first := must(os.ReadFile(key))(t)
	wantErr(t, snib.CreateKeyFile(key), fs.ErrExist)
	wantField(t, snib.CreateKeyFile(""), "path")
	if err := snib.CreateKeyFile(key + "2"); err != nil {
		t.Fatal(err)
	}
	other := must(os.ReadFile(key + "2"))(t)
	if !bytes.Equal(first, must(os.ReadFile(key))(t)) || bytes.Equal(first[12:], other[12:]) {
		t.Error("keys are not drawn, or one was replaced")
	}
	db := openFile(t, path, sealing(snib.KeyFile(key), snib.KeyFile(key+"2")))
	wantSealed(t, db, email(t, db, "ada@example.com").ID, strings.Fields(string(first))[1])
	closeDB(t, db)
	_, err := snib.Open(path, snibtest.Fast(sealing(snib.KeyFile(key), snib.KeyFile(key))))
	wantField(t, err, "Options.Keys")
}
