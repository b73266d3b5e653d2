package snib_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/snibtest"
)

// TestMain lets a test run its own binary as another process: childEnv holds
// the path of a file, and the process opens it, creates a user, tells so and
// closes when its standard input ends.
func TestMain(m *testing.M) {
	if path := os.Getenv(childEnv); path != "" {
		child(path)
		return
	}
	os.Exit(m.Run())
}

const childEnv = "SNIB_TEST_CHILD"

func child(path string) {
	db, err := snib.Open(path, snibtest.Fast(&snib.Options{File: snib.FileOptions{LockTimeout: 30 * time.Second}}))
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
	_, err = db.CreateUser(ctx, snib.NewUser{Provider: "x", Identifier: os.Getenv(childEnv + "_USER")})
	if err == nil {
		fmt.Println("open")
		var b [1]byte
		os.Stdin.Read(b[:])
	}
	if err := errors.Join(err, db.Close()); err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
}

// process is the command that opens path in another process.
func process(tb testing.TB, path, user string) *exec.Cmd {
	tb.Helper()
	cmd := exec.Command(must(os.Executable())(tb))
	cmd.Env = append(os.Environ(), childEnv+"="+path, childEnv+"_USER="+user)
	return cmd
}

func TestOpenMakesAPrivateAndCompleteFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "accounts.db")
	db := must(snib.Open(path, nil))(t)
	if mode := must(os.Stat(path))(t).Mode(); mode != 0o600 {
		t.Errorf("mode %v, want -rw-------", mode)
	}
	snibtest.CheckAndClose(t, db)
	names := must(filepath.Glob(filepath.Join(dir, "*")))(t)
	if len(names) != 1 {
		t.Errorf("left beside it: %q", names)
	}
}

func TestOpenAgainKeepsEverything(t *testing.T) {
	path := filepath.Join(t.TempDir(), "accounts.db")
	db := openFile(t, path, &snib.Options{Indexes: []snib.Index{{Name: "nick", Unique: true}}})
	u := email(t, db, "a@example.com")
	u = must(db.UpdateUserAttributes(ctx, u.ID, snib.Attributes{"nick": "a"}))(t)
	s := logIn(t, db, "a@example.com")
	_, f, err := db.CreateRefreshToken(ctx, u, snib.SessionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	link := must(db.Tokens().Create(ctx, u.ID, "reset", time.Hour, []byte("data")))(t)
	closeDB(t, db)

	db = snibtest.OpenDB(t, path, nil)
	if got := must(db.GetUser(ctx, u.ID))(t); fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", u) {
		t.Errorf("%+v, was %+v", got, u)
	}
	must(db.AuthenticateUser(ctx, "email", "a@example.com", password))(t)
	must(db.GetUserByAttribute(ctx, "nick", "a"))(t)
	valid(t, db, s)
	if _, _, err := db.Refresh(ctx, f.Token.Reveal()); err != nil {
		t.Errorf("refresh: %v", err)
	}
	if got := must(db.Tokens().Use(ctx, "reset", link.Token.Reveal()))(t); string(got.Data) != "data" {
		t.Errorf("data %q", got.Data)
	}
}

func TestOpenWaitsForTheLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "accounts.db")
	db := snibtest.OpenDB(t, path, nil)
	for name, c := range map[string]struct{ timeout, least, most time.Duration }{
		"at once": {-1, 0, 900 * time.Millisecond},
		"finite":  {300 * time.Millisecond, 250 * time.Millisecond, 3 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			var d time.Duration
			for end := time.Now().Add(time.Minute); time.Now().Before(end); { // until one is not held up by a busy machine
				start := time.Now()
				_, err := snib.Open(path, snibtest.Fast(&snib.Options{File: snib.FileOptions{LockTimeout: c.timeout}}))
				d = time.Since(start)
				wantErr(t, err, snib.ErrLocked)
				if d <= c.most {
					break
				}
			}
			if d < c.least || d > c.most {
				t.Errorf("after %v, want %v to %v", d, c.least, c.most)
			}
		})
	}
	nobody(t, db, "ada") // the holder is not disturbed
}

func TestOpenWhileAnotherProcessHasTheLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "accounts.db")
	cmd := process(t, path, "child")
	in := must(cmd.StdinPipe())(t)
	out := must(cmd.StdoutPipe())(t)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := make([]byte, 5)
	if n, err := out.Read(said); err != nil || string(said[:n]) != "open\n" {
		t.Fatalf("the other process said %q, %v", said[:n], err)
	}
	_, err := snib.Open(path, snibtest.Fast(&snib.Options{File: snib.FileOptions{LockTimeout: 200 * time.Millisecond}}))
	wantErr(t, err, snib.ErrLocked)
	in.Close()
	db := snibtest.OpenDB(t, path, &snib.Options{File: snib.FileOptions{LockTimeout: 30 * time.Second}}) // it ends meanwhile
	must(db.GetUserByProviderID(ctx, "x", "child"))(t)
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// Processes that all find no file end up on one file, one after the other.
func TestOpenByProcessesThatCreateOneFile(t *testing.T) {
	for round := range 3 {
		path := filepath.Join(t.TempDir(), "accounts.db")
		if round == 2 { // or a file of no bytes
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		users := []string{"one", "two", "three"}
		var all []*exec.Cmd
		var outs []*bytes.Buffer
		for _, user := range users {
			cmd := process(t, path, user)
			out := new(bytes.Buffer)
			cmd.Stdout, cmd.Stderr = out, out // standard input is empty: it ends at once
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			all, outs = append(all, cmd), append(outs, out)
		}
		for i, cmd := range all {
			if err := cmd.Wait(); err != nil {
				t.Fatalf("%v: %s", err, outs[i])
			}
		}
		db := snibtest.OpenDB(t, path, nil)
		for _, user := range users {
			must(db.GetUserByProviderID(ctx, "x", user))(t)
		}
		if names := must(filepath.Glob(path + "*"))(t); len(names) != 1 {
			t.Errorf("left: %q", names)
		}
	}
}

// database returns the bytes of a database with a user in it.
func database(tb testing.TB, spoil func(tb testing.TB, b *bolt.DB)) []byte {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "accounts.db")
	db := openFile(tb, path, nil)
	nobody(tb, db, "ada")
	closeDB(tb, db)
	if spoil != nil {
		b := openBolt(tb, path)
		spoil(tb, b)
		if err := b.Close(); err != nil {
			tb.Fatal(err)
		}
	}
	return must(os.ReadFile(path))(tb)
}

func ofAnotherProgram(tb testing.TB) []byte {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "other.db")
	b := openBolt(tb, path)
	err := b.Update(func(tx *bolt.Tx) error {
		bucket, err := tx.CreateBucket([]byte("theirs"))
		if err != nil {
			return err
		}
		return bucket.Put([]byte("key"), []byte("value"))
	})
	if err := errors.Join(err, b.Close()); err != nil {
		tb.Fatal(err)
	}
	return must(os.ReadFile(path))(tb)
}

// putFormat rewrites what the file says of itself.
func putFormat(f codec.Format) func(testing.TB, *bolt.DB) {
	return func(tb testing.TB, b *bolt.DB) { rawPut(tb, b, "meta", "format", f.Append(nil)) }
}

func TestOpenRefusesFilesUntouched(t *testing.T) {
	whole := database(t, nil)
	for name, c := range map[string]struct {
		content []byte
		want    []error // one of them
	}{
		"text":            {[]byte("hello, world\n"), []error{snib.ErrForeignFile}},
		"long text":       {bytes.Repeat([]byte("hello, world\n"), 5000), []error{snib.ErrForeignFile}},
		"picture":         {append([]byte("\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"), make([]byte, 40000)...), []error{snib.ErrForeignFile}},
		"zeros":           {make([]byte, 65536), []error{snib.ErrForeignFile, snib.ErrCorrupt}},
		"one byte":        {[]byte{0}, []error{snib.ErrForeignFile}},
		"other program's": {ofAnotherProgram(t), []error{snib.ErrForeignFile}},
		"other meta": {database(t, putFormat(codec.Format{Application: "other", Version: 1, MinReader: 1})),
			[]error{snib.ErrForeignFile}},
		"newer format": {database(t, putFormat(codec.Format{Application: "snib", Version: 3, MinReader: 3})),
			[]error{snib.ErrNewerFormat}},
		"newer record of the format": {database(t, func(tb testing.TB, b *bolt.DB) {
			rawPut(tb, b, "meta", "format", newer("meta", "format", rawGet(tb, b, "meta", "format")))
		}), []error{snib.ErrNewerFormat}},
		"damaged meta": {database(t, func(tb testing.TB, b *bolt.DB) {
			rawPut(tb, b, "meta", "state", flip(rawGet(tb, b, "meta", "state"), 20))
		}), []error{snib.ErrCorrupt}},
		"no declarations":  {database(t, func(tb testing.TB, b *bolt.DB) { rawDelete(tb, b, "meta", "declarations") }), []error{snib.ErrCorrupt}},
		"half":             {whole[:used(t, whole)/2], []error{snib.ErrCorrupt}},
		"all but one byte": {whole[:used(t, whole)-1], []error{snib.ErrCorrupt}},
		"two pages":        {whole[:2*os.Getpagesize()], []error{snib.ErrCorrupt}},
		"one page":         {whole[:os.Getpagesize()], []error{snib.ErrCorrupt, snib.ErrForeignFile}},
		"half a page":      {whole[:os.Getpagesize()/2], []error{snib.ErrCorrupt, snib.ErrForeignFile}},
		"less than a page": {whole[:100], []error{snib.ErrCorrupt, snib.ErrForeignFile}},
		"both metas torn":  {torn(whole), []error{snib.ErrCorrupt}},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "accounts.db")
			if err := os.WriteFile(path, c.content, 0o640); err != nil {
				t.Fatal(err)
			}
			for range 2 { // its lock is not kept
				db, err := snib.Open(path, snibtest.Fast(&snib.Options{File: snib.FileOptions{LockTimeout: -1}}))
				if err == nil {
					db.Close()
				}
				if !isOneOf(err, c.want) {
					t.Errorf("got %v, want %v", err, c.want)
				}
				untouched(t, path, c.content, 0o640)
			}
		})
	}
}

