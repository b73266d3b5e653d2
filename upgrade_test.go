package snib_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/kv/faultkv"
	"github.com/snibdb/snib/snibtest"
)

// formatOne is a file of format 1, and what its users hold.
type formatOne struct {
	path      string
	whole     []byte
	content   map[string]string // by "space/key"
	Sessions  []string
	Refresh   []string
	Links     []string
	Passwords map[string]string
}

const goldenOne = "proof/testdata/golden/v1/accounts.snib"

func newFormatOne(tb testing.TB) *formatOne {
	tb.Helper()
	f := &formatOne{path: filepath.Join(tb.TempDir(), "accounts.db"), whole: must(os.ReadFile(goldenOne))(tb)}
	if err := json.Unmarshal(must(os.ReadFile(goldenOne+".json"))(tb), f); err != nil {
		tb.Fatal(err)
	}
	if len(f.Sessions)*len(f.Refresh)*len(f.Links)*len(f.Passwords) == 0 {
		tb.Fatal("the golden file has not some of everything")
	}
	if err := os.WriteFile(f.path, f.whole, 0o600); err != nil {
		tb.Fatal(err)
	}
	f.content = f.read(tb)
	return f
}

// read returns all that lies in the file.
func (f *formatOne) read(tb testing.TB) map[string]string {
	tb.Helper()
	b := must(bolt.Open(f.path, 0o600, &bolt.Options{ReadOnly: true, Timeout: time.Second}))(tb)
	defer b.Close()
	return dumped(tb, b)
}

// options are those of a program that comes an hour after the file was written.
func (f *formatOne) options() *snib.Options {
	clock := snibtest.NewClock()
	clock.Advance(2 * time.Hour)
	return snibtest.Fast(&snib.Options{Now: clock.Now})
}

// upgraded fails the test unless db has what format 1 had, without what ended.
func (f *formatOne) upgraded(tb testing.TB, db *snib.DB) {
	tb.Helper()
	if r := must(db.Check(ctx))(tb); r.Users != 4 || r.Passwords != 2 || r.Disabled != 1 || r.ForeignHashes != 1 ||
		r.Records["sessions"]+r.Records["refresh_families"]+r.Records["one_time_tokens"]+r.Newer != 0 {
		tb.Errorf("Check counts %+v", r)
	}
	for name, refused := range map[string]struct {
		tokens []string
		use    func(token string) error
		want   error
	}{
		"session":       {f.Sessions, func(s string) error { return second(db.ValidateSession(ctx, s)) }, snib.ErrInvalidSession},
		"session, idle": {f.Sessions, func(s string) error { return second(db.ExtendSession(ctx, s)) }, snib.ErrInvalidSession},
		"refresh token": {f.Refresh, func(s string) error { _, _, err := db.Refresh(ctx, s); return err }, snib.ErrInvalidRefreshToken},
		"one-time":      {f.Links, func(s string) error { return second(db.Tokens().Use(ctx, "reset", s)) }, snib.ErrInvalidOneTimeToken},
		"sign-out":      {slices.Concat(f.Sessions, f.Refresh, f.Links), func(s string) error { return db.RevokeToken(ctx, s) }, nil},
	} {
		for _, token := range refused.tokens {
			if err := refused.use(token); !errors.Is(err, refused.want) {
				tb.Errorf("%s: %v, want %v", name, err, refused.want)
			}
		}
	}
	now, stayed := dumped(tb, handle(tb, db)), 0
	for key, value := range f.content {
		if space, _, _ := strings.Cut(key, "/"); slices.Contains([]string{"users", "identities", "attributes"}, space) {
			if stayed++; now[key] != value {
				tb.Errorf("%s is %q, was %q", key, now[key], value)
			}
		}
	}
	if stayed != 4+5+4 {
		tb.Errorf("%d records of users, identities and attributes, want 13", stayed)
	}
	buckets := map[string]bool{}
	rawRoot(tb, handle(tb, db), func(name []byte) { buckets[string(name)] = true })
	if len(buckets) != 4 || !buckets["meta"] || !buckets["users"] || !buckets["identities"] || !buckets["attributes"] {
		tb.Errorf("the file has the trees %v", slices.Sorted(maps.Keys(buckets)))
	}
	format := must(codec.DecodeFormat([]byte(rawGet(tb, handle(tb, db), "meta", codec.KeyFormat))))(tb)
	if format.Version != 2 || format.MinReader != 2 { // a program of format 1 refuses a MinReader above 1
		tb.Errorf("format %d, to be read from %d on; want 2 and 2", format.Version, format.MinReader)
	}
}

// rawRoot visits the names of the trees.
func rawRoot(tb testing.TB, b *bolt.DB, visit func(name []byte)) {
	tb.Helper()
	err := b.View(func(tx *bolt.Tx) error {
		return tx.Bucket([]byte("snib")).ForEachBucket(func(name []byte) error { visit(name); return nil })
	})
	if err != nil {
		tb.Fatal(err)
	}
}

