package snib_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibtest"
)

// made is a record of some kind: its key, and its use by its bearer.
type made struct {
	key string
	use func(*snib.DB) error
}

// makers makes one record of each kind, for life.
var makers = map[string]func(tb testing.TB, db *snib.DB, u snib.User, life time.Duration) made{
	"session": func(tb testing.TB, db *snib.DB, u snib.User, _ time.Duration) made {
		s := must(db.CreateSession(ctx, asNow(tb, db, u.ID), snib.SessionOptions{}))(tb)
		return made{string(s.ID), func(db *snib.DB) error { return second(db.ValidateSession(ctx, s.Token.Reveal())) }}
	},
	"refresh token": func(tb testing.TB, db *snib.DB, u snib.User, _ time.Duration) made {
		_, r, err := db.CreateRefreshToken(ctx, asNow(tb, db, u.ID), snib.SessionOptions{})
		if err != nil {
			tb.Fatal(err)
		}
		token := r.Token.Reveal()
		return made{string(r.ID), func(db *snib.DB) error {
			_, next, err := db.Refresh(ctx, token)
			if err == nil {
				token = next.Token.Reveal()
			}
			return err
		}}
	},
	"one-time token": func(tb testing.TB, db *snib.DB, u snib.User, life time.Duration) made {
		l := must(db.CreateOneTimeToken(ctx, u.ID, "reset", life, nil))(tb)
		return made{string(l.ID), func(db *snib.DB) error { return second(db.UseOneTimeToken(ctx, "reset", l.Token.Reveal())) }}
	},
}

// kindOptions give every kind the life of two hours.
func kindOptions(clock *snibtest.Clock) *snib.Options {
	return &snib.Options{
		Now:      clock.Now,
		Sessions: snib.SessionPolicy{Active: 2 * time.Hour, Idle: -1},
		Refresh:  snib.RefreshPolicy{Idle: 2 * time.Hour, Absolute: 2 * time.Hour, Session: time.Hour, Grace: -1},
	}
}

// occasioned does what ends records, by the names of the table.
var occasioned = map[string]func(*snib.DB, snib.User) error{
	"password set, changed or removed": func(db *snib.DB, u snib.User) error {
		return second(db.UpdateUserPassword(ctx, u.ID, "another passphrase"))
	},
	"user disabled": func(db *snib.DB, u snib.User) error {
		if _, err := db.DisableUser(ctx, u.ID, ""); err != nil {
			return err
		}
		return second(db.EnableUser(ctx, u.ID)) // nothing comes back with it
	},
	"identity replaced or unlinked": func(db *snib.DB, u snib.User) error {
		return second(db.UpdateUserProviderID(ctx, u.ID, "github", "another"))
	},
	"`RevokeUserSessions`":      func(db *snib.DB, u snib.User) error { return db.RevokeUserSessions(ctx, u.ID) },
	"`RevokeUserRefreshTokens`": func(db *snib.DB, u snib.User) error { return db.RevokeUserRefreshTokens(ctx, u.ID) },
	"`EndEverything`, `ResetClock`, `Restore`": func(db *snib.DB, u snib.User) error {
		return db.EndEverything(ctx)
	},
}

// TestEveryKindLivesAndEnds takes a record of each kind through all that its
// row speaks of.
func TestEveryKindLivesAndEnds(t *testing.T) {
	for _, k := range snib.Kinds() {
		t.Run(k.Title, func(t *testing.T) {
			create := makers[k.Title]
			if create == nil {
				t.Fatalf("makers has no %q: this suite shows nothing of the kind", k.Title)
			}
			for name, step := range map[string]func(*testing.T, kindScene){
				"created": kindCreated, "evicted": kindEvicted, "gone with its user": kindDeleted, "damaged": kindDamaged,
				"swept": kindSwept, "occasions": kindOccasions, "restored": kindRestored,
			} {
				t.Run(name, func(t *testing.T) {
					clock := snibtest.NewClock()
					path := filepath.Join(t.TempDir(), "a.db")
					db := snibtest.OpenDB(t, path, kindOptions(clock))
					s := kindScene{k, clock, db, path, user(t, db, "ada"), nil}
					s.make = func(tb testing.TB) made { tb.Helper(); return create(tb, s.db, s.user, 2*time.Hour) }
					step(t, s)
				})
			}
		})
	}
}

type kindScene struct {
	snib.Kind
	clock *snibtest.Clock
	db    *snib.DB
	path  string
	user  snib.User
	make  func(testing.TB) made
}

// has reports whether the file has the record of a key.
func (s kindScene) has(tb testing.TB, key string) (there bool) {
	tb.Helper()
	rawBucket(tb, handle(tb, s.db), s.Space, func(b *bolt.Bucket) error {
		there = b.Get(rawKey(key)) != nil
		return nil
	})
	return there
}

func kindCreated(t *testing.T, s kindScene) {
	r := s.make(t)
	if !s.has(t, r.key) {
		t.Error("the record is not in its space")
	}
	if err := r.use(s.db); err != nil {
		t.Errorf("it cannot be used: %v", err)
	}
	must(s.db.Check(ctx))(t)
}

// kindEvicted: at the bound the one of another epoch goes first, then those
// that end first.
func kindEvicted(t *testing.T, s kindScene) {
	old := s.make(t)
	if err := s.db.EndEverything(ctx); err != nil {
		t.Fatal(err)
	}
	var records []made
	for range s.Most - 1 {
		s.clock.Advance(time.Millisecond)
		records = append(records, s.make(t))
	}
	for i := range 3 {
		if !s.has(t, append([]made{old}, records...)[i].key) {
			t.Fatalf("record %d was evicted below the bound", i)
		}
		s.clock.Advance(time.Millisecond)
		s.make(t)
		if s.has(t, append([]made{old}, records...)[i].key) {
			t.Errorf("record %d is still there, though it ends first", i)
		}
	}
	for i, r := range records[2:] {
		if !s.has(t, r.key) {
			t.Fatalf("record %d was evicted before its turn", i+2)
		}
	}
}

