package snib_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/snibtest"
)

// people fills a database with users who have one password.
func people(tb testing.TB, db *snib.DB, n int) (ids []snib.UserID) {
	tb.Helper()
	hash := must(db.HashPassword(ctx, password))(tb)
	for from := 0; from < n; from += 100 {
		err := db.Update(ctx, func(tx *snib.Tx) error {
			for i := from; i < min(from+100, n); i++ {
				u, err := tx.CreateUser(snib.NewUser{Provider: "x", Identifier: fmt.Sprint(i), PasswordHash: hash})
				if err != nil {
					return err
				}
				ids = append(ids, u.ID)
			}
			return nil
		})
		if err != nil {
			tb.Fatal(err)
		}
	}
	return ids
}

// underKeys counts the stored hashes by the key that they are sealed under; ""
// for those that are not. It reads the file itself.
func underKeys(tb testing.TB, db *snib.DB) map[string]int {
	tb.Helper()
	out := map[string]int{}
	records, _ := content(tb, db)
	for key, value := range records {
		var id string
		if n, _ := fmt.Sscanf(key, "users/%q", &id); n != 1 {
			continue
		}
		u := must(codec.DecodeUser([]byte(id), []byte(value)))(tb)
		var rest string
		if n, _ := fmt.Sscanf(u.PasswordHash, "$sealed$%s", &rest); n == 1 {
			out[rest[:slices.Index([]byte(rest), '$')]]++
		} else if u.PasswordHash != "" {
			out[""]++
		}
	}
	return out
}

// keysInUse returns the ids of the keys in use, the current one first.
func keysInUse(tb testing.TB, db *snib.DB) (ids []string) {
	tb.Helper()
	for _, k := range must(codec.DecodeSealKeys(rawGet(tb, handle(tb, db), "meta", codec.KeySealKeys)))(tb).Keys {
		ids = append(ids, k.ID)
	}
	return ids
}

func TestResealMovesEverythingToTheCurrentKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	const n = 450 // more than two steps
	db := openFile(t, path, nil)
	ids := people(t, db, n)
	closeDB(t, db)
	var last snib.Progress
	told := 0
	o := sealing(testKey("k1", 1))
	o.Progress = func(p snib.Progress) { last, told = p, told+1 }
	db = openFile(t, path, o)
	before := storedHashOf(t, db, ids[7])
	report := must(db.File().Reseal(ctx))(t)
	if report.Sealed != n || len(report.Left) != 0 || len(report.Retired) != 0 || !maps.Equal(underKeys(t, db), map[string]int{"k1": n}) {
		t.Errorf("%+v, %v", report, underKeys(t, db))
	}
	if want := (snib.Progress{Op: "reseal", Done: n, Total: n}); last != want || told < 2 {
		t.Errorf("told %d times, at last %+v", told, last)
	}
	after := storedHashOf(t, db, ids[7])
	after.PasswordHash = before.PasswordHash
	if fmt.Sprintf("%+v", after) != fmt.Sprintf("%+v", before) {
		t.Errorf("more than the hash has changed: %+v, %+v", before, after)
	}
	if report := must(db.File().Reseal(ctx))(t); report.Sealed != 0 {
		t.Errorf("the second run sealed %d", report.Sealed)
	}
	closeDB(t, db)

	db = openFile(t, path, sealing(testKey("k2", 2), testKey("k1", 1)))
	report = must(db.File().Reseal(ctx))(t)
	if report.Sealed != n || !slices.Equal(report.Retired, []string{"k1"}) || !maps.Equal(underKeys(t, db), map[string]int{"k2": n}) {
		t.Errorf("%+v, %v", report, underKeys(t, db))
	}
	closeDB(t, db)
	db = openFile(t, path, sealing(testKey("k2", 2))) // k1 is not needed any more
	must(db.AuthenticateUser(ctx, "x", "5", password))(t)
	must(db.Check(ctx))(t)
	if !slices.Equal(keysInUse(t, db), []string{"k2"}) {
		t.Errorf("listed %v", keysInUse(t, db))
	}
}