// goesOn fails the test unless people can log in again.
func (f *formatOne) goesOn(tb testing.TB, db *snib.DB) {
	tb.Helper()
	for address, secret := range f.Passwords {
		s, _, err := db.LogIn(ctx, "email", strings.ToUpper(address), secret, snib.SessionOptions{})
		if err != nil {
			tb.Fatalf("log in as %s: %v", address, err)
		}
		valid(tb, db, s)
	}
	must(db.GetUserByAttribute(ctx, "nick", "COUNTESS"))(tb)
	must(db.GetUserByProviderID(ctx, "github", "42"))(tb)
}

func TestUpgradeUnderOpen(t *testing.T) {
	f := newFormatOne(t)
	var log events
	o := f.options()
	o.Logger = log.logger()
	db := must(snib.Open(f.path, o))(t)
	f.upgraded(t, db)
	if !strings.Contains(log.String(), "upgraded") {
		t.Errorf("log %q", log.String())
	}
	closeDB(t, db)
	before := must(os.ReadFile(f.path))(t)
	db = must(snib.Open(f.path, f.options()))(t) // does nothing
	closeDB(t, db)
	if after := must(os.ReadFile(f.path))(t); string(after) != string(before) {
		t.Error("the second Open has written")
	}
	db = must(snib.Open(f.path, f.options()))(t)
	f.upgraded(t, db)
	f.goesOn(t, db)
	snibtest.CheckAndClose(t, db)
}

func TestUpgradeUnderNew(t *testing.T) {
	f := newFormatOne(t)
	b := openBolt(t, f.path)
	if err := b.Update(func(tx *bolt.Tx) error {
		rows, err := tx.CreateBucket([]byte("rows"))
		if err != nil {
			return err
		}
		return rows.Put([]byte("k"), []byte("v"))
	}); err != nil {
		t.Fatal(err)
	}
	var dbs [4]*snib.DB
	var wg sync.WaitGroup
	for i := range dbs { // all see format 1, one upgrades
		wg.Go(func() { dbs[i] = must(snib.New(b, f.options()))(t) })
	}
	wg.Wait()
	f.upgraded(t, dbs[0])
	s := session(t, dbs[1], must(dbs[2].GetUserByProviderID(ctx, "github", "42"))(t).ID)
	for _, db := range dbs {
		valid(t, db, s)
	}
	f.goesOn(t, dbs[3])
	for _, db := range dbs {
		snibtest.CheckAndClose(t, db)
	}
	if got := rows(t, b); fmt.Sprint(got) != "[k=v]" {
		t.Errorf("the application's rows are %q", got)
	}
}

// TestUpgradeRunTwice: a run that is rolled back leaves the next one its work.
func TestUpgradeRunTwice(t *testing.T) {
	f := newFormatOne(t)
	db := must(snib.OpenTwice(f.path, f.options()))(t)
	f.upgraded(t, db)
	f.goesOn(t, db)
	snibtest.CheckAndClose(t, db)
}

func TestUpgradeOfWhatIsReadOnly(t *testing.T) {
	f := newFormatOne(t)
	b := must(bolt.Open(f.path, 0o600, &bolt.Options{ReadOnly: true, Timeout: time.Second}))(t)
	_, err := snib.New(b, f.options())
	wantErr(t, err, snib.ErrReadOnly)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	untouched(t, f.path, f.whole, 0o600)
	if os.Geteuid() == 0 {
		immutable(t, f.path)
	} else if err := os.Chmod(f.path, 0o400); err != nil {
		t.Fatal(err)
	}
	_, err = snib.Open(f.path, f.options())
	wantErr(t, err, snib.ErrReadOnly)
	if got := must(os.ReadFile(f.path))(t); string(got) != string(f.whole) {
		t.Error("the file was changed")
	}
}

// TestUpgradeThatFails: every operation of the engine fails once while the file
// is opened. It is then one of format 1, whole, until the commit of the upgrade,
// and one of format 2 from then on.
func TestUpgradeThatFails(t *testing.T) {
	f := newFormatOne(t)
	one, two := 0, 0
	for n := int64(0); ; n++ {
		if err := os.WriteFile(f.path, f.whole, 0o600); err != nil {
			t.Fatal(err)
		}
		var faulty *faultkv.Store
		db, err := snib.OpenWrapped(f.path, f.options(), func(inner kv.Store) kv.Store {
			faulty = faultkv.Wrap(inner, faultkv.Faults{Fail: n, Overwrite: true})
			return faulty
		})
		if !faulty.Failed() {
			must(db, err)(t).Close()
			break
		}
		wantErr(t, err, faultkv.ErrInjected)
		if maps.Equal(f.read(t), f.content) {
			one++
			if two > 0 {
				t.Errorf("operation %d failed: the upgrade is undone", n)
			}
		} else {
			two++
		}
		db = must(snib.Open(f.path, f.options()))(t)
		f.upgraded(t, db)
		snibtest.CheckAndClose(t, db)
	}
	if one < 10 || two < 2 {
		t.Errorf("%d failures before the commit, %d after it", one, two)
	}
}

