package snib_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibtest"
)

// rows returns all that lies in an application's bucket.
func rows(tb testing.TB, b *bolt.DB) (out []string) {
	tb.Helper()
	err := b.View(func(tx *bolt.Tx) error {
		return tx.Bucket([]byte("rows")).ForEach(func(k, v []byte) error {
			out = append(out, string(k)+"="+string(v))
			return nil
		})
	})
	if err != nil {
		tb.Fatal(err)
	}
	return out
}

// immutable makes a file or directory unchangeable even for root, or skips.
func immutable(t *testing.T, path string) {
	t.Helper()
	if out, err := exec.Command("chattr", "+i", path).CombinedOutput(); err != nil {
		t.Skipf("permissions do not bind root, and chattr does not work here: %v: %s", err, out)
	}
	t.Cleanup(func() { exec.Command("chattr", "-i", path).Run() })
}

func TestNewRefusesAHandleThatDoesNotSync(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.db")
	b := openBolt(t, path) // NoSync
	_, err := snib.New(b, nil)
	wantField(t, err, "b")
	if err := b.View(func(tx *bolt.Tx) error {
		if tx.Bucket([]byte("snib")) != nil {
			t.Error("something was written")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	snibtest.CheckAndClose(t, must(snib.New(b, &snib.Options{InsecureNoSync: true}))(t))
}

// Open could not open the file again.
func TestNewRefusesAHandleOfSmallPages(t *testing.T) {
	b := must(bolt.Open(filepath.Join(t.TempDir(), "app.db"), 0o600, &bolt.Options{PageSize: 512}))(t)
	defer b.Close()
	_, err := snib.New(b, nil)
	wantField(t, err, "b")
}

func TestNewIsAGuestInTheHandle(t *testing.T) {
	b := openBolt(t, filepath.Join(t.TempDir(), "app.db"))
	put := func(k string) error {
		return b.Update(func(tx *bolt.Tx) error {
			bucket, err := tx.CreateBucketIfNotExists([]byte("rows"))
			if err != nil {
				return err
			}
			return bucket.Put([]byte(k), []byte("v"))
		})
	}
	if err := put("before"); err != nil {
		t.Fatal(err)
	}
	o := snibtest.Fast(nil)
	one, two := must(snib.New(b, o))(t), must(snib.New(b, o))(t)
	u := email(t, one, "a@example.com")
	if err := put("meanwhile"); err != nil {
		t.Fatal(err)
	}
	s := logIn(t, two, "a@example.com") // each sees what the other does
	valid(t, one, s)
	if err := one.DeleteUser(ctx, u.ID); err != nil {
		t.Fatal(err)
	}
	invalid(t, two, s)
	snibtest.CheckAndClose(t, one)
	nobody(t, two, "ada") // the other goes on
	snibtest.CheckAndClose(t, two)
	if err := put("after"); err != nil {
		t.Errorf("the handle was closed: %v", err)
	}
	if got := rows(t, b); len(got) != 3 {
		t.Errorf("the application's rows are %q", got)
	}
	_, err := one.GetUser(ctx, u.ID)
	wantErr(t, err, snib.ErrClosed)
	three := must(snib.New(b, o))(t)
	must(three.GetUserByProviderID(ctx, "x", "ada"))(t)
	snibtest.CheckAndClose(t, three)
}

func TestNewOfAReadOnlyHandle(t *testing.T) {
	path := filepath.Join(t.TempDir(), "accounts.db")
	db := openFile(t, path, nil)
	u := email(t, db, "a@example.com")
	s := logIn(t, db, "a@example.com")
	closeDB(t, db)
	content := must(os.ReadFile(path))(t)

	b := must(bolt.Open(path, 0o600, &bolt.Options{ReadOnly: true, Timeout: time.Second}))(t)
	defer b.Close()
	db = must(snib.New(b, snibtest.Fast(nil)))(t)
	valid(t, db, s)
	must(db.GetUser(ctx, u.ID))(t)
	must(db.AuthenticateUser(ctx, "email", "a@example.com", password))(t)
	if n := len(ids(t, db.ListUsers(ctx, snib.ListOptions{}))); n != 1 {
		t.Errorf("%d users are listed", n)
	}
	for name, err := range map[string]error{
		"CreateUser":    second(db.CreateUser(ctx, snib.NewUser{Provider: "x", Identifier: "y"})),
		"DeleteUser":    db.DeleteUser(ctx, u.ID),
		"CreateSession": second(db.CreateSession(ctx, u, snib.SessionOptions{})),
		"RenewSession":  second(db.RenewSession(ctx, s.Token.Reveal())),
		"EndEverything": db.EndEverything(ctx),
		"empty Update":  db.Update(ctx, func(*snib.Tx) error { return nil }),
		"RevokeUser":    db.RevokeUserSessions(ctx, u.ID),
	} {
		if !errors.Is(err, snib.ErrReadOnly) {
			t.Errorf("%s: %v, want ErrReadOnly", name, err)
		}
	}
	snibtest.CheckAndClose(t, db)
	untouched(t, path, content, 0o600)
	_, err := snib.New(b, snibtest.Fast(&snib.Options{Indexes: []snib.Index{{Name: "nick"}}}))
	wantErr(t, err, snib.ErrReadOnly)
}

func TestOpenInReadOnlyPlaces(t *testing.T) {
	lock := immutable
	if os.Geteuid() != 0 {
		lock = func(t *testing.T, path string) {
			info := must(os.Stat(path))(t)
			if err := os.Chmod(path, info.Mode()&^0o222); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { os.Chmod(path, info.Mode()) })
		}
	}
	t.Run("file", func(t *testing.T) {
		content := database(t, nil)
		path := filepath.Join(t.TempDir(), "accounts.db")
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		lock(t, path)
		_, err := snib.Open(path, snibtest.Fast(nil))
		wantErr(t, err, snib.ErrReadOnly)
		if got := must(os.ReadFile(path))(t); string(got) != string(content) {
			t.Error("the file was changed")
		}
	})
	t.Run("directory", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "d")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		lock(t, dir)
		_, err := snib.Open(filepath.Join(dir, "accounts.db"), snibtest.Fast(nil))
		wantErr(t, err, snib.ErrReadOnly)
		if names := must(os.ReadDir(dir))(t); len(names) != 0 {
			t.Errorf("made: %v", names)
		}
	})
}