// An id stays as long as one value is sealed under it, for whatever reason.
func TestResealKeepsAKeyThatIsNeeded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	db := openFile(t, path, sealing(testKey("k1", 1)))
	ids := people(t, db, 5)
	closeDB(t, db)

	db = openFile(t, path, sealing(testKey("k2", 2))) // k1 is not given
	report := must(db.File().Reseal(ctx))(t)
	if report.Sealed != 0 || len(report.Retired) != 0 || report.Left["k1"] != 5 || !slices.Equal(keysInUse(t, db), []string{"k2", "k1"}) {
		t.Errorf("%+v, listed %v", report, keysInUse(t, db))
	}
	closeDB(t, db)

	db = openFile(t, path, sealing(testKey("k2", 2), testKey("k1", 1)))
	editHash(t, db, ids[1], storedHashOf(t, db, ids[0]).PasswordHash) // opens nowhere
	report = must(db.File().Reseal(ctx))(t)
	if report.Sealed != 4 || len(report.Retired) != 0 || report.Left["k1"] != 1 {
		t.Errorf("%+v", report)
	}
	sound := rawGet(t, handle(t, db), "users", string(ids[2]))
	rawPut(t, handle(t, db), "users", string(ids[2]), flip(sound, 30))
	_, err := db.File().Reseal(ctx)
	wantErr(t, err, snib.ErrCorrupt) // its key is not known
	rawPut(t, handle(t, db), "users", string(ids[2]), sound)
	must(db.Repair(ctx))(t)
	report = must(db.File().Reseal(ctx))(t)
	if !slices.Equal(report.Retired, []string{"k1"}) || len(report.Left) != 0 {
		t.Errorf("%+v", report)
	}
}

// Of a key that is lost, the passwords can be given up, and only so.
func TestResealGivesUpWhatIsLost(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	db := openFile(t, path, sealing(testKey("k1", 1)))
	ids := people(t, db, 3)
	s := session(t, db, ids[0])
	closeDB(t, db)
	db = openFile(t, path, sealing(testKey("k2", 2)))
	must(db.UpdateUserPassword(ctx, ids[2], password))(t)
	wantErr(t, second(db.AuthenticateUser(ctx, "x", "2", password)), snib.ErrNoKey)
	_, err := db.File().Reseal(ctx, "k2")
	wantField(t, err, "Lost")
	report := must(db.File().Reseal(ctx, "k1"))(t)
	if report.Removed != 2 || !slices.Equal(report.Retired, []string{"k1"}) || len(report.Left) != 0 {
		t.Errorf("%+v", report)
	}
	invalid(t, db, s)
	if asNow(t, db, ids[0]).HasPassword || !asNow(t, db, ids[2]).HasPassword {
		t.Error("other passwords were removed than those of the lost key")
	}
	wantErr(t, second(db.AuthenticateUser(ctx, "x", "0", password)), snib.ErrInvalidCredentials)
	must(db.AuthenticateUser(ctx, "x", "2", password))(t)
	must(db.Check(ctx))(t)
}

// Every operation of the engine fails once: what was sealed stays sealed, no
// hash is lost, no key leaves too early, and the next run goes on.
func TestResealThatFailsGoesOn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	db := openFile(t, path, sealing(testKey("k1", 1)))
	const n = 6
	people(t, db, n)
	closeDB(t, db)
	db = openFile(t, path, sealing(testKey("k2", 2), testKey("k1", 1)))
	failing(t, db, func() error { return second(db.File().Reseal(ctx)) }, func(op int64) {
		under := underKeys(t, db)
		if under["k1"]+under["k2"] != n || under["k1"] > 0 && !slices.Contains(keysInUse(t, db), "k1") {
			t.Fatalf("operation %d failed: %v under %v", op, under, keysInUse(t, db))
		}
		must(db.Check(ctx))(t)
		must(db.AuthenticateUser(ctx, "x", fmt.Sprint(op%n), password))(t)
	})
	if !maps.Equal(underKeys(t, db), map[string]int{"k2": n}) || !slices.Equal(keysInUse(t, db), []string{"k2"}) {
		t.Errorf("%v under %v", underKeys(t, db), keysInUse(t, db))
	}
}