func kindDeleted(t *testing.T, s kindScene) {
	r, theirs := s.make(t), makers[s.Title](t, s.db, user(t, s.db, "bob"), time.Hour)
	if err := s.db.DeleteUser(ctx, s.user.ID); err != nil {
		t.Fatal(err)
	}
	if s.has(t, r.key) || !s.has(t, theirs.key) {
		t.Error("the record outlives its user, or another user's has gone")
	}
	if err := r.use(s.db); err == nil {
		t.Error("it can be used")
	}
	if left := mentions(t, s.db, string(s.user.ID)); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

// kindDamaged: Check names a damaged record, nothing accepts it, DeleteUser
// does not need it, Repair ends it.
func kindDamaged(t *testing.T, s kindScene) {
	r, sound := s.make(t), s.make(t)
	b := handle(t, s.db)
	value := rawGet(t, b, s.Space, r.key)
	value[len(value)/2] ^= 1
	rawPut(t, b, s.Space, r.key, value)
	if err := r.use(s.db); err == nil {
		t.Error("a damaged record is accepted")
	}
	report, err := s.db.Check(ctx)
	wantErr(t, err, snib.ErrCorrupt)
	if p := report.Problems[0]; p.Space != s.Space || p.Severity != snib.EndsLogin {
		t.Errorf("Check says %v (%v)", p, p.Severity)
	}
	must(s.db.Repair(ctx))(t)
	must(s.db.Check(ctx))(t)
	if s.has(t, r.key) {
		t.Error("Repair has left it")
	}
	if err := sound.use(s.db); err != nil {
		t.Errorf("the one beside it: %v", err)
	}
}

func kindSwept(t *testing.T, s kindScene) {
	r := s.make(t)
	for _, x := range []struct {
		after time.Duration
		there bool
	}{{time.Hour, true}, {23 * time.Hour, true}, {3 * time.Hour, false}} {
		s.clock.Advance(x.after)
		must(s.db.Sweep(ctx))(t)
		if s.has(t, r.key) != x.there {
			t.Fatalf("after %v more: there %t", x.after, !x.there)
		}
	}
}

func kindOccasions(t *testing.T, s kindScene) {
	for i, name := range snib.Occasions {
		act := occasioned[name]
		if act == nil {
			t.Fatalf("occasioned has no %q", name)
		}
		s.user = user(t, s.db, fmt.Sprint("user", i))
		r := makers[s.Title](t, s.db, s.user, time.Hour)
		if err := act(s.db, s.user); err != nil {
			t.Fatal(err)
		}
		if err := r.use(s.db); (err != nil) != s.Ends[name] {
			t.Errorf("%s: %v, the row says %t", name, err, s.Ends[name])
		}
		if i == 2 { // free the identity
			if err := s.db.DeleteUser(ctx, s.user.ID); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func kindRestored(t *testing.T, s kindScene) {
	r := s.make(t)
	backup := filepath.Join(t.TempDir(), "backup.db")
	if err := s.db.BackupFile(ctx, backup, nil); err != nil {
		t.Fatal(err)
	}
	for _, keep := range []bool{false, true} {
		path := filepath.Join(t.TempDir(), "restored.db")
		must(snib.Restore(ctx, backup, path, &snib.RestoreOptions{KeepSessions: keep, Options: kindOptions(s.clock)}))(t)
		db := snibtest.OpenDB(t, path, kindOptions(s.clock))
		if err := r.use(db); (err == nil) != (keep && !s.UsedOnce) {
			t.Errorf("keeping sessions %t: %v; used once %t", keep, err, s.UsedOnce)
		}
	}
}

// TestTablesOfTheDocuments: FORMAT.md names the spaces of the file, and
// INVARIANTS.md what ends what.
func TestTablesOfTheDocuments(t *testing.T) {
	named := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\|").FindAllStringSubmatch(doc(t, "FORMAT.md"), -1) {
		named[m[1]] = true
	}
	for _, name := range snib.SpaceNames() {
		if !named[name] {
			t.Errorf("FORMAT.md has no row for the space %s", name)
		}
		delete(named, name)
	}
	delete(named, "fixext")
	page := doc(t, "INVARIANTS.md")
	want := "|"
	for _, k := range snib.Kinds() {
		want += " | " + k.Title
		if !strings.Contains(page, fmt.Sprintf("| INV-%d |", k.Invariant)) {
			t.Errorf("INVARIANTS.md has no row INV-%d", k.Invariant)
		}
	}
	for _, name := range snib.Occasions {
		want += " |\n| " + name
		for _, k := range snib.Kinds() {
			if want += " | "; k.Ends[name] {
				want += "ends"
			} else {
				want += "stays"
			}
		}
	}
	want += " |\n"
	if got := regexp.MustCompile(`(?m)^\|[-|]*\|\n`).ReplaceAllString(page, ""); !strings.Contains(got, want) {
		t.Errorf("INVARIANTS.md does not have the table\n%s", want)
	}
}

// doc reads a page of docs/.
func doc(tb testing.TB, name string) string {
	tb.Helper()
	return string(must(os.ReadFile(filepath.Join("docs", name)))(tb))
}