// used is how much of a database's file has pages; what follows is reserve.
func used(tb testing.TB, file []byte) (n int64) {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "accounts.db")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		tb.Fatal(err)
	}
	b := openBolt(tb, path)
	if err := b.View(func(tx *bolt.Tx) error { n = tx.Size(); return nil }); err != nil {
		tb.Fatal(err)
	}
	return n
}

// torn has both meta pages damaged.
func torn(file []byte) []byte {
	out := bytes.Clone(file)
	for i := range 2 {
		out[i*os.Getpagesize()+40] ^= 0xff
	}
	return out
}

func isOneOf(err error, want []error) bool {
	for _, w := range want {
		if errors.Is(err, w) {
			return true
		}
	}
	return false
}

// untouched fails the test unless the file at path has these bytes and this
// mode, and nothing lies beside it.
func untouched(tb testing.TB, path string, content []byte, mode fs.FileMode) {
	tb.Helper()
	if got := must(os.ReadFile(path))(tb); !bytes.Equal(got, content) {
		tb.Errorf("the file was changed: %d bytes, was %d", len(got), len(content))
	}
	if got := must(os.Stat(path))(tb).Mode(); got != mode {
		tb.Errorf("the mode is %v, was %v", got, mode)
	}
	if names := must(filepath.Glob(filepath.Join(filepath.Dir(path), "*")))(tb); len(names) != 1 {
		tb.Errorf("left beside it: %q", names)
	}
}

func TestOpenMakesAnEmptyFileADatabase(t *testing.T) {
	path := filepath.Join(t.TempDir(), "accounts.db")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	db := snibtest.OpenDB(t, path, nil)
	nobody(t, db, "ada")
	if names := must(filepath.Glob(path + "*"))(t); len(names) != 1 {
		t.Errorf("left: %q", names)
	}
}