func TestResealRunsTwice(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	db := openFile(t, path, sealing(testKey("k1", 1)))
	people(t, db, 3)
	closeDB(t, db)
	db = must(snib.OpenTwice(path, snibtest.Fast(sealing(testKey("k2", 2), testKey("k1", 1)))))(t)
	defer snibtest.CheckAndClose(t, db)
	if report := must(db.File().Reseal(ctx))(t); report.Sealed != 3 || len(report.Retired) != 1 {
		t.Errorf("%+v", report)
	}
}

// Users log in and change their passwords, in two handles, while one of them
// reseals: nobody is turned away, and nothing is left under the old key.
func TestResealBesideLogIns(t *testing.T) {
	b := openBolt(t, filepath.Join(t.TempDir(), "app.db"))
	open := func(keys ...snib.Key) *snib.DB {
		o := snibtest.Fast(sealing(keys...))
		o.InsecureNoSync = true
		return must(snib.New(b, o))(t)
	}
	k1, k2 := testKey("k1", 1), testKey("k2", 2)
	other := open(k1, k2)
	const n = 60
	people(t, other, n)
	db := open(k2, k1)
	var stop atomic.Bool
	var done atomic.Int64
	var workers sync.WaitGroup
	for w := range 4 {
		from := []*snib.DB{db, other}[w%2]
		workers.Go(func() {
			for i := w; !stop.Load(); i = (i + 4) % n {
				name := fmt.Sprint(i)
				s, _, err := from.LogIn(ctx, "x", name, password, snib.SessionOptions{})
				if err != nil {
					t.Errorf("log in %s: %v", name, err)
					return
				}
				done.Add(1)
				if i%3 == 0 {
					if _, err := from.ChangePassword(ctx, s.Token.Reveal(), password, password); err != nil {
						t.Errorf("change %s: %v", name, err)
						return
					}
				}
			}
		})
	}
	for run := 0; run < 3 || done.Load() < 3*n && !t.Failed(); run++ {
		must(db.File().Reseal(ctx))(t)
	}
	stop.Store(true)
	workers.Wait()
	if !maps.Equal(underKeys(t, db), map[string]int{"k2": n}) || !slices.Equal(keysInUse(t, db), []string{"k2"}) {
		t.Errorf("%v under %v", underKeys(t, db), keysInUse(t, db))
	}
	must(db.Check(ctx))(t)
}

// beforeExclusive calls fn before each exclusive transaction.
type beforeExclusive struct {
	kv.Store
	fn func()
}

func (b beforeExclusive) Exclusive(ctx context.Context, fn func(kv.Tx) error) error {
	b.fn()
	return b.Store.Exclusive(ctx, fn)
}

// A hash that another sealed between the look and the count keeps its key: the
// key is retired by what the transaction counts and not by a cursor.
func TestResealCountsInTheTransaction(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	db := openFile(t, path, sealing(testKey("k1", 1)))
	ids := people(t, db, 3)
	old := storedHashOf(t, db, ids[0]).PasswordHash
	closeDB(t, db)
	db = openFile(t, path, sealing(testKey("k2", 2), testKey("k1", 1)))
	b := handle(t, db)
	restore := db.WrapStore(func(inner kv.Store) kv.Store {
		return beforeExclusive{inner, func() {
			u := must(codec.DecodeUser([]byte(ids[0]), rawGet(t, b, "users", string(ids[0]))))(t)
			u.PasswordHash = old
			rawPut(t, b, "users", u.ID, u.Append(nil))
		}}
	})
	report, err := db.File().Reseal(ctx)
	restore()
	if err != nil || len(report.Retired) != 0 || report.Left["k1"] != 1 || !slices.Contains(keysInUse(t, db), "k1") {
		t.Errorf("%+v, %v", report, err)
	}
	must(db.AuthenticateUser(ctx, "x", "0", password))(t)
}