func TestUpgradeEndsWithItsContext(t *testing.T) {
	f := newFormatOne(t)
	for n := 0; ; n++ {
		if n > 100 {
			t.Fatal("it never comes to an end")
		}
		before := f.read(t)
		db, err := snib.OpenContext(&cancelled{ctx, n}, f.path, f.options())
		if err == nil {
			closeDB(t, db)
			if n == 0 {
				t.Error("ctx was not looked at")
			}
			return
		}
		wantErr(t, err, context.Canceled)
		if maps.Equal(before, f.content) && !maps.Equal(f.read(t), f.content) {
			db := must(snib.Open(f.path, f.options()))(t)
			f.upgraded(t, db)
			snibtest.CheckAndClose(t, db)
		}
	}
}

// TestUpgradeOfDamage: Open refuses a file of format 1 whose meta is damaged,
// and leaves it alone; RepairFile upgrades it and mends the rest.
func TestUpgradeOfDamage(t *testing.T) {
	declared := &snib.Options{
		Indexes:   []snib.Index{{Name: "nick", Unique: true, Fold: true}, {Name: "team"}},
		Providers: map[string]snib.IdentifierRule{"email": snib.Email, "username": snib.Username},
	}
	for name, damaged := range map[string]struct {
		space, key string
		users      int
		opens      bool
	}{
		"nothing":      {"", "", 4, true},
		"a user":       {"users", "legacy:7", 3, true},
		"format":       {"meta", codec.KeyFormat, 4, false},
		"state":        {"meta", codec.KeyState, 4, false},
		"declarations": {"meta", codec.KeyDeclarations, 4, false},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFormatOne(t)
			if damaged.space != "" {
				b := openBolt(t, f.path)
				rawPut(t, b, damaged.space, damaged.key, flip(rawGet(t, b, damaged.space, damaged.key), 12))
				b.Close()
			}
			before := f.read(t)
			if !damaged.opens {
				_, err := snib.Open(f.path, f.options())
				wantErr(t, err, snib.ErrCorrupt)
				if !maps.Equal(before, f.read(t)) {
					t.Error("a refused file was changed")
				}
			}
			o := f.options()
			o.Indexes, o.Providers = declared.Indexes, declared.Providers
			report, err := snib.RepairFile(ctx, f.path, o)
			if err != nil {
				t.Fatalf("%v, after %v", err, report.Repairs)
			}
			db := must(snib.Open(f.path, f.options()))(t)
			if r := must(db.Check(ctx))(t); r.Users != damaged.users {
				t.Errorf("%d users, want %d; repairs %v", r.Users, damaged.users, report.Repairs)
			}
			if damaged.users == 4 {
				f.upgraded(t, db)
				f.goesOn(t, db)
			}
			snibtest.CheckAndClose(t, db)
		})
	}
}

// Format 1 had the empty text in unique indexes.
func TestUpgradeFreesTheEmptyTextOfUniqueIndexes(t *testing.T) {
	f := newFormatOne(t)
	b := must(bolt.Open(f.path, 0o600, nil))(t)
	declared := must(codec.DecodeDeclarations([]byte(rawGet(t, b, "meta", codec.KeyDeclarations))))(t)
	declared.Indexes = append(declared.Indexes, codec.Index{Name: "phone", Unique: true})
	rawPut(t, b, "meta", codec.KeyDeclarations, declared.Append(nil))
	var id string
	for key := range f.content {
		if rest, ok := strings.CutPrefix(key, "users/"); ok {
			id = max(id, rest)
		}
	}
	u := must(codec.DecodeUser([]byte(id), []byte(rawGet(t, b, "users", id))))(t)
	attributes := map[string]any{}
	if u.Attributes != "" {
		attributes = must(codec.DecodeAttributes(u.Attributes))(t)
	}
	attributes["phone"] = ""
	bounds := codec.Bounds{Keys: codec.MaxAttributes, Bytes: codec.MaxAttributeBytes}
	u.Attributes = string(must(codec.AppendAttributes(nil, attributes, bounds))(t))
	u.Entries = append(u.Entries, codec.IndexEntry{Name: "phone", Value: string(must(codec.AppendIndexValue(nil, ""))(t)), Unique: true})
	rawPut(t, b, "users", id, u.Append(nil))
	key := indexKey(t, "phone", "", "")
	ref := codec.UserRef{UserID: id}
	rawPut(t, b, "attributes", key, ref.Append(nil, codec.SpaceAttributes, []byte(key)))
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}

	db := snibtest.OpenDB(t, f.path, f.options())
	if r := must(db.Check(ctx))(t); r.Found != 0 {
		t.Errorf("Check finds %+v", r.Problems)
	}
	for i := range 2 {
		must(db.CreateUser(ctx, snib.NewUser{Provider: "x", Identifier: fmt.Sprint(i), Attributes: snib.Attributes{"phone": ""}}))(t)
	}
}