func TestOpenOfWhatIsNoFile(t *testing.T) {
	dir := t.TempDir()
	o := snibtest.Fast(&snib.Options{File: snib.FileOptions{LockTimeout: -1}})
	if db, err := snib.Open(dir, o); err == nil {
		db.Close()
		t.Error("a directory was opened")
	}
	_, err := snib.Open(filepath.Join(dir, "missing", "accounts.db"), o)
	wantErr(t, err, fs.ErrNotExist)
	if names := must(os.ReadDir(dir))(t); len(names) != 0 {
		t.Errorf("made: %v", names)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(filepath.Join(dir, "nowhere"), link); err != nil {
		t.Skip(err)
	}
	if db, err := snib.Open(link, o); err == nil {
		db.Close() // created at the end of the link, or refused: both leave the link
	}
	if target, err := os.Readlink(link); err != nil || !strings.HasSuffix(target, "nowhere") {
		t.Errorf("the link is %q, %v", target, err)
	}
}

func TestOpenNamesWhatIsNotGiven(t *testing.T) {
	_, err := snib.Open("", nil)
	wantField(t, err, "path")
	_, err = snib.New(nil, nil)
	wantField(t, err, "b")
}

// lookOnly opens a file read-only, and closes it after the test.
func lookOnly(tb testing.TB, path string) *snib.DB {
	tb.Helper()
	db := must(snib.OpenReadOnly(ctx, path, &snib.Options{File: snib.FileOptions{LockTimeout: -1}}))(tb)
	tb.Cleanup(func() { db.Close() })
	return db
}

func TestOpenReadOnlyLeavesTheFileAndItsDirectory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	db := openFile(t, path, &snib.Options{Indexes: []snib.Index{{Name: "plan"}}})
	id := nobody(t, db, "ada").ID
	s := session(t, db, id)
	closeDB(t, db)
	left := path + ".creating-1" // a crash left it; the next Open removes it
	if err := os.WriteFile(left, []byte("left"), 0o600); err != nil {
		t.Fatal(err)
	}
	before, info := must(os.ReadFile(path))(t), must(os.Stat(path))(t)

	first, next := lookOnly(t, path), lookOnly(t, path)
	for _, db := range []*snib.DB{first, next} {
		if u := must(db.GetUser(ctx, id))(t); u.ID != id {
			t.Errorf("user %q", u.ID)
		}
		must(db.ValidateSession(ctx, s.Token.Reveal()))(t)
		if r := must(db.Check(ctx))(t); r.Found != 0 || r.Users != 1 {
			t.Errorf("check: %+v", r)
		}
		if st := must(db.Stats(ctx))(t); st.FileBytes != info.Size() || st.FreeBytes == 0 {
			t.Errorf("stats: %+v", st)
		}
		for what, err := range map[string]error{
			"create":  second(db.CreateUser(ctx, snib.NewUser{Provider: "x", Identifier: "b"})),
			"delete":  db.DeleteUser(ctx, id),
			"revoke":  db.RevokeSessionByID(ctx, s.ID),
			"end all": db.EndEverything(ctx),
			"import":  second(db.ImportUser(ctx, snib.UserImport{Provider: "x", Identifier: "c"})),
			"compact": db.File().Compact(ctx),
		} {
			if !errors.Is(err, snib.ErrReadOnly) {
				t.Errorf("%s: %v, want ErrReadOnly", what, err)
			}
		}
	}
	copied := filepath.Join(t.TempDir(), "copy.db")
	if err := first.File().BackupFile(ctx, copied, nil); err != nil {
		t.Error(err)
	}
	if r := must(lookOnly(t, copied).Check(ctx))(t); r.Users != 1 || r.Found != 0 {
		t.Errorf("the backup: %+v", r)
	}
	closeDB(t, first)
	closeDB(t, next)

	if after := must(os.ReadFile(path))(t); string(after) != string(before) {
		t.Error("the file has changed")
	}
	if after := must(os.Stat(path))(t); !after.ModTime().Equal(info.ModTime()) {
		t.Error("the file's time has changed")
	}
	if _, err := os.Stat(left); err != nil {
		t.Error("the directory has changed:", err)
	}
	if db := openFile(t, path, nil); must(db.GetUser(ctx, id))(t).ID != id {
		t.Error("the file cannot be used after it was looked at")
	}
}

func TestOpenReadOnlyAndOpenKeepEachOtherOut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	db := openFile(t, path, nil)
	if _, err := snib.OpenReadOnly(ctx, path, &snib.Options{File: snib.FileOptions{LockTimeout: -1}}); !errors.Is(err, snib.ErrLocked) {
		t.Errorf("beside a writer: %v, want ErrLocked", err)
	}
	closeDB(t, db)
	lookOnly(t, path)
	if _, err := snib.Open(path, &snib.Options{File: snib.FileOptions{LockTimeout: 20 * time.Millisecond}}); !errors.Is(err, snib.ErrLocked) {
		t.Errorf("beside a reader: %v, want ErrLocked", err)
	}
}

func TestOpenReadOnlyRefuses(t *testing.T) {
	dir := t.TempDir()
	empty, foreign, cut, whole := filepath.Join(dir, "empty"), filepath.Join(dir, "foreign"), filepath.Join(dir, "cut"), filepath.Join(dir, "whole")
	closeDB(t, openFile(t, whole, nil))
	bytes := must(os.ReadFile(whole))(t)
	for path, content := range map[string][]byte{empty: nil, foreign: []byte("no database of any kind"), cut: bytes[:9000]} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	key := filepath.Join(t.TempDir(), "key")
	for _, x := range []struct {
		path string
		opts *snib.Options
		want error
	}{
		{filepath.Join(dir, "absent"), nil, fs.ErrNotExist},
		{empty, nil, snib.ErrForeignFile},
		{foreign, nil, snib.ErrForeignFile},
		{cut, nil, snib.ErrCorrupt},
		{"", nil, snib.ErrInvalidInput},
		{whole, &snib.Options{Keys: []snib.Key{{}}}, snib.ErrInvalidInput},
	} {
		if _, err := snib.OpenReadOnly(ctx, x.path, x.opts); !errors.Is(err, x.want) {
			t.Errorf("%s: %v, want %v", x.path, err, x.want)
		}
	}
	db := must(snib.OpenReadOnly(ctx, whole, snibtest.Fast(&snib.Options{Keys: []snib.Key{snib.KeyFile(key)}})))(t)
	closeDB(t, db)
	if _, err := os.Stat(key); !errors.Is(err, fs.ErrNotExist) {
		t.Error("a key file was made by looking")
	}
	if found := must(filepath.Glob(filepath.Join(dir, "*")))(t); len(found) != 4 {
		t.Errorf("the directory has %v", found)
	}
}