// TestResealKilled kills a process that reseals, at moments all over its run,
// until one comes to its end. Whatever the moment, every password is there.
func TestResealKilled(t *testing.T) {
	if path := os.Getenv("SNIB_RESEAL"); path != "" {
		db := must(snib.Open(path, snibtest.Fast(sealing(testKey("k2", 2), testKey("k1", 1)))))(t)
		must(db.File().Reseal(ctx))(t)
		closeDB(t, db)
		return
	}
	path := filepath.Join(t.TempDir(), "a.db")
	db := openFile(t, path, sealing(testKey("k1", 1)))
	const n = 3000
	people(t, db, n)
	closeDB(t, db)
	killed, inside := 0, 0
	for wait := 10 * time.Millisecond; ; wait += max(10*time.Millisecond, wait/4) { // a slow machine needs seconds to begin
		child := exec.Command(os.Args[0], "-test.run=^TestResealKilled$")
		child.Env = append(os.Environ(), "SNIB_RESEAL="+path)
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		timer := time.AfterFunc(wait, func() { child.Process.Kill() })
		err := child.Wait()
		timer.Stop()
		if err == nil {
			break
		}
		if !errors.As(err, new(*exec.ExitError)) || child.ProcessState.Exited() {
			t.Fatalf("after %v: %v", wait, err)
		}
		killed++
		db := openFile(t, path, sealing(testKey("k2", 2), testKey("k1", 1)))
		under := underKeys(t, db)
		if under["k1"]+under["k2"] != n || under["k1"] > 0 && !slices.Contains(keysInUse(t, db), "k1") {
			t.Fatalf("killed after %v: %v under %v", wait, under, keysInUse(t, db))
		}
		if under["k1"] > 0 && under["k2"] > 0 {
			inside++
		}
		must(db.Check(ctx))(t) // opens every hash
		must(db.AuthenticateUser(ctx, "x", fmt.Sprint(killed), password))(t)
		closeDB(t, db)
	}
	t.Logf("killed %d times, %d inside", killed, inside)
	db = openFile(t, path, sealing(testKey("k2", 2)))
	if !maps.Equal(underKeys(t, db), map[string]int{"k2": n}) || !slices.Equal(keysInUse(t, db), []string{"k2"}) {
		t.Errorf("%v under %v", underKeys(t, db), keysInUse(t, db))
	}
	must(db.Check(ctx))(t)
}

// A hash that is sealed anew, and a sign-out, while its password is verified are
// no reason to refuse it: it is the same hash.
func TestLogInOutlivesResealAndASignOut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	db := openFile(t, path, sealing(testKey("k1", 1)))
	ids := people(t, db, 2)
	closeDB(t, db)
	db = openFile(t, path, sealing(testKey("k2", 2), testKey("k1", 1)))
	var own []snib.SessionID
	meanwhile := func() {
		db.SetVerified(nil)
		must(db.File().Reseal(ctx))(t)
		if err := db.RevokeUserSessions(ctx, ids[0], own...); err != nil {
			t.Error(err)
		}
	}
	db.SetVerified(meanwhile)
	if _, _, err := db.LogIn(ctx, "x", "0", password, snib.SessionOptions{}); err != nil {
		t.Error(err)
	}
	wantSealed(t, db, ids[0], "k2")
	closeDB(t, db)
	db = openFile(t, path, sealing(testKey("k1", 1), testKey("k2", 2)))
	s := newSession(t, db, asNow(t, db, ids[0]))
	own = append(own, s.ID)
	db.SetVerified(meanwhile)
	must(db.ChangePassword(ctx, s.Token.Reveal(), password, "another passphrase"))(t)
	wantSealed(t, db, ids[0], "k1")
}