func TestNewRefusesAnotherProgramsBucket(t *testing.T) {
	b, err := bolt.Open(filepath.Join(t.TempDir(), "app.db"), 0o600, &bolt.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if err := b.Update(func(tx *bolt.Tx) error { _, err := tx.CreateBucket([]byte("snib")); return err }); err != nil {
		t.Fatal(err)
	}
	_, err = snib.New(b, snibtest.Fast(nil))
	wantErr(t, err, snib.ErrForeignFile)
}

// Two DBs on one handle, of which the second declares more: what the file
// declares holds for both, from the next transaction on.

// newDeclared makes a DB on a handle without indexes, with ada, and returns
// what makes another DB that declares indexes of nick and team.
func newDeclared(tb testing.TB) (one *snib.DB, ada snib.User, redeclare func() *snib.DB) {
	tb.Helper()
	b := openBolt(tb, filepath.Join(tb.TempDir(), "app.db"))
	one = must(snib.New(b, snibtest.Fast(nil)))(tb)
	ada = must(one.CreateUser(ctx, snib.NewUser{Provider: "username", Identifier: "ada", Attributes: snib.Attributes{"nick": "Countess", "team": "engine"}}))(tb)
	return one, ada, func() *snib.DB {
		return must(snib.New(b, snibtest.Fast(&snib.Options{
			Indexes: []snib.Index{{Name: "nick", Unique: true, Fold: true}, {Name: "team"}},
		})))(tb)
	}
}

func TestADBSeesWhatAnotherDeclares(t *testing.T) {
	one, ada, redeclare := newDeclared(t)
	wantField(t, second(one.GetUserByAttribute(ctx, "nick", "countess")), "Name")
	two := redeclare()
	if u := must(one.GetUserByAttribute(ctx, "nick", "COUNTESS"))(t); u.ID != ada.ID {
		t.Errorf("found %s, want %s", u.ID, ada.ID)
	}
	bob := must(one.CreateUser(ctx, snib.NewUser{Provider: "username", Identifier: "bob", Attributes: snib.Attributes{"nick": "Builder", "team": "engine"}}))(t)
	if n := len(ids(t, two.ListUsersByAttribute(ctx, "team", "engine", snib.ListOptions{}))); n != 2 {
		t.Errorf("the other lists %d, want 2", n)
	}
	wantErr(t, second(one.UpdateUserAttributes(ctx, bob.ID, snib.Attributes{"nick": "COUNTESS"})), snib.ErrAttributeTaken)
	must(one.UpdateUserAttributes(ctx, ada.ID, snib.Attributes{"nick": "Lovelace"}))(t)
	wantErr(t, second(two.GetUserByAttribute(ctx, "nick", "Countess")), snib.ErrUserNotFound)
	if u := must(two.GetUserByAttribute(ctx, "nick", "lovelace"))(t); u.ID != ada.ID {
		t.Errorf("found %s, want %s", u.ID, ada.ID)
	}
	if err := one.DeleteUser(ctx, bob.ID); err != nil {
		t.Fatal(err)
	}
	if left := mentions(t, two, string(bob.ID)); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
	snibtest.CheckAndClose(t, two)
	snibtest.CheckAndClose(t, one)
}

// TestADBSeesAnotherRule: also the rules of providers.
func TestADBSeesAnotherRule(t *testing.T) {
	b := openBolt(t, filepath.Join(t.TempDir(), "app.db"))
	one := must(snib.New(b, snibtest.Fast(nil)))(t)
	ada := must(one.CreateUser(ctx, snib.NewUser{Provider: "login", Identifier: "Ada"}))(t)
	wantErr(t, second(one.GetUserByProviderID(ctx, "login", "ada")), snib.ErrUserNotFound) // exact
	two := must(snib.New(b, snibtest.Fast(&snib.Options{Providers: map[string]snib.IdentifierRule{"login": snib.Username}})))(t)
	if u := must(one.GetUserByProviderID(ctx, "login", "ADA"))(t); u.ID != ada.ID {
		t.Errorf("found %s", u.ID)
	}
	wantErr(t, second(one.CreateUser(ctx, snib.NewUser{Provider: "login", Identifier: "aDa"})), snib.ErrIdentityTaken)
	snibtest.CheckAndClose(t, two)
	snibtest.CheckAndClose(t, one)
}

// TestDeclarationsChangeUnderWriters: writers and readers of one DB go on while
// another declares and undeclares. Whatever comes first, entries are those of
// the declarations in force.
func TestDeclarationsChangeUnderWriters(t *testing.T) {
	one, ada, redeclare := newDeclared(t)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				name := fmt.Sprintf("w%d-%d", g, i)
				u, err := one.CreateUser(ctx, snib.NewUser{Provider: "username", Identifier: name, Attributes: snib.Attributes{"nick": name, "team": g}})
				if err == nil && i%2 == 0 {
					_, err = one.UpdateUserAttributes(ctx, u.ID, snib.Attributes{"nick": name + "x", "team": nil})
				}
				if err == nil && i%3 == 0 {
					err = one.DeleteUser(ctx, u.ID)
				}
				if err != nil {
					t.Errorf("writer: %v", err)
					return
				}
				if u, err := one.GetUserByAttribute(ctx, "nick", "countess"); err == nil && u.ID != ada.ID {
					t.Errorf("found %s, want %s", u.ID, ada.ID)
				}
			}
		})
	}
	for range 5 {
		two := redeclare()
		must(one.GetUserByAttribute(ctx, "nick", "countess"))(t)
		must(two.Check(ctx))(t)
		b := handle(t, two)
		closeDB(t, two)
		closeDB(t, must(snib.New(b, snibtest.Fast(&snib.Options{Indexes: []snib.Index{}})))(t))
		wantField(t, second(one.GetUserByAttribute(ctx, "nick", "countess")), "Name")
		must(one.Check(ctx))(t)
	}
	close(stop)
	wg.Wait()
	snibtest.CheckAndClose(t, one)
}
